"""Build one document of a book's files: Markdown, HTML or EPUB.

The text comes from a model, so the document is made safe to open:

- Raw HTML appears as text.
- Pictures appear as their descriptions.
- Opening the document loads nothing from elsewhere.
- Links lead to the web, to a mail address, or to another chapter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from l2mac.domains.book.epub import EpubPage, build_epub
from l2mac.errors import SettingsError

FORMATS = ("md", "html", "epub")

_OUTLINE = "outline.md"
_MOST_BYTES = 32 * 1024 * 1024
_FRONT = ("dedication", "epigraph", "foreword", "preface", "introduction", "prologue")
_CHAPTER = re.compile(r"chapters/[^/]*?(\d{1,4})[^/]*\.md")
_ASIDE = re.compile(r"(?:readme|notes?|plan|todo|outline)\b.*", re.IGNORECASE)
_TEXT_TOKENS = ("text", "code_inline")
_WEB = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,5})(?=[ \t]|$)")
_MD_LINK = re.compile(r"\]\(<?([^()<>\s#:]*\.md)(#[^()<>\s]*)?>?\)")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """body { max-width: 40em; margin: 2em auto; padding: 0 1em; line-height: 1.5;
  font-family: serif; }
h1, h2, h3, h4, h5, h6 { line-height: 1.2; } pre { overflow-x: auto; }
table { border-collapse: collapse; } td, th { border: 1px solid; padding: 0.2em 0.5em; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the book.

    Attributes:
        path: The path in the file store.
        name: A name that is safe as a file name and as an anchor.
        heading: The heading in plain text.
        text: The content as Markdown.
    """

    path: str
    name: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A book: the title and the pages in reading order."""

    title: str
    pages: tuple[Page, ...]


def read_manuscript(files: Mapping[str, bytes]) -> Manuscript:
    """Return a file store's Markdown files in reading order.

    The order is: front matter, the chapters by number, all other files at the top level. The
    outline provides the title. The outline itself, a README, notes and files in other folders are
    excluded.

    Raises:
        SettingsError: There is no chapter, or the book is too large for one document.
    """
    order = _reading_order(files)
    if sum(len(files[path]) for path in order) > _MOST_BYTES:
        raise SettingsError(
            "--format",
            f"The book has more than {_MOST_BYTES} bytes, which is too large for --format."
            " Export its files without --format.",
        )
    pages = [_page(number, path, files[path]) for number, path in enumerate(order, 1)]
    title = _heading(_text(files.get(_OUTLINE, b""))) or "Untitled"
    return Manuscript(title, tuple(pages))


def _reading_order(files: Mapping[str, bytes]) -> list[str]:
    chapters = {path: int(match[1]) for path in files if (match := _CHAPTER.fullmatch(path))}
    if not chapters:
        raise SettingsError(
            "--format",
            "The run has no chapters/*.md for --format. Export its files without --format.",
        )
    top_level = [path for path in sorted(files) if "/" not in path and path.endswith(".md")]
    around = [path for path in top_level if not _ASIDE.match(path)]
    front = [path for path in around if _stem(path) in _FRONT]
    front.sort(key=lambda path: _FRONT.index(_stem(path)))
    order = [*front, *sorted(chapters, key=lambda path: (chapters[path], path))]
    return order + [path for path in around if path not in front]


def _page(number: int, path: str, content: bytes) -> Page:
    text = _text(content)
    return Page(path, f"page-{number:03}", _heading(text) or _stem(path), text)


def _text(content: bytes) -> str:
    return _NOT_XML.sub("", content.decode("utf-8", "replace"))


def as_markdown(book: Manuscript) -> bytes:
    """Return the book as one Markdown file.

    The title is the only heading of the first level. All headings of the pages move down one level.
    """
    anchors = {page.path: _slug(page.heading) for page in book.pages}
    contents = [f"- [{page.heading}](#{anchors[page.path]})" for page in book.pages]
    parts = [f"# {book.title}", "\n".join(contents)]
    parts += [_embedded(page, anchors) for page in book.pages]
    return ("\n\n".join(parts) + "\n").encode()


def _embedded(page: Page, anchors: Mapping[str, str]) -> str:
    """Return a page's Markdown as a part of the whole book, code unchanged."""
    rewrite_link = partial(_embedded_link, page, anchors)
    lines: list[str] = []
    fence = ""
    for line in page.text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            lines.append(line)
            if mark and mark[1].startswith(fence):
                fence = ""
        elif mark:
            lines.append(line)
            fence = mark[1]
        else:
            lines.append(_MD_LINK.sub(rewrite_link, _HEADING.sub(r"\1#", line)))
    return "\n".join(lines).strip()


def as_html(book: Manuscript, *, language: str) -> bytes:
    """Return the book as one HTML file, which holds no scripts and loads nothing."""
    pages = _RenderedPages(book, "")
    title = escape(book.title)
    entries = [f'<li><a href="#{one.name}">{escape(one.heading)}</a></li>\n' for one in book.pages]
    sections = [
        f'<section id="{page.name}">\n{pages.render(page)}</section>\n' for page in book.pages
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}" />\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n<nav>\n<ol>\n{''.join(entries)}</ol>\n</nav>\n"
        f"{''.join(sections)}</body>\n</html>\n"
    ).encode()


