"""What the files of a book show together: outline and chapters, lengths, passages, references, names."""

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
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_NUMBER = r"\d{1,4}|" + "|".join(_NUMBER_WORDS)
_CHAPTER_REFERENCE = re.compile(
    rf"\bchapters?\s+({_NUMBER})\b(?:\s*(?:and|to|or|[-\u2013,&])\s*({_NUMBER})\b)?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\b(Figure|Fig\.|Table)\s+(\d{1,3}(?:\.\d{1,3})?)\b")
_CAPTION = re.compile(
    r"\s*(?:[>|*_-]\s*)*[*_]{0,3}(Figure|Fig\.|Table)\s+(\d{1,3}(?:\.\d{1,3})?)[*_]{0,3}\s*[:.\u2014\u2013-]"
)
_SECTION = re.compile(r"\d{1,3}(?:\.\d{1,3})+")
_SECTION_REFERENCE = re.compile(r"\bsections?\s+(\d{1,3}(?:\.\d{1,3})+)\b", re.IGNORECASE)
_TITLE = re.compile(rf"(?:chapter\s+)?({_NUMBER})?\s*[:.)\u2013\u2014-]?\s*(.*)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_FOOTNOTE = re.compile(r"\[\^([^\[\]]+)\](:)?")


class Book:
    """A book in parts.

    Attributes:
        outline: None when there is none.
        written: Number → chapter, by number.
        documents: Path → every Markdown file, chapters included.
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
        """What readers get: every Markdown file but the outline."""
        return [document for path, document in self.documents.items() if path != OUTLINE]

    def captions(self) -> set[tuple[str, str]]:
        """Return the figures and tables that have a caption: kind and number."""
        lines = (line for document in self.prose for _, line in document.lines)
        return {(_kind(match[1]), match[2]) for match in map(_CAPTION.match, lines) if match}

    def sections(self) -> set[str]:
        """Return the numbers of the sections that have one, such as 2.3."""
        texts = (heading.text for document in self.prose for heading in document.headings)
        return {match[0] for match in map(_SECTION.match, texts) if match}

    def numbers(self) -> set[int]:
        """Return the numbers of the chapters: those of the outline, or of what is written where there is none."""
        return (
            {chapter.number for chapter in self.outline.chapters}
            if self.outline
            else set(self.written)
        )


def book_findings(book: Book) -> Iterator[ProseFinding]:
    """Return all that is wrong with the book as a whole."""
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
            name = f"chapters/{declared.number:02}-{'-'.join(fold(declared.title).replace(chr(39), '').split()[:5])}.md"
            said = f"is not written yet; it is chapter {declared.number} of the outline: write it"
            yield "missing", name, 0, said
        else:
            yield from _heading(declared, document)
            yield from _length(declared, document)
    for number, document in book.written.items():
        if outline.chapter(number) is None:
            wanted = f"## Chapter {number}: {_own_title(document)}"
            text = f"has no chapter {number}, which {document.path} is; add {wanted!r}, or delete that file"
            yield "chapter", OUTLINE, 0, text


def _heading(declared: Chapter, document: Document) -> Iterator[ProseFinding]:
    wanted = f"# Chapter {declared.number}: {declared.title}"
    first = document.headings[0] if document.headings else None
    if (
        first is None
        or first.level != 1
        or any(number < first.line and text.strip() for number, text in document.lines)
    ):
        yield (
            "title",
            document.path,
            1,
            f"the chapter does not begin with its heading; begin it with {wanted!r}",
        )
        return
    match = _TITLE.fullmatch(first.text)
    number, title = _parts(match) if match else (None, first.text)
    if number is not None and number != declared.number:
        yield (
            "numbering",
            document.path,
            first.line,
            f"the heading says chapter {number}; write {wanted!r}",
        )
    elif fold(declared.title) not in (fold(title), fold(first.text)):
        yield (
            "title",
            document.path,
            first.line,
            f"{first.text!r} is not the outline's title; write {wanted!r}",
        )


def _own_title(document: Document) -> str:
    """Return a chapter's title as it has it itself, without its number; `TITLE` where it has none."""
    match = _TITLE.fullmatch(document.headings[0].text) if document.headings else None
    return (match[2] if match else "") or "TITLE"


def _parts(match: re.Match[str]) -> tuple[int | None, str]:
    return (_value(match[1]) if match[1] else None), match[2]


def _length(declared: Chapter, document: Document) -> Iterator[ProseFinding]:
    words, wanted = document.words, declared.words
    if wanted and words < wanted * _LEAST:
        text = f"has {words} words where the outline asks for {wanted}; write about {wanted - words} more"
        yield "length", document.path, 0, text
    elif wanted and words > wanted * _MOST:
        text = f"has {words} words where the outline asks for {wanted}; take about {words - wanted} out"
        yield "length", document.path, 0, text


def _passages(book: Book) -> Iterator[ProseFinding]:
    """Return every passage of at least so many words that has stood before, in this file or an earlier one."""
    seen: dict[tuple[str, ...], tuple[str, int, int]] = {}
    for document in book.prose:
        words = [
            (word.casefold(), number) for number, line in document.lines for word in words_of(line)
        ]
        reported = -1
        for start in range(len(words) - _PASSAGE_WORDS + 1):
            window = tuple(word for word, _ in words[start : start + _PASSAGE_WORDS])
            path, line, position = seen.setdefault(window, (document.path, words[start][1], start))
            if (path, position) == (document.path, start):
                continue
            if start > reported:
                quoted = " ".join(window[:8])
                text = f"'{quoted} …' stands at {path}:{line} already; say it once, or say something new"
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
    notes = [
        (number, match[1], bool(match[2]))
        for number, line in document.lines
        for match in _FOOTNOTE.finditer(line)
    ]
    defined = {name for _, name, definition in notes if definition}
    defined |= {label.lstrip("^") for label in document.labels}
    for line, name, definition in notes:
        if not definition and fold(name) not in {fold(one) for one in defined}:
            yield (
                "link",
                document.path,
                line,
                f"the footnote [^{name}] is not there; write it, or remove the mark",
            )


def _broken(book: Book, document: Document, target: str, *, picture: bool) -> str:
    """Say what is wrong with a link's target; nothing when it can be followed. Nothing outside is ever fetched."""
    scheme = _SCHEME.match(target)
    if picture and (scheme or target.startswith("//")):
        return f"the picture {target[:80]!r} lies elsewhere and is not fetched; tell in words what it would show"
    if scheme:
        web = scheme[0].lower() in ("http:", "https:", "mailto:")
        return "" if web else f"the link {target[:80]!r} cannot be followed from a book; remove it"
    file, _, anchor = target.partition("#")
    path = (
        os.path.normpath(os.path.join(os.path.dirname(document.path), file))
        if file
        else document.path
    )
    if not file and not anchor:
        return "the link leads nowhere; name a file or a heading, or remove it"
    if path not in book.paths:
        return f"the link leads to {path[:80]!r}, which is not there; write that file, or remove the link"
    if anchor and path in book.documents and anchor.lower() not in book.documents[path].anchors():
        return f"{path[:80]!r} has no heading for the anchor {anchor[:80]!r}; correct one of them"
    return ""


def _references(book: Book) -> Iterator[ProseFinding]:
    captions, sections, chapters = book.captions(), book.sections(), book.numbers()
    everything = (
        (document, line, text)
        for document in book.documents.values()
        for line, text in document.lines
    )
    for document, line, text in everything:
        for match in _CHAPTER_REFERENCE.finditer(text):
            for number in (_value(part) for part in match.groups() if part):
                if number not in chapters:
                    yield (
                        "reference",
                        document.path,
                        line,
                        f"there is no chapter {number}; correct the number",
                    )
        for match in _ITEM.finditer(text):
            kind, number_text = _kind(match[1]), match[2]
            if (kind, number_text) not in captions:
                said = f"there is no {kind} {number_text} with a caption; add it, or remove what is said of it"
                yield "reference", document.path, line, said
        for match in _SECTION_REFERENCE.finditer(text):
            if match[1] not in sections:
                said = f"there is no section {match[1]}; correct the number, or name the section by its heading"
                yield "reference", document.path, line, said


def _kind(word: str) -> str:
    return "table" if word == "Table" else "figure"


def _value(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBER_WORDS.index(text.lower())
