"""A folder of the host, accessed without ever following a link.

Every step uses a directory descriptor.

The one reader and writer of folders that others may have prepared. Regular files are read and
written; everything else is named and left alone.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_ENTRIES = 50_000
_MOST_DEPTH = 64


class UnsafePath(Exception):
    """A path is not a regular file in regular folders, or cannot be read or written.

    Attributes:
        path: The path in the folder.
        reason: Verb and object that complete the sentence after the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} {reason}")
        self.path = path
        self.reason = reason


class TooManyEntries(UnsafePath):
    """The folder has too many entries; `entries` are those that were found first."""

    def __init__(self, path: str, entries: Mapping[str, str]) -> None:
        super().__init__(path, f"is one of more than {_MOST_ENTRIES} entries")
        self.entries = entries


class HostFolder:
    """An existing folder; use as a context manager.

    Args:
        path: The folder, which must not be a link itself.

    Raises:
        UnsafePath: From `__enter__` and every method, for a link, a special file or a failed call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = -1

    def __enter__(self) -> Self:
        try:
            self._root = os.open(self._path, _DIRECTORY)
        except OSError as error:
            raise UnsafePath(
                str(self._path), f"is not a folder that can be opened: {error.strerror}"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)
        self._root = -1

    def entries(self, skip: Callable[[str, str], bool] = lambda *_: False) -> dict[str, str]:
        """Return all entries, sorted: path → `file`, `folder`, `link` or `special`.

        Args:
            skip: Decides whether to exclude a path of a kind; a folder with its whole content.

        Raises:
            UnsafePath: The folder has too many entries, is too deep or cannot be read.
        """
        found: dict[str, str] = {}
        self._walk(self._root, "", found, skip)
        return dict(sorted(found.items()))

    def read(self, path: str, most_bytes: int) -> bytes | None:
        """Return the content of a regular file, or None if there is nothing at the path.

        Raises:
            UnsafePath: The path is not a regular file, or the file is larger.
        """
        try:
            with (
                self._parent(path, create=False) as (folder, name),
                os.fdopen(os.open(name, _READ, dir_fd=folder)) as f,
            ):
                if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                    raise UnsafePath(path, "is not a regular file")
                content = _read_all(f.fileno(), most_bytes + 1)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnsafePath(path, _reason(error)) from error
        if len(content) > most_bytes:
            raise UnsafePath(path, f"has more than {most_bytes} bytes")
        return content

    def siblings(self, path: str) -> list[str]:
        """Return the names beside `path`; none if its folder does not exist."""
        try:
            with self._parent(path, create=False) as (folder, _):
                return os.listdir(folder)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise UnsafePath(path, _reason(error)) from error

    def create(self, path: str, content: bytes) -> None:
        """Write a new file, mode 0644, in a folder that is not visible yet.

        Raises:
            UnsafePath: The file exists, or the path leads through a link or a file.
        """
        try:
            with self._parent(path, create=True) as (folder, name):
                _create(name, folder, content, sync=False)
        except (OSError, ValueError) as error:
            raise UnsafePath(path, _reason(error)) from error

    def write(self, path: str, content: bytes, *, replace: bool) -> None:
        """Write a file, mode 0644, completely or not at all. Missing folders are made.

        Raises:
            UnsafePath: The file exists and is not to be replaced, or the path leads through a
                link or a file.
        """
        part = f".l2mac-{secrets.token_hex(8)}.part"
        try:
            with self._parent(path, create=True) as (folder, name):
                try:
                    _create(part, folder, content, sync=True)
                    if replace:
                        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
                    else:  # unlike a rename, a link never replaces a file that was made meanwhile
                        os.link(
                            part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False
                        )
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(part, dir_fd=folder)
        except (OSError, ValueError) as error:
            raise UnsafePath(path, _reason(error)) from error

    @contextlib.contextmanager
    def _parent(self, path: str, *, create: bool) -> Iterator[tuple[int, str]]:
        """Open the folder of `path` one name at a time."""
        *folders, name = path.split("/")
        if not all(part not in ("", ".", "..") for part in (*folders, name)):
            raise UnsafePath(path, "is not a plain relative path")
        current = os.dup(self._root)
        try:
            for folder in folders:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, 0o755, dir_fd=current)
                above, current = current, os.open(folder, _DIRECTORY, dir_fd=current)
                os.close(above)
            yield current, name
        finally:
            os.close(current)

    def _walk(
        self, fd: int, prefix: str, found: dict[str, str], skip: Callable[[str, str], bool]
    ) -> None:
        if prefix.count("/") > _MOST_DEPTH:
            raise UnsafePath(prefix, f"is more than {_MOST_DEPTH} folders deep")
        try:
            with os.scandir(fd) as listed:
                here = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in listed]
            for name, mode in here:
                kind = _kind(mode)
                if skip(prefix + name, kind):
                    continue
                found[prefix + name] = kind
                if len(found) > _MOST_ENTRIES:
                    raise TooManyEntries(prefix + name, found)
                if kind == "folder":
                    inner = os.open(name, _DIRECTORY, dir_fd=fd)
                    try:
                        self._walk(inner, f"{prefix}{name}/", found, skip)
                    finally:
                        os.close(inner)
        except OSError as error:
            raise UnsafePath(prefix, _reason(error)) from error


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "special"


def _create(name: str, folder: int, content: bytes, *, sync: bool) -> None:
    with os.fdopen(os.open(name, _CREATE, 0o644, dir_fd=folder), "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def _read_all(fd: int, most_bytes: int) -> bytes:
    pieces: list[bytes] = []
    left = most_bytes
    # A file that does not change meanwhile comes in one piece, without a copy.
    at_once = max(os.fstat(fd).st_size + 1, 1 << 20)
    while left > 0 and (piece := os.read(fd, min(left, at_once))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be used ({error.strerror}, links are never followed)"
    return f"cannot be used ({error})"
