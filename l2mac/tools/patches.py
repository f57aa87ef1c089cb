"""Parse unified patches strictly and apply them exactly.

A patch that does not fit is refused with the line that differs.

The lines of a hunk must match the file in full. The hunk's place may differ from its header by at
most `OFFSET` lines, because models miscount, if the text occurs only once within that distance. The
lengths in the header are ignored.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from l2mac.tools.near_match import nearest_place, show_place
from sandbox import Refused

OFFSET = 200
_HUNK = re.compile(r"@@ -(\d{1,7})(?:,\d{1,7})? \+\d{1,7}(?:,\d{1,7})? @@.*")
_NO_NEWLINE = "\\ No newline at end of file"
_NOTHING = "/dev/null"
_GIT_HEADERS = ("diff ", "index ", "new file ", "old mode")


@dataclass(slots=True)
class Hunk:
    """One change of one place.

    Attributes:
        line: The line of the patch where the hunk begins, from 1.
        start: The line of the file that the hunk's header names, from 1.
        old: The lines before the change.
        new: The lines after the change.
        newline: Whether the file must end in a newline, None where the hunk does not state it.
    """

    line: int
    start: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    newline: bool | None = None


@dataclass(slots=True)
class FilePatch:
    """All hunks of one file; `creates` if the patch creates the file."""

    path: str
    creates: bool
    hunks: list[Hunk] = field(default_factory=list)


def parse_patch(text: str) -> list[FilePatch]:
    """Parse a unified patch of one or several files.

    Raises:
        Refused: The text is not a patch, or the patch renames or deletes a file. Names the line.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    files: list[FilePatch] = []
    number = 0
    while number < len(lines):
        if _begins_file(lines, number):
            files.append(_file(lines, number))
            number += 2
        elif files and _HUNK.fullmatch(lines[number]):
            number = _read_hunk(lines, number, files[-1])
        elif not files or not files[-1].hunks or lines[number].startswith(_GIT_HEADERS):
            number += 1  # A title before the first file, or git's own headers.
        else:
            raise Refused(f"line {number + 1} of the patch is in no hunk: {lines[number][:80]!r}")
    if not files or not all(file.hunks for file in files):
        raise Refused(
            "this is no unified patch: it needs `--- a/PATH`, `+++ b/PATH`"
            " and `@@ -N,N +N,N @@` lines"
        )
    if len({file.path for file in files}) != len(files):
        raise Refused("a file stands twice in the patch; put all its hunks under one header")
    return files


def apply_hunks(patch: FilePatch, content: str) -> str:
    """Return a file's content after all hunks.

    Raises:
        Refused: A hunk does not fit. Names the hunk, the line that differs, and the closest place.
    """
    has_newline = content.endswith("\n") or not content
    lines = content.removesuffix("\n").split("\n") if content else []
    shift = 0
    floor = 0
    for number, hunk in enumerate(patch.hunks, 1):
        name = f"hunk {number} of {patch.path} (line {hunk.line} of the patch)"
        start = _place(hunk, lines, name, hunk.start - 1 + shift, floor)
        lines[start : start + len(hunk.old)] = hunk.new
        shift = start - (hunk.start - 1) + len(hunk.new) - len(hunk.old)
        floor = start + len(hunk.new)
        if hunk.newline is not None:
            has_newline = hunk.newline
    end = "\n" if has_newline and lines else ""
    return "\n".join(lines) + end


def _begins_file(lines: list[str], number: int) -> bool:
    following = lines[number + 1 : number + 3]
    return (
        lines[number].startswith("--- ")
        and len(following) == 2
        and following[0].startswith("+++ ")
        and following[1].startswith("@@")
    )


def _file(lines: list[str], number: int) -> FilePatch:
    old, new = (line[4:].split("\t")[0].strip() for line in lines[number : number + 2])
    if new == _NOTHING:
        raise Refused(f"line {number + 2} of the patch deletes a file; use delete_files for that")
    if new.startswith("b/") and (old.startswith("a/") or old == _NOTHING):
        new = new[2:]
        old = old.removeprefix("a/")
    if old not in (_NOTHING, new):
        raise Refused(
            f"line {number + 1} of the patch renames {old!r} to {new!r};"
            " write and delete files for that"
        )
    return FilePatch(new, creates=old == _NOTHING)


def _read_hunk(lines: list[str], number: int, file: FilePatch) -> int:
    """Append one hunk to the file's and return the number of the first line after it."""
    header = _HUNK.fullmatch(lines[number])
    hunk = Hunk(number + 1, int(header[1]) if header else 1)
    number += 1
    side = ""
    for line in _body(lines, number):
        number += 1
        if line == _NO_NEWLINE:
            hunk.newline = (
                side == "-"
            )  # After a removed line the remark means that a newline is added.
            continue
        side, text = (line[0], line[1:]) if line else (" ", "")
        if side not in " +-":
            raise Refused(
                f"line {number} of the patch begins with {side!r},"
                f" not with a blank, + or -: {line[:80]!r}"
            )
        if side != "+":
            hunk.old.append(text)
        if side != "-":
            hunk.new.append(text)
    if hunk.old == hunk.new and hunk.newline is None:
        raise Refused(f"the hunk at line {hunk.line} of the patch changes nothing")
    file.hunks.append(hunk)
    return number


def _body(lines: list[str], number: int) -> Iterator[str]:
    while number < len(lines):
        line = lines[number]
        if _HUNK.fullmatch(line) or line.startswith("diff --git ") or _begins_file(lines, number):
            return
        yield line
        number += 1


def _place(hunk: Hunk, lines: list[str], name: str, wanted: int, floor: int) -> int:
    """Return the index of the line where the hunk's old text begins."""
    if not hunk.old:
        if lines:
            raise Refused(
                f"{name} only adds; give at least one line around it that stands in the file"
            )
        return 0
    last = min(len(lines) - len(hunk.old), wanted + OFFSET)
    starts = range(max(floor, wanted - OFFSET), last + 1)
    places = [start for start in starts if lines[start : start + len(hunk.old)] == hunk.old]
    if wanted in places:
        return wanted
    if len(places) == 1:
        return places[0]
    if places:
        shown = ", ".join(str(place + 1) for place in places[:5])
        raise Refused(
            f"{name} fits at {len(places)} places, the lines {shown}; take in more lines around it"
        )
    raise Refused(f"{name} does not fit: {_difference(hunk, lines, wanted)}")


def _difference(hunk: Hunk, lines: list[str], wanted: int) -> str:
    """Return the first difference between a hunk and the closest place of the file."""
    place = nearest_place(lines, hunk.old)
    start = place.first - 1 if place else max(wanted, 0)
    for number, text in enumerate(hunk.old, start):
        found = "the file ends before"
        if number < len(lines):
            if lines[number] == text:
                continue
            found = f"line {number + 1} of the file is {lines[number][:120]!r}"
        advice = show_place(lines, place) if place else "view the file and copy its lines"
        return f"its line {text[:120]!r} does not stand there, {found}; {advice}"
    return (
        f"it stands at line {start + 1}, more than {OFFSET} lines from where its header says,"
        " or before an earlier hunk"
    )
