"""The trace's file: JSON lines in a hash chain.

Each line is `{"n", "t", "prev", "event", "sha256"}`: `sha256` is that of the line's bytes before it, `prev` that of the
line before, so that no line can be altered, inserted, dropped or moved without breaking the chain; `t` counts the
seconds that processes have worked on the run. What a chain cannot show is that whole lines are missing at its end, nor
that somebody has computed all of it anew.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

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
    """One line of the trace: number from 0, seconds of work so far, the event."""

    number: int
    elapsed_s: float
    event: Event


@dataclass(frozen=True, slots=True)
class End:
    """Where the next line goes: its number, its link to the line before, its place in the file."""

    number: int
    link: str
    size: int


START = End(0, FIRST_LINK, 0)


def encode_line(entry: Entry, link: str) -> tuple[bytes, str]:
    """Give the bytes of a line of the trace, and the link for the next one."""
    record = {"n": entry.number, "t": entry.elapsed_s, "prev": link, "event": asdict(entry.event)}
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode("ascii")[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return body + _seal(digest), digest


def read_trace(path: Path) -> tuple[list[Entry], int, str]:
    """Give a trace's entries, the bytes that they take, and the link for the next line.

    Raises:
        TraceError: It cannot be read, or a line other than a cut-off last one is damaged, missing or moved.
    """
    lines = read_lines(path)
    end = lines[-1][1] if lines else START
    return [entry for entry, _ in lines], end.size, end.link


def read_lines(path: Path) -> list[tuple[Entry, End]]:
    """Give a trace's entries, each with where the next one goes."""
    lines, problem = scan_lines(_content(path))
    if problem:
        raise TraceError(f"{path} has been altered: {problem}")
    return lines


def scan_lines(content: bytes, end: End = START) -> tuple[list[tuple[Entry, End]], str]:
    """Give the entries up to the first damage, each with where the next one goes, and what the damage is, if any.

    Bytes behind the last newline are no line: a crash may have cut it short.

    Args:
        content: What stands at `end` and behind it.
        end: Where the lines before, which are known already, end.
    """
    lines: list[tuple[Entry, End]] = []
    try:
        for elapsed_s, event, after in _links(content, end):
            lines.append((Entry(after.number - 1, elapsed_s, _decode(event, after.number)), after))
    except _Damaged as damage:
        return lines, str(damage)
    return lines, ""


def read_first(path: Path, kind: type[E]) -> E | None:
    """Give the first event of a kind in a trace whose chain is whole; no event behind it is looked into.

    Raises:
        TraceError: It cannot be read, or a line other than a cut-off last one is damaged, missing or moved.
    """
    found = None
    try:
        for _, text, end in _links(_content(path), START):
            event = _decode(text, end.number) if found is None else None
            found = event if isinstance(event, kind) else found
    except _Damaged as damage:
        raise TraceError(f"{path} has been altered: {damage}") from damage
    return found


class _Damaged(Exception):
    """A line is not the one that was written there."""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error


def _links(content: bytes, end: End) -> Iterator[tuple[float, bytes, End]]:
    """Give each whole line's seconds and event, as text that is not looked into, and where the next line goes."""
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
        # Not by pydantic's own reader of JSON, which takes no lone surrogates; models can write them.
        content = json.loads(text.decode("ascii"))
        _check_format(content)
        return _EVENT.validate_python(content)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _Damaged(f"line {number} is not an event") from error


def _check_format(content: Any) -> None:
    """Refuse a trace that another version of l2mac has recorded in another format.

    Raises:
        TraceError: It has another format, which the line that it begins with says.
    """
    if not isinstance(content, dict) or content.get("kind") != "run":
        return
    found = content.get("format", "without a number")
    if found != TRACE_FORMAT:
        raise TraceError(
            f"this trace has format {found}, and this version of l2mac reads format {TRACE_FORMAT}"
            " only; use the version of l2mac that recorded it, or start the run again with `l2mac run`"
        )


def _seal(digest: str) -> bytes:
    """Give the end of a line whose bytes so far have that digest."""
    return f',"sha256":"{digest}"}}\n'.encode("ascii")
