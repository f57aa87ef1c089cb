"""What a box gives back: frozen values, made from the guest's replies and from nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """Why a process ended, from the kernel's counters and the guest's own bounds."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    OUTPUT = "output limit"
    MEMORY = "out of memory"
    PIDS = "process limit"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Stream:
    """The kept parts of an output stream of `total` bytes; between head and tail bytes may be missing."""

    head: bytes
    tail: bytes
    total: int

    @property
    def elided(self) -> int:
        """How many bytes are missing between head and tail."""
        return self.total - len(self.head) - len(self.tail)

    def text(self, limit: int) -> str:
        """Give the stream as text of about `limit` characters, with a mark where bytes are missing."""
        whole = (self.head + self.tail).decode("utf-8", "backslashreplace")
        if not self.elided and len(whole) <= limit:
            return whole
        half = limit // 2
        head = self.head.decode("utf-8", "backslashreplace")[:half]
        tail = (self.tail or self.head).decode("utf-8", "backslashreplace")[-half:]
        missing = self.total - len(head.encode()) - len(tail.encode())
        return f"{head}\n[... {max(missing, 0)} bytes left out ...]\n{tail}"


@dataclass(frozen=True, slots=True)
class JobResult:
    """How one process of a run ended, and what it put out.

    `report` is what a preloaded job wrote beside its output; it comes from a process that also ran generated
    code, so it is evidence and no proof.
    """

    name: str
    cause: Cause
    code: int
    duration_ms: int
    output: Stream
    errors: Stream
    report: Stream

    @property
    def succeeded(self) -> bool:
        """Whether it exited by itself with code 0."""
        return self.cause is Cause.EXITED and self.code == 0


@dataclass(frozen=True, slots=True)
class Change:
    """A file that a command created, changed or, with `digest` empty, deleted."""

    path: str
    size: int
    digest: str

    @property
    def deleted(self) -> bool:
        """Whether the file is gone."""
        return not self.digest


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run: its jobs, and what it did to the box.

    Attributes:
        jobs: In the order in which they were asked for.
        changes: Files of the store that differ from before, sorted by path.
        removed: Entries that the store may not hold (links, pipes, bad names), removed by the guest.
        leftovers: Processes that were still there when the last job had ended, all killed.
        survivors: How many of them could not be killed; anything but 0 makes the box unusable.
        oom_kills: Out-of-memory kills by the kernel meanwhile; None where the runtime does not count.
        pids_denied: Forks that the process limit refused meanwhile; None where the runtime does not count.
        rewritten: Files that a job was asked to read and that were written to meanwhile, sorted by path, also those
            that have their old content again: what the job read of them is anybody's guess.
    """

    jobs: tuple[JobResult, ...]
    changes: tuple[Change, ...]
    removed: int
    leftovers: int
    survivors: int
    oom_kills: int | None
    pids_denied: int | None
    rewritten: tuple[str, ...] = ()

    def job(self, name: str) -> JobResult:
        """Give the job of that name.

        Raises:
            KeyError: There is none.
        """
        for job in self.jobs:
            if job.name == name:
                return job
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Job:
    """A process to run: `argv`, or a preloaded `checker` and its `paths`.

    Checkers are `pytest`, `pylint`, `prose`, `survey`, and for measuring `count` and `coverage`.
    `others` are paths that are looked at less closely: pylint's job compiles them and leaves them unlinted.
    """

    name: str
    argv: tuple[str, ...] = ()
    checker: str = ""
    paths: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the store."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Match:
    """A line that a search found; `line` counts from 1."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of fetching packages.

    Attributes:
        wheels: By file name; none when it failed.
        output: What pip said, or why what it left was not taken.
        connections: The proxy's decisions, one for each connection, as plain JSON values.
        receipt: What was verified about the box that pip ran in.
    """

    output: str
    wheels: Mapping[str, bytes] = field(default_factory=dict)
    connections: tuple[Mapping[str, Any], ...] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Packages that boxes now get: the hash of what they unpacked to, and the receipt of the box that holds them."""

    digest: str
    receipt: Mapping[str, Any] = field(default_factory=dict)
