"""Requests to a guest and its replies, turned into results.

The guest's frames are authenticated, so a malformed reply means that the guest is not the program
that was started: the reply is a `ValueError`, which ends the sandbox. Nothing in a reply is used
unchecked: paths must be plain relative ones, lengths must add up, hashes must look like hashes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from sandbox.paths import MAX_PATH_BYTES
from sandbox.protocol import MAX_JOBS
from sandbox.results import Cause, Change, FileEntry, Job, JobResult, Match, OutputStream, RunResult

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENDS = {
    "exit": Cause.EXITED,
    "signal": Cause.SIGNALLED,
    "timeout": Cause.TIMEOUT,
    "output": Cause.OUTPUT,
    "lost": Cause.LOST,
}

_CHECKERS = ("pytest", "pylint", "prose", "survey", "count", "coverage")


def job_specs(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """Return the jobs of a run request.

    Raises:
        ValueError: There are too many jobs, or one is neither a program nor a known checker.
    """
    if not 0 < len(jobs) <= MAX_JOBS:
        raise ValueError(f"a run has from 1 to {MAX_JOBS} jobs, not {len(jobs)}")
    return [_job_spec(job) for job in jobs]


def written(reply: Mapping[str, object], files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the guest's digests after comparing them with the content."""
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    if reply["digests"] != list(digests.values()):
        raise ValueError("the guest wrote other bytes than were sent")
    return digests


def content_and_size(
    reply: Mapping[str, object], content: bytes, offset: int, limit: int
) -> tuple[bytes, int]:
    """Return a part of a file, and the file's whole size."""
    size = _number(reply["size"])
    if len(content) != min(limit, max(size - offset, 0)):
        raise ValueError("a part of a file has another length than requested")
    return content, size


def entries(reply: Mapping[str, object]) -> tuple[FileEntry, ...]:
    """Return the listed files."""
    return tuple(
        FileEntry(_path(path), _number(size), _digest(digest))
        for path, size, digest in map(_list, _list(reply["files"]))
    )


def matches(reply: Mapping[str, object]) -> tuple[tuple[Match, ...], bool]:
    """Return the found lines, and whether there are more."""
    found = tuple(
        Match(_path(path), _number(line), _text(text))
        for path, line, text in map(_list, _list(reply["matches"]))
    )
    return found, _flag(reply["more"])


def run_result(jobs: Sequence[Job], reply: Mapping[str, object], body: bytes) -> RunResult:
    """Return the result of a run; `body` holds all streams in turn."""
    results = []
    left = memoryview(body)
    for job, facts in zip(jobs, map(_object, _list(reply["jobs"])), strict=True):
        streams = []
        for name in ("output", "errors", "report"):
            stream, left = _split_stream(facts[name], left)
            streams.append(stream)
        end = _object(facts["end"])
        code = _number(end["code"])
        cause = _cause(_text(end["kind"]), code, reply)
        results.append(JobResult(job.name, cause, code, _number(facts["duration_ms"]), *streams))
    if left:
        raise ValueError("the streams do not fill the reply")
    changes = tuple(
        _change(path, size, digest) for path, size, digest in map(_list, _list(reply["changes"]))
    )
    asked = {path for job in jobs for path in job.paths}
    written_to = {*map(_path, _list(reply["restored"])), *(change.path for change in changes)}
    return RunResult(
        jobs=tuple(results),
        changes=changes,
        rewritten=tuple(sorted(written_to & asked)),
        removed=_number(reply["removed"]),
        leftovers=_number(reply["leftovers"]),
        survivors=_number(reply["survivors"]),
        oom_kills=_count(reply["oom_kills"]),
        pids_denied=_count(reply["pids_denied"]),
    )


def _job_spec(job: Job) -> dict[str, object]:
    if bool(job.argv) == bool(job.checker) or job.checker not in ("", *_CHECKERS):
        raise ValueError(
            f"job {job.name!r} needs either a program or one of the checkers {_CHECKERS}"
        )
    if job.checker:
        others = {"others": list(job.others)} if job.others else {}
        return {"name": job.name, "kind": job.checker, "paths": list(job.paths), **others}
    return {"name": job.name, "kind": "exec", "argv": list(job.argv)}


def _split_stream(facts: object, body: memoryview) -> tuple[OutputStream, memoryview]:
    """Return a job's stream from the start of `body`, and the rest of `body`."""
    head, tail, total = map(_number, _list(facts))
    end = head + tail
    if end > total or end > len(body):
        raise ValueError("the lengths of a stream do not add up")
    return OutputStream(bytes(body[:head]), bytes(body[head:end]), total), body[end:]


def _cause(kind: str, code: int, reply: Mapping[str, object]) -> Cause:
    """Return the cause, by the kernel's counters where limits were hit."""
    cause = _ENDS[kind]
    if cause in (Cause.TIMEOUT, Cause.OUTPUT) or (cause is Cause.EXITED and code == 0):
        return cause
    if reply["oom_kills"]:
        return Cause.MEMORY
    return Cause.PIDS if reply["pids_denied"] else cause


def _change(path: object, size: object, digest: object) -> Change:
    if digest == "" and size == -1:
        return Change(_path(path), -1, "")
    return Change(_path(path), _number(size), _digest(digest))


def _path(value: object) -> str:
    """Return a path after checking that it is plainly relative.

    The check is looser than `sandbox.paths`, whose result depends on the version of Python's
    Unicode tables, and the guest may run another version.
    """
    path = _text(value)
    if _CONTROL.search(path) or len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError("a path has control characters or is too long")
    if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path:
        raise ValueError("a path leads out of the file store")
    return path


def _digest(value: object) -> str:
    digest = _text(value)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("a digest is malformed")
    return digest


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("a number of at least 0 was expected")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false was expected")
    return value


def _count(value: object) -> int | None:
    return None if value is None else _number(value)
