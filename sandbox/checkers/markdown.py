"""Read Markdown line by line, for the prose checks.

This is not a full parser: every pattern looks at one line at a time.
"""

from __future__ import annotations

import re
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CODE = re.compile(r"`[^`]*`")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_MARKS = re.compile(r"[*_`~\[\]()]")
_LINK = re.compile(r"(!?)\[([^\[\]]*)\](?:\(\s*<?([^\s()<>]*)>?[^()]{0,300}\)|\[([^\[\]]*)\])")
_LABEL = re.compile(r" {0,3}\[([^\[\]]+)\]:\s*<?(\S*?)>?(?:\s|$)")


class Heading:
    """A heading: its line, counted from 1, its level, and its text without marks."""

    __slots__ = ("level", "line", "text")

    def __init__(self, line: int, level: int, text: str) -> None:
        self.line = line
        self.level = level
        self.text = text

    @property
    def slug(self) -> str:
        """The anchor that links to this heading use."""
        kept = (one for one in self.text.lower() if one.isalnum() or one in " -_")
        return "".join(kept).strip().replace(" ", "-")


class Document:
    """A Markdown file in lines.

    Args:
        path: Path relative to the store.
        text: The whole content.

    Attributes:
        lines: Pairs of number, from 1, and text of the lines outside code, without headings; code
            spans are blank.
        headings: Headings in order.
        open_fence: Line of a fence that is never closed, or 0.
        labels: Target of each link definition by its folded label.
        words: Number of words of prose.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines: list[tuple[int, str]] = []
        self.headings: list[Heading] = []
        self.open_fence = 0
        self.labels: dict[str, str] = {}
        self._read(text)
        self.words = sum(len(words_of(line)) for _, line in self.lines)

    def anchors(self) -> set[str]:
        """Return the anchors that a link into this file may name."""
        found: set[str] = set()
        for heading in self.headings:
            slug, number = heading.slug, 0
            while slug in found:
                number += 1
                slug = f"{heading.slug}-{number}"
            found.add(slug)
        return found

    def links(self) -> Iterator[tuple[int, bool, str, str | None]]:
        """Yield links: line, whether a picture, target, and label if any."""
        for number, line in self.lines:
            for match in _LINK.finditer(line):
                label = match[4]
                if label is not None:
                    yield number, bool(match[1]), "", fold(label or match[2])
                else:
                    yield number, bool(match[1]), match[3], None

    def paragraphs(self) -> Iterator[tuple[int, str]]:
        """Yield first line and text of every run of lines without a gap."""
        start, parts, expected = 0, list[str](), 0
        for number, line in [*self.lines, (0, "")]:
            if parts and (not line.strip() or number != expected):
                yield start, " ".join(parts)
                parts = []
            if line.strip():
                start = start if parts else number
                parts.append(line.strip())
            expected = number + 1

    def _read(self, text: str) -> None:
        fence, opened = "", 0
        for number, line in enumerate(text.split("\n"), 1):
            mark = _FENCE.match(line)
            if fence:
                if mark and mark[1].startswith(fence) and not mark[2].strip():
                    fence = ""
                continue
            if mark and not (mark[1][0] == "`" and "`" in mark[2]):
                fence, opened = mark[1], number
                continue
            self._take(number, line.rstrip("\r"))
        self.open_fence = opened if fence else 0

    def _take(self, number: int, line: str) -> None:
        heading = _HEADING.match(line)
        if heading:
            text = _without_closing((heading[2] or "").strip())
            self.headings.append(Heading(number, len(heading[1]), _MARKS.sub("", text)))
            return
        label = _LABEL.match(line)
        if label:
            self.labels.setdefault(fold(label[1]), label[2])
            return
        self.lines.append((number, _CODE.sub(" ", line)))


def _without_closing(text: str) -> str:
    """Return a heading's text without closing number signs."""
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text


def words_of(text: str) -> list[str]:
    """Return the words of a text in order; of a link, the words that it shows."""
    return _WORD.findall(_LINK.sub(r" \2 ", text))


def fold(text: str) -> str:
    """Return a normal form of a text, equal for two texts that read the same."""
    flat = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", flat))
