"""Walk through the store after a command; remove entries that may not stay."""

from __future__ import annotations

import os

from sandbox.guest.folders import discard, open_for_walk
from sandbox.paths import MAX_DEPTH, PathError, check_path
from sandbox.protocol import MAX_NAME_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Facts = tuple[int, ...]


class Walk:
    """One walk through the store: record files that may stay, remove the rest.

    Args:
        max_files: Number of files that may stay.
        max_bytes: Their size together, by the sizes that they claim: a file may be sparse.
        accepted: Paths whose names are known to be acceptable.
        enter: Receives descriptor and path of every directory, the store's own first.
    """

    def __init__(
        self, max_files: int, max_bytes: int, accepted: set[str], enter: Callable[[int, str], None]
    ) -> None:
        self.files: dict[str, Facts] = {}
        self.folders: set[str] = set()
        self.removed = 0
        self._accepted = accepted
        self._enter = enter
        self._files_left = max_files
        self._bytes_left = max_bytes
        self._name_bytes_left = MAX_NAME_BYTES

    def through(self, fd: int, prefix: str, depth: int) -> bool:
        """Walk the directory `fd` and all below it.

        The paths of its entries start with `prefix`. Directories without a file are removed: the
        store is its files, and an empty directory would refuse a file of its name, here and not in
        the sandbox in which the store is rebuilt.

        Returns:
            Whether a file stays in the directory.
        """
        kept = False
        self._enter(fd, prefix[:-1])
        with os.scandir(fd) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = prefix + entry.name
            if path not in self._accepted and not _acceptable(path):
                self.removed += discard(entry.name, fd)
            elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                inner = open_for_walk(entry.name, fd)
                try:
                    filled = self.through(inner, path + "/", depth + 1)
                finally:
                    os.close(inner)
                if filled:
                    self.folders.add(path)
                    kept = True
                else:
                    os.rmdir(entry.name, dir_fd=fd)
            elif entry.is_file(follow_symlinks=False) and self._takes(path, entry):
                kept = True
            else:
                self.removed += discard(entry.name, fd)
        return kept

    def _takes(self, path: str, entry: os.DirEntry[str]) -> bool:
        status = entry.stat(follow_symlinks=False)
        left = (
            self._files_left - 1,
            self._bytes_left - status.st_size,
            self._name_bytes_left - len(path.encode()),
        )
        if min(left) < 0:
            return False
        self._files_left, self._bytes_left, self._name_bytes_left = left
        self.files[path] = signature(status)
        return True


def signature(status: os.stat_result) -> Facts:
    """Return values that change with most changes of a file's content.

    A write through a memory mapping can leave them all as they were (`sandbox.guest.inotify`). Code
    in the sandbox cannot set back the change time.
    """
    return (status.st_ino, status.st_ctime_ns, status.st_size, status.st_mtime_ns)


def _acceptable(path: str) -> bool:
    try:
        check_path(path)
    except PathError:
        return False
    return True
