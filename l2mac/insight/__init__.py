"""Reports about runs, made from the trace alone: series, figures, texts, tracking."""
