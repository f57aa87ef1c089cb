"""Read a book's outline: title, names, terms, chapters and their lengths."""

from __future__ import annotations

import re

from sandbox.checkers.markdown import Document, fold

OUTLINE = "outline.md"
_CHAPTER = re.compile(r"(?:chapter\s+)?(\d{1,4})\s*[:.)\u2013\u2014-]?\s*(.*)", re.IGNORECASE)
_NO_TITLES = frozenset({"", "title", "chapter title", "untitled"})
_LIST = re.compile(r"(names|terms|characters|people|places)\s*:?", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_VALUE = re.compile(
    r"\s*(?:[-*+]\s+)?[*_]{0,3}(names|terms|words)[*_]{0,3}\s*:[*_]{0,3}\s*(.*)", re.IGNORECASE
)
_NUMBER = re.compile(
    r"\s*(?:about|around|circa|ca\.|~|≈)?\s*(\d[\d,. ]*)\s*(?:words)?\s*\.?\s*", re.IGNORECASE
)
_BACK = re.compile(
    r"(appendix|glossary|index|afterword|foreword|preface|bibliography|acknowledg\w+)\b",
    re.IGNORECASE,
)


class Chapter:
    """A chapter that the outline declares; `words` is 0 if no length is required."""

    __slots__ = ("line", "number", "title", "words")

    def __init__(self, number: int, title: str, line: int) -> None:
        self.number = number
        self.title = title
        self.line = line
        self.words = 0


class Outline:
    """The outline in parts.

    Attributes:
        title: The book's title; empty if the outline has none.
        chapters: Chapters in the order of their declaration.
        declared: Names and terms with their lines.
        findings: The outline's faults: rule, line, text.
    """

    def __init__(self, document: Document) -> None:
        self.findings: list[tuple[str, int, str]] = []
        titles = [heading for heading in document.headings if heading.level == 1]
        self.title = titles[0].text if titles else ""
        self.chapters = list(self._chapters(document))
        self.declared: dict[str, int] = {}
        lists = [(one.line, bool(_LIST.fullmatch(one.text))) for one in document.headings]
        for line, text in document.lines:
            above = [listed for heading, listed in lists if heading < line]
            self._value(line, f"terms: {_ITEM.sub('', text)}" if above and above[-1] else text)
        self._check()

    def chapter(self, number: int) -> Chapter | None:
        """Return the chapter with this number."""
        return next((chapter for chapter in self.chapters if chapter.number == number), None)

    def _chapters(self, document: Document) -> list[Chapter]:
        found: list[Chapter] = []
        unnumbered = 0
        for heading in document.headings:
            if heading.level != 2:
                continue
            match = _CHAPTER.fullmatch(heading.text)
            if match:
                found.append(Chapter(int(match[1]), match[2].strip(), heading.line))
            elif not (_BACK.match(heading.text) or _LIST.fullmatch(heading.text)):
                unnumbered += 1
                fitting = f"## Chapter {len(found) + unnumbered}: {heading.text}"
                text = (
                    f"{heading.text!r} has no number; if it is a chapter, write {fitting!r}, else"
                    " make it '### ...'"
                )
                self.findings.append(("outline", heading.line, text))
        return found

    def _value(self, line: int, text: str) -> None:
        match = _VALUE.fullmatch(text)
        if match is None:
            return
        if match[1].lower() != "words":
            for name in match[2].strip(" .").split(","):
                if name.strip(" *_"):
                    self.declared.setdefault(name.strip(" *_"), line)
            return
        number = _NUMBER.fullmatch(match[2])
        chapter = next((one for one in reversed(self.chapters) if one.line < line), None)
        if number is None:
            text = f"{match[2][:40]!r} is not a number of words; write it as 'Words: 150'"
            self.findings.append(("outline", line, text))
        elif chapter is not None:
            chapter.words = int(re.sub(r"\D", "", number[1]))

    def _check(self) -> None:
        if not self.title:
            text = "the book has no title; begin the outline with '# ' and the title"
            self.findings.append(("outline", 1, text))
        if not self.chapters:
            text = "declares no chapter; give each a heading, '## Chapter 1: ' and its title"
            self.findings.append(("outline", 1, text))
        titles: dict[str, int] = {}
        for position, chapter in enumerate(self.chapters, 1):
            if chapter.number != position:
                text = (
                    f"chapter {chapter.number} stands in place {position}; number the chapters from"
                    " 1 in their order"
                )
                self.findings.append(("numbering", chapter.line, text))
            title = fold(chapter.title)
            other = titles.setdefault(title, chapter.number)
            if title in _NO_TITLES:
                text = f"chapter {chapter.number} has no title; give it one"
                self.findings.append(("outline", chapter.line, text))
            elif other != chapter.number:
                text = (
                    f"chapter {chapter.number} has the title of chapter {other}; give it one of its"
                    " own"
                )
                self.findings.append(("outline", chapter.line, text))
