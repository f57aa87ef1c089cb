"""Which files of the store a command touched, by the kernel's word (inotify(7)), so that a scan need not read them all.

Times alone do not show every change. On a tmpfs a page that is mapped shared and was read first can be written to
without any time of the file changing, and where the clock ticks coarsely, two writes within one tick leave the same
times. So a digest is believed only while the kernel reports that nobody has so much as opened the file since:

- Every way to a file's content leads through an open of its inode or a truncation by its name. Both are events of that
  inode, by whatever name or descriptor link it was reached. A mapping needs an open, a copy or a splice needs one, and
  what could do without is not to be had in the sandbox: handles, io_uring, loop devices, a descriptor of another
  process, one from before the watch (no process lives on from one command to the next).
- Every other way to another content under a known name changes a folder: an event of that folder, or of its parent.
- The queue is read by the guest alone. Code of the same uid cannot reach its descriptor: the guest is not dumpable,
  pidfd_getfd(2) is withheld, and Linux opens no inotify queue by its link below /proc. A queue that overflowed or for
  which there was no memory says so, and then everything counts as touched.
- Whether a runtime's kernel keeps these promises is tried once in the store itself (`_keeps_its_word`). gVisor's does
  not: it forgets hard links, and its descriptors can be opened by others. Where the trial fails, every scan reads
  every file.

What the guest itself does raises events, too. They are dropped before a command starts: until then nobody else runs.
"""

from __future__ import annotations

import ctypes
import os
import struct

from sandbox.guest.folders import DIRECTORY, discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MODIFY, _ATTRIB, _CLOSE_WRITE, _OPEN = 0x2, 0x4, 0x8, 0x20
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = (
    0x40,
    0x80,
    0x100,
    0x200,
    0x400,
    0x800,
)
_OVERFLOW = 0x4000
_ONLY_FOLDERS, _FOLLOW_NO_LINK = 0x1000000, 0x2000000
_FILE = _MODIFY | _ATTRIB | _CLOSE_WRITE | _OPEN | _MOVE_SELF | _DELETE_SELF
_FOLDER = (
    _ATTRIB
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLY_FOLDERS
)
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 18
# Before it, events were lost without a word when memory was short (Linux 4.17); no later kernel is worth the risk.
_OLDEST = (5, 0)
_TRIAL = ".l2mac-trial"


class Touched:
    """The part of the store that was touched since the last look.

    Attributes:
        files: The files that were opened or changed, by whatever name, and those that cannot be watched.
        written: The files of which more is known than that a process opened them.
        moved: The folders that were moved. They may be back by now, with their files untouched.
        tree: Whether more than `files` may have changed, because a folder did or is not watched.
        everything: Whether nothing is known, so that every file counts as touched.
    """

    def __init__(self, *, tree: bool = False, everything: bool = False) -> None:
        self.files: set[str] = set()
        self.written: set[str] = set()
        self.moved: set[str] = set()
        self.tree = tree or everything
        self.everything = everything


class StoreEvents:
    """Watch the files and folders of one store; without a trial that succeeded nothing is ever called untouched.

    Args:
        release: The kernel's release, as uname(2) has it.
    """

    def __init__(self, release: str) -> None:
        self._release = release
        self._fd = -1
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._sure = False
        self._blind = False
        self._pending = False
        self._numbers: dict[str, int] = {}
        self._names: dict[int, set[str]] = {}
        self._folders: dict[int, str] = {}
        self._unwatched: set[str] = set()

    def start(self, root: int) -> bool:
        """Try the kernel in the store `root`, a directory's descriptor; return whether its word can be taken."""
        if not new_enough(self._release):
            return False
        try:
            self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if self._fd < 0 or not _keeps_its_word(self, root):
                self.stop()
        except OSError:
            self.stop()
        return self._fd >= 0

    def stop(self) -> None:
        """Believe nothing any more."""
        fd, self._fd, self._sure = self._fd, -1, False
        if fd >= 0:
            os.close(fd)

    def watch_folder(self, fd: int, path: str) -> None:
        """Watch an open directory, whose `path` is empty for the store itself."""
        if self._fd >= 0:
            number = self._add(f"/proc/self/fd/{fd}", _FOLDER)
            if number < 0:
                self._blind = True
            else:
                self._folders[number] = path

    def watch_file(self, fd: int, path: str) -> None:
        """Watch the file of an open descriptor under its path, and no longer what stood there before."""
        if self._fd >= 0:
            self.forget(path)
            self._note(self._add(f"/proc/self/fd/{fd}", _FILE), path)

    def watch_entry(self, folder: int, name: str, path: str) -> None:
        """Watch a file by its name in an open directory."""
        if self._fd >= 0:
            self.forget(path)
            self._note(self._add(f"/proc/self/fd/{folder}/{name}", _FILE | _FOLLOW_NO_LINK), path)

    def forget(self, path: str) -> None:
        """Take no more notice of a path. Its file may have others."""
        self._unwatched.discard(path)
        number = self._numbers.pop(path, None)
        if number is not None:
            self._names[number].discard(path)
            if not self._names[number]:
                del self._names[number]

    def begin_command(self) -> None:
        """Drop the events of the guest's own doing; from now on a command may touch the store."""
        if self._pending:  # what the last command did has not been looked at
            self._sure = False
        self._pending = True
        self._drop()

    def doubt(self) -> None:
        """Count everything as touched at the next look."""
        self._sure = False

    def trust(self) -> None:
        """Start anew, right after everything that was touched has been looked at."""
        self._drop()
        self._sure, self._pending = self._fd >= 0, False

    def begin_walk(self) -> None:
        """Forget the folders: each is about to be watched anew."""
        self._blind = False
        self._folders.clear()

    def take(self) -> Touched:
        """Return what was touched since the last look. From then until `trust` everything counts as touched."""
        if not self._sure:
            return Touched(everything=True)
        self._sure = False
        touched = Touched(tree=self._blind)
        touched.files |= self._unwatched
        for number, mask in self._events():
            if mask & _OVERFLOW:
                return Touched(everything=True)
            if number in self._names:
                touched.files |= self._names[number]
                if mask & ~_OPEN:
                    touched.written |= self._names[number]
            else:
                touched.tree = True
                if mask & _MOVE_SELF and number in self._folders:
                    touched.moved.add(self._folders[number])
        return touched

    def _drop(self) -> None:
        if self._fd >= 0:
            for _ in self._events():
                pass

    def _note(self, number: int, path: str) -> None:
        if number < 0:
            self._unwatched.add(path)
        else:
            self._numbers[path] = number
            self._names.setdefault(number, set()).add(path)

    def _add(self, path: str, mask: int) -> int:
        number: int = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        return number

    def _events(self) -> Iterator[tuple[int, int]]:
        """Yield number and mask of every event in the queue, in order."""
        while True:
            try:
                chunk = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return
            start = 0
            while start < len(chunk):
                number, mask, _, name_bytes = _EVENT.unpack_from(chunk, start)
                start += _EVENT.size + name_bytes
                yield number, mask


