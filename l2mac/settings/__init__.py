"""Settings: flag > variable > file > preset > default; the only reader of the environment."""
