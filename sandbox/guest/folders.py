"""Open directories of any mode and remove entries of any kind."""

from __future__ import annotations

import errno
import os
import stat

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSES = 3


def clear_folder(path: str) -> None:
    """Remove everything in `path`, a directory outside the store, at any depth.

    The preloaded checkers may be warming up at the same time, and may create and remove entries of
    their own.
    """
    try:
        open_up(path, None)
        fd = os.open(path, DIRECTORY)
    except FileNotFoundError:
        return
    try:
        for _ in range(_PASSES):
            names = os.listdir(fd)
            if not names:
                return
            for name in names:
                try:
                    discard(name, fd)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                        raise
    finally:
        os.close(fd)


def discard(name: str, parent: int) -> int:
    """Remove one entry of any kind and return 1.

    Directories of any depth are emptied by moving their entries up, not by recursion. The names of
    moved entries are random, so that no command can have taken them before.
    """
    if _is_unlinked(name, parent):
        return 1
    pending = [name]
    while pending:
        current = pending.pop()
        inner = open_for_walk(current, parent)
        try:
            for entry in os.listdir(inner):
                if not _is_unlinked(entry, inner):
                    trash = f".l2mac-{os.urandom(12).hex()}"
                    open_up(entry, inner)
                    os.rename(entry, trash, src_dir_fd=inner, dst_dir_fd=parent)
                    pending.append(trash)
        finally:
            os.close(inner)
        os.rmdir(current, dir_fd=parent)
    return 1


def open_for_walk(name: str, parent: int) -> int:
    """Open a directory that a command may have closed to its owner.

    No process that could swap the directory is alive at this time.
    """
    open_up(name, parent)
    return os.open(name, DIRECTORY, dir_fd=parent)


def open_up(name: str, parent: int | None) -> None:
    """Add the owner's missing rights to a directory, if the guest is its owner."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_uid == os.geteuid() and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, 0o700, dir_fd=parent)


def _is_unlinked(name: str, parent: int) -> bool:
    """Unlink an entry that is not a directory; return False for a directory."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        return False
    return True
