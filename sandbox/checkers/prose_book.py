"""Check a book as a whole: chapters, lengths, passages, references, names."""

from __future__ import annotations

import os
import re

from sandbox.checkers.markdown import Document, fold, words_of
from sandbox.checkers.outline import OUTLINE, Chapter, Outline
from sandbox.checkers.prose_names import name_findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ProseFinding = tuple[str, str, int, str]
"""Rule, path, line or 0, text."""

_PASSAGE_WORDS = 20
_LEAST, _MOST = 0.7, 1.5
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
).split()
_NUMBER = r"\d{1,4}|" + "|".join(_NUMBER_WORDS)
_CHAPTER_REFERENCE = re.compile(
    rf"\bchapters?\s+({_NUMBER})\b(?:\s*(?:and|to|or|[-\u2013,&])\s*({_NUMBER})\b)?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\b(Figure|Fig\.|Table)\s+(\d{1,3}(?:\.\d{1,3})?)\b")
_CAPTION = re.compile(
    r"\s*(?:[>|*_-]\s*)*[*_]{0,3}(Figure|Fig\.|Table)\s+"
    r"(\d{1,3}(?:\.\d{1,3})?)[*_]{0,3}\s*[:.\u2014\u2013-]"
)
_SECTION = re.compile(r"\d{1,3}(?:\.\d{1,3})+")
_SECTION_REFERENCE = re.compile(r"\bsections?\s+(\d{1,3}(?:\.\d{1,3})+)\b", re.IGNORECASE)
_TITLE = re.compile(rf"(?:chapter\s+)?({_NUMBER})?\s*[:.)\u2013\u2014-]?\s*(.*)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_FOOTNOTE = re.compile(r"\[\^([^\[\]]+)\](:)?")


class Book:
    """A book in parts.

    Attributes:
        outline: The outline; None if there is none.
        written: Chapters by number, in the order of their numbers.
        documents: Every Markdown file by path, chapters included.
        paths: Every file of the store.
    """

    def __init__(
        self,
        outline: Outline | None,
        written: dict[int, Document],
        documents: dict[str, Document],
        paths: frozenset[str],
    ) -> None:
        self.outline = outline
        self.written = written
        self.documents = documents
        self.paths = paths

    @property
    def prose(self) -> list[Document]:
        """The files for readers: every Markdown file but the outline."""
        return [document for path, document in self.documents.items() if path != OUTLINE]

    def captions(self) -> set[tuple[str, str]]:
        """Return kind and number of the figures and tables that have a caption."""
        lines = (line for document in self.prose for _, line in document.lines)
        return {(_kind(match[1]), match[2]) for match in map(_CAPTION.match, lines) if match}

    def sections(self) -> set[str]:
        """Return the numbers of numbered sections, such as 2.3."""
        texts = (heading.text for document in self.prose for heading in document.headings)
        return {match[0] for match in map(_SECTION.match, texts) if match}

    def numbers(self) -> set[int]:
        """Return the chapters' numbers, from the outline or else the files."""
        if self.outline is None:
            return set(self.written)
        return {chapter.number for chapter in self.outline.chapters}


def book_findings(book: Book) -> Iterator[ProseFinding]:
    """Yield the faults of the book as a whole."""
    if book.outline is not None:
        yield from _against_the_outline(book, book.outline)
        yield from name_findings(book.outline.declared, book.prose)
    yield from _passages(book)
    for document in book.documents.values():
        yield from _links(book, document)
    yield from _references(book)


def _against_the_outline(book: Book, outline: Outline) -> Iterator[ProseFinding]:
    for declared in outline.chapters:
        document = book.written.get(declared.number)
        if document is None:
            words = fold(declared.title).replace("'", "").split()
            name = f"chapters/{declared.number:02}-{'-'.join(words[:5])}.md"
            text = f"is not written yet; it is chapter {declared.number} of the outline: write it"
            yield "missing", name, 0, text
        else:
            yield from _heading(declared, document)
            yield from _length(declared, document)
    for number, document in book.written.items():
        if outline.chapter(number) is None:
            wanted = f"## Chapter {number}: {_own_title(document)}"
            text = (
                f"has no chapter {number}, which {document.path} is; add {wanted!r}, or delete that"
                " file"
            )
            yield "chapter", OUTLINE, 0, text


def _heading(declared: Chapter, document: Document) -> Iterator[ProseFinding]:
    wanted = f"# Chapter {declared.number}: {declared.title}"
    first = document.headings[0] if document.headings else None
    if first is None or first.level != 1 or _has_text_before(document, first.line):
        text = f"the chapter does not begin with its heading; begin it with {wanted!r}"
        yield "title", document.path, 1, text
        return
    match = _TITLE.fullmatch(first.text)
    number, title = _parts(match) if match else (None, first.text)
    if number is not None and number != declared.number:
        text = f"the heading says chapter {number}; write {wanted!r}"
        yield "numbering", document.path, first.line, text
    elif fold(declared.title) not in (fold(title), fold(first.text)):
        text = f"{first.text!r} is not the outline's title; write {wanted!r}"
        yield "title", document.path, first.line, text


def _has_text_before(document: Document, line: int) -> bool:
    return any(number < line and text.strip() for number, text in document.lines)


def _own_title(document: Document) -> str:
    """Return the title in a chapter's heading, or `TITLE`, without number."""
    if not document.headings:
        return "TITLE"
    match = _TITLE.fullmatch(document.headings[0].text)
    return (match[2] if match else "") or "TITLE"


def _parts(match: re.Match[str]) -> tuple[int | None, str]:
    return (_value(match[1]) if match[1] else None), match[2]


def _length(declared: Chapter, document: Document) -> Iterator[ProseFinding]:
    words, wanted = document.words, declared.words
    if wanted and words < wanted * _LEAST:
        advice = f"write about {wanted - words} more"
    elif wanted and words > wanted * _MOST:
        advice = f"take about {words - wanted} out"
    else:
        return
    text = f"has {words} words where the outline asks for {wanted}; {advice}"
    yield "length", document.path, 0, text


def _passages(book: Book) -> Iterator[ProseFinding]:
    """Yield every long passage that occurred before, in this file or an earlier one."""
    seen: dict[tuple[str, ...], tuple[str, int, int]] = {}
    for document in book.prose:
        words = []
        for number, content in document.lines:
            words += [(word.casefold(), number) for word in words_of(content)]
        reported = -1
        for start in range(len(words) - _PASSAGE_WORDS + 1):
            window = tuple(word for word, _ in words[start : start + _PASSAGE_WORDS])
            path, line, position = seen.setdefault(window, (document.path, words[start][1], start))
            if (path, position) == (document.path, start):
                continue
            if start > reported:
                quoted = " ".join(window[:8])
                text = (
                    f"'{quoted} …' stands at {path}:{line} already; say it once, or say something"
                    " new"
                )
                yield "repeated", document.path, words[start][1], text
            reported = start + _PASSAGE_WORDS


def _links(book: Book, document: Document) -> Iterator[ProseFinding]:
    for line, picture, written, label in document.links():
        target = written
        if label is not None:
            if label not in document.labels:
                text = (
                    f"the link's label [{label}] is defined nowhere; write the target in its place"
                )
                yield "link", document.path, line, text
                continue
            target = document.labels[label]
        problem = _broken(book, document, target, picture=picture)
        if problem:
            yield "link", document.path, line, problem
    yield from _footnotes(document)


def _footnotes(document: Document) -> Iterator[ProseFinding]:
    notes = []
    for number, content in document.lines:
        notes += [(number, match[1], bool(match[2])) for match in _FOOTNOTE.finditer(content)]
    defined = {fold(name) for _, name, definition in notes if definition}
    defined |= {fold(label.lstrip("^")) for label in document.labels}
    for line, name, definition in notes:
        if not definition and fold(name) not in defined:
            text = f"the footnote [^{name}] is not there; write it, or remove the mark"
            yield "link", document.path, line, text


def _broken(book: Book, document: Document, target: str, *, picture: bool) -> str:
    """Return the fault of a link's target, or ''; nothing is ever fetched."""
    scheme = _SCHEME.match(target)
    if picture and (scheme or target.startswith("//")):
        return (
            f"the picture {target[:80]!r} lies elsewhere and is not fetched; tell in words what it"
            " would show"
        )
    if scheme:
        web = scheme[0].lower() in ("http:", "https:", "mailto:")
        return "" if web else f"the link {target[:80]!r} cannot be followed from a book; remove it"
    file, _, anchor = target.partition("#")
    path = document.path
    if file:
        path = os.path.normpath(os.path.join(os.path.dirname(path), file))
    if not file and not anchor:
        return "the link leads nowhere; name a file or a heading, or remove it"
    if path not in book.paths:
        return (
            f"the link leads to {path[:80]!r}, which is not there; write that file, or remove the"
            " link"
        )
    if anchor and path in book.documents and anchor.lower() not in book.documents[path].anchors():
        return f"{path[:80]!r} has no heading for the anchor {anchor[:80]!r}; correct one of them"
    return ""


def _references(book: Book) -> Iterator[ProseFinding]:
    captions, sections, chapters = book.captions(), book.sections(), book.numbers()
    for document in book.documents.values():
        for line, text in document.lines:
            for finding in _dangling(text, captions, sections, chapters):
                yield "reference", document.path, line, finding


def _dangling(
    text: str, captions: set[tuple[str, str]], sections: set[str], chapters: set[int]
) -> Iterator[str]:
    """Yield a text for each reference to a missing chapter, figure, table or section."""
    for match in _CHAPTER_REFERENCE.finditer(text):
        numbers = [_value(part) for part in match.groups() if part]
        for number in numbers:
            if number not in chapters:
                yield f"there is no chapter {number}; correct the number"
    for match in _ITEM.finditer(text):
        kind = _kind(match[1])
        if (kind, match[2]) not in captions:
            yield (
                f"there is no {kind} {match[2]} with a caption; add it, or remove what is said of"
                " it"
            )
    for match in _SECTION_REFERENCE.finditer(text):
        if match[1] not in sections:
            yield (
                f"there is no section {match[1]}; correct the number, or name the section by its"
                " heading"
            )


def _kind(word: str) -> str:
    return "table" if word == "Table" else "figure"


def _value(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBER_WORDS.index(text.lower())
