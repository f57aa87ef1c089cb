"""The tools that the model may call. Every outcome is text for the model."""
