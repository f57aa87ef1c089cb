"""The touched part of the store, from the kernel's reports since the last scan.

`sandbox.guest.inotify` describes the reports and why they suffice.
"""

from __future__ import annotations

from sandbox.guest.entries import parent_folders
from sandbox.guest.inotify import (
    CLOSE_WRITE,
    OPENS,
    OVERFLOW,
    WRITES,
    Queue,
    is_open_for_writing,
    is_recent_linux,
    reports_are_complete,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet


class Touched:
    """The part of the store that was touched since the last scan.

    Attributes:
        files: Files that were opened or changed, under any name, and files without a watch.
        modified: Files with other events than an open, and moved folders with a slash at the end.
        tree: Whether more than `files` may have changed, because of a changed or unwatched folder.
        everything: Whether every file counts as touched.
        all_modified: Whether every file counts as modified.
    """

    def __init__(self, *, everything: bool) -> None:
        self.files: set[str] = set()
        self.modified: set[str] = set()
        self.tree = everything
        self.everything = everything
        self.all_modified = False

    def add(self, paths: AbstractSet[str]) -> None:
        """Add touched files and changed folders; no path stands for an unknown folder."""
        folders = {path for path in paths if path.endswith("/")}
        self.files |= paths - folders
        self.tree = self.tree or bool(folders) or not paths

    def add_everything(self) -> None:
        """Count every file as touched."""
        self.everything = self.tree = True

    def modified_among(self, paths: Iterable[str]) -> set[str]:
        """Return the files that were modified or are in a moved folder."""
        if self.all_modified:
            return set(paths)
        if not self.modified:
            return set()
        return {path for path in paths if self._is_modified(path)}

    def _is_modified(self, path: str) -> bool:
        folders = [f"{folder}/" for folder in parent_folders(path)]
        return not self.modified.isdisjoint([path, *folders])


class StoreEvents:
    """Watches on the files and folders of one store.

    Every file counts as touched until `start` has succeeded.

    Args:
        release: The release of the kernel, from uname(2).
        make_queue: Makes a queue for the given events.
    """

    def __init__(
        self, release: str, make_queue: Callable[[tuple[int, int]], Queue] = Queue
    ) -> None:
        self._release = release
        self._make_queue = make_queue
        self._opens: Queue | None = None
        self._writes: Queue | None = None
        self._complete = False
        self._pending = False
        self._unwatched: set[str] = set()
        self._still_open: set[str] = set()

    def start(self, root: int) -> bool:
        """Try the kernel in the store `root`, a directory's descriptor.

        Returns:
            Whether its reports are complete.
        """
        if not is_recent_linux(self._release):
            return False
        complete = False
        try:
            self._opens = self._make_queue(OPENS)
            self._writes = self._make_queue(WRITES)
            complete = reports_are_complete(self._opens, self._writes, root)
        except OSError:
            pass
        if not complete:
            self.stop()
        return complete

    def stop(self) -> None:
        """Count every file as touched from now on."""
        queues = self._queues()
        self._opens = self._writes = None
        self._complete = False
        for queue in queues:
            queue.close()

    def watch_folder(self, fd: int, path: str) -> None:
        """Watch an open directory, whose `path` is empty for the store itself."""
        self._watch(f"/proc/self/fd/{fd}", f"{path}/", follow=True)

    def watch_entry(self, folder: int, name: str, path: str) -> None:
        """Watch a file by its name in an open directory."""
        self._watch(f"/proc/self/fd/{folder}/{name}", path, follow=False)

    def watch_file(self, fd: int, path: str) -> None:
        """Watch a file that will be read now, and record whether it is open for writing.

        Args:
            fd: A descriptor of the file that is open for reading only.
            path: Its path in the store.
        """
        self._watch(f"/proc/self/fd/{fd}", path, follow=True)
        if self._writes is not None and is_open_for_writing(fd):
            self._still_open.add(path)

    def forget(self, path: str) -> None:
        """Stop reporting a path; the path of a folder ends with a slash."""
        self._unwatched.discard(path)
        for queue in self._queues():
            queue.forget(path)

    def begin_command(self) -> None:
        """Drop the events of the guest's own actions before a command."""
        if self._pending:  # no scan has read what the last command did
            self._complete = False
        self._pending = True
        for queue in self._queues():
            queue.drop()

    def doubt(self) -> None:
        """Count every file as touched at the next scan."""
        self._complete = False

    def take(self) -> Touched:
        """Return the touched part of the store.

        Every file counts as touched from here to `finish`, because the scan may fail. Writes are
        reported even if every file counts as touched.
        """
        touched = Touched(everything=not self._complete)
        self._complete = False
        self._still_open.clear()
        if self._unwatched:
            touched.add(self._unwatched)
        if self._opens is not None and self._writes is not None:
            for paths, bits in self._opens.events():
                touched.add(paths)
                if bits & OVERFLOW:
                    touched.add_everything()
            for paths, bits in self._writes.events():
                touched.add(paths)
                touched.modified |= paths
                if bits & OVERFLOW:
                    touched.add_everything()
                    touched.all_modified = True
        return touched

    def finish(self, touched: Touched) -> None:
        """Start to rely on reports again, after a scan has read everything touched.

        Writes that ended since `take` are added to `touched`, and writes that have not ended.
        """
        touched.modified |= self._still_open
        if self._opens is not None and self._writes is not None:
            self._opens.drop()
            for paths, bits in self._writes.events():
                touched.all_modified |= bool(bits & OVERFLOW)
                if bits & CLOSE_WRITE:
                    touched.modified |= paths
            self._complete = True
        self._pending = False

    def _queues(self) -> list[Queue]:
        return [queue for queue in (self._opens, self._writes) if queue is not None]

    def _watch(self, link: str, path: str, *, follow: bool) -> None:
        self._unwatched.discard(path)
        # Each queue is asked, even after a refusal: each has to forget the earlier inode.
        watched = [queue.watch(link, path, follow=follow) for queue in self._queues()]
        if not all(watched):
            self._unwatched.add(path)
