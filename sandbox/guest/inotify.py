"""The kernel's reports on the file store, and why a scan may rely on them.

A scan keeps the recorded digest of a file that inotify(7) has not reported. The times of a file
would not do. On a tmpfs, a write through a shared mapping leaves all times unchanged if the page
has been read before, and two writes within one tick of a coarse clock leave the same times.

1. Content changes only through a descriptor that is open for writing, or by a truncation by name.

   - Each open and each truncation is an event of the inode, under all names of the file and through
     links below /proc. Mappings, copies, splices and clones need such a descriptor.
   - The sandbox has no other way. The seccomp profile withholds file handles, io_uring,
     asynchronous I/O and the descriptors of other processes. Code in the sandbox has no
     capabilities, so that there are no loop devices. The limit for core dumps is 0.
   - No process keeps a descriptor or a mapping from one command to the next, because the guest
     kills and collects every process before it scans. Only the checker process stays. This process
     opens no file of the store, runs no code of the project, and is closed to code of its uid.

2. A known name leads to another inode only if a folder changes. A changed entry is an event of the
   folder. A moved folder is an event of this folder and of its parents. Without capabilities,
   nothing can be mounted.

3. No report is lost unnoticed.

   - Only the guest reads the queues: the guest is not dumpable, and Linux opens no queue through
     its link below /proc.
   - A queue that is full, or that finds no memory for an event, reports an overflow. Every file
     then counts as touched. The kernel merges an event only with an equal event just before it.
   - A watch belongs to an inode and ends with the inode, which is an event. Another inode under the
     same name gets a watch of its own before the guest reads the file.
   - The kernel can refuse a watch, because the number of watches per uid is limited. The guest
     reads a file without a watch at every scan, and walks the store while a folder has no watch.

4. The guest's own actions are events, too. The guest drops them when a command begins. Until then
   no other process has run since the last scan, except the checker process.

5. A file that was written and has its old content again counts as modified, because the lint may
   have read the other content. The same holds for the files of a folder that was moved for a while.

   - The close of a descriptor that is open for writing is an event. A mapping keeps the descriptor
     open. These events have a queue of their own, so that a flood of opens cannot displace them. If
     this queue overflows, every file counts as modified.
   - A descriptor in a message between sockets can outlive its process for a while, and so its close
     can follow the scan. The kernel grants no read lease on a file that is open for writing
     (fcntl(2)). The guest therefore asks for a lease on each file that was opened, and reads the
     queue again afterwards: the kernel reports a close before it grants the lease.
   - Files and folders without a watch are an exception.

6. `reports_are_complete` tries these events and the lease once in the store itself. gVisor fails:
   its reports miss hard links, and other processes can open its queues. Linux before 5.0 lost
   events without an overflow when memory was short, and is not tried. Without complete reports a
   scan reads every file, and point 5 does not hold.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from sandbox.guest.folders import DIRECTORY, discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

MODIFY, ATTRIB, CLOSE_WRITE, OPEN = 0x2, 0x4, 0x8, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, OVERFLOW = 0x400, 0x800, 0x4000
_ONLY_FOLDERS, _FOLLOW_NO_LINK = 0x1000000, 0x2000000

_ENTRIES = ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF
OPENS = (OPEN, _ENTRIES)
WRITES = (MODIFY | ATTRIB | CLOSE_WRITE | MOVE_SELF | DELETE_SELF, MOVE_SELF)

_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 18
_OLDEST = (5, 0)
_TRIAL = ".l2mac-trial"
_NO_PATHS: frozenset[str] = frozenset()


class Queue:
    """One inotify queue, and the paths of the inodes that it watches.

    The path of a folder ends with a slash.

    Args:
        masks: The events of a file and of a folder that the queue reports, `OPENS` or `WRITES`.

    Raises:
        OSError: The kernel refuses a queue.
    """

    def __init__(self, masks: tuple[int, int]) -> None:
        self._file_mask, self._folder_mask = masks
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._numbers: dict[str, int] = {}
        self._paths: dict[int, set[str]] = {}
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1 was refused")

    def close(self) -> None:
        """Close the queue, which ends its watches."""
        os.close(self._fd)

    def watch(self, link: str, path: str, *, follow: bool) -> bool:
        """Watch the inode behind a link under a path, and no earlier inode of this path.

        Args:
            link: A path that leads to the inode now, through an open descriptor.
            path: The path in the store.
            follow: Whether the last part of `link` may be a symbolic link.

        Returns:
            Whether the kernel watches the inode.
        """
        self.forget(path)
        mask = self._folder_mask | _ONLY_FOLDERS if path.endswith("/") else self._file_mask
        mask |= 0 if follow else _FOLLOW_NO_LINK
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(link), mask)
        if number >= 0:
            self._numbers[path] = number
            self._paths.setdefault(number, set()).add(path)
        return bool(number >= 0)

    def forget(self, path: str) -> None:
        """Report a path no more. Its inode may have other paths."""
        number = self._numbers.pop(path, None)
        if number is not None:
            self._paths[number].discard(path)
            if not self._paths[number]:
                del self._paths[number]

    def events(self) -> list[tuple[AbstractSet[str], int]]:
        """Return paths and all event bits of each inode with waiting events.

        An inode without a path has no paths, and neither has an overflow.
        """
        bits: dict[int, int] = {}
        while True:
            try:
                chunk = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return [(self._paths.get(number, _NO_PATHS), bits[number]) for number in bits]
            start = 0
            while start < len(chunk):
                number, mask, _, name_bytes = _EVENT.unpack_from(chunk, start)
                start += _EVENT.size + name_bytes
                bits[number] = bits.get(number, 0) | mask

    def drop(self) -> None:
        """Read all waiting events and ignore them."""
        self.events()


def is_open_for_writing(fd: int) -> bool:
    """Return whether a descriptor that may write to this file exists anywhere.

    An error counts as such a descriptor.

    Args:
        fd: A descriptor of the file that is open for reading only.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return True
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def is_recent_linux(release: str) -> bool:
    """Return whether this is a recent Linux; gVisor names itself or an old release."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    if "gvisor" in release or not (major.isdigit() and minor.isdigit()):
        return False
    return (int(major), int(minor)) >= _OLDEST


def reports_are_complete(opens: Queue, writes: Queue, root: int) -> bool:
    """Try every event in a new folder of the store, and remove the folder.

    Args:
        opens: A queue for `OPENS`.
        writes: A queue for `WRITES`.
        root: A descriptor of the store.

    Returns:
        Whether the kernel reported all that it should.
    """
    os.mkdir(_TRIAL, 0o700, dir_fd=root)
    try:
        folder = os.open(_TRIAL, DIRECTORY, dir_fd=root)
        try:
            return _reports_files(opens, writes, folder) and _reports_folders(opens, writes, folder)
        finally:
            os.close(folder)
    finally:
        discard(_TRIAL, root)
        for queue in (opens, writes):
            for path in ("file", "outer/", "inner/"):
                queue.forget(path)


def _reports_files(opens: Queue, writes: Queue, folder: int) -> bool:
    """Try a file's events under a name in a folder that is not watched."""
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    os.mkdir("inner", 0o700, dir_fd=folder)
    link = f"/proc/self/fd/{folder}/file"
    seen = [queue.watch(link, "file", follow=False) for queue in (opens, writes)]
    os.link("file", "inner/link", src_dir_fd=folder, dst_dir_fd=folder)
    seen.append(_reported(writes, "file", ATTRIB))
    reader = os.open("inner/link", os.O_RDONLY, dir_fd=folder)
    seen += [_reported(opens, "file", OPEN), not is_open_for_writing(reader)]
    writer = os.open(f"/proc/self/fd/{reader}", os.O_RDWR)
    seen += [_reported(opens, "file", OPEN), is_open_for_writing(reader)]
    os.close(writer)
    seen += [_reported(writes, "file", CLOSE_WRITE), not is_open_for_writing(reader)]
    os.close(reader)
    powerless = os.open("inner/link", os.O_PATH, dir_fd=folder)
    os.close(os.open(f"/proc/self/fd/{powerless}", os.O_RDONLY))
    seen.append(_reported(opens, "file", OPEN))
    os.close(powerless)
    os.truncate(f"/proc/self/fd/{folder}/inner/link", 1)
    seen.append(_reported(writes, "file", MODIFY))
    os.utime("inner/link", ns=(1, 1), dir_fd=folder)
    seen.append(_reported(writes, "file", ATTRIB))
    os.rename("inner/link", "inner/moved", src_dir_fd=folder, dst_dir_fd=folder)
    seen.append(_reported(writes, "file", MOVE_SELF))
    os.unlink("file", dir_fd=folder)
    seen.append(_reported(writes, "file", ATTRIB))
    os.unlink("inner/moved", dir_fd=folder)
    seen.append(_reported(writes, "file", DELETE_SELF))
    return all(seen)


