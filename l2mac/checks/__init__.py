"""What is checked after every write: syntax, lint, tests, all in the box, each with a verdict that fails closed."""
