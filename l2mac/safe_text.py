"""Text from models and sandboxes, made safe for terminals and logs."""

import unicodedata

_KEPT = "\n\t"
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: controls, formats, surrogates, line and paragraph separators."""
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def clean(text: str) -> str:
    """Return the text with escapes for control, format and direction characters.

    Such characters could move the cursor, recolour or retitle the terminal, or reverse file names.
    """
    return "\n".join(map(_clean_line, text.split("\n")))


def log_line(time: str, level: str, message: str) -> str:
    """Return a log record as one clean line."""
    text = clean(message.replace("\t", " ")).replace("\n", "\\n")
    return f"{time} {level}: {text}"


def one_line(text: str, limit: int) -> str:
    """Return the beginning of a text on one clean line."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: max(limit - 1, 0)] + "…"


def _clean_line(line: str) -> str:
    return line if line.isprintable() else "".join(map(_clean_character, line))


def _clean_character(character: str) -> str:
    if _harmless(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _harmless(character: str) -> bool:
    if character in _KEPT:
        return True
    return character not in _BIDIRECTIONAL and unicodedata.category(character) not in _ACTING
