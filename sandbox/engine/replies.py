"""Replies of a guest turned into results; whatever a well-behaved guest cannot have said is a `ValueError`.

The guest's frames are authenticated, so a malformed reply means that the guest itself is no longer what was started.
Nothing in a reply is taken over unchecked: paths are plain relative ones, lengths add up, hashes look like hashes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.paths import MAX_PATH_BYTES
from sandbox.results import Cause, Change, FileEntry, Job, JobResult, Match, RunResult, Stream

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENDS = {
    "exit": Cause.EXITED,
    "signal": Cause.SIGNALLED,
    "timeout": Cause.TIMEOUT,
    "output": Cause.OUTPUT,
    "lost": Cause.LOST,
}


def written(reply: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, str]:
    """Give the digests that the guest computed, after comparing them with those of what was sent."""
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    if reply["digests"] != list(digests.values()):
        raise ValueError("what was written is not what was sent")
    return digests


def content_and_size(
    reply: Mapping[str, Any], content: bytes, offset: int, limit: int
) -> tuple[bytes, int]:
    """Give a file's part and its whole size."""
    size = _number(reply["size"])
    if len(content) != min(limit, max(size - offset, 0)):
        raise ValueError("a part of a file has another length than was asked for")
    return content, size


def entries(reply: Mapping[str, Any]) -> tuple[FileEntry, ...]:
    """Give the listed files."""
    return tuple(
        FileEntry(_path(path), _number(size), _digest(digest))
        for path, size, digest in reply["files"]
    )


def matches(reply: Mapping[str, Any]) -> tuple[tuple[Match, ...], bool]:
    """Give the found lines, and whether there are more."""
    found = tuple(
        Match(_path(path), _number(line), _text(text)) for path, line, text in reply["matches"]
    )
    return found, _flag(reply["more"])


def run_result(jobs: Sequence[Job], reply: Mapping[str, Any], body: bytes) -> RunResult:
    """Give the account of a run of `jobs`; `body` has their streams one after another."""
    results, start = [], 0
    for job, facts in zip(jobs, reply["jobs"], strict=True):
        streams = []
        for name in ("output", "errors", "report"):
            head, tail, total = (_number(number) for number in facts[name])
            if head + tail > total or start + head + tail > len(body):
                raise ValueError("the lengths of a stream do not add up")
            streams.append(
                Stream(body[start : start + head], body[start + head : start + head + tail], total)
            )
            start += head + tail
        code = _number(facts["end"]["code"])
        cause = _cause(_text(facts["end"]["kind"]), code, reply)
        results.append(JobResult(job.name, cause, code, _number(facts["duration_ms"]), *streams))
    if start != len(body):
        raise ValueError("the streams do not fill the reply")
    changes = tuple(_change(path, size, digest) for path, size, digest in reply["changes"])
    asked = {path for job in jobs for path in job.paths}
    written_to = {*map(_path, reply["restored"]), *(change.path for change in changes)}
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


def _cause(kind: str, code: int, reply: Mapping[str, Any]) -> Cause:
    """Name the cause; the kernel's counters decide between a crash and a limit of the box."""
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
    """Give a path that is plainly relative.

    Looser than `sandbox.paths`, whose answer also depends on the version of Python's Unicode tables, and the
    guest's may be another.
    """
    path = _text(value)
    if _CONTROL.search(path) or len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError("a path has control characters or is too long")
    if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path:
        raise ValueError("a path leads elsewhere")
    return path


def _digest(value: object) -> str:
    digest = _text(value)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("a digest is no digest")
    return digest


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
