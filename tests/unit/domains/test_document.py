"""A book as one document is well-formed, in order, and harmless."""

import io
import zipfile
from collections.abc import Mapping
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.domains.book.document import (
    Manuscript,
    as_epub,
    as_html,
    as_markdown,
    read_manuscript,
)
from l2mac.errors import SettingsError

FILES = {
    "outline.md": "# The *Title* & <b>\n\n## Chapter 1: A\n",
    "chapters/10-last.md": "# Chapter 10: Last\n\nEnd, see [two](./2.md#part--one).",
    "chapters/2.md": "# Chapter 2: B\n\n## Part & One\n\n"
    "See [last](10-last.md), [gone](9.md), [web](https://a.b/?c&d).\n",
    "foreword.md": "# Foreword\n\nHello. See [B](chapters/2.md) and [nowhere](chapters/2.md#x).",
    "glossary.md": "# Glossary\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n",
    "README.md": "# Not in the book",
    "notes/x.md": "# Nor is this",
}
HOSTILE = """# <script>alert(1)</script>

<script>alert(2)</script> <img src=x onerror=alert(3)>
<iframe src="https://evil.example/"></iframe>

![a picture](https://evil.example/track.png) ![local](../../etc/passwd)
[a](javascript:alert(4)) [b](data:text/html,x) [c](file:///etc/passwd)
[d](JaVaScRiPt:x) [e](vbscript:x) <javascript:alert(5)> [f](//evil.example/x)

&lt;script&gt; &#7; &#x0; &#12; ]]> <!-- x --> <?php ?> <![CDATA[ x ]]>

[g]: https://evil.example/ "\\" onmouseover=\\"alert(6)"

[g] \x07\x00\ufffe
"""
WHEN = "2026-01-31T12:00:00Z"
XHTML = "{http://www.w3.org/1999/xhtml}"


