"""Domains: the prompts, tools and checks of a kind of work, as data."""
