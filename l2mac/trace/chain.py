"""The trace's file: JSON lines in a hash chain.

Each line is `{"n", "t", "prev", "event", "sha256"}`. The fields mean:

- `n`: the line's number, from 0.
- `t`: the seconds that processes have worked on the run so far.
- `prev`: the `sha256` of the line before.
- `sha256`: the hash of this line's bytes before this field.

A line that is altered, inserted, dropped or moved breaks the chain. The chain alone does not detect
whole lines missing at its end, nor a chain that was computed again in full
(`l2mac.trace.run_report` describes the remedy for both).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import pydantic

from l2mac.errors import TraceError
from l2mac.trace.events import TRACE_FORMAT, Event

FIRST_LINK = "0" * 64
_EVENT: pydantic.TypeAdapter[Event] = pydantic.TypeAdapter(
    Annotated[Event, pydantic.Field(discriminator="kind")]
)
_HEAD = re.compile(rb'\{"n":(\d+),"t":([^,"]+),"prev":"([0-9a-f]{64})","event":')
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trace.

    Attributes:
        number: The line's number, from 0.
        elapsed_s: The seconds that processes have worked on the run so far.
        event: The event.
    """

    number: int
    elapsed_s: float
    event: Event


@dataclass(frozen=True, slots=True)
class End:
    """The end of a line, where the next line begins.

    Attributes:
        number: The number of the next line.
        link: The `prev` of the next line.
        size: The offset of the next line in the file, in bytes.
    """

    number: int
    link: str
    size: int


START = End(0, FIRST_LINK, 0)


def encode_line(entry: Entry, link: str) -> tuple[bytes, str]:
    """Return the bytes of a line of the trace, and the link for the next line."""
    fields = {"n": entry.number, "t": entry.elapsed_s, "prev": link, "event": asdict(entry.event)}
    body = json.dumps(fields, separators=(",", ":"), ensure_ascii=True).encode("ascii")[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return body + _seal(digest), digest


def read_trace(path: Path) -> tuple[list[Entry], int, str]:
    """Return a trace's entries, their size in bytes, and the link for the next line.

    Raises:
        TraceError: See `read_lines`.
    """
    lines = read_lines(path)
    end = lines[-1][1] if lines else START
    return [entry for entry, _ in lines], end.size, end.link


def read_lines(path: Path) -> list[tuple[Entry, End]]:
    """Return a trace's entries, each with its end.

    An incomplete last line is ignored: a crash has truncated it.

    Raises:
        TraceError: The file is not readable, or a line is damaged, missing or moved.
    """
    lines, problem = scan_lines(_content(path))
    if problem:
        raise altered(path, problem)
    return lines


def scan_lines(content: bytes, end: End = START) -> tuple[list[tuple[Entry, End]], str]:
    """Return the entries before the first damage, and the damage or "".

    Each entry comes with its end. Bytes after the last newline are ignored: a crash has truncated
    that line.

    Args:
        content: The file's bytes from `end` on.
        end: The end of the lines that were read before.
    """
    lines: list[tuple[Entry, End]] = []
    try:
        for elapsed_s, event, after in _links(content, end):
            lines.append((Entry(after.number - 1, elapsed_s, _decode(event, after.number)), after))
    except _Damaged as damage:
        return lines, str(damage)
    return lines, ""


def read_first(path: Path, kind: type[E]) -> E | None:
    """Return the first event of a kind, or None. The whole chain is checked.

    Events after the first of this kind are not decoded, which takes most of the time.

    Raises:
        TraceError: See `read_lines`.
    """
    found = None
    try:
        for _, text, end in _links(_content(path), START):
            if found is not None:
                continue
            event = _decode(text, end.number)
            if isinstance(event, kind):
                found = event
    except _Damaged as damage:
        raise altered(path, str(damage)) from damage
    return found


def altered(path: Path, problem: str) -> TraceError:
    """Return the error for a trace that is damaged."""
    return TraceError(
        f"The trace {path} has been altered: {problem}. Restore the run's folder from a copy."
    )


class _Damaged(Exception):
    """A line differs from the line that was written in its place."""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise TraceError(
            f"The trace {path} is not readable: {error.strerror}. Check its permissions."
        ) from error


def _links(content: bytes, end: End) -> Iterator[tuple[float, bytes, End]]:
    """Yield each complete line's seconds, its event as undecoded JSON, and its end.

    Raises:
        _Damaged: The line does not fit its own hash or the line before.
    """
    number, link, size = end.number, end.link, end.size
    for line in _whole_lines(content):
        number, size = number + 1, size + len(line)
        body = line[: -len(_seal(FIRST_LINK))]
        digest = hashlib.sha256(body).hexdigest()
        if line != body + _seal(digest):
            raise _Damaged(f"line {number} is not what was written")
        head = _HEAD.match(body)
        if head is None:
            raise _Damaged(f"line {number} is not an event")
        if head[1] != b"%d" % (number - 1) or head[3] != link.encode("ascii"):
            raise _Damaged(f"the chain breaks at line {number}")
        try:
            elapsed_s = float(head[2])
        except ValueError:
            raise _Damaged(f"line {number} is not an event") from None
        link = digest
        yield elapsed_s, body[head.end() :], End(number, link, size)


def _whole_lines(content: bytes) -> Iterator[bytes]:
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        yield content[start : end + 1]
        start = end + 1


def _decode(text: bytes, number: int) -> Event:
    try:
        # Not pydantic's own JSON parser: it rejects lone surrogates, which models can write.
        content = json.loads(text.decode("ascii"))
        _check_format(content)
        return _EVENT.validate_python(content)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _Damaged(f"line {number} is not an event") from error


def _check_format(content: object) -> None:
    """Refuse a trace that another version of l2mac has recorded in another format.

    Raises:
        TraceError: The first line of the trace states another format.
    """
    if not isinstance(content, dict) or content.get("kind") != "run":
        return
    found = content.get("format", "without a number")
    if found != TRACE_FORMAT:
        raise TraceError(
            f"The trace has format {found}, and this version of l2mac reads format {TRACE_FORMAT}"
            " only. Use the version of l2mac that recorded it, or start the run again with"
            " `l2mac run`."
        )


def _seal(digest: str) -> bytes:
    """Return the last bytes of a line whose other bytes have that digest."""
    return f',"sha256":"{digest}"}}\n'.encode("ascii")
