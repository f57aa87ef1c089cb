"""One run, from settings to result: the composition root and the run's folder."""
