"""Reports about runs, from the trace alone: figures, texts, tracking."""
