"""The file store inside the sandbox: `/workspace`, used by directory descriptors.

Nothing here follows a symbolic link. The store holds only regular files and directories with
acceptable names (`sandbox.paths`); `GuestFileStore.scan` removes all other entries. Between two
commands no process but the guest exists, so a file cannot change while the guest reads it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from sandbox.guest.entries import (
    StoreRefusal,
    check_name,
    explain,
    open_folder,
    open_regular,
    parent_folders,
    write_new,
)
from sandbox.guest.folders import DIRECTORY
from sandbox.guest.store_events import StoreEvents, Touched
from sandbox.guest.walk import Facts, Walk, signature
from sandbox.protocol import MAX_NAME_BYTES

_CHUNK_BYTES = 1 << 20
_OPEN_FOLDERS = 200


class GuestFileStore:
    """Files below one root.

    Args:
        root: Absolute path of the store, a mount point of its own.
        max_files: How many files the store may hold.
        max_file_bytes: How large one written file may be.
        max_bytes: How large all files may be together, by the sizes that they claim.
        events: The kernel's reports about them.
    """

    def __init__(
        self,
        root: str,
        *,
        max_files: int,
        max_file_bytes: int,
        max_bytes: int,
        events: StoreEvents | None = None,
    ) -> None:
        self._root = os.open(root, DIRECTORY)
        self._max_files = max_files
        self._max_file_bytes = max_file_bytes
        self._max_bytes = max_bytes
        self._known: dict[str, tuple[Facts, str]] = {}
        self._folders: set[str] = set()
        self._open: dict[str, int] = {}
        self._events = events or StoreEvents(os.uname().release)

    def rely_on_events(self) -> bool:
        """Read only reported files from now on, if the kernel's reports are complete.

        Returns:
            Whether the reports are complete.
        """
        if not self._events.start(self._root):
            return False
        self.scan()  # watches the store, so that already the first command reads no untouched file
        return True

    def before_command(self) -> None:
        """Record that a command may touch the store from now on, until the next scan."""
        self._events.begin_command()

    def doubt(self) -> None:
        """Read every file at the next scan."""
        self._events.doubt()

    def write(self, files: list[tuple[str, bytes]]) -> list[str]:
        """Write all files or none, each visible whole; return their SHA-256.

        Raises:
            StoreRefusal: A name, a size, the number of files or the free space does not allow the
                write.
        """
        self._check_batch(files)
        parts: list[str] = []
        made: list[str] = []
        try:
            for path, content in files:
                self._make_room(path, made)
                parts.append(f".l2mac-{len(parts)}.part")
                write_new(parts[-1], self._root, content)
            facts = [
                self._put_in_place(part, path) for part, (path, _) in zip(parts, files, strict=True)
            ]
        except OSError as error:
            self._undo(parts, made)
            raise StoreRefusal(explain(error)) from error
        except StoreRefusal:
            self._undo(parts, made)
            raise
        finally:
            self._close_folders()
        digests = [hashlib.sha256(content).hexdigest() for _, content in files]
        self._known |= {
            path: known
            for (path, _), known in zip(files, zip(facts, digests, strict=True), strict=True)
        }
        return digests

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        """Return at most `limit` bytes from `offset`, and the file's size.

        Raises:
            StoreRefusal: There is no such regular file.
        """
        folder, name = self._parent(path)
        try:
            fd = open_regular(name, folder, path)
        finally:
            os.close(folder)
        try:
            return os.pread(fd, limit, offset), os.fstat(fd).st_size
        finally:
            os.close(fd)

    def delete(self, paths: list[str]) -> None:
        """Delete files, and directories that become empty.

        Raises:
            StoreRefusal: One path is not a regular file of the store; none has been deleted.
        """
        for path in paths:
            if check_name(path) not in self._known:
                raise StoreRefusal(f"there is no file {path!r}")
        for path in dict.fromkeys(paths):
            folder, name = self._parent(path)
            try:
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
            del self._known[path]
            self._events.forget(path)
            self._prune(path)

    def search(
        self, needle: bytes, *, ignore_case: bool, max_matches: int
    ) -> tuple[list[list[object]], bool]:
        """Return lines with `needle`, [path, number from 1, line], and if there are more."""
        wanted = needle.lower() if ignore_case else needle
        found: list[list[object]] = []
        for path in sorted(self._known):
            content = self.read(path, 0, self._max_file_bytes)[0]
            if b"\0" in content[:4096] or wanted not in (
                content.lower() if ignore_case else content
            ):
                continue
            for number, line in enumerate(content.split(b"\n"), 1):
                if wanted in (line.lower() if ignore_case else line):
                    if len(found) == max_matches:
                        return found, True
                    found.append([path, number, line[:400].decode("utf-8", "replace")])
        return found, False

    def listing(self) -> list[list[object]]:
        """Return `[path, size in bytes, SHA-256]` of every file, sorted by path."""
        return [[path, known[0][2], known[1]] for path, known in sorted(self._known.items())]

    def scan(self) -> tuple[list[list[object]], list[str], int]:
        """Find the changes since the last scan, and remove what the store may not hold.

        Gives the changes as `[path, size, SHA-256]`, or `[path, -1, ""]` for a deleted file; the
        paths that were written to meanwhile and have their old content again; and the number of
        removed entries: links, devices, sockets, pipes, unacceptable names, too deep, too many or
        too large files. Directories without a file go, too, and are not counted.

        A file is read again unless its signature is unchanged and the kernel has not reported it
        (`sandbox.guest.inotify`). If no folder was reported either, only reported files are looked
        at, so that the time does not grow with the store.
        """
        touched = self._events.take()
        if touched.tree or not self._have_known_signatures(touched.files):
            seen, removed = self._walk()
        else:
            seen, removed = {path: self._known[path][0] for path in touched.files}, 0
        changes, restored = self._compare(seen, touched)
        self._events.finish(touched)
        restored |= touched.modified_among(seen)
        restored -= {str(change[0]) for change in changes}
        return changes, sorted(restored), removed

    def _walk(self) -> tuple[dict[str, Facts], int]:
        """Walk the store; return signatures, empty for missing files, and removals."""
        if os.fstat(self._root).st_uid == os.geteuid():
            os.fchmod(self._root, 0o700)
        accepted = {*self._known, *self._folders}
        walk = Walk(self._max_files, self._max_bytes, accepted, self._events.watch_folder)
        walk.through(self._root, "", 1)
        for folder in self._folders - walk.folders:
            self._events.forget(f"{folder}/")
        self._folders = walk.folders
        for path in [path for path in self._known if path not in walk.files]:
            walk.files[path] = ()
        return walk.files, walk.removed

    def _have_known_signatures(self, paths: set[str]) -> bool:
        """Return whether all these files are known and have their known signatures."""
        for path in paths:
            if path not in self._known:
                return False
            folder, name = self._parent(path)
            try:
                found = signature(os.stat(name, dir_fd=folder, follow_symlinks=False))
            finally:
                os.close(folder)
            if found != self._known[path][0]:
                return False
        return True

    def _compare(
        self, seen: dict[str, Facts], touched: Touched
    ) -> tuple[list[list[object]], set[str]]:
        """Read the touched among the seen files.

        Returns:
            The changes, and the files that have another signature and their old content.
        """
        changes: list[list[object]] = []
        restored: set[str] = set()
        for path, facts in seen.items():
            known = self._known.get(path)
            if not facts:
                del self._known[path]
                self._events.forget(path)
                changes.append([path, -1, ""])
            elif known is None or known[0] != facts or touched.everything or path in touched.files:
                self._known[path] = self._examine(path)
                digest = self._known[path][1]
                if known is None or known[1] != digest:
                    changes.append([path, facts[2], digest])
                elif known[0] != facts:
                    restored.add(path)
        changes.sort(key=lambda change: str(change[0]))
        return changes, restored

    def _check_batch(self, files: list[tuple[str, bytes]]) -> None:
        paths = [check_name(path) for path, _ in files]
        if len(set(paths)) != len(paths):
            raise StoreRefusal("the same path stands twice in one write")
        for path in sorted(
            set(paths) & {folder for name in paths for folder in parent_folders(name)}
        ):
            raise StoreRefusal(f"{path!r} would be a file and a directory at once")
        for path, content in files:
            if len(content) > self._max_file_bytes:
                raise StoreRefusal(
                    f"{path!r} has {len(content)} bytes, over the limit of"
                    f" {self._max_file_bytes} for one file"
                )
        together = self._known.keys() | set(paths)
        if len(together) > self._max_files:
            raise StoreRefusal(
                f"the store would hold {len(together)} files, over the limit of {self._max_files}"
            )
        if sum(len(path.encode()) for path in together) > MAX_NAME_BYTES:
            raise StoreRefusal(
                f"the paths of all files would be longer than {MAX_NAME_BYTES} bytes together"
            )

    def _parent(self, path: str, *, create: list[str] | None = None) -> tuple[int, str]:
        """Open the directory of `path` and return it with the file's name.

        With `create`, missing directories are made and their paths appended to the list. A write
        returns to the same directories, so those that it opened stay open until its end.
        """
        folder_path, _, name = check_name(path).rpartition("/")
        if folder_path in self._open:
            return os.dup(self._open[folder_path]), name
        folders = folder_path.split("/") if folder_path else []
        fd = os.dup(self._root)
        for depth, folder in enumerate(folders, 1):
            try:
                inner = open_folder(folder, fd, create=create is not None)
            except OSError as error:
                raise StoreRefusal(f"{'/'.join(folders[:depth])!r}: {explain(error)}") from error
            finally:
                os.close(fd)
            fd, fresh = inner
            if fresh and create is not None:
                create.append("/".join(folders[:depth]))
                self._events.watch_folder(fd, create[-1])
        if create is not None and len(self._open) < _OPEN_FOLDERS:
            self._open[folder_path] = os.dup(fd)
        return fd, name

    def _close_folders(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _make_room(self, path: str, made: list[str]) -> None:
        folder, name = self._parent(path, create=made)
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise StoreRefusal(f"{path!r} is a directory")
        except FileNotFoundError:
            pass
        finally:
            os.close(folder)

    def _put_in_place(self, part: str, path: str) -> tuple[int, ...]:
        folder, name = self._parent(path)
        try:
            os.rename(part, name, src_dir_fd=self._root, dst_dir_fd=folder)
            self._events.watch_entry(folder, name, path)
            return signature(os.stat(name, dir_fd=folder, follow_symlinks=False))
        finally:
            os.close(folder)

    def _undo(self, parts: list[str], made: list[str]) -> None:
        self.doubt()  # some of the files may be in place
        for part in parts:
            try:
                os.unlink(part, dir_fd=self._root)
            except FileNotFoundError:
                pass
        for folder_path in reversed(made):
            self._remove_empty(folder_path)

    def _prune(self, path: str) -> None:
        folders = path.split("/")[:-1]
        while folders and self._remove_empty("/".join(folders)):
            folders.pop()

    def _remove_empty(self, path: str) -> bool:
        folder, name = self._parent(path)
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        finally:
            os.close(folder)
        self._events.forget(f"{path}/")
        return True

    def _examine(self, path: str) -> tuple[tuple[int, ...], str]:
        """Return signature and SHA-256 of a file, made readable if it was not."""
        folder, name = self._parent(path)
        try:
            fd = open_regular(name, folder, path)
        finally:
            os.close(folder)
        digest = hashlib.sha256()
        with os.fdopen(fd, "rb", buffering=0) as file:
            self._events.watch_file(fd, path)
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            return signature(os.fstat(file.fileno())), digest.hexdigest()
