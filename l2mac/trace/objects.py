"""Content-addressed objects: bytes named by their SHA-256, appended to one file.

Contents come from a model and are never executed, imported or stored under their own file names.
There is one file for all objects, because each call of the model waits until everything before is
durable: one file needs one `fdatasync`, a file per object would need two for each object. An object
is stored as `SHA-256 (32 bytes) | length (u64) | bytes`.
"""

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from l2mac.errors import TraceError

_HEADER = struct.Struct(">32sQ")


class ObjectStore:
    """Objects in one file.

    Only the holder of the run's lock may `put`. The file is opened on first use.

    Args:
        path: The file. The first `put` creates it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index: dict[str, tuple[int, int]] | None = None
        self._intact: set[str] = set()
        self._end = 0
        self._read_fd = -1
        self._write_fd = -1
        self._unsynced = False

    def put(self, content: bytes) -> str:
        """Store `content`, durable after the next `sync`, and return its name.

        The bytes of an object that an earlier process wrote are compared first, because a power
        failure can leave zeros in their place. In that case the content is appended again, and the
        later copy counts.

        Raises:
            TraceError: The file is not writable. All objects stored before are intact.
        """
        digest = hashlib.sha256(content).digest()
        name = digest.hex()
        if not self._holds(name, content):
            self._append(_HEADER.pack(digest, len(content)) + content)
            self._loaded()[name] = (self._end - len(content), len(content))
            self._intact.add(name)
        return name

    def has_intact(self, name: str) -> bool:
        """Return whether the object exists and matches its name."""
        if name not in self._intact and name in self._loaded():
            with contextlib.suppress(TraceError):
                self.get(name)
                self._intact.add(name)
        return name in self._intact

    def get(self, name: str) -> bytes:
        """Return the object of that name.

        Raises:
            TraceError: The object is missing, altered or not readable.
        """
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != name:
            raise self._damage(name, "has been altered")
        return content

    def put_text(self, text: str) -> str:
        """Store text as UTF-8 and return its name. Lone surrogates are preserved."""
        return self.put(text.encode("utf-8", "surrogatepass"))

    def get_text(self, name: str) -> str:
        """Return a stored text.

        Raises:
            TraceError: The object is missing, altered or not a text.
        """
        try:
            return self.get(name).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self._damage(name, "is not a text") from error

    def require(self, names: Iterable[str]) -> None:
        """Check that all these objects exist.

        Raises:
            TraceError: An object is missing: the file was damaged or altered.
        """
        index = self._loaded()
        for name in names:
            if name not in index:
                raise self._damage(name, "is missing")

    def sync(self) -> None:
        """Make all objects survive a power failure.

        Raises:
            TraceError: The disk refuses.
        """
        if not self._unsynced:
            return
        try:
            os.fdatasync(self._read_fd)
        except OSError as error:
            raise TraceError(
                f"The file {self._path} is not durable: {error.strerror}. Check the disk, then"
                " resume the run."
            ) from error
        self._unsynced = False

    def close(self) -> None:
        """Close the file. The next use opens it again."""
        for fd in (self._read_fd, self._write_fd):
            if fd >= 0:
                os.close(fd)
        self._read_fd = self._write_fd = -1
        self._index = None
        self._intact.clear()
        self._unsynced = False

    def _holds(self, name: str, content: bytes) -> bool:
        """Return whether the object exists with that content, without hashing."""
        if name not in self._intact and name in self._loaded():
            with contextlib.suppress(TraceError):
                if self._read(name) == content:
                    self._intact.add(name)
        return name in self._intact

    def _read(self, name: str) -> bytes:
        """Return the bytes in the place of an object, unverified."""
        place = self._loaded().get(name)
        if place is None:
            raise self._damage(name, "is missing")
        try:
            return os.pread(self._read_fd, place[1], place[0])
        except OSError as error:
            raise self._unreadable(error) from error

    def _damage(self, name: str, problem: str) -> TraceError:
        return TraceError(
            f"The object {name[:12]} {problem} in {self._path}. Restore the run's folder from a"
            " copy."
        )

    def _unreadable(self, error: OSError) -> TraceError:
        return TraceError(
            f"The file {self._path} is not readable: {error.strerror}. Check its permissions."
        )

    def _loaded(self) -> dict[str, tuple[int, int]]:
        if self._index is None:
            try:
                self._read_fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._index = self._scan()
            except FileNotFoundError:
                self._index, self._end = {}, 0
            except OSError as error:
                raise self._unreadable(error) from error
            # The process that wrote the file may have been killed before its `sync`.
            self._unsynced = self._read_fd >= 0
        return self._index

    def _scan(self) -> dict[str, tuple[int, int]]:
        """Return the place and length of each object. The scan ends at a truncated one."""
        index: dict[str, tuple[int, int]] = {}
        size, start = os.fstat(self._read_fd).st_size, 0
        while start + _HEADER.size <= size:
            digest, length = _HEADER.unpack(os.pread(self._read_fd, _HEADER.size, start))
            if start + _HEADER.size + length > size:
                break
            index[digest.hex()] = (start + _HEADER.size, length)
            start += _HEADER.size + length
        self._end = start
        return index

    def _append(self, record: bytes) -> None:
        try:
            if self._write_fd < 0:
                self._write_fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if self._read_fd < 0:
                self._read_fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                sync_folder(self._path.parent)
            # A crash or an interrupt may have left part of an object.
            os.ftruncate(self._write_fd, self._end)
            view, written = memoryview(record), 0
            while written < len(record):
                written += os.pwrite(self._write_fd, view[written:], self._end + written)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._write_fd, self._end)
            raise TraceError(
                f"The file {self._path} is not writable: {error.strerror}. Everything written"
                " before is intact. Free disk space and resume the run."
            ) from error
        self._end += len(record)
        self._unsynced = True


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that they survive a power failure."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