def new_enough(release: str) -> bool:
    """Return whether a release is that of a Linux kernel that can be believed; gVisor names itself or an older one."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    return (
        major.isdigit()
        and minor.isdigit()
        and (int(major), int(minor)) >= _OLDEST
        and "gvisor" not in release
    )


def _keeps_its_word(events: StoreEvents, root: int) -> bool:
    """Try whether every change of a file, by whatever name, and of a folder raises its event; leave nothing."""
    os.mkdir(_TRIAL, 0o700, dir_fd=root)
    try:
        folder = os.open(_TRIAL, DIRECTORY, dir_fd=root)
        try:
            return _hears_of_files(events, folder) and _hears_of_folders(events, folder)
        finally:
            os.close(folder)
    finally:
        discard(_TRIAL, root)


def _hears_of_files(events: StoreEvents, folder: int) -> bool:
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    file = events._add(f"/proc/self/fd/{folder}/file", _FILE)  # noqa: SLF001
    heard = []
    os.mkdir("other", 0o700, dir_fd=folder)  # is not watched
    os.link("file", "other/link", src_dir_fd=folder, dst_dir_fd=folder)
    heard.append(_heard(events, file, _ATTRIB))
    fd = os.open("other/link", os.O_RDONLY, dir_fd=folder)
    heard.append(_heard(events, file, _OPEN))
    os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
    heard.append(_heard(events, file, _OPEN | _CLOSE_WRITE))
    os.close(fd)
    path = os.open("other/link", os.O_PATH, dir_fd=folder)
    os.close(os.open(f"/proc/self/fd/{path}", os.O_RDONLY))
    heard.append(_heard(events, file, _OPEN))
    os.close(path)
    os.truncate(f"/proc/self/fd/{folder}/other/link", 1)
    heard.append(_heard(events, file, _MODIFY))
    os.utime("other/link", ns=(1, 1), dir_fd=folder)
    heard.append(_heard(events, file, _ATTRIB))
    os.unlink("file", dir_fd=folder)
    heard.append(_heard(events, file, _ATTRIB))
    os.unlink("other/link", dir_fd=folder)
    heard.append(_heard(events, file, _DELETE_SELF))
    return file >= 0 and all(heard)


def _hears_of_folders(events: StoreEvents, folder: int) -> bool:
    outer = events._add(f"/proc/self/fd/{folder}", _FOLDER)  # noqa: SLF001
    inner = events._add(f"/proc/self/fd/{folder}/other", _FOLDER)  # noqa: SLF001
    heard = []
    os.close(os.open("other/file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    heard.append(_heard(events, inner, _CREATE))
    os.rename("other/file", "file", src_dir_fd=folder, dst_dir_fd=folder)
    heard.append(_heard(events, inner, _MOVED_FROM, outer, _MOVED_TO))
    os.chmod("other", 0o500, dir_fd=folder)
    heard.append(_heard(events, inner, _ATTRIB))
    os.rename("other", "moved", src_dir_fd=folder, dst_dir_fd=folder)
    heard.append(_heard(events, inner, _MOVE_SELF, outer, _MOVED_FROM | _MOVED_TO))
    os.unlink("file", dir_fd=folder)
    heard.append(_heard(events, outer, _DELETE))
    os.rmdir("moved", dir_fd=folder)
    heard.append(_heard(events, inner, _DELETE_SELF))
    return outer >= 0 and inner >= 0 and all(heard)


def _heard(events: StoreEvents, *wanted: int) -> bool:
    """Return whether the queue has these events: a number, the bits that it must have, and so on."""
    seen: dict[int, int] = {}
    for number, mask in events._events():  # noqa: SLF001
        seen[number] = seen.get(number, 0) | mask
    return all(
        seen.get(number, 0) & bits == bits
        for number, bits in zip(wanted[::2], wanted[1::2], strict=True)
    )
