"""Text from models and sandboxes, made safe for terminals and logs."""

import unicodedata

_KEPT = "\n\t"
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: controls, formats, surrogates, line and paragraph separators."""
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def clean(text: str) -> str:
    """Return the text with every control, format and direction character replaced by its escape.

    Such characters could move the cursor, recolour or retitle the terminal, or reverse file names.
    """
    return "\n".join(line if line.isprintable() else _clean_line(line) for line in text.split("\n"))


def log_line(time: str, level: str, message: str) -> str:
    """Return a log record as one clean line, whatever the message contains."""
    text = clean(message.replace("\t", " ")).replace("\n", "\\n")
    return f"{time} {level}: {text}"


def one_line(text: str, limit: int) -> str:
    """Return the beginning of a text on one clean line."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: max(limit - 1, 0)] + "…"


def _clean_line(text: str) -> str:
    return "".join(character if _harmless(character) else _escape(character) for character in text)


def _harmless(character: str) -> bool:
    if character in _KEPT:
        return True
    return character not in _BIDIRECTIONAL and unicodedata.category(character) not in _ACTING


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
