"""What one Markdown file of a book shows by itself: leftovers, broken headings and markup, empty sections, echoes."""

from __future__ import annotations

import bisect
import re
from collections import Counter

from sandbox.checkers.markdown import Document, fold, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Found = tuple[str, int, str]
"""Rule, line, text."""

_FINISH = "write the finished text in its place"
_REMOVE = "the book speaks for itself; remove it"
_PAGES = "pages are numbered by a printer; name the chapter instead"
_ASIDES = (
    "insert|add|your|placeholder|author|publisher|date|name|isbn|year|title|page|to be|image|picture|photo|figure"
    "|illustration|diagram|continue|write|describe|description"
)
_LATER = (
    "to be (?:continued|written|completed|added|filled in)|coming soon|content goes here|placeholder (?:text|for)"
    "|rest of the (?:chapter|text|section) (?:here|goes)"
)
_PICTURE = (
    r"[(\[]\s*(?:image|picture|photo|illustration|diagram)\b[^()\[\]]{0,40}:[^()\[\]]{0,200}[)\]]"
)
_PLACEHOLDERS = (
    (re.compile(r"\b(?:TODO|TBD|TBA|FIXME|XXX+|TKTK)\b"), _FINISH),
    (re.compile(r"\blorem ipsum\b", re.IGNORECASE), _FINISH),
    (re.compile(rf"\[(?:{_ASIDES})\b[^\[\]]{{0,200}}\](?![(\[])", re.IGNORECASE), _FINISH),
    (re.compile(_PICTURE, re.IGNORECASE), "tell in words what it would show"),
    (
        re.compile(r"<(?:insert|your|author|placeholder|todo)\b[^<>]{0,100}>", re.IGNORECASE),
        _FINISH,
    ),
    (re.compile(r"\{\{[^{}]{0,100}\}\}"), _FINISH),
    (
        re.compile(
            r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b", re.IGNORECASE
        ),
        _REMOVE,
    ),
    (
        re.compile(
            r"^\s*(?:sure|certainly|of course)[,!.]? +(?:here(?:'s| is| are)|i(?:'ll| will| can))\b",
            re.IGNORECASE,
        ),
        _REMOVE,
    ),
    (re.compile(rf"\b(?:{_LATER})\b", re.IGNORECASE), _FINISH),
    (re.compile(r"^\s*(?:page|p\.)\s+\d+(?:\s+of\s+\d+)?\s*$", re.IGNORECASE), _PAGES),
    (re.compile(r"\bpage\s+(?:xx+|\?+|__+)(?!\w)", re.IGNORECASE), _PAGES),
    (re.compile(r"^\s*(?:\.{3}|\u2026)\s*$"), _FINISH),
)
_TAG = re.compile(r"</?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>|<!--")
_SECTION = re.compile(r"(\d+(?:\.\d+)+)\.?\s+\S")
_ECHO_WORDS, _ECHO_TIMES = 6, 3
_SHOWN_CHARACTERS = 60


def text_findings(document: Document) -> Iterator[Found]:
    """Return all that is wrong with a file, whatever the others say."""
    yield from _placeholders(document)
    yield from _markup(document)
    yield from _headings(document)
    yield from _empty_sections(document)
    yield from _echoes(document)


def _placeholders(document: Document) -> Iterator[Found]:
    headings = [(heading.line, heading.text) for heading in document.headings]
    for line, text in (*headings, *document.lines):
        for pattern, advice in _PLACEHOLDERS:
            match = pattern.search(text)
            if match:
                yield "placeholder", line, f"{_shown(match[0])!r} was left in; {advice}"
                break


def _markup(document: Document) -> Iterator[Found]:
    if document.open_fence:
        yield (
            "markup",
            document.open_fence,
            "the fence is never closed; close it with a line of the same marks",
        )
    for line, text in document.lines:
        match = _TAG.search(text)
        if match:
            yield (
                "markup",
                line,
                f"{_shown(match[0])!r} is HTML, which is shown as it is; say it in Markdown",
            )


def _headings(document: Document) -> Iterator[Found]:
    before, seen = 0, dict[str, int]()
    for heading in document.headings:
        if not heading.text:
            yield "heading", heading.line, "the heading is empty; give it a text or remove it"
        if before and heading.level == 1:
            yield (
                "heading",
                heading.line,
                "a file has one heading of level 1 ('#'); write this one with '##'",
            )
        elif heading.level > before + 1:
            fitting = "#" * (before + 1)
            yield (
                "heading",
                heading.line,
                f"the level jumps from {before} to {heading.level}; write it with {fitting!r}",
            )
        before = heading.level
        other = seen.setdefault(fold(heading.text), heading.line)
        if heading.text and other != heading.line:
            yield (
                "heading",
                heading.line,
                f"{_shown(heading.text)!r} is the heading of line {other}, too; rename one",
            )
    yield from _section_numbers(document)


def _section_numbers(document: Document) -> Iterator[Found]:
    """Return numbers like 2.3 that do not follow the ones before: 2.1, 2.2, 2.2.1, 2.3."""
    last: tuple[int, ...] = ()
    for heading in document.headings:
        match = _SECTION.match(heading.text)
        if match is None:
            continue
        number = tuple(int(part) for part in match[1].split("."))
        depth = len(number)
        expected = (*last[: depth - 1], last[depth - 1] + 1) if len(last) >= depth else (*last, 1)
        if last and number != expected:
            wanted = ".".join(map(str, expected))
            yield (
                "numbering",
                heading.line,
                f"section {match[1]} comes where {wanted} should; number it so",
            )
        elif not last and set(number[1:]) != {1}:
            yield (
                "numbering",
                heading.line,
                f"section {match[1]} is the first; begin with {number[0]}.1",
            )
        last = number


def _empty_sections(document: Document) -> Iterator[Found]:
    filled = [number for number, text in document.lines if words_of(text) or "|" in text]
    for heading, after in zip(document.headings, [*document.headings[1:], None], strict=False):
        deeper = after is not None and after.level > heading.level
        next_filled = bisect.bisect(filled, heading.line)
        empty = next_filled == len(filled) or (
            after is not None and filled[next_filled] > after.line
        )
        if empty and not deeper:
            yield (
                "empty",
                heading.line,
                f"nothing stands under {_shown(heading.text)!r}; write the section or remove it",
            )


def _echoes(document: Document) -> Iterator[Found]:
    """Return sentences that the file says again and again, as models do that have lost their thread."""
    counts: Counter[str] = Counter()
    lines: dict[str, int] = {}
    for line, text in document.paragraphs():
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            if len(words_of(sentence)) >= _ECHO_WORDS:
                counts[fold(sentence)] += 1
                lines[fold(sentence)] = line
    for sentence, count in counts.items():
        if count >= _ECHO_TIMES:
            text = (
                f"the sentence {_shown(sentence)!r} stands {count} times in the file; keep it once"
            )
            yield "repeated", lines[sentence], text


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_CHARACTERS else f"{flat[:_SHOWN_CHARACTERS]}…"
