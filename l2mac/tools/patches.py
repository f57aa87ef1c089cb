"""Unified patches: read strictly, placed exactly, and refused with the hunk and the line that do not fit.

What counts is the text of a hunk's lines. Its place may be off by at most `OFFSET` lines from what its header says
(models miscount), if the text stands only once within that distance; the lengths in the header are not looked at. No
line is matched but in full.
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


@dataclass(slots=True)
class Hunk:
    """One change of one place: what stands there and what is to stand there, line by line.

    Attributes:
        line: Where in the patch it begins, from 1.
        start: At which line of the file, from 1, by its header.
        newline: Whether the file is to end in a newline, where the hunk says.
    """

    line: int
    start: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    newline: bool | None = None


@dataclass(slots=True)
class FilePatch:
    """All hunks of one file; `creates` if there is to be none before."""

    path: str
    creates: bool
    hunks: list[Hunk] = field(default_factory=list)


def parse_patch(text: str) -> list[FilePatch]:
    """Read a unified patch of one or several files.

    Raises:
        Refused: It is none, or does what a patch may not do here; names the line.
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
        elif (
            not files
            or not files[-1].hunks
            or lines[number].startswith(("diff ", "index ", "new file ", "old mode"))
        ):
            number += (
                1  # what stands before the first file or between files: git's own headers, a title
            )
        else:
            raise Refused(f"line {number + 1} of the patch is in no hunk: {lines[number][:80]!r}")
    if not files or not all(file.hunks for file in files):
        raise Refused(
            "this is no unified patch: it needs `--- a/PATH`, `+++ b/PATH` and `@@ -N,N +N,N @@` lines"
        )
    if len({file.path for file in files}) != len(files):
        raise Refused("a file stands twice in the patch; put all its hunks under one header")
    return files


def apply_hunks(patch: FilePatch, content: str) -> str:
    """Give the content after all hunks.

    Raises:
        Refused: A hunk does not fit; names it, the line that differs, and where the text stands almost.
    """
    ends = content.endswith("\n") or not content
    lines = content.removesuffix("\n").split("\n") if content else []
    shift = 0
    floor = 0
    for number, hunk in enumerate(patch.hunks, 1):
        name = f"hunk {number} of {patch.path} (line {hunk.line} of the patch)"
        start = _place(hunk, lines, name, hunk.start - 1 + shift, floor)
        lines[start : start + len(hunk.old)] = hunk.new
        shift = start - (hunk.start - 1) + len(hunk.new) - len(hunk.old)
        floor = start + len(hunk.new)
        ends = ends if hunk.newline is None else hunk.newline
    return "\n".join(lines) + ("\n" if ends and lines else "")


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
        old, new = old if old == _NOTHING else old[2:], new[2:]
    if old not in (_NOTHING, new):
        raise Refused(
            f"line {number + 1} of the patch renames {old!r} to {new!r}; write and delete files for that"
        )
    return FilePatch(new, creates=old == _NOTHING)


def _read_hunk(lines: list[str], number: int, file: FilePatch) -> int:
    """Take in one hunk, and give the number of the first line behind it."""
    header = _HUNK.fullmatch(lines[number])
    hunk = Hunk(number + 1, int(header[1]) if header else 1)
    number += 1
    side = ""
    for line in _body(lines, number):
        number += 1
        if line == _NO_NEWLINE:
            hunk.newline = side == "-"  # behind a removed line it says that the newline is new
            continue
        side, text = (line[0], line[1:]) if line else (" ", "")
        if side not in " +-":
            raise Refused(
                f"line {number} of the patch begins with {side!r}, not with a blank, + or -: {line[:80]!r}"
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
    """Give the line, from 0, where the hunk's old text stands."""
    if not hunk.old:
        if lines:
            raise Refused(
                f"{name} only adds; give at least one line around it that stands in the file"
            )
        return 0
    starts = range(
        max(floor, wanted - OFFSET), min(len(lines) - len(hunk.old), wanted + OFFSET) + 1
    )
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
    raise Refused(f"{name} does not fit: {_misfit(hunk, lines, wanted)}")


def _misfit(hunk: Hunk, lines: list[str], wanted: int) -> str:
    place = nearest_place(lines, hunk.old)
    start = place.first - 1 if place else max(wanted, 0)
    for number, text in enumerate(hunk.old):
        stands = lines[start + number] if start + number < len(lines) else None
        if stands != text:
            found = (
                "the file ends before"
                if stands is None
                else f"line {start + number + 1} of the file is {stands[:120]!r}"
            )
            said = f"its line {text[:120]!r} does not stand there, {found}"
            return (
                f"{said}; {show_place(lines, place)}"
                if place
                else f"{said}; view the file and copy its lines"
            )
    return f"it stands at line {start + 1}, more than {OFFSET} lines from where its header says, or before an earlier hunk"
