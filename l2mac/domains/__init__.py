"""Domains: the prompts, tools and checks for one kind of work, as data."""
