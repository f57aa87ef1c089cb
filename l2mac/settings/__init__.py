"""Settings: flag over variable over file over preset over default; the only reader of the environment."""
