"""Text from models and sandboxes made safe for terminals, logs and encodings.

A *lone surrogate* is half of a UTF-16 pair without its other half (U+D800 to U+DFFF). JSON can
carry lone surrogates, but no text encoding can, so they are replaced or refused.
"""

import re
import unicodedata

_KEPT = "\n\t"
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text with control, format and direction characters escaped.

    Without this, text could move the cursor, recolour or retitle the terminal, or show file names
    backwards.
    """
    lines = text.split("\n")
    return "\n".join(map(_clean_line, lines))


def log_line(time: str, level: str, message: str) -> str:
    """Return a log entry as exactly one clean line."""
    text = clean(message.replace("\t", " ")).replace("\n", "\\n")
    return f"{time} {level}: {text}"


def one_line(text: str, limit: int) -> str:
    """Return a text on one clean line, truncated to `limit` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: max(limit - 1, 0)] + "…"


def has_surrogates(text: str) -> bool:
    """Return whether the text holds a surrogate, so that no encoding can carry it."""
    return _SURROGATE.search(text) is not None


def replace_surrogates(text: str) -> str:
    """Return the text with pairs joined and lone surrogates replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def escape_surrogates(text: str) -> str:
    r"""Return the text with surrogates written as escapes such as `\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _clean_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(map(_clean_character, text))


def _clean_character(character: str) -> str:
    if _harmless(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _harmless(character: str) -> bool:
    if character in _KEPT:
        return True
    if character in _BIDIRECTIONAL:
        return False
    return unicodedata.category(character) not in _UNSAFE_CATEGORIES
