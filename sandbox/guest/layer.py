"""The packages of a sandbox: their hash, and the program that unpacks them.

A wheel is a zip file (PEP 427). Only its regular files are unpacked, each with its content and
nothing else: no mode, no owner, no link, no script. Nothing is executed here, and `.pth` files
have no effect in that folder.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO
    from zipfile import ZipFile, ZipInfo

_CHUNK_BYTES = 1 << 20
_MAX_PATH_BYTES = 512
_LIBRARY_SCHEMES = ("purelib", "platlib")


class WheelRefused(Exception):
    """A wheel is not unpacked; the message is the reason."""


def digest_of(folder: str) -> str:
    """Return the hash of every path, mode and content below a folder."""
    digest = hashlib.sha256()
    paths = []
    for parent, _, names in os.walk(folder):
        paths += [os.path.join(parent, name) for name in names]
    for path in sorted(paths):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        relative = os.path.relpath(path, folder).encode("utf-8", "surrogateescape")
        mode = os.stat(path, follow_symlinks=False).st_mode
        digest.update(b"%d %s %o %s\n" % (len(relative), relative, mode, content.encode()))
    return digest.hexdigest()


def main(source: str, target: str, max_bytes: int, max_files: int) -> int:
    """Unpack the wheels below `source`, folders of parts; print the hash."""
    os.umask(0o022)
    unpacker = Unpacker(target, max_bytes, max_files)
    for name in sorted(os.listdir(source)):
        try:
            with _joined(os.path.join(source, name)) as file:
                unpacker.unpack(file)
        except WheelRefused as refusal:
            print(f"{name}: {refusal}")
            return 1
        except Exception as error:  # a broken zip file raises many kinds of errors in the library
            print(f"{name}: the wheel cannot be unpacked: {error}")
            return 1
    print(digest_of(target))
    return 0


class Unpacker:
    """Unpack wheels into one folder.

    Args:
        target: The folder.
        max_bytes: Size limit of all files together.
        max_files: Limit on their number.
    """

    def __init__(self, target: str, max_bytes: int, max_files: int) -> None:
        self._target = target
        self._bytes_left = max_bytes
        self._files_left = max_files

    def unpack(self, file: IO[bytes]) -> None:
        """Unpack one wheel; an existing file, as in namespace packages, is kept as it is.

        Raises:
            WheelRefused: The wheel holds an entry that is not allowed.
        """
        from zipfile import ZipFile  # here: the guest itself never needs it

        with ZipFile(file) as archive:
            for entry in archive.infolist():
                place = _place(entry)
                if place:
                    self._write(archive, entry, place)

    def _write(self, archive: ZipFile, entry: ZipInfo, place: str) -> None:
        self._files_left -= 1
        if self._files_left < 0:
            raise WheelRefused("there are too many files")
        path = os.path.join(self._target, place)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o444)
        except FileExistsError:
            return
        with os.fdopen(fd, "wb") as output, archive.open(entry) as content:
            while chunk := content.read(_CHUNK_BYTES):
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise WheelRefused("the packages are too large together")
                output.write(chunk)


def _place(entry: ZipInfo) -> str:
    """Return a file's relative target; empty for scripts, headers and data.

    Raises:
        WheelRefused: The target is outside the folder, or the entry is not a regular file.
    """
    name = entry.filename
    parts = name.rstrip("/").split("/")
    bad = any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable()
    if bad or len(name.encode()) > _MAX_PATH_BYTES or entry.orig_filename != name:
        raise WheelRefused(f"the wheel holds a file with the path {entry.orig_filename!r}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise WheelRefused(f"{name!r} is not a regular file")
    if entry.is_dir():
        return ""
    if parts[0].endswith(".data"):
        library = len(parts) > 1 and parts[1] in _LIBRARY_SCHEMES
        return "/".join(parts[2:]) if library else ""
    return name


def _joined(folder: str) -> IO[bytes]:
    """Return a wheel's parts joined into one seekable file."""
    file = os.fdopen(os.memfd_create("wheel", os.MFD_CLOEXEC), "w+b")
    for part in sorted(os.listdir(folder)):
        with open(os.path.join(folder, part), "rb") as content:
            file.write(content.read())
    file.seek(0)
    return file


def run() -> int:
    """Run `main` on the command line's arguments after `unpack`."""
    source, target, max_bytes, max_files = sys.argv[2:]
    return main(source, target, int(max_bytes), int(max_files))
