"""Find the lines of a file that are closest to a text, for refusals.

A module of its own, because edits and patches use it.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher

_MOST_LINES = 5000
_LINE_CHARACTERS = 200
_LEAST_SIMILARITY = 0.6
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 1200


@dataclass(frozen=True, slots=True)
class Place:
    """Some lines of a file.

    Attributes:
        first: The first line, from 1.
        last: The last line, included.
        blanks_only: Whether only white space differs from the wanted text.
    """

    first: int
    last: int
    blanks_only: bool


def nearest_place(lines: list[str], wanted: list[str]) -> Place | None:
    """Return the lines that are most similar to the wanted ones.

    None where no line is similar, or where the file is too long for the comparison.
    """
    if not lines or not wanted or len(lines) > _MOST_LINES or len(wanted) > len(lines):
        return None
    words = [line.split() for line in lines]
    wanted_words = [line.split() for line in wanted]
    starts = range(len(lines) - len(wanted) + 1)
    best = max(starts, key=lambda start: _same(words, wanted_words, start))
    if not _same(words, wanted_words, best):
        anchor = max(range(len(wanted)), key=lambda number: len(wanted[number].strip()))
        similar = _most_similar(lines, wanted[anchor])
        if similar is None:
            return None
        best = min(max(similar - anchor, 0), len(lines) - len(wanted))
    end = best + len(wanted)
    return Place(best + 1, end, blanks_only=words[best:end] == wanted_words)


def show_place(lines: list[str], place: Place) -> str:
    """Return the place as a phrase with its first lines, numbered, for the model."""
    last = min(place.last, place.first + _SHOWN_LINES - 1)
    numbered = [f"{number}\t{lines[number - 1]}" for number in range(place.first, last + 1)]
    shown = "\n".join(numbered)[:_SHOWN_CHARACTERS]
    where = f"lines {place.first} to {place.last}"
    if place.first == place.last:
        where = f"line {place.first}"
    if place.blanks_only:
        where += ", where only white space differs"
    return f"closest is {where}:\n{shown}"


def _same(words: list[list[str]], wanted: list[list[str]], start: int) -> int:
    """Return the number of lines that differ at most in white space.

    Blank lines do not count.
    """
    pairs = zip(words[start : start + len(wanted)], wanted, strict=True)
    return sum(bool(sought) and found == sought for found, sought in pairs)


def _most_similar(lines: list[str], wanted: str) -> int | None:
    matcher = SequenceMatcher(b=wanted.strip()[:_LINE_CHARACTERS], autojunk=False)
    best, position = _LEAST_SIMILARITY, None
    for number, line in enumerate(lines):
        matcher.set_seq1(line.strip()[:_LINE_CHARACTERS])
        # The cheap upper bounds first: `ratio` alone would take seconds for a long file.
        if matcher.real_quick_ratio() <= best or matcher.quick_ratio() <= best:
            continue
        ratio = matcher.ratio()
        if ratio > best:
            best, position = ratio, number
    return position
