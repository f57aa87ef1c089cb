"""The version, in a module of its own so that nobody has to import the package's public names for it."""

VERSION = "0.1.0"
