"""L2MAC: a stored-program computer built on a language model, with its file store in a hardened container."""

from l2mac.version import VERSION

__version__ = VERSION

__all__ = ["__version__"]
