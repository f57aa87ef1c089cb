"""Guided mode: a small model answers one question at a time."""
