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
    from typing import Protocol

    from _pytest.config import Config
    from _pytest.main import Session

    Entry = os.DirEntry[str]

    class Scandir(Protocol):
        """The function of pytest that lists a folder."""

        def __call__(
            self, path: str | os.PathLike[str], sort_key: Callable[[Entry], object] = ...
        ) -> list[Entry]:
            """Return the entries of a folder, sorted by the key."""
            ...


_TEXTS = "test*.txt"  # doctest's default
_HOOKS = ("pytest_collect_file", "pytest_collect_directory")


class ShorterListings:
    """A pytest plugin that shortens the listings of folders in this process."""

    def pytest_sessionstart(self, session: Session) -> None:
        """Replace the function that lists a folder, in both modules that call it."""
        from _pytest import main, python  # here: only the preloaded process has it

        for module in (main, python):
            shorter = _shorten(module.scandir, session.config)
            setattr(module, "scandir", shorter)  # noqa: B010 - the name is missing in the stubs


def _shorten(scandir: Scandir, config: Config) -> Scandir:
    def shorter(
        path: str | os.PathLike[str], sort_key: Callable[[Entry], object] = _name_of
    ) -> list[Entry]:
        entries = scandir(path, sort_key)
        if not _is_below(path, config.rootpath) or not _only_pytest_collects(config):
            return entries
        return [entry for entry in entries if _may_hold_tests(entry)]

    return shorter


def _is_below(path: str | os.PathLike[str], root: os.PathLike[str]) -> bool:
    """Return whether a folder is part of the project; pytest also lists those above."""
    return os.path.join(path, "").startswith(os.path.join(root, ""))


def _name_of(entry: Entry) -> str:
    return entry.name


def _only_pytest_collects(config: Config) -> bool:
    """Return whether nothing but pytest itself collects files, in its default way.

    The answer can change with every folder, because each can hold a `conftest.py`.
    """
    if config.getoption("doctestglob"):
        return False
    hooks = [hook for name in _HOOKS for hook in getattr(config.hook, name).get_hookimpls()]
    return all(hook.function.__module__.startswith("_pytest.") for hook in hooks)


def _may_hold_tests(entry: Entry) -> bool:
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
