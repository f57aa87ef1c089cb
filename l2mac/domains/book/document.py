"""Make one document of a book's files: Markdown, HTML or EPUB.

The text is a model's. Raw HTML in it is shown as text, pictures are shown by their description, nothing is fetched from
elsewhere when the document is opened, and links lead to the web, by mail, or to another chapter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from l2mac.domains.book.epub import EpubPage, make_epub
from l2mac.errors import SettingsError

FORMATS = ("md", "html", "epub")

_OUTLINE = "outline.md"
_MOST_BYTES = 32 * 1024 * 1024
_FRONT = ("dedication", "epigraph", "foreword", "preface", "introduction", "prologue")
_CHAPTER = re.compile(r"chapters/[^/]*?(\d{1,4})[^/]*\.md")
_ASIDE = re.compile(r"(?:readme|notes?|plan|todo|outline)\b.*", re.IGNORECASE)
_WEB = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,5})(?=[ \t]|$)")
_MD_LINK = re.compile(r"\]\(<?([^()<>\s#:]*\.md)(#[^()<>\s]*)?>?\)")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """body { max-width: 40em; margin: 2em auto; padding: 0 1em; line-height: 1.5; font-family: serif; }
h1, h2, h3, h4, h5, h6 { line-height: 1.2; } pre { overflow-x: auto; }
table { border-collapse: collapse; } td, th { border: 1px solid; padding: 0.2em 0.5em; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the book: its path, a name that is good for a file and an anchor, its heading in plain text."""

    path: str
    name: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A book in the order in which it is read."""

    title: str
    pages: tuple[Page, ...]


def read_manuscript(files: Mapping[str, bytes]) -> Manuscript:
    """Put a store's Markdown files in order: what stands before the chapters, these by number, what stands behind.

    The outline gives the title and is no part of the book; nor are a README, notes, and files in other folders.

    Raises:
        SettingsError: There is no chapter, or more than can be put into one document.
    """
    chapters = {path: int(match[1]) for path in files if (match := _CHAPTER.fullmatch(path))}
    if not chapters:
        raise SettingsError(
            "--format",
            "the run has no chapters/*.md; export its files as they are, without --format",
        )
    around = [
        path
        for path in sorted(files)
        if "/" not in path and path.endswith(".md") and not _ASIDE.match(path)
    ]
    front = sorted(
        (path for path in around if _stem(path) in _FRONT),
        key=lambda path: _FRONT.index(_stem(path)),
    )
    order = [*front, *sorted(chapters, key=lambda path: (chapters[path], path))]
    order += [path for path in around if path not in front]
    if sum(len(files[path]) for path in order) > _MOST_BYTES:
        raise SettingsError(
            "--format", f"the book has more than {_MOST_BYTES} bytes; export its files as they are"
        )
    texts = {path: _NOT_XML.sub("", files[path].decode("utf-8", "replace")) for path in order}
    outline = files.get(_OUTLINE, b"").decode("utf-8", "replace")
    pages = (
        Page(path, f"page-{number:03}", _heading(texts[path]) or _stem(path), texts[path])
        for number, path in enumerate(order, 1)
    )
    return Manuscript(_heading(_NOT_XML.sub("", outline)) or "Untitled", tuple(pages))


def as_markdown(book: Manuscript) -> bytes:
    """Give the book as one Markdown file: the title above all, every heading of the pages one level deeper."""
    parts = [
        f"# {book.title}",
        "\n".join(f"- [{page.heading}](#{_slug(page.heading)})" for page in book.pages),
    ]
    anchors = {page.path: _slug(page.heading) for page in book.pages}
    for page in book.pages:
        within = partial(_within, page, anchors)
        lines, fence = [], ""
        for line in page.text.splitlines():
            mark = _FENCE.match(line)
            if fence or mark:
                opened = mark[1] if mark else ""
                fence = opened if not fence else "" if opened.startswith(fence) else fence
                lines.append(line)
            else:
                lines.append(_MD_LINK.sub(within, _HEADING.sub(r"\1#", line)))
        parts.append("\n".join(lines).strip())
    return ("\n\n".join(parts) + "\n").encode()


def as_html(book: Manuscript, *, language: str) -> bytes:
    """Give the book as one HTML file without scripts, which loads nothing."""
    inside = _Inside(book, "")
    contents = "".join(
        f'<li><a href="#{page.name}">{escape(page.heading)}</a></li>\n' for page in book.pages
    )
    sections = "".join(
        f'<section id="{page.name}">\n{inside.rendered(page)}</section>\n' for page in book.pages
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}" />\n<title>{escape(book.title)}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(book.title)}</h1>\n<nav>\n<ol>\n{contents}</ol>\n"
        f"</nav>\n{sections}</body>\n</html>\n"
    ).encode()


