"""Spare pytest the way through files that hold no tests: data of a project, which may be thousands of files.

pytest asks every plugin about every single file. Its own plugins take Python files and, for doctest, `test*.txt`. As
long as nobody else collects files or folders, all others are left out of its listings, and so are folders that hold
none of them; what is collected is the same.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TEXTS = "test*.txt"  # doctest's default
_HOOKS = ("pytest_collect_file", "pytest_collect_directory")


class Narrowed:
    """A pytest plugin that narrows what is listed for collection, in this process."""

    def pytest_sessionstart(self, session: Any) -> None:
        """Narrow the listings of both modules that collect from folders."""
        from _pytest import main, python  # here: only the preloaded process has it

        for module in (main, python):
            setattr(module, "scandir", _narrowed(module.scandir, session.config))  # noqa: B010 - not a name of its stubs


def _narrowed(
    scandir: Callable[..., list[os.DirEntry[str]]], config: Any
) -> Callable[..., list[os.DirEntry[str]]]:
    def listed(path: Any, *arguments: Any, **options: Any) -> list[os.DirEntry[str]]:
        entries = scandir(path, *arguments, **options)
        below = path.is_relative_to(
            config.rootpath
        )  # pytest lists what is above, too: that is not the project's
        return (
            [entry for entry in entries if _counts(entry)]
            if below and _only_pytest_collects(config)
            else entries
        )

    return listed


def _only_pytest_collects(config: Any) -> bool:
    """Return whether no hook of the store has a say. Each folder can bring a conftest.py, so each is asked for."""
    hooks = (hook for name in _HOOKS for hook in getattr(config.hook, name).get_hookimpls())
    return not config.getoption("doctestglob") and all(
        hook.function.__module__.startswith("_pytest.") for hook in hooks
    )


def _counts(entry: os.DirEntry[str]) -> bool:
    """Return whether pytest could take something from an entry. Links are left to pytest."""
    if entry.is_symlink():
        return True
    return _holds_any(entry.path) if entry.is_dir() else _is_collected(entry.name)


def _holds_any(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_counts(entry) for entry in entries)
    except (OSError, RecursionError):  # pytest says better what is wrong
        return True


def _is_collected(name: str) -> bool:
    return name.endswith(".py") or fnmatchcase(name, _TEXTS)
