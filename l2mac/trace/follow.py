"""Follow a trace while another process writes it: what is new at each look, from whole lines alone.

The file is only read, and opened anew for each look, so that it may be cut back (a crash left half a line, a power
failure parted lines from their objects), replaced, or gone.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import TraceError
from l2mac.trace.chain import START, End, Entry, scan_lines
from l2mac.trace.events import RunEnded
from l2mac.trace.journal import TRACE_FILE, is_at_work

_BETWEEN_LOOKS_S = 0.25
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class News:
    """What has come since the last look: entries, and how many of those given before are not there any more."""

    entries: tuple[Entry, ...] = ()
    withdrawn: int = 0


def follow(folder: Path, *, pause: Callable[[float], None] = time.sleep) -> Iterator[News]:
    """Give what a run's record holds, then what comes, until the session ends or no process works on the run.

    Args:
        folder: The run's folder; nothing in it is locked.
        pause: Waits for seconds between two looks.

    Raises:
        TraceError: See `Follower.look`.
    """
    follower = Follower(folder / TRACE_FILE)
    at_work = True
    while True:
        news = follower.look()
        if news.entries or news.withdrawn:
            yield news
        elif not at_work:
            return
        if news.entries and isinstance(news.entries[-1].event, RunEnded):
            return
        at_work = is_at_work(
            folder
        )  # asked before the next look: what a process wrote before its end is seen
        if at_work and not news.entries:
            pause(_BETWEEN_LOOKS_S)


class Follower:
    """Reads a growing trace.

    Args:
        path: The trace's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends: list[End] = []
        self._file = (0, 0)

    def look(self) -> News:
        """Give what is new; bytes behind the last newline wait for the next look.

        Raises:
            TraceError: The file is gone, cannot be read, or has been altered.
        """
        end = self._ends[-1] if self._ends else START
        content, same_file = self._read(end.size)
        if content is not None and same_file:
            lines, problem = scan_lines(content, end)
            if not problem:
                self._ends += [after for _, after in lines]
                return News(tuple(entry for entry, _ in lines))
        return self._look_anew()

    def _look_anew(self) -> News:
        """Read everything; what was given before and stands there still is not given again."""
        content, _ = self._read(0)
        lines, problem = scan_lines(content or b"")
        if problem:
            raise TraceError(f"{self._path} has been altered: {problem}")
        ends = [end for _, end in lines]
        same = 0
        while same < min(len(ends), len(self._ends)) and ends[same] == self._ends[same]:
            same += 1
        withdrawn = len(self._ends) - same
        self._ends = ends
        return News(tuple(entry for entry, _ in lines[same:]), withdrawn)

    def _read(self, start: int) -> tuple[bytes | None, bool]:
        """Give what stands behind `start`, None when the file is shorter, and whether it is the same file as before."""
        try:
            fd = os.open(self._path, _OPEN)
            try:
                status = os.fstat(fd)
                before, self._file = self._file, (status.st_dev, status.st_ino)
                content = (
                    os.pread(fd, status.st_size - start, start) if status.st_size >= start else None
                )
            finally:
                os.close(fd)
        except FileNotFoundError:
            raise TraceError(
                f"{self._path.parent} is gone: the run was removed or moved away"
            ) from None
        except OSError as error:
            raise TraceError(f"{self._path} cannot be read: {error.strerror}") from error
        return content, before in (self._file, (0, 0))
