"""Content-addressed objects: inert bytes named by their SHA-256, never opened as anything else."""

import hashlib
import os
import secrets
from pathlib import Path

from l2mac.errors import TraceError


class ObjectStore:
    """Objects below one folder of the host, two levels deep.

    Args:
        folder: Where they lie; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced: list[Path] = []

    def put(self, content: bytes) -> str:
        """Keep `content` and give its name; durable after the next `sync`.

        Raises:
            TraceError: It cannot be written.
        """
        name = hashlib.sha256(content).hexdigest()
        path = self._path(name)
        if not path.exists():
            part = path.with_name(f".{name[:8]}-{secrets.token_hex(4)}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(content)
                part.rename(path)
            except OSError as error:
                part.unlink(missing_ok=True)
                raise TraceError(f"an object cannot be written to {self._folder}: {error.strerror}") from error
            self._unsynced.append(path)
        return name

    def get(self, name: str) -> bytes:
        """Give the object of that name.

        Raises:
            TraceError: It is missing or is not what its name says.
        """
        try:
            content = self._path(name).read_bytes()
        except OSError as error:
            raise TraceError(f"the object {name[:12]} is missing from {self._folder}") from error
        if hashlib.sha256(content).hexdigest() != name:
            raise TraceError(f"the object {name[:12]} in {self._folder} has been altered")
        return content

    def put_text(self, text: str) -> str:
        """Keep text as UTF-8; lone surrogates, which models can produce, are kept too."""
        return self.put(text.encode("utf-8", "surrogatepass"))

    def get_text(self, name: str) -> str:
        """Give an object as the text that it was."""
        return self.get(name).decode("utf-8", "surrogatepass")

    def sync(self) -> None:
        """Make every object that was put so far survive a power failure.

        Raises:
            TraceError: The disk refuses.
        """
        try:
            for path in self._unsynced:
                _sync(path, os.O_RDONLY)
            for folder in {path.parent for path in self._unsynced}:
                _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise TraceError(f"objects in {self._folder} cannot be made durable: {error.strerror}") from error
        self._unsynced.clear()

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
