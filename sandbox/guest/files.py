"""The file store inside the box: `/workspace`, reached through directory descriptors only.

Nothing here follows a symbolic link. The store holds regular files and directories with acceptable names
(`sandbox.paths`) and nothing else: whatever else a command leaves is removed by `Store.scan`. Between two
commands no process but the guest's own exists, so what is looked at cannot change under the guest's hands.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from sandbox.paths import MAX_DEPTH, PathError, check_path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """A request that the store refuses; the message is for the one who made it."""


class Store:
    """Files below one root.

    Args:
        root: Absolute path of the store, a mount point of its own.
        max_files: How many files the store may hold.
        max_file_bytes: How large one written file may be.
    """

    def __init__(self, root: str, *, max_files: int, max_file_bytes: int) -> None:
        self._root = os.open(root, _DIRECTORY)
        self._max_files = max_files
        self._max_file_bytes = max_file_bytes
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._trash_count = 0

    def write(self, files: list[tuple[str, bytes]]) -> list[str]:
        """Write all files or none; each becomes visible whole. Gives their SHA-256 in order.

        Raises:
            Refused: A name, a size, the number of files or the space left does not allow it.
        """
        self._check_batch(files)
        staged: list[tuple[int, str, str]] = []
        made: list[str] = []
        try:
            for path, content in files:
                folder, name = self._parent(path, create=made)
                staged.append((folder, f".l2mac-{len(staged)}.part", name))
                self._refuse_directory(folder, name, path)
                _write_new(staged[-1][1], folder, content)
            for folder, part, name in staged:
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            self._undo(staged, made)
            raise Refused(_explain(error)) from error
        except Refused:
            self._undo(staged, made)
            raise
        finally:
            for folder, _, _ in staged:
                os.close(folder)
        return [self._remember(path, content) for path, content in files]

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        """Give at most `limit` bytes from `offset`, and the file's size.

        Raises:
            Refused: There is no such regular file.
        """
        folder, name = self._parent(path)
        try:
            fd = _open_regular(name, folder, path)
        finally:
            os.close(folder)
        try:
            return os.pread(fd, limit, offset), os.fstat(fd).st_size
        finally:
            os.close(fd)

    def delete(self, paths: list[str]) -> None:
        """Delete files, and the directories that become empty.

        Raises:
            Refused: One of them is not a regular file of the store; none has been deleted then.
        """
        for path in paths:
            if check_name(path) not in self._known:
                raise Refused(f"there is no file {path!r}")
        for path in paths:
            folder, name = self._parent(path)
            try:
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
            del self._known[path]
            self._prune(path)

    def search(self, needle: bytes, *, ignore_case: bool, max_matches: int) -> tuple[list[list[object]], bool]:
        """Find the lines that contain `needle`: `[path, line number from 1, line]`, and whether there are more."""
        wanted = needle.lower() if ignore_case else needle
        found: list[list[object]] = []
        for path in sorted(self._known):
            content = self.read(path, 0, self._max_file_bytes)[0]
            if b"\0" in content[:4096] or wanted not in (content.lower() if ignore_case else content):
                continue
            for number, line in enumerate(content.split(b"\n"), 1):
                if wanted in (line.lower() if ignore_case else line):
                    if len(found) == max_matches:
                        return found, True
                    found.append([path, number, line[:400].decode("utf-8", "replace")])
        return found, False

    def listing(self) -> list[list[object]]:
        """Give `[path, size in bytes, SHA-256]` of every file, sorted by path."""
        return [[path, known[0][2], known[1]] for path, known in sorted(self._known.items())]

    def scan(self) -> tuple[list[list[object]], int]:
        """Find what a command changed since the last scan, and remove what the store may not hold.

        Gives the changes as `[path, size, SHA-256]`, or `[path, -1, ""]` for a deleted file, and the number of
        removed entries: links, devices, sockets, pipes, unacceptable names, too deep or too many files.
        """
        seen: dict[str, tuple[int, ...]] = {}
        removed = self._walk(self._root, "", 1, seen)
        changes: list[list[object]] = [[path, -1, ""] for path in self._known if path not in seen]
        for path, _, _ in changes:
            del self._known[str(path)]
        for path, signature in seen.items():
            known = self._known.get(path)
            if known is None or known[0] != signature:
                digest = self._hash(path)
                if known is None or known[1] != digest:
                    changes.append([path, signature[2], digest])
                self._known[path] = (signature, digest)
        changes.sort(key=lambda change: str(change[0]))
        return changes, removed

    def clear_folder(self, path: str) -> None:
        """Remove everything in `path`, a directory outside the store (`/tmp`), however deep."""
        try:
            fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            return
        try:
            for name in os.listdir(fd):
                try:
                    self._discard(name, fd)
                except FileNotFoundError:  # the preloaded checkers, still warming up, have just removed it
                    continue
        finally:
            os.close(fd)

    def _check_batch(self, files: list[tuple[str, bytes]]) -> None:
        paths = [check_name(path) for path, _ in files]
        if len(set(paths)) != len(paths):
            raise Refused("the same path stands twice in one write")
        for path in set(paths) & {folder for path in paths for folder in _folders(path)}:
            raise Refused(f"{path!r} would be a file and a directory at once")
        for path, content in files:
            if len(content) > self._max_file_bytes:
                raise Refused(f"{path!r} is {len(content)} bytes; the limit for one file is {self._max_file_bytes}")
        total = len(self._known.keys() | set(paths))
        if total > self._max_files:
            raise Refused(f"the store would hold {total} files; the limit is {self._max_files}")

    def _parent(self, path: str, *, create: list[str] | None = None) -> tuple[int, str]:
        """Open the directory of `path`; with `create`, make missing ones and append their paths to the list."""
        *folders, name = check_name(path).split("/")
        fd = os.dup(self._root)
        for depth, folder in enumerate(folders, 1):
            try:
                inner = _open_folder(folder, fd, create=create is not None)
            except OSError as error:
                raise Refused(f"{'/'.join(folders[:depth])!r}: {_explain(error)}") from error
            finally:
                os.close(fd)
            fd, fresh = inner
            if fresh and create is not None:
                create.append("/".join(folders[:depth]))
        return fd, name

    def _refuse_directory(self, folder: int, name: str, path: str) -> None:
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise Refused(f"{path!r} is a directory")
        except FileNotFoundError:
            pass

    def _undo(self, staged: list[tuple[int, str, str]], made: list[str]) -> None:
        for folder, part, _ in staged:
            try:
                os.unlink(part, dir_fd=folder)
            except FileNotFoundError:
                pass
        for folder_path in reversed(made):
            self._remove_empty(folder_path)

    def _remember(self, path: str, content: bytes) -> str:
        folder, name = self._parent(path)
        try:
            signature = _signature(os.stat(name, dir_fd=folder, follow_symlinks=False))
        finally:
            os.close(folder)
        digest = hashlib.sha256(content).hexdigest()
        self._known[path] = (signature, digest)
        return digest

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
        return True

    def _hash(self, path: str) -> str:
        folder, name = self._parent(path)
        try:
            fd = _open_regular(name, folder, path)
        finally:
            os.close(folder)
        digest = hashlib.sha256()
        with os.fdopen(fd, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def _walk(self, fd: int, prefix: str, depth: int, seen: dict[str, tuple[int, ...]]) -> int:
        removed = 0
        with os.scandir(fd) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = prefix + entry.name
            if not _acceptable(path):
                removed += self._discard(entry.name, fd)
            elif entry.is_dir(follow_symlinks=False):
                if depth == MAX_DEPTH:
                    removed += self._discard(entry.name, fd)
                else:
                    inner = _open_for_walk(entry.name, fd)
                    try:
                        removed += self._walk(inner, path + "/", depth + 1, seen)
                    finally:
                        os.close(inner)
            elif entry.is_file(follow_symlinks=False) and len(seen) < self._max_files:
                seen[path] = _signature(entry.stat(follow_symlinks=False))
            else:
                removed += self._discard(entry.name, fd)
        return removed

    def _discard(self, name: str, parent: int) -> int:
        """Remove one entry of any kind; directories of any depth by moving what is in them up, not by recursion."""
        try:
            os.unlink(name, dir_fd=parent)
            return 1
        except IsADirectoryError:
            pass
        pending = [name]
        while pending:
            current = pending.pop()
            inner = _open_for_walk(current, parent)
            try:
                for entry in os.listdir(inner):
                    try:
                        os.unlink(entry, dir_fd=inner)
                    except IsADirectoryError:
                        self._trash_count += 1
                        trash = f".l2mac-trash-{self._trash_count}"
                        os.rename(entry, trash, src_dir_fd=inner, dst_dir_fd=parent)
                        pending.append(trash)
            finally:
                os.close(inner)
            os.rmdir(current, dir_fd=parent)
        return 1


def check_name(path: object) -> str:
    """Give `path` when the store accepts it as a name.

    Raises:
        Refused: It does not.
    """
    try:
        return check_path(path)  # type: ignore[arg-type]  # anything may stand in a frame; check_path tests it
    except PathError as error:
        raise Refused(str(error)) from error


def _acceptable(path: str) -> bool:
    try:
        check_path(path)
    except PathError:
        return False
    return True


def _folders(path: str) -> list[str]:
    return [path[:index] for index, character in enumerate(path) if character == "/"]


def _signature(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file's content may have changed; the change time cannot be set back from inside."""
    return (status.st_ino, status.st_ctime_ns, status.st_size, status.st_mtime_ns)


def _write_new(name: str, folder: int, content: bytes) -> None:
    fd = os.open(name, _CREATE, 0o644, dir_fd=folder)
    with os.fdopen(fd, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]


def _open_folder(name: str, parent: int, *, create: bool) -> tuple[int, bool]:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent), False
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent), True


def _open_for_walk(name: str, parent: int) -> int:
    """Open a directory that a command may have closed to its owner; nothing can swap it meanwhile."""
    if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _open_regular(name: str, folder: int, path: str) -> int:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{path!r} is not a regular file")
        if not status.st_mode & stat.S_IRUSR:
            os.chmod(name, 0o644, dir_fd=folder)
        return os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        raise Refused(f"there is no file {path!r}") from None


def _explain(error: OSError) -> str:
    known = {
        errno.ENOSPC: "the file store is full",
        errno.EFBIG: "the file is larger than the box allows",
        errno.ENOTDIR: "a file stands where a directory is needed",
        errno.ELOOP: "a link stands where a directory is needed",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
