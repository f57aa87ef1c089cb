"""The run's record: events in a hash chain, and the objects that they name."""
