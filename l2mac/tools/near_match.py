"""Where a text stands almost: for refusals that tell a model what it should have copied."""

from dataclasses import dataclass
from difflib import SequenceMatcher

_MOST_LINES = 5000
_LINE_CHARACTERS = 200
_LIKENESS = 0.6
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 1200


@dataclass(frozen=True, slots=True)
class Place:
    """Some lines of a file, counted from 1, both ends included; `blanks_only` if only white space differs."""

    first: int
    last: int
    blanks_only: bool


def nearest_place(lines: list[str], wanted: list[str]) -> Place | None:
    """Give the lines that are most like the wanted ones; None where nothing is, or the file is too long to look."""
    if not lines or not wanted or len(lines) > _MOST_LINES or len(wanted) > len(lines):
        return None
    bare, sought = [line.split() for line in lines], [line.split() for line in wanted]
    starts = range(len(lines) - len(wanted) + 1)
    best = max(starts, key=lambda start: _same(bare, sought, start))
    if not _same(bare, sought, best):
        anchor = max(range(len(wanted)), key=lambda number: len(wanted[number].strip()))
        alike = _most_alike(lines, wanted[anchor])
        if alike is None:
            return None
        best = min(max(alike - anchor, 0), len(lines) - len(wanted))
    return Place(
        best + 1, best + len(wanted), blanks_only=bare[best : best + len(wanted)] == sought
    )


def show_place(lines: list[str], place: Place) -> str:
    """Give the place as a sentence and its lines with their numbers, as many as a refusal should have."""
    last = min(place.last, place.first + _SHOWN_LINES - 1)
    shown = "\n".join(f"{number}\t{lines[number - 1]}" for number in range(place.first, last + 1))[
        :_SHOWN_CHARACTERS
    ]
    where = (
        f"line {place.first}"
        if place.first == place.last
        else f"lines {place.first} to {place.last}"
    )
    return f"closest is {where}{', where only white space differs' if place.blanks_only else ''}:\n{shown}"


def _same(bare: list[list[str]], sought: list[list[str]], start: int) -> int:
    """Count the lines that are the same but for white space; blank ones count for nothing."""
    return sum(bool(words) and bare[start + number] == words for number, words in enumerate(sought))


def _most_alike(lines: list[str], wanted: str) -> int | None:
    matcher = SequenceMatcher(b=wanted.strip()[:_LINE_CHARACTERS], autojunk=False)
    best, position = _LIKENESS, None
    for number, line in enumerate(lines):
        matcher.set_seq1(line.strip()[:_LINE_CHARACTERS])
        if (
            matcher.real_quick_ratio() > best
            and matcher.quick_ratio() > best
            and (ratio := matcher.ratio()) > best
        ):
            best, position = ratio, number
    return position
