"""Build HTML and SVG as a tree, so that no text can become markup, whatever a model or a sandbox put into it.

Every text and attribute passes through `element`, which replaces control, format and direction characters by their
escapes and drops what no document may hold; the serializer escapes the rest. Lengths are bounded by whoever calls.
"""

import re
from xml.etree import ElementTree as ET

from l2mac.safe_text import clean, one_line

MARK = "<!-- l2mac report -->"
"""Stands on the first lines of every file of ours, which may therefore be replaced."""
_LOOKED_AT = 8
_LONGEST_ESCAPE = 12
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Child = ET.Element | str | None


def element(tag: str, *children: Child, **attributes: str | float) -> ET.Element:
    """Return an element; a trailing `_` of an attribute's name falls away, other ones become dashes.

    Empty attributes are left out, as is None among the children.
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
    """Put something at the end of an element; None is nothing."""
    if isinstance(child, str):
        text = harmless(child)
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text
    elif child is not None:
        parent.append(child)


def harmless(text: str) -> str:
    """Return the text without what could steer a terminal or a reader, and without what XML cannot hold."""
    return text if text.isascii() and text.isprintable() else _NOT_XML.sub("", clean(text))


def short(text: str, limit: int) -> str:
    """Return the beginning of a text, on one line; of a very long one no more than needed is looked at."""
    looked_at = text[: limit * _LOOKED_AT]
    flat = one_line(looked_at, limit)
    return flat if len(looked_at) == len(text) or flat.endswith("…") else f"{flat[: limit - 1]}…"


def short_path(path: str, limit: int) -> str:
    """Return the end of a path, which tells files apart, on one line."""
    looked_at = path[-limit * _LOOKED_AT :]
    flat = one_line(looked_at, len(looked_at) * _LONGEST_ESCAPE)
    return (
        flat if len(flat) <= limit and len(looked_at) == len(path) else "…" + flat[-(limit - 1) :]
    )


def as_html(root: ET.Element) -> str:
    """Return the tree as a page."""
    return f"<!DOCTYPE html>\n{MARK}\n{ET.tostring(root, encoding='unicode', method='html')}\n"


def as_xml(root: ET.Element) -> str:
    """Return the tree as an XML document."""
    ET.indent(root)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{MARK}\n{ET.tostring(root, encoding="unicode")}\n'
    )


def _value(value: str | float) -> str:
    return harmless(value) if isinstance(value, str) else f"{value:.6g}"