def _reports_folders(opens: Queue, writes: Queue, folder: int) -> bool:
    """Try the events of a folder and of the folder in it."""
    seen = []
    for queue in (opens, writes):
        seen.append(queue.watch(f"/proc/self/fd/{folder}", "outer/", follow=True))
        seen.append(queue.watch(f"/proc/self/fd/{folder}/inner", "inner/", follow=False))
    os.close(os.open("inner/file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    seen.append(_reported(opens, "inner/", CREATE))
    os.rename("inner/file", "inner/moved", src_dir_fd=folder, dst_dir_fd=folder)
    seen.append(_reported(opens, "inner/", MOVED_FROM | MOVED_TO))
    os.chmod("inner", 0o500, dir_fd=folder)
    seen.append(_reported(opens, "inner/", ATTRIB))
    os.chmod("inner", 0o700, dir_fd=folder)
    os.unlink("inner/moved", dir_fd=folder)
    seen.append(_reported(opens, "inner/", DELETE))
    os.rename("inner", "moved", src_dir_fd=folder, dst_dir_fd=folder)
    seen.append(_reported(writes, "inner/", MOVE_SELF))
    seen.append(_reported(opens, "outer/", MOVED_FROM | MOVED_TO))
    os.rmdir("moved", dir_fd=folder)
    seen.append(_reported(opens, "inner/", DELETE_SELF))
    return all(seen)


def _reported(queue: Queue, path: str, bits: int) -> bool:
    """Return whether the waiting events of a path have these bits together."""
    return any(path in paths and seen & bits == bits for paths, seen in queue.events())
