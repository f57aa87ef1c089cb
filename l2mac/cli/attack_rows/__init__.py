"""Attacks on the users of a sandbox: export, terminal, log, tools and verdicts."""
