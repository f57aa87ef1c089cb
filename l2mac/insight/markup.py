"""Build HTML and SVG as a tree, so that no foreign text becomes markup.

Every text and attribute passes through `element`, which replaces control, format and direction
characters by their escapes and drops characters that no document may hold. The serializer escapes
the rest. Callers bound the lengths.
"""

import re
from xml.etree import ElementTree as ET

from l2mac.safe_text import clean, one_line

MARK = "<!-- l2mac report -->"
"""Marks every file of ours on its first lines; such a file may be replaced."""
_LOOKED_AT = 8
_LONGEST_ESCAPE = 12
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Child = ET.Element | str | None


def element(tag: str, *children: Child, **attributes: str | float) -> ET.Element:
    """Return an element; None among the children and empty attributes are excluded.

    In an attribute's name a trailing `_` is dropped, and other ones become dashes.
    """
    named = {
        name.rstrip("_").replace("_", "-"): _value(value)
        for name, value in attributes.items()
        if value != ""
    }
    made = ET.Element(tag, named)
    for child in children:
        append(made, child)
    return made


def append(parent: ET.Element, child: Child) -> None:
    """Append a child to an element; None appends nothing."""
    if isinstance(child, str):
        text = harmless(child)
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text
    elif child is not None:
        parent.append(child)


def harmless(text: str) -> str:
    """Return the text without characters that steer terminals or break XML."""
    return text if text.isascii() and text.isprintable() else _NOT_XML.sub("", clean(text))


def short(text: str, limit: int) -> str:
    """Return the beginning of a text on one line, without reading all of a long text."""
    looked_at = text[: limit * _LOOKED_AT]
    flat = one_line(looked_at, limit)
    return flat if len(looked_at) == len(text) or flat.endswith("…") else f"{flat[: limit - 1]}…"


def short_path(path: str, limit: int) -> str:
    """Return the end of a path, which distinguishes files, on one line."""
    looked_at = path[-limit * _LOOKED_AT :]
    flat = one_line(looked_at, len(looked_at) * _LONGEST_ESCAPE)
    whole = len(flat) <= limit and len(looked_at) == len(path)
    return flat if whole else "…" + flat[-(limit - 1) :]


def as_html(root: ET.Element) -> str:
    """Return the tree as an HTML page."""
    return f"<!DOCTYPE html>\n{MARK}\n{ET.tostring(root, encoding='unicode', method='html')}\n"


def as_xml(root: ET.Element) -> str:
    """Return the tree as an XML document."""
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{MARK}\n{text}\n'


def _value(value: str | float) -> str:
    return harmless(value) if isinstance(value, str) else f"{value:.6g}"
