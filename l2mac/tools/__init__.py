"""What the model may call: files, execution, control; every outcome is text for the model."""
