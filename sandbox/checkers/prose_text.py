"""Check one Markdown file alone: leftovers, headings, markup, echoes."""

from __future__ import annotations

import bisect
import re
from collections import Counter

from sandbox.checkers.markdown import Document, fold, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TextFinding = tuple[str, int, str]
"""Rule, line, text."""

_FINISH = "write the finished text in its place"
_REMOVE = "the book speaks for itself; remove it"
_PAGES = "pages are numbered by a printer; name the chapter instead"
_ASIDES = (
    "insert|add|your|placeholder|author|publisher|date|name|isbn|year|title|page|to"
    " be|image|picture|photo|figure|illustration|diagram|continue|write|describe|description"
)
_LATER = (
    "to be (?:continued|written|completed|added|filled in)|coming soon|content goes"
    " here|placeholder (?:text|for)|rest of the (?:chapter|text|section) (?:here|goes)"
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
            r"^\s*(?:sure|certainly|of course)[,!.]? +"
            r"(?:here(?:'s| is| are)|i(?:'ll| will| can))\b",
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


def text_findings(document: Document) -> Iterator[TextFinding]:
    """Yield the faults that a file has by itself."""
    yield from _placeholders(document)
    yield from _markup(document)
    yield from _headings(document)
    yield from _empty_sections(document)
    yield from _echoes(document)


def _placeholders(document: Document) -> Iterator[TextFinding]:
    headings = [(heading.line, heading.text) for heading in document.headings]
    for line, text in (*headings, *document.lines):
        for pattern, advice in _PLACEHOLDERS:
            match = pattern.search(text)
            if match:
                yield "placeholder", line, f"{_shown(match[0])!r} was left in; {advice}"
                break


def _markup(document: Document) -> Iterator[TextFinding]:
    if document.open_fence:
        text = "the fence is never closed; close it with a line of the same marks"
        yield "markup", document.open_fence, text
    for line, text in document.lines:
        match = _TAG.search(text)
        if match:
            shown = _shown(match[0])
            yield "markup", line, f"{shown!r} is HTML, which is shown as it is; say it in Markdown"


def _headings(document: Document) -> Iterator[TextFinding]:
    before, seen = 0, dict[str, int]()
    for heading in document.headings:
        line = heading.line
        if not heading.text:
            yield "heading", line, "the heading is empty; give it a text or remove it"
        if before and heading.level == 1:
            yield (
                "heading",
                line,
                "a file has one heading of level 1 ('#'); write this one with '##'",
            )
        elif heading.level > before + 1:
            fitting = "#" * (before + 1)
            jump = f"the level jumps from {before} to {heading.level}; write it with {fitting!r}"
            yield "heading", line, jump
        before = heading.level
        other = seen.setdefault(fold(heading.text), line)
        if heading.text and other != line:
            shown = _shown(heading.text)
            yield "heading", line, f"{shown!r} is the heading of line {other}, too; rename one"
    yield from _section_numbers(document)


def _section_numbers(document: Document) -> Iterator[TextFinding]:
    """Yield numbers that break a sequence like 2.1, 2.2, 2.2.1, 2.3."""
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
            text = f"section {match[1]} comes where {wanted} should; number it so"
            yield "numbering", heading.line, text
        elif not last and set(number[1:]) != {1}:
            text = f"section {match[1]} is the first; begin with {number[0]}.1"
            yield "numbering", heading.line, text
        last = number


def _empty_sections(document: Document) -> Iterator[TextFinding]:
    filled = [number for number, text in document.lines if words_of(text) or "|" in text]
    for heading, after in zip(document.headings, [*document.headings[1:], None], strict=False):
        if after is not None and after.level > heading.level:
            continue
        next_filled = bisect.bisect(filled, heading.line)
        at_end = next_filled == len(filled)
        if at_end or (after is not None and filled[next_filled] > after.line):
            shown = _shown(heading.text)
            text = f"nothing stands under {shown!r}; write the section or remove it"
            yield "empty", heading.line, text


def _echoes(document: Document) -> Iterator[TextFinding]:
    """Yield sentences that the file repeats, a typical failure of models."""
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
