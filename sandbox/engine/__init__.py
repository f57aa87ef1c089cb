"""The Docker side: everything that talks to an engine, and nothing else does."""
