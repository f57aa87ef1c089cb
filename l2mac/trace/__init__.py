"""The trace of a run: events in a hash chain, and the objects they name."""
