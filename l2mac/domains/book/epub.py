"""Build an EPUB 3: a ZIP archive of XHTML pages with a table of contents.

The standard library is enough, because the format is a handful of small files. The one maintained
library for it is under the AGPL. https://www.w3.org/TR/epub-33/
"""

import hashlib
import io
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_XHTML = "application/xhtml+xml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
  <rootfiles>
    <rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>
  </rootfiles>
</container>
"""


@dataclass(frozen=True, slots=True)
class EpubPage:
    """A page of the book.

    Attributes:
        name: A name that is safe as a file name.
        heading: The heading in plain text.
        body: The content as well-formed XHTML.
    """

    name: str
    heading: str
    body: str


def build_epub(
    title: str, pages: Sequence[EpubPage], *, style: str, language: str, modified: str
) -> bytes:
    """Return the archive. The same arguments always result in the same bytes.

    Args:
        title: The title in plain text.
        pages: The pages in reading order.
        style: The style sheet as CSS.
        language: A language tag of BCP 47, such as `en`.
        modified: The time of the export in UTC, as `2026-01-31T12:00:00Z`.
    """
    bodies = [page.body for page in pages]
    content = hashlib.sha256("\0".join((title, *bodies)).encode()).hexdigest()
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, content).urn
    front = EpubPage("title", title, f"<h1>{escape(title)}</h1>\n")
    all_pages = [front, *pages]
    files = {
        "META-INF/container.xml": _CONTAINER,
        "book/package.opf": _package(title, all_pages, identifier, language, modified),
        "book/nav.xhtml": _page("Contents", _contents(all_pages), language),
        "book/style.css": style,
    }
    for page in all_pages:
        files[f"book/{page.name}.xhtml"] = _page(page.heading, page.body, language)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(_entry("mimetype", zipfile.ZIP_STORED), "application/epub+zip")
        for name, text in files.items():
            archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text.encode())
    return target.getvalue()


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    return entry


def _package(
    title: str, pages: Sequence[EpubPage], identifier: str, language: str, modified: str
) -> str:
    items = "".join(
        f'    <item id="page-{number}" href="{escape(page.name)}.xhtml" media-type="{_XHTML}"/>\n'
        for number, page in enumerate(pages)
    )
    order = "".join(f'    <itemref idref="page-{number}"/>\n' for number in range(len(pages)))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">\n'
        '  <metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f'    <dc:identifier id="id">{identifier}</dc:identifier>\n'
        f"    <dc:title>{escape(title)}</dc:title>\n"
        f"    <dc:language>{escape(language)}</dc:language>\n"
        f'    <meta property="dcterms:modified">{escape(modified)}</meta>\n'
        "  </metadata>\n  <manifest>\n"
        f'    <item id="nav" href="nav.xhtml" media-type="{_XHTML}" properties="nav"/>\n'
        f'    <item id="style" href="style.css" media-type="text/css"/>\n{items}  </manifest>\n'
        f"  <spine>\n{order}  </spine>\n</package>\n"
    )


def _contents(pages: Sequence[EpubPage]) -> str:
    entries = "".join(
        f'<li><a href="{escape(page.name)}.xhtml">{escape(page.heading)}</a></li>\n'
        for page in pages
    )
    return f'<nav epub:type="toc">\n<h1>Contents</h1>\n<ol>\n{entries}</ol>\n</nav>\n'


def _page(title: str, body: str, language: str) -> str:
    tag = escape(language)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
        f' lang="{tag}" xml:lang="{tag}">\n<head>\n<title>{escape(title)}</title>\n'
        '<link rel="stylesheet" type="text/css" href="style.css"/>\n</head>\n'
        f"<body>\n{body}</body>\n</html>\n"
    )
