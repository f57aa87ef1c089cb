"""Results of a sandbox: frozen values, made only from the guest's replies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict


class Cause(StrEnum):
    """The reason why a process ended, by counters and the guest's limits."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    OUTPUT = "output limit"
    MEMORY = "out of memory"
    PIDS = "process limit"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class OutputStream:
    """The kept parts of an output stream of `total` bytes.

    Bytes may be missing between `head` and `tail`.
    """

    head: bytes
    tail: bytes
    total: int

    @property
    def elided(self) -> int:
        """Number of bytes that are missing between head and tail."""
        return self.total - len(self.head) - len(self.tail)

    def text(self, limit: int) -> str:
        """Return the stream as about `limit` characters; a mark shows gaps."""
        whole = (self.head + self.tail).decode("utf-8", "backslashreplace")
        if not self.elided and len(whole) <= limit:
            return whole
        half = limit // 2
        head = self.head.decode("utf-8", "backslashreplace")[:half]
        tail = (self.tail or self.head).decode("utf-8", "backslashreplace")[-half:]
        missing = self.total - len(head.encode()) - len(tail.encode())
        return f"{head}\n[... {max(missing, 0)} bytes omitted ...]\n{tail}"


@dataclass(frozen=True, slots=True)
class JobResult:
    """The end of one process of a run, and its output.

    `report` holds the bytes that a preloaded checker wrote beside its output. The checker also ran
    generated code, so the report is evidence, not proof.
    """

    name: str
    cause: Cause
    code: int
    duration_ms: int
    output: OutputStream
    errors: OutputStream
    report: OutputStream

    @property
    def succeeded(self) -> bool:
        """Whether the process exited by itself with code 0."""
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
    """The result of a run: its processes, and their changes to the sandbox.

    Attributes:
        jobs: One result for each job, in the order of the request.
        changes: Files of the store that differ from before, sorted by path.
        removed: Number of entries that the store may not hold (links, pipes, bad names) and that
            the guest removed.
        leftovers: Number of processes that were alive after the last job had ended; all were
            killed.
        survivors: Number of processes that could not be killed; above 0 the sandbox is unusable.
        oom_kills: Out-of-memory kills during the run; None if the runtime does not count them.
        pids_denied: Forks that the process limit refused; None if the runtime does not count them.
        rewritten: Files that a job was asked to read and that were written to during the run,
            sorted by path, even if their old content was restored: the job may have read other
            content.
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
        """Return the result of the job with this name.

        Raises:
            KeyError: No job has this name.
        """
        for job in self.jobs:
            if job.name == name:
                return job
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Job:
    """A process to run: `argv`, or a preloaded `checker` and its `paths`.

    Checkers are `pytest`, `pylint`, `prose`, `survey`, and for measuring `count` and `coverage`.
    `others` are paths that get fewer checks: the pylint checker compiles them and does not lint
    them.
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


class ReceiptProperty(TypedDict):
    """One property of a receipt: requested value, observed value, and verdict."""

    name: str
    wanted: object
    seen: object
    verdict: str


class Receipt(TypedDict, total=False):
    """The verified confinement of a sandbox, as plain JSON values.

    Attributes:
        rows: The compared properties.
        image: The base image and the sandbox's image.
        engine: The engine's versions.
        runtime: The engine's name of the runtime.
        own_kernel: Whether the runtime has a kernel of its own.
        posture: The guest's description of its confinement.
        trial: The result of a trial of the runtime, if there was one.
    """

    rows: list[ReceiptProperty]
    image: dict[str, str]
    engine: dict[str, object]
    runtime: str | None
    own_kernel: bool
    posture: dict[str, object]
    trial: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The result of fetching packages.

    Attributes:
        output: Output of pip, or the reason why its files were refused.
        wheels: Content by file name; empty if fetching failed.
        connections: The proxy's decisions, one for each connection, as plain JSON values.
        receipt: The verified confinement of the sandbox that pip ran in.
    """

    output: str
    wheels: Mapping[str, bytes] = field(default_factory=dict)
    connections: tuple[Mapping[str, object], ...] = ()
    receipt: Receipt = field(default_factory=Receipt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Packages that new sandboxes get.

    Attributes:
        digest: Hash of the unpacked files.
        receipt: The verified confinement of the sandbox that unpacked them.
    """

    digest: str
    receipt: Receipt = field(default_factory=Receipt)
