"""Follow a trace while another process writes it.

Each poll reads the complete lines that are new. The file is opened anew for each poll and never
locked or written. Between two polls the file may therefore
be truncated (by the recovery from a crash), replaced or removed.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import TraceError
from l2mac.trace.chain import START, End, Entry, altered, scan_lines
from l2mac.trace.events import RunEnded
from l2mac.trace.journal import TRACE_FILE, is_at_work

_POLL_INTERVAL_S = 0.25
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class TraceUpdate:
    """The changes of a trace since the last poll.

    Attributes:
        entries: The new entries.
        withdrawn: The number of entries returned before that the trace no longer holds.
    """

    entries: tuple[Entry, ...] = ()
    withdrawn: int = 0


def follow(folder: Path, *, pause: Callable[[float], None] = time.sleep) -> Iterator[TraceUpdate]:
    """Yield a trace's entries, then its updates, until no process works on the run.

    The iteration also ends with the event `RunEnded`.

    Args:
        folder: The run's folder. No file in it is locked.
        pause: Waits between two polls, in seconds.

    Raises:
        TraceError: See `Follower.poll`.
    """
    follower = Follower(folder / TRACE_FILE)
    at_work = True
    while True:
        update = follower.poll()
        if update.entries or update.withdrawn:
            yield update
        elif not at_work:
            return
        if update.entries and isinstance(update.entries[-1].event, RunEnded):
            return
        # Before the next poll, so that the last lines of a process that has just ended are read.
        at_work = is_at_work(folder)
        if at_work and not update.entries:
            pause(_POLL_INTERVAL_S)


class Follower:
    """Reader of a trace that another process may be writing.

    Args:
        path: The trace's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends: list[End] = []
        self._file = (0, 0)

    def poll(self) -> TraceUpdate:
        """Return the changes since the last poll.

        An incomplete last line waits for the next poll.

        Raises:
            TraceError: The file is missing, not readable or altered.
        """
        end = self._ends[-1] if self._ends else START
        content, same_file = self._read(end.size)
        if content is not None and same_file:
            lines, problem = scan_lines(content, end)
            if not problem:
                self._ends += [after for _, after in lines]
                return TraceUpdate(tuple(entry for entry, _ in lines))
        return self._read_again()

    def _read_again(self) -> TraceUpdate:
        """Read the whole file and return its difference from the entries returned before."""
        content, _ = self._read(0)
        lines, problem = scan_lines(content or b"")
        if problem:
            raise altered(self._path, problem)
        ends = [end for _, end in lines]
        same = 0
        for before, now in zip(self._ends, ends, strict=False):
            if before != now:
                break
            same += 1
        withdrawn = len(self._ends) - same
        self._ends = ends
        return TraceUpdate(tuple(entry for entry, _ in lines[same:]), withdrawn)

    def _read(self, start: int) -> tuple[bytes | None, bool]:
        """Return the bytes from `start` on, and whether the file is the same as before.

        The bytes are None where the file is shorter.
        """
        content = None
        try:
            fd = os.open(self._path, _OPEN_FLAGS)
            try:
                status = os.fstat(fd)
                before, self._file = self._file, (status.st_dev, status.st_ino)
                if status.st_size >= start:
                    content = os.pread(fd, status.st_size - start, start)
            finally:
                os.close(fd)
        except FileNotFoundError:
            raise TraceError(
                f"The run's folder {self._path.parent} is missing. List the runs with `l2mac runs`."
            ) from None
        except OSError as error:
            raise TraceError(
                f"The trace {self._path} is not readable: {error.strerror}. Check its permissions."
            ) from error
        return content, before in (self._file, (0, 0))
