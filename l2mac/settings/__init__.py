"""Settings: flag > variable > file > preset > default."""