def as_epub(book: Manuscript, *, language: str, modified: str) -> bytes:
    """Give the book as an EPUB 3.

    Args:
        book: The book.
        language: As BCP 47 has it, such as `en`.
        modified: When this was made, as `2026-01-31T12:00:00Z`.
    """
    inside = _Inside(book, ".xhtml")
    pages = [EpubPage(page.name, page.heading, inside.rendered(page)) for page in book.pages]
    return make_epub(book.title, pages, style=_STYLE, language=language, modified=modified)


class _Inside:
    """The pages of a book as XHTML, and where links between them lead.

    Args:
        book: The book.
        ending: Of the file that each page becomes; empty where all become one.
    """

    def __init__(self, book: Manuscript, ending: str) -> None:
        self._markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable("table")
        self._names = {page.path: page.name for page in book.pages}
        self._ending = ending
        self._tokens = {page.path: self._markdown.parse(page.text) for page in book.pages}
        self._anchors = {path: _anchors(tokens) for path, tokens in self._tokens.items()}

    def rendered(self, page: Page) -> str:
        """Give a page, well-formed, its headings with anchors that begin with the page's name."""
        tokens = self._tokens[page.path]
        for position, slug in self._anchors[page.path].items():
            tokens[position].attrSet("id", f"{page.name}-{slug}")
        for token in tokens:
            for child in token.children or ():
                self._tame(child, page)
        return _NOT_XML.sub(
            "", str(self._markdown.renderer.render(tokens, self._markdown.options, {}))
        )

    def _tame(self, token: Token, page: Page) -> None:
        """Turn a picture into its description, and let a link lead to the web or into the book only."""
        if token.type == "image":
            token.type, token.tag, token.content, token.children = (
                "text",
                "",
                f"[{_plain(token)}]",
                None,
            )
        elif token.type == "link_open":
            target = str(token.attrGet("href") or "")
            token.attrs = {}
            href = target if _WEB.match(target) else self._target(target, page)
            if href:
                token.attrSet("href", href)

    def _target(self, target: str, page: Page) -> str:
        path, _, anchor = target.partition("#")
        path = _resolved(page.path, path) if path else page.path
        name = self._names.get(path, "")
        if not name or (anchor and _slug(anchor) not in self._anchors[path].values()):
            return ""
        fragment = f"#{name}-{_slug(anchor)}" if anchor else "" if self._ending else f"#{name}"
        return f"{name}{self._ending}{fragment}" if self._ending else fragment


def _anchors(tokens: Sequence[Token]) -> dict[int, str]:
    """Give the position of every heading and the anchor that links name it by."""
    taken: set[str] = set()
    headings = (position for position, token in enumerate(tokens) if token.type == "heading_open")
    return {position: _unique(_slug(_plain(tokens[position + 1])), taken) for position in headings}


def _within(page: Page, anchors: Mapping[str, str], link: re.Match[str]) -> str:
    """Give a link of a page as it has to be when all pages are one file."""
    path = _resolved(page.path, link[1])
    return f"]({link[2] or '#' + anchors[path]})" if path in anchors else link[0]


def _resolved(start: str, target: str) -> str:
    parts = start.split("/")[:-1]
    for part in target.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def _heading(text: str) -> str:
    """Give the text of the first heading of the first level; empty when there is none."""
    tokens: Sequence[Token] = MarkdownIt("commonmark", {"html": False}).parse(text)
    for position, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return " ".join(_plain(tokens[position + 1]).split())
    return ""


def _plain(token: Any) -> str:
    return "".join(
        child.content for child in token.children or () if child.type in ("text", "code_inline")
    )


def _unique(slug: str, taken: set[str]) -> str:
    number, found = 0, slug
    while found in taken:
        number += 1
        found = f"{slug}-{number}"
    taken.add(found)
    return found


def _slug(text: str) -> str:
    kept = (one for one in text.lower() if one.isalnum() or one in " -_")
    return "".join(kept).strip().replace(" ", "-") or "section"


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".md").lower()
