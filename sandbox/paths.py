"""Check names in the file store, lexically, on both sides of the wall.

This module runs inside the sandbox as well: standard library only, cheap to import.
"""

from __future__ import annotations

import unicodedata

MAX_PATH_BYTES = 1024
MAX_COMPONENT_BYTES = 200
MAX_DEPTH = 32

_FORBIDDEN = frozenset('\\:*?"<>|')
_RESERVED_PREFIX = ".l2mac-"
_PORTS = tuple(f"{port}{number}" for port in ("com", "lpt") for number in range(10))
_DEVICES = frozenset(("aux", "con", "nul", "prn", *_PORTS))


class PathError(ValueError):
    """The file store refuses a name; the message is for its author."""


def check_path(text: object) -> str:
    """Return `text` unchanged if the file store accepts it as a name.

    An accepted name is relative, `/`-separated and in Unicode form NFC. Its components are neither
    empty nor `.` nor `..`, hold no control, format or surrogate characters, and are acceptable to
    every common file system. Names that start with `.l2mac-` are reserved for files that the store
    is still writing.

    Raises:
        PathError: The file store does not accept the name.
    """
    if not isinstance(text, str) or not text:
        raise PathError("a path must be a non-empty string")
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError:
        raise PathError("the path is not valid Unicode") from None
    if len(encoded) > MAX_PATH_BYTES:
        raise PathError(f"the path has {len(encoded)} bytes, over the limit of {MAX_PATH_BYTES}")
    if text.startswith(("/", "~")):
        raise PathError(
            f"{text!r} starts with {text[0]!r}, but a path must be relative to the project's root"
        )
    if unicodedata.normalize("NFC", text) != text:
        raise PathError(f"{text!r} is not in Unicode normal form NFC")
    components = text.split("/")
    if len(components) > MAX_DEPTH:
        raise PathError(f"the path is {len(components)} levels deep, over the limit of {MAX_DEPTH}")
    for component in components:
        _check_component(component, text)
    return text


def _check_component(component: str, text: str) -> None:
    if component in ("", ".", ".."):
        raise PathError(f"{text!r} has an empty, '.' or '..' part, which a path may not have")
    if len(component.encode("utf-8")) > MAX_COMPONENT_BYTES:
        raise PathError(f"a part of {text!r} is longer than {MAX_COMPONENT_BYTES} bytes")
    if component.startswith("-") or component != component.strip(" ") or component.endswith("."):
        raise PathError(
            f"a part of {text!r} starts with '-' or a space, or ends with '.' or a space"
        )
    if component.startswith(_RESERVED_PREFIX):
        raise PathError(
            f"a part of {text!r} starts with {_RESERVED_PREFIX!r},"
            " which the file store keeps for itself"
        )
    if component.partition(".")[0].rstrip(" ").lower() in _DEVICES:
        raise PathError(
            f"a part of {text!r} is the name of a device on some systems, so choose another"
        )
    for character in component:
        if character in _FORBIDDEN or unicodedata.category(character)[0] == "C":
            raise PathError(
                f"{text!r} has a character that file names may not have here: {character!r}"
            )
