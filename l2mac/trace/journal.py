"""The journal: appends events durably, and hands recorded ones out again when a run is taken up.

The control unit is deterministic but for its effects. It performs each effect through `Journal.effect`, which
returns the recorded event as long as there is one and performs and records the effect afterwards. Resuming a run
therefore means starting the control unit anew: it walks through its record without touching model or box, arrives
where the last process stopped, and goes on.
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
"""`struct flock` of 64-bit Linux: kind, whence, start, length, process; length 0 is all of the file."""
E = TypeVar("E", bound=Effect)

EntryListener = Callable[[Entry], None]


class Journal:
    """The open trace of one run; use as a context manager.

    Args:
        folder: The run's folder, which must exist.
        listener: Called with every entry that is appended.
        clock: A monotonic clock in seconds.

    Raises:
        RunLocked: From `open`; another process works on the run.
        TraceError: From every method that reads or writes.
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
        """Lock the run and read what is recorded.

        A line that a crash cut short is dropped, and so are lines at the end that a power failure has parted from
        their objects: nothing waits for the two files to be durable until the next call of the model.
        """
        self._lock_fd = lock_run(self._path.parent)
        try:
            lines = self._lines = self._with_objects(read_lines(self._path))
            self._fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            os.ftruncate(self._fd, self._end.size)
            sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise TraceError(f"{self._path} cannot be opened: {error.strerror}") from error
        except TraceError:
            self.close()
            raise
        counting = effective([entry for entry, _ in lines])
        numbers = {entry.number for entry in counting}
        self._recorded = [
            entry.event for entry in counting if not isinstance(entry.event, BRACKETS)
        ]
        self._abandoned = [entry.event for entry, _ in lines if entry.number not in numbers]
        self._elapsed_before = lines[-1][0].elapsed_s if lines else 0.0
        self._started_at = self._clock()
        return self

    def close(self) -> None:
        """Release the run; closing twice is harmless."""
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
        """Every line of the trace as it is now, each with where the next one goes."""
        return self._lines

    @property
    def _end(self) -> End:
        return self._lines[-1][1] if self._lines else START

    @property
    def seal(self) -> str:
        """The last link of the chain."""
        return self._end.link

    @property
    def repeating(self) -> bool:
        """Whether recorded events are left that the control unit has not walked through yet."""
        return self._position < len(self._recorded)

    def coming(self, kind: type[E]) -> E | None:
        """Give the next recorded event if it is of this kind, without walking past it."""
        event = self._recorded[self._position] if self.repeating else None
        return event if isinstance(event, kind) else None

    def recorded(self) -> tuple[Event, ...]:
        """Give the recorded effects and notes."""
        return tuple(self._recorded)

    def abandoned(self) -> tuple[Event, ...]:
        """Give the recorded events that count no more, because the run was taken back to before them."""
        return tuple(self._abandoned)

    def require_objects(self) -> None:
        """Make sure that every object that the record names is there, before more is written.

        Raises:
            TraceError: One is missing.
        """
        self.objects.require(name for event in self._recorded for name in named_objects(event))

    def effect(self, kind: type[E], key: str, perform: Callable[[], E]) -> E:
        """Give the recorded effect, or perform it and record it.

        Args:
            kind: The event's class.
            key: What the effect depends on; a recorded one with another key means that the record does not fit.
            perform: Does it and gives the event to record; what it raises is not recorded.
        """
        if self.repeating:
            event = self._next()
            if not isinstance(event, kind) or event.key != key:
                raise TraceError(self._misfit(event, f"{kind.__name__} {key[:12]}"))
            return event
        if kind is ModelCalled:
            self.sync()
        event = perform()
        self._append(event)
        return event

    def note(self, note: Note) -> None:
        """Record a decision, or compare it with the recorded one."""
        if self.repeating:
            event = self._next()
            if event != note:
                raise TraceError(self._misfit(event, type(note).__name__))
        else:
            self._append(note)

    def bracket(self, bracket: Bracket) -> None:
        """Record who works on the run."""
        self._append(bracket)
        self.sync()

    def sync(self) -> None:
        """Make everything recorded so far survive a power failure."""
        self.objects.sync()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise TraceError(f"{self._path} cannot be made durable: {error.strerror}") from error

    def _with_objects(self, lines: list[tuple[Entry, End]]) -> list[tuple[Entry, End]]:
        """Give the lines before the first one of those not yet known to be durable that lacks an object."""
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

    def _misfit(self, event: Event, wanted: str) -> str:
        return (
            f"the record in {self._path} does not fit: entry {self._position} is {type(event).__name__}, but this"
            f" version of l2mac comes to {wanted} there; resume it with the version that recorded it"
        )

    def _append(self, event: Event) -> None:
        end = self._end
        entry = Entry(end.number, self.elapsed_s, event)
        line, link = encode_line(entry, end.link)
        try:
            os.ftruncate(
                self._fd, end.size
            )  # an interrupt may have left a line behind that was never counted
            view = memoryview(line)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end.size)
            raise TraceError(
                f"{self._path} cannot be written ({error.strerror}); what was written before is intact: make room and"
                " resume the run"
            ) from error
        # In one step, as an interrupt can come anywhere.
        self._lines.append((entry, End(end.number + 1, link, end.size + len(line))))
        if self._listener is not None:
            self._listener(entry)


def lock_run(folder: Path) -> int:
    """Take a run's lock; gives a descriptor that holds it until it is closed.

    Raises:
        RunLocked: Another process has it.
        TraceError: The folder cannot be written.
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
                f"another process works on the run {folder.name}; wait for it or stop it"
            ) from error
        raise TraceError(f"{folder / LOCK_FILE} cannot be locked: {error.strerror}") from error
    with contextlib.suppress(OSError):  # a sign for those who look; the lock is the one above
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return fd


def is_at_work(folder: Path) -> bool:
    """Whether a process works on the run, found out without taking its lock: not even for a moment is it in the way.

    False where the folder or its lock cannot be looked at.
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
