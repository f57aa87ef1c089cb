"""A fake sandbox for tests: files in memory, no container, and no execution.

A `SandboxScript` holds the outcome of each `run` and the calls that lose the sandbox. A
`MemorySandbox` follows the script. A call of `run` after the last outcome raises `AssertionError`.

```
failed = ScriptedRun(jobs=(job_result("tests", code=1),), writes={"made.txt": b"1"})
script = SandboxScript(runs=[failed], lost_at={4})
store = FileStore(script.make_sandbox, objects)
```

`tests/unit/sandbox_core/test_fakes.py` checks the file operations with `sandbox.conformance.STORE`,
as it checks every real sandbox. Nothing runs and nothing is confined, and the receipt claims
neither.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.errors import Refused, SandboxDied, SandboxLost
from sandbox.paths import PathError, check_path
from sandbox.policy import SandboxPolicy
from sandbox.protocol import MAX_BODY_BYTES, MAX_MATCHES
from sandbox.results import (
    Cause,
    Change,
    FileEntry,
    Job,
    JobResult,
    Match,
    OutputStream,
    Receipt,
    RunResult,
)

_NOTHING = OutputStream(b"", b"", 0)
_LINE_BYTES = 400
_BINARY_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedRun:
    """The outcome of one `run`.

    Attributes:
        jobs: The results of its jobs.
        writes: The files that it leaves in the store: path → content, None for a deleted file.
    """

    jobs: tuple[JobResult, ...] = ()
    writes: Mapping[str, bytes | None] = field(default_factory=dict)
    removed: int = 0
    leftovers: int = 0
    oom_kills: int | None = 0
    pids_denied: int | None = 0


@dataclass(slots=True, kw_only=True)
class SandboxScript:
    """The fate of a series of sandboxes; calls and runs are counted over all of them.

    Attributes:
        runs: The outcome of each `run`, in order, or a function that returns it for a run's jobs.
            An exception is raised; a `SandboxLost` among them loses the sandbox.
        lost_at: The calls that lose the sandbox, counted from 1 over all methods but `close`.
        policy: The limits on files; the others bind nothing, as nothing runs.
        calls: Number of calls so far.
        sandboxes: The sandboxes that were made, oldest first.
    """

    runs: Sequence[ScriptedRun | Exception] | Callable[[tuple[Job, ...]], ScriptedRun] = ()
    lost_at: Collection[int] = ()
    policy: SandboxPolicy = field(default_factory=SandboxPolicy)
    calls: int = 0
    sandboxes: list["MemorySandbox"] = field(default_factory=list)
    _runs_given: int = 0

    def make_sandbox(self, purpose: str = "work") -> "MemorySandbox":
        """Make the next sandbox, which is empty."""
        sandbox = MemorySandbox(self, purpose)
        self.sandboxes.append(sandbox)
        return sandbox

    def next_run(self, jobs: tuple[Job, ...]) -> ScriptedRun:
        """Return the outcome of a `run` of these jobs.

        Raises:
            AssertionError: The script has run out.
            Exception: The script has an exception in this place.
        """
        if callable(self.runs):
            return self.runs(jobs)
        if self._runs_given == len(self.runs):
            names = [job.name for job in jobs]
            raise AssertionError(f"the script has {self._runs_given} runs and no one for {names}")
        self._runs_given += 1
        scripted = self.runs[self._runs_given - 1]
        if isinstance(scripted, Exception):
            raise scripted
        return scripted


class MemorySandbox:
    """A `sandbox.Sandbox` that confines and runs nothing.

    Args:
        script: Its outcomes; without a script it keeps files and runs nothing.
        purpose: The use that it was made for.

    Attributes:
        contents: The store, path → content.
        folders: Empty folders, in whose place no file can be written.
        asked: The jobs of every `run`, in order.
        closed: Whether it is closed or lost.
    """

    def __init__(self, script: SandboxScript | None = None, purpose: str = "work") -> None:
        self._script = script or SandboxScript()
        self.purpose = purpose
        self.contents: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.asked: list[tuple[Job, ...]] = []
        self.closed = False

    @property
    def receipt(self) -> Receipt:
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
        self._check_paths(files, after)
        self._check_sizes(files, after)
        self.contents = after
        return {path: _digest(content) for path, content in files.items()}

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `Sandbox.read`."""
        self._count()
        content = self._existing(path)
        return content[offset : offset + min(limit, MAX_BODY_BYTES)], len(content)

    def delete(self, paths: Sequence[str]) -> None:
        """See `Sandbox.delete`."""
        self._count()
        for path in paths:
            self._existing(path)
        for path in dict.fromkeys(paths):
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
        fold = bytes.lower if ignore_case else bytes
        wanted, most = fold(text.encode()), min(max_matches, MAX_MATCHES)
        found: list[Match] = []
        for path, content in sorted(self.contents.items()):
            if b"\0" in content[:_BINARY_BYTES]:
                continue
            lines = enumerate(content[: self._script.policy.max_write_bytes].split(b"\n"), 1)
            found += [
                Match(path, number, _shown(line)) for number, line in lines if wanted in fold(line)
            ]
        return tuple(found[:most]), len(found) > most

    def run(
        self,
        jobs: Sequence[Job],
        *,
        stdin: bytes = b"",  # noqa: ARG002 - part of the signature
        timeout_s: float | None = None,  # noqa: ARG002 - part of the signature
    ) -> RunResult:
        """Return the next scripted outcome; see `Sandbox.run`.

        Raises:
            AssertionError: The script has run out.
        """
        self._count()
        self.asked.append(tuple(jobs))
        try:
            scripted = self._script.next_run(tuple(jobs))
        except SandboxLost:
            self.close()
            raise
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
            raise SandboxDied("the sandbox is closed")
        self._script.calls += 1
        if self._script.calls in self._script.lost_at:
            self.close()
            raise SandboxDied(f"the sandbox was lost at call {self._script.calls}, as scripted")

    def _check_paths(self, files: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        for path in files:
            try:
                check_path(path)
            except PathError as error:
                raise Refused(str(error)) from error
            if path in self.folders:
                raise Refused(f"{path!r} is a directory")
        for path in after:
            if any(folder in after for folder in _folders(path)):
                raise Refused(f"{path!r}: a file stands where a directory is needed")

    def _check_sizes(self, files: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        policy = self._script.policy
        for path, content in files.items():
            if len(content) > policy.max_write_bytes:
                raise Refused(f"{path!r} is too large")
        if len(after) > policy.max_files:
            raise Refused("there are too many files")
        if sum(map(len, after.values())) > policy.disk_bytes:
            raise Refused("the file store is full")

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
    """Return a job's result whose streams are complete."""
    streams = (
        OutputStream(content, b"", len(content)) if content else _NOTHING
        for content in (output, errors, report)
    )
    return JobResult(name, cause, code, 1, *streams)


def _folders(path: str) -> list[str]:
    return [path[:index] for index, character in enumerate(path) if character == "/"]


def _shown(line: bytes) -> str:
    return line[:_LINE_BYTES].decode(errors="replace")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
