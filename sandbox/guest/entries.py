"""Names, files and folders of the store, relative to a folder's descriptor."""

from __future__ import annotations

import errno
import os
import stat

from sandbox.guest.folders import DIRECTORY
from sandbox.paths import PathError, check_path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class StoreRefusal(Exception):
    """The store refuses a request; the message is for the requester."""


def check_name(path: object) -> str:
    """Return `path` if the store accepts it as a name.

    Raises:
        StoreRefusal: The store does not accept the name.
    """
    try:
        return check_path(path)
    except PathError as error:
        raise StoreRefusal(str(error)) from error


def parent_folders(path: str) -> list[str]:
    """Return the folders above a path, the outermost first."""
    return [path[:index] for index, character in enumerate(path) if character == "/"]


def write_new(name: str, folder: int, content: bytes) -> None:
    """Write a file that does not exist yet."""
    fd = os.open(name, _CREATE, 0o644, dir_fd=folder)
    with os.fdopen(fd, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]


def open_folder(name: str, parent: int, *, create: bool) -> tuple[int, bool]:
    """Open a directory, which is created if it is missing and `create` is set.

    Returns:
        Its descriptor, and whether it is new.
    """
    try:
        return os.open(name, DIRECTORY, dir_fd=parent), False
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, DIRECTORY, dir_fd=parent), True


def open_regular(name: str, folder: int, path: str) -> int:
    """Open a regular file for reading; make the file readable if it is not.

    Raises:
        StoreRefusal: There is no such regular file.
    """
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise StoreRefusal(f"{path!r} is not a regular file")
        if not status.st_mode & stat.S_IRUSR:
            os.chmod(name, 0o644, dir_fd=folder)
        return os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        raise StoreRefusal(f"there is no file {path!r}") from None


def explain(error: OSError) -> str:
    """Return the reason of a system error in the store's terms."""
    known = {
        errno.ENOSPC: "the file store is full",
        errno.EFBIG: "the file is larger than the sandbox allows",
        errno.ENOTDIR: "a file stands where a directory is needed",
        errno.ELOOP: "a link stands where a directory is needed",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
