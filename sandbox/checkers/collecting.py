"""A shorter collection for pytest in projects with many files that hold no tests.

pytest asks every plugin about every file. Its own plugins take Python files and, for doctest, files
named `test*.txt`. Unless a plugin of the project collects files or folders, this plugin hides all
other files from the listings of folders, and all folders without such a file. pytest collects the
same tests as before.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Scandir = Callable[..., list[os.DirEntry[str]]]

_TEXTS = "test*.txt"  # doctest's default
_HOOKS = ("pytest_collect_file", "pytest_collect_directory")


class ShorterListings:
    """A pytest plugin that shortens the listings of folders in this process."""

    def pytest_sessionstart(self, session: Any) -> None:
        """Replace the function that lists a folder, in both modules that call it."""
        from _pytest import main, python  # here: only the preloaded process has it

        for module in (main, python):
            shorter = _shorten(module.scandir, session.config)
            setattr(module, "scandir", shorter)  # noqa: B010 - the name is missing in the stubs


def _shorten(scandir: Scandir, config: Any) -> Scandir:
    def shorter(path: Any, *arguments: Any, **options: Any) -> list[os.DirEntry[str]]:
        entries = scandir(path, *arguments, **options)
        # pytest also lists the folders above the project's.
        if not path.is_relative_to(config.rootpath) or not _only_pytest_collects(config):
            return entries
        return [entry for entry in entries if _may_hold_tests(entry)]

    return shorter


def _only_pytest_collects(config: Any) -> bool:
    """Return whether nothing but pytest itself collects files, in its default way.

    The answer can change with every folder, because each can hold a `conftest.py`.
    """
    if config.getoption("doctestglob"):
        return False
    hooks = [hook for name in _HOOKS for hook in getattr(config.hook, name).get_hookimpls()]
    return all(hook.function.__module__.startswith("_pytest.") for hook in hooks)


def _may_hold_tests(entry: os.DirEntry[str]) -> bool:
    """Return whether pytest may collect an entry or something in it; True for links."""
    if entry.is_symlink():
        return True
    if entry.is_dir():
        return _any_may_hold_tests(entry.path)
    return entry.name.endswith(".py") or fnmatchcase(entry.name, _TEXTS)


def _any_may_hold_tests(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_may_hold_tests(entry) for entry in entries)
    except (OSError, RecursionError):  # pytest explains the problem better
        return True
