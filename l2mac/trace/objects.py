"""Content-addressed objects: inert bytes named by their SHA-256, appended to one file and never opened otherwise.

One file, because each call of the model waits for what was recorded before it to be durable: one file is one
`fdatasync`, where a file per object would be two for each. A record is `SHA-256 (32 bytes) | length (u64) | bytes`.
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
    """Objects in one file; opened when first needed. Only the holder of the run's lock may `put`.

    Args:
        path: The file; made by the first `put`.
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
        """Keep `content` and give its name; durable after the next `sync`.

        An object of an earlier process is believed only after a look at it: a power failure can leave a record of the
        right length with nothing in it. The content is then kept once more, and the later record counts.

        Raises:
            TraceError: It cannot be written; what was kept before is intact.
        """
        digest = hashlib.sha256(content).digest()
        name = digest.hex()
        if not self._holds(name, content):
            self._append(_HEADER.pack(digest, len(content)) + content)
            self._loaded()[name] = (self._end - len(content), len(content))
            self._intact.add(name)
        return name

    def has_intact(self, name: str) -> bool:
        """Whether the object of that name is there and is what its name says."""
        if name not in self._intact and name in self._loaded():
            with contextlib.suppress(TraceError):
                self.get(name)
                self._intact.add(name)
        return name in self._intact

    def get(self, name: str) -> bytes:
        """Give the object of that name.

        Raises:
            TraceError: It is missing or is not what its name says.
        """
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != name:
            raise TraceError(f"the object {name[:12]} in {self._path} has been altered")
        return content

    def put_text(self, text: str) -> str:
        """Keep text as UTF-8; lone surrogates, which models can produce, are kept too."""
        return self.put(text.encode("utf-8", "surrogatepass"))

    def get_text(self, name: str) -> str:
        """Give an object as the text that it was.

        Raises:
            TraceError: It is missing, altered, or no text.
        """
        try:
            return self.get(name).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise TraceError(f"the object {name[:12]} in {self._path} is no text") from error

    def require(self, names: Iterable[str]) -> None:
        """Make sure that all these objects are there, before anything is appended behind them.

        Raises:
            TraceError: One is missing, so the file has been damaged or altered.
        """
        index = self._loaded()
        missing = next((name for name in names if name not in index), None)
        if missing is not None:
            raise TraceError(f"the object {missing[:12]} is missing from {self._path}")

    def sync(self) -> None:
        """Make every object that was put so far survive a power failure.

        Raises:
            TraceError: The disk refuses.
        """
        if not self._unsynced:
            return
        try:
            os.fdatasync(self._read_fd)
        except OSError as error:
            raise TraceError(f"{self._path} cannot be made durable: {error.strerror}") from error
        self._unsynced = False

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        for fd in (self._read_fd, self._write_fd):
            if fd >= 0:
                os.close(fd)
        self._read_fd = self._write_fd = -1
        self._index = None
        self._intact.clear()
        self._unsynced = False

    def _holds(self, name: str, content: bytes) -> bool:
        """Whether the object of that name is there with that content, which costs less to compare than to hash."""
        if name not in self._intact and name in self._loaded():
            with contextlib.suppress(TraceError):
                if self._read(name) == content:
                    self._intact.add(name)
        return name in self._intact

    def _read(self, name: str) -> bytes:
        """Give what lies in the place of that object, whatever it is."""
        place = self._loaded().get(name)
        if place is None:
            raise TraceError(f"the object {name[:12]} is missing from {self._path}")
        try:
            return os.pread(self._read_fd, place[1], place[0])
        except OSError as error:
            raise TraceError(f"{self._path} cannot be read: {error.strerror}") from error

    def _loaded(self) -> dict[str, tuple[int, int]]:
        if self._index is None:
            try:
                self._read_fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._index = self._scan()
            except FileNotFoundError:
                self._index, self._end = {}, 0
            except OSError as error:
                raise TraceError(f"{self._path} cannot be read: {error.strerror}") from error
            self._unsynced = (
                self._read_fd >= 0
            )  # the process that wrote it may have been killed before its `sync`
        return self._index

    def _scan(self) -> dict[str, tuple[int, int]]:
        """Find the objects; a record that a crash cut short ends the search."""
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
            os.ftruncate(
                self._write_fd, self._end
            )  # a crash or an interrupt may have left part of a record
            view, written = memoryview(record), 0
            while written < len(record):
                written += os.pwrite(self._write_fd, view[written:], self._end + written)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._write_fd, self._end)
            raise TraceError(
                f"{self._path} cannot be written ({error.strerror}); what was written before is intact: make room and"
                " resume the run"
            ) from error
        self._end += len(record)
        self._unsynced = True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
