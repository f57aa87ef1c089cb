"""L2MAC: a stored-program computer built on a language model, with its file store in a hardened container."""

__version__ = "0.1.0"