def book(files: Mapping[str, str | bytes]) -> Manuscript:
    return read_manuscript(
        {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    )


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def trees(content: bytes) -> dict[str, ET.Element]:
    return {
        name: ET.fromstring(text)
        for name, text in unpacked(content).items()
        if b"<?xml" in text[:10]
    }


def test_the_pages_stand_in_the_order_in_which_they_are_read() -> None:
    paths = [page.path for page in book(FILES).pages]
    assert paths == ["foreword.md", "chapters/2.md", "chapters/10-last.md", "glossary.md"]
    assert book(FILES).title == "The Title & <b>"


def test_book_without_chapters_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no chapters/\*\.md"):
        book({"outline.md": "# X", "app.py": "x = 1"})


def test_one_markdown_file_has_one_title_and_links_that_lead_inside() -> None:
    text = as_markdown(
        book({**FILES, "chapters/3.md": "# C\n\n```sh\n# no heading\n~~~\n# nor this\n```\n# D"})
    ).decode()
    assert next(line for line in text.splitlines() if line.startswith("# ")) == "# The Title & <b>"
    assert "## Chapter 2: B\n\n### Part & One\n\nSee [last](#chapter-10-last), [gone](9.md)" in text
    assert "```sh\n# no heading\n~~~\n# nor this\n```\n## D" in text
    assert "- [Foreword](#foreword)\n- [Chapter 2: B](#chapter-2-b)" in text


def test_html_links_lead_only_to_existing_targets() -> None:
    tree = ET.fromstring(as_html(book(FILES), language="en").decode().partition("\n")[2])
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    links = {element.text: element.get("href") for element in tree.iter("a")}
    assert len(ids) == len(set(ids))
    assert links["last"] == "#page-003"
    assert links["two"] == "#page-002-part--one"
    assert links["web"] == "https://a.b/?c&d"
    assert links["gone"] is links["nowhere"] is None
    assert {link[1:] for link in links.values() if link and link.startswith("#")} <= set(ids)


class Reader(HTMLParser):
    """A parser that collects elements and attributes as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.targets += [value or "" for name, value in attrs if name in ("href", "src")]


def test_markup_in_hostile_chapters_stays_text() -> None:
    hostile = book({"outline.md": HOSTILE, "chapters/1.md": HOSTILE})
    pages = [
        as_html(hostile, language="en"),
        *unpacked(as_epub(hostile, language="en", modified=WHEN)).values(),
    ]
    for page in pages:
        reader = Reader()
        reader.feed(page.decode())
        assert (
            reader.tags & {"script", "img", "iframe", "object", "embed", "form", "base", "svg"}
            == set()
        )
        assert [
            name
            for name in reader.attributes
            if name.startswith("on") or name in ("src", "srcset", "style")
        ] == []
        local = (
            target for target in reader.targets if not target.startswith("https://evil.example/")
        )
        assert [target for target in local if ":" in target or target.startswith("/")] == []
    assert b"default-src 'none'" in pages[0]
    assert b"&lt;script&gt;alert(2)&lt;/script&gt;" in pages[0]
    assert "[a picture]" in pages[0].decode()


def test_the_search_for_harm_finds_it() -> None:
    reader = Reader()
    reader.feed("<p onclick='x'><script src='y'></script></p>")
    assert reader.tags >= {"script"}
    assert reader.attributes >= {"onclick", "src"}


def test_an_epub_is_built_as_readers_expect() -> None:
    content = as_epub(book(FILES), language="pt-BR", modified=WHEN)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        first = archive.infolist()[0]
    assert (first.filename, first.compress_type, first.extra) == (
        "mimetype",
        zipfile.ZIP_STORED,
        b"",
    )
    assert content[30:58] == b"mimetypeapplication/epub+zip"
    files, parsed = unpacked(content), trees(content)
    (rootfile,) = parsed["META-INF/container.xml"].iter(
        "{urn:oasis:names:tc:opendocument:xmlns:container}rootfile"
    )
    package = parsed[rootfile.attrib["full-path"]]
    opf = "{http://www.idpf.org/2007/opf}"
    items = {item.attrib["id"]: item for item in package.iter(f"{opf}item")}
    assert {f"book/{item.attrib['href']}" for item in items.values()} == {
        name for name in files if name.startswith("book/") and name != "book/package.opf"
    }
    assert [item.attrib["href"] for item in items.values() if item.get("properties") == "nav"] == [
        "nav.xhtml"
    ]
    spine = [items[ref.attrib["idref"]].attrib["href"] for ref in package.iter(f"{opf}itemref")]
    (nav,) = parsed["book/nav.xhtml"].iter(f"{XHTML}nav")
    assert nav.attrib["{http://www.idpf.org/2007/ops}type"] == "toc"
    assert [link.attrib["href"] for link in nav.iter(f"{XHTML}a")] == spine
    dublin = "{http://purl.org/dc/elements/1.1/}"
    (identifier,) = package.iter(f"{dublin}identifier")
    assert package.attrib["unique-identifier"] == identifier.attrib["id"]
    assert [element.text for element in package.iter(f"{dublin}title")] == ["The Title & <b>"]
    assert [element.text for element in package.iter(f"{dublin}language")] == ["pt-BR"]
    assert [element.text for element in package.iter(f"{opf}meta")] == [WHEN]


def test_epub_links_lead_to_existing_pages_and_anchors() -> None:
    parsed = trees(as_epub(book(FILES), language="en", modified=WHEN))
    anchors = {
        name: {one.get("id") for one in tree.iter() if one.get("id")}
        for name, tree in parsed.items()
    }
    targets = [
        link.attrib["href"]
        for tree in parsed.values()
        for link in tree.iter(f"{XHTML}a")
        if link.get("href")
    ]
    inside = [target.partition("#") for target in targets if not target.startswith("https:")]
    assert len(inside) >= 8
    for page, _, anchor in inside:
        assert f"book/{page}" in parsed
        assert not anchor or anchor in anchors[f"book/{page}"]


def test_the_same_book_at_the_same_time_is_the_same_file() -> None:
    assert len({as_epub(book(FILES), language="en", modified=WHEN) for _ in range(2)}) == 1


@given(st.text(max_size=300), st.binary(max_size=100))
def test_documents_are_well_formed_for_any_chapter_text(text: str, noise: bytes) -> None:
    content = text.encode("utf-8", "surrogatepass") + b"\n\n" + noise
    whole = book({"outline.md": content, "chapters/1.md": content})
    assert trees(as_epub(whole, language="en", modified=WHEN)).keys() >= {"book/page-001.xhtml"}
    assert ET.fromstring(as_html(whole, language="en").decode().partition("\n")[2]).tag == "html"
