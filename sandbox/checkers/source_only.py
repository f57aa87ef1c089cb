"""Import from the store by source alone, as its bytecode may differ."""

from __future__ import annotations

import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import PathEntryFinder


class _SourceLoader(SourceFileLoader):
    """Find no bytecode, and so compile the source."""

    def get_data(self, path: str) -> bytes:
        if path.endswith(".pyc"):
            raise FileNotFoundError(path)
        return super().get_data(path)


def believe_sources_only(root: str) -> None:
    """Make this process import modules below `root` from source."""
    find = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES), (_SourceLoader, SOURCE_SUFFIXES)
    )

    def find_below_root(path: str) -> PathEntryFinder:
        if path != root and not path.startswith(root + "/"):
            raise ImportError(f"{path} is not in the store")
        return find(path)

    sys.path_hooks.insert(0, find_below_root)
    sys.path_importer_cache.clear()
    from _pytest.assertion import rewrite  # here: only the preloaded process has pytest

    # pytest's own cache of rewritten tests cannot be switched off for reading; pytest is pinned by
    # hash.
    rewrite._read_pyc = lambda *_: None  # noqa: SLF001
