"""A box that keeps its files in memory, executes nothing and gives scripted results."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import (
    Cause,
    Change,
    FileEntry,
    Job,
    JobResult,
    Match,
    PathError,
    Refused,
    RunResult,
    SandboxDied,
    OutputStream,
    check_path,
)

_NOTHING = OutputStream(b"", b"", 0)
_LINE_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedRun:
    """What one `run` comes to.

    Attributes:
        jobs: The results of its jobs.
        writes: What it leaves in the store: path → content, None for a deleted file.
    """

    jobs: tuple[JobResult, ...] = ()
    writes: Mapping[str, bytes | None] = field(default_factory=dict)
    removed: int = 0
    leftovers: int = 0
    oom_kills: int | None = 0
    pids_denied: int | None = 0


@dataclass(slots=True, kw_only=True)
class SandboxScript:
    """What happens to a series of boxes, whichever of them is in use when it happens.

    Attributes:
        runs: What each `run` comes to, in order; an exception is raised instead. Or a function of its jobs.
        lost_at: At which calls the box is lost, counted from 1 over all boxes and all methods but `close`.
        store_bytes: How much a box's store holds.
        calls: How many calls there were.
        boxes: The boxes that were made, oldest first.
    """

    runs: Sequence[ScriptedRun | Exception] | Callable[[tuple[Job, ...]], ScriptedRun] = ()
    lost_at: Collection[int] = ()
    store_bytes: int = 256 * 1024 * 1024
    calls: int = 0
    boxes: list["MemorySandbox"] = field(default_factory=list)
    runs_given: int = 0

    def make_sandbox(self, purpose: str = "work") -> "MemorySandbox":
        """Make the next box; fits `l2mac.file_store.SandboxMaker`."""
        box = MemorySandbox(self, purpose)
        self.boxes.append(box)
        return box

    def next_run(self, jobs: tuple[Job, ...]) -> ScriptedRun:
        """Give what a `run` of these jobs comes to.

        Raises:
            AssertionError: The script has run out.
            Exception: Whatever the script has in this place.
        """
        if callable(self.runs):
            return self.runs(jobs)
        if self.runs_given == len(self.runs):
            raise AssertionError(
                f"the script has {self.runs_given} runs, and one more was asked for"
            )
        self.runs_given += 1
        scripted = self.runs[self.runs_given - 1]
        if isinstance(scripted, Exception):
            raise scripted
        return scripted


class MemorySandbox:
    """Implements `sandbox.Sandbox` without confining or running anything.

    Args:
        script: What happens to it.
        purpose: What it was made for.

    Attributes:
        contents: The store, path → content.
        folders: Empty folders, in whose place no file can be written.
        asked: The jobs of every `run`, in order.
        closed: Whether it is gone.
    """

    def __init__(self, script: SandboxScript, purpose: str = "work") -> None:
        self._script = script
        self.purpose = purpose
        self.contents: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.asked: list[tuple[Job, ...]] = []
        self.closed = False

    @property
    def receipt(self) -> Mapping[str, Any]:
        """A receipt that claims nothing: its one row could not be seen."""
        return {
            "rows": [
                {"name": "confinement", "wanted": None, "seen": None, "verdict": "not available"}
            ]
        }

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """See `Sandbox.write`."""
        self._count()
        after = self.contents | dict(files)
        for path in files:
            _check_name(path)
            if path in self.folders:
                raise Refused(f"{path!r} is a directory")
        for path in after:
            if any(folder in after for folder in _folders(path)):
                raise Refused(f"{path!r}: a file stands where a directory is needed")
        if sum(map(len, after.values())) > self._script.store_bytes:
            raise Refused("the file store is full")
        self.contents = after
        return {path: _digest(content) for path, content in files.items()}

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `Sandbox.read`."""
        self._count()
        content = self._existing(path)
        return content[offset : offset + limit], len(content)

    def delete(self, paths: Sequence[str]) -> None:
        """See `Sandbox.delete`."""
        self._count()
        for path in paths:
            self._existing(path)
        for path in paths:
            del self.contents[path]

    def files(self) -> tuple[FileEntry, ...]:
        """See `Sandbox.files`."""
        self._count()
        return tuple(
            FileEntry(path, len(content), _digest(content))
            for path, content in sorted(self.contents.items())
        )

    def search(
        self, text: str, *, ignore_case: bool = False, max_matches: int = 200
    ) -> tuple[tuple[Match, ...], bool]:
        """See `Sandbox.search`."""
        self._count()
        wanted = text.lower() if ignore_case else text
        found: list[Match] = []
        for path, content in sorted(self.contents.items()):
            for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
                if wanted in (line.lower() if ignore_case else line):
                    found.append(Match(path, number, line[:_LINE_CHARACTERS]))
        return tuple(found[:max_matches]), len(found) > max_matches

    def run(
        self,
        jobs: Sequence[Job],
        *,
        stdin: bytes = b"",  # noqa: ARG002 - part of the signature
        timeout_s: float | None = None,  # noqa: ARG002 - part of the signature
    ) -> RunResult:
        """Give the next scripted result; see `Sandbox.run`.

        Raises:
            AssertionError: The script has run out.
        """
        self._count()
        self.asked.append(tuple(jobs))
        scripted = self._script.next_run(tuple(jobs))
        changes = tuple(
            self._change(path, content) for path, content in sorted(scripted.writes.items())
        )
        return RunResult(
            jobs=scripted.jobs,
            changes=changes,
            removed=scripted.removed,
            leftovers=scripted.leftovers,
            survivors=0,
            oom_kills=scripted.oom_kills,
            pids_denied=scripted.pids_denied,
        )

    def close(self) -> None:
        """See `Sandbox.close`."""
        self.closed = True

    def _count(self) -> None:
        if self.closed:
            raise SandboxDied("the box is closed")
        self._script.calls += 1
        if self._script.calls in self._script.lost_at:
            self.close()
            raise SandboxDied(f"the box was lost at call {self._script.calls}, as scripted")

    def _existing(self, path: str) -> bytes:
        if path not in self.contents:
            raise Refused(f"there is no file {path!r}")
        return self.contents[path]

    def _change(self, path: str, content: bytes | None) -> Change:
        if content is None:
            self.contents.pop(path)
            return Change(path, -1, "")
        self.contents[path] = content
        return Change(path, len(content), _digest(content))


def job_result(
    name: str,
    *,
    cause: Cause = Cause.EXITED,
    code: int = 0,
    output: bytes = b"",
    errors: bytes = b"",
    report: bytes = b"",
) -> JobResult:
    """Give a job's result of which nothing was cut off."""
    streams = (
        OutputStream(content, b"", len(content)) if content else _NOTHING
        for content in (output, errors, report)
    )
    return JobResult(name, cause, code, 1, *streams)


def _check_name(path: str) -> None:
    try:
        check_path(path)
    except PathError as error:
        raise Refused(str(error)) from error


def _folders(path: str) -> list[str]:
    return [path[:index] for index, character in enumerate(path) if character == "/"]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
