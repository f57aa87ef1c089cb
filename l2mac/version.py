"""The version, without an import of the package's public names."""

VERSION = "0.1.0"