def as_epub(book: Manuscript, *, language: str, modified: str) -> bytes:
    """Return the book as an EPUB 3.

    Args:
        book: The book.
        language: A language tag of BCP 47, such as `en`.
        modified: The time of the export in UTC, as `2026-01-31T12:00:00Z`.
    """
    rendered = _RenderedPages(book, ".xhtml")
    pages = [EpubPage(page.name, page.heading, rendered.render(page)) for page in book.pages]
    return build_epub(book.title, pages, style=_STYLE, language=language, modified=modified)


class _RenderedPages:
    """The pages of a book as XHTML, with the targets of links between them.

    Args:
        book: The book.
        ending: The ending of each page's file name, empty where all pages are one file.
    """

    def __init__(self, book: Manuscript, ending: str) -> None:
        self._markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable("table")
        self._names = {page.path: page.name for page in book.pages}
        self._ending = ending
        self._tokens = {page.path: self._markdown.parse(page.text) for page in book.pages}
        self._anchors = {path: _anchors(tokens) for path, tokens in self._tokens.items()}

    def render(self, page: Page) -> str:
        """Return a page as well-formed XHTML.

        Anchors of headings begin with the page's name, so that they are unique in the book.
        """
        tokens = self._tokens[page.path]
        for position, slug in self._anchors[page.path].items():
            tokens[position].attrSet("id", f"{page.name}-{slug}")
        for token in tokens:
            for child in token.children or ():
                self._tame(child, page)
        text = str(self._markdown.renderer.render(tokens, self._markdown.options, {}))
        return _NOT_XML.sub("", text)

    def _tame(self, token: Token, page: Page) -> None:
        """Replace a picture by its description, and remove links to other places."""
        if token.type == "image":
            token.content = f"[{_plain(token)}]"
            token.type, token.tag, token.children = "text", "", None
        elif token.type == "link_open":
            target = str(token.attrGet("href") or "")
            token.attrs = {}
            href = target if _WEB.match(target) else self._target(target, page)
            if href:
                token.attrSet("href", href)

    def _target(self, target: str, page: Page) -> str:
        """Return the `href` for a link into the book, or "" for other targets."""
        path, _, anchor = target.partition("#")
        path = _resolved(page.path, path) if path else page.path
        name = self._names.get(path, "")
        if not name or (anchor and _slug(anchor) not in self._anchors[path].values()):
            return ""
        file = f"{name}{self._ending}" if self._ending else ""
        if anchor:
            return f"{file}#{name}-{_slug(anchor)}"
        return file or f"#{name}"


def _anchors(tokens: Sequence[Token]) -> dict[int, str]:
    """Return the anchor of every heading, by the position of its token."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            found[position] = _unique(_slug(_plain(tokens[position + 1])), taken)
    return found


def _embedded_link(page: Page, anchors: Mapping[str, str], link: re.Match[str]) -> str:
    """Return a link between pages as a link within one file."""
    path = _resolved(page.path, link[1])
    if path not in anchors:
        return link[0]
    return f"]({link[2] or '#' + anchors[path]})"


def _resolved(start: str, target: str) -> str:
    parts = start.split("/")[:-1]
    for part in target.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def _heading(text: str) -> str:
    """Return the text of the first heading of the first level, or ""."""
    tokens: Sequence[Token] = MarkdownIt("commonmark", {"html": False}).parse(text)
    for position, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return " ".join(_plain(tokens[position + 1]).split())
    return ""


def _plain(token: Token) -> str:
    children = token.children or ()
    return "".join(child.content for child in children if child.type in _TEXT_TOKENS)


def _unique(slug: str, taken: set[str]) -> str:
    number, found = 0, slug
    while found in taken:
        number += 1
        found = f"{slug}-{number}"
    taken.add(found)
    return found


def _slug(text: str) -> str:
    kept = (character for character in text.lower() if character.isalnum() or character in " -_")
    return "".join(kept).strip().replace(" ", "-") or "section"


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".md").lower()
