"""The Docker side of the sandbox; no other package talks to an engine."""
