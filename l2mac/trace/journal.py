"""The open trace: appends events, or hands recorded events out again.

The control unit is deterministic except for its effects, which pass through `Journal.effect`. As
long as recorded events are left, this method returns the recorded effect. Afterwards it performs
and records the effect. A resume is therefore a new start of the control unit: its decisions are
repeated from the recorded effects without calling the model or a sandbox, until the control unit
arrives at the point where the last process stopped.
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from l2mac.errors import RunLocked, TraceError
from l2mac.trace.chain import START, End, Entry, encode_line, read_lines
from l2mac.trace.events import Bracket, Effect, Event, ModelCalled, Note
from l2mac.trace.history import BRACKETS, effective, named_objects
from l2mac.trace.objects import ObjectStore, sync_folder

TRACE_FILE = "trace.jsonl"
OBJECTS_FILE = "objects.pack"
LOCK_FILE = "lock"
_WHOLE_FILE = struct.Struct("@hhqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length (0 for the whole file), process."""
E = TypeVar("E", bound=Effect)

EntryListener = Callable[[Entry], None]


class Journal:
    """The open trace of one run: appends events, or hands recorded events out again.

    Use it as a context manager. The holder of an open journal holds the run's lock. Every method
    that reads or writes raises `TraceError` if the disk or the recorded lines prevent it.

    Args:
        folder: The run's folder, which must exist.
        listener: The function to call with every entry that is appended.
        clock: A monotonic clock in seconds.

    Attributes:
        objects: The objects of the trace.
    """

    def __init__(
        self,
        folder: Path,
        *,
        listener: EntryListener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / TRACE_FILE
        self._listener = listener
        self._clock = clock
        self._fd = -1
        self._lock_fd = -1
        self._lines: list[tuple[Entry, End]] = []
        self._elapsed_before = 0.0
        self._started_at = 0.0
        self._recorded: list[Event] = []
        self._abandoned: list[Event] = []
        self._position = 0
        self.objects = ObjectStore(folder / OBJECTS_FILE)

    def open(self) -> Self:
        """Lock the run and read its trace.

        An incomplete last line is dropped. Lines at the end whose objects a power failure destroyed
        are dropped, too: until the next call of the model, lines may be durable before their
        objects.

        Raises:
            RunLocked: Another process works on the run.
            TraceError: The trace is altered, not readable or not writable.
        """
        self._lock_fd = lock_run(self._path.parent)
        try:
            self._lines = self._with_objects(read_lines(self._path))
            self._fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            os.ftruncate(self._fd, self._end.size)
            sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise TraceError(
                f"The trace {self._path} is not writable: {error.strerror}. Check its disk and"
                " permissions."
            ) from error
        except TraceError:
            self.close()
            raise
        self._split([entry for entry, _ in self._lines])
        self._started_at = self._clock()
        return self

    def _split(self, entries: Sequence[Entry]) -> None:
        """Separate the events to hand out again from those that were rewound."""
        counting = effective(entries)
        numbers = {entry.number for entry in counting}
        events = [entry.event for entry in counting]
        self._recorded = [event for event in events if not isinstance(event, BRACKETS)]
        self._abandoned = [entry.event for entry in entries if entry.number not in numbers]
        self._elapsed_before = entries[-1].elapsed_s if entries else 0.0

    def close(self) -> None:
        """Release the run's lock and close the files. Closing twice is harmless."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1
        self.objects.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds that processes have worked on the run, this one included."""
        return round(self._elapsed_before + self._clock() - self._started_at, 3)

    @property
    def lines(self) -> Sequence[tuple[Entry, End]]:
        """Every line of the trace, each with its end."""
        return self._lines

    @property
    def _end(self) -> End:
        return self._lines[-1][1] if self._lines else START

    @property
    def seal(self) -> str:
        """The last link of the chain."""
        return self._end.link

    @property
    def replaying(self) -> bool:
        """Whether recorded events are left to hand out."""
        return self._position < len(self._recorded)

    def peek(self, kind: type[E]) -> E | None:
        """Return the next recorded event if it is of this kind, without handing it out."""
        event = self._recorded[self._position] if self.replaying else None
        return event if isinstance(event, kind) else None

    def recorded(self) -> tuple[Event, ...]:
        """Return the recorded effects and notes."""
        return tuple(self._recorded)

    def abandoned(self) -> tuple[Event, ...]:
        """Return the recorded events that a rewind took out of the history."""
        return tuple(self._abandoned)

    def require_objects(self) -> None:
        """Check that every object that the recorded events name exists.

        Raises:
            TraceError: An object is missing.
        """
        for event in self._recorded:
            self.objects.require(named_objects(event))

    def effect(self, kind: type[E], key: str, perform: Callable[[], E]) -> E:
        """Return the recorded effect, or perform and record it.

        Args:
            kind: The event's class.
            key: The key of the event.
            perform: Performs the effect and returns the event. Exceptions pass and are not
                recorded.

        Raises:
            TraceError: The recorded event has another class or key, or the disk is not writable.
        """
        if self.replaying:
            event = self._next()
            if not isinstance(event, kind) or event.key != key:
                raise self._mismatch(event, f"{kind.__name__} {key[:12]}")
            return event
        if kind is ModelCalled:
            self.sync()
        event = perform()
        self._append(event)
        return event

    def note(self, note: Note) -> None:
        """Record a decision, or compare it with the recorded one.

        Raises:
            TraceError: The recorded event is different, or the disk is not writable.
        """
        if self.replaying:
            event = self._next()
            if event != note:
                raise self._mismatch(event, type(note).__name__)
        else:
            self._append(note)

    def bracket(self, bracket: Bracket) -> None:
        """Record a bracket and make it durable."""
        self._append(bracket)
        self.sync()

    def sync(self) -> None:
        """Make everything recorded so far survive a power failure.

        Raises:
            TraceError: The disk refuses.
        """
        self.objects.sync()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise TraceError(
                f"The trace {self._path} is not durable: {error.strerror}. Check the disk, then"
                " resume the run."
            ) from error

    def _with_objects(self, lines: list[tuple[Entry, End]]) -> list[tuple[Entry, End]]:
        """Return the lines before the first one whose objects are not intact.

        Only lines that may not be durable are examined: `sync` runs before each `ModelCalled` and
        after each bracket.
        """
        events = [entry.event for entry, _ in lines]
        durable = 0
        for position, event in enumerate(events):
            if isinstance(event, ModelCalled):
                durable = position
            elif isinstance(event, BRACKETS) and position + 1 < len(events):
                durable = position + 1
        for position, event in enumerate(events[durable:], durable):
            if not all(self.objects.has_intact(name) for name in named_objects(event)):
                return lines[:position]
        return lines

    def _next(self) -> Event:
        event = self._recorded[self._position]
        self._position += 1
        return event

    def _mismatch(self, event: Event, wanted: str) -> TraceError:
        return TraceError(
            f"The trace {self._path} does not fit this version of l2mac: recorded event"
            f" {self._position} is {type(event).__name__}, expected {wanted}. Resume the run with"
            " the version that recorded it."
        )

    def _append(self, event: Event) -> None:
        end = self._end
        entry = Entry(end.number, self.elapsed_s, event)
        line, link = encode_line(entry, end.link)
        try:
            # An interrupt may have left bytes of a line that `_lines` does not hold.
            os.ftruncate(self._fd, end.size)
            view = memoryview(line)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end.size)
            raise TraceError(
                f"The trace {self._path} is not writable: {error.strerror}. Everything written"
                " before is intact. Free disk space and resume the run."
            ) from error
        # One assignment, because an interrupt can arrive between any two.
        self._lines.append((entry, End(end.number + 1, link, end.size + len(line))))
        if self._listener is not None:
            self._listener(entry)


def lock_run(folder: Path) -> int:
    """Lock a run and return the file descriptor that holds the lock.

    Raises:
        RunLocked: Another process holds the lock.
        TraceError: The folder is not writable.
    """
    fd = -1
    try:
        fd = os.open(
            folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        if isinstance(error, BlockingIOError):
            raise RunLocked(
                f"Another process works on the run {folder.name}. Wait until it ends, or stop it."
            ) from error
        raise TraceError(
            f"The lock {folder / LOCK_FILE} is not available: {error.strerror}. Check the folder's"
            " permissions."
        ) from error
    # The lock above excludes others. This second one only lets `is_at_work` query it.
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return fd


def is_at_work(folder: Path) -> bool:
    """Return whether a process works on the run.

    False where the lock is not readable. The query takes no lock, so it never makes a concurrent
    `resume` fail.
    """
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = _WHOLE_FILE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind: int = _WHOLE_FILE.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    except OSError:
        return False
    finally:
        os.close(fd)
    return kind != fcntl.F_UNLCK
