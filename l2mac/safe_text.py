"""Make text from models and boxes harmless for a terminal and a log."""

import unicodedata

_KEPT = "\n\t"
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def clean(text: str) -> str:
    """Give the text with every control, format and direction character replaced by its escape.

    Without this, text could move the cursor, recolour or retitle the terminal, or show file names backwards.
    """
    return "\n".join(line if line.isprintable() else _clean_line(line) for line in text.split("\n"))


def log_line(time: str, level: str, message: str) -> str:
    """Give a record of the log as one clean line, whatever the message tries to look like."""
    text = clean(message.replace("\t", " ")).replace("\n", "\\n")
    return f"{time} {level}: {text}"


def one_line(text: str, limit: int) -> str:
    """Give the beginning of a text on one clean line."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: max(limit - 1, 0)] + "…"


def _clean_line(text: str) -> str:
    return "".join(character if _harmless(character) else _escape(character) for character in text)


def _harmless(character: str) -> bool:
    if character in _KEPT:
        return True
    return character not in _BIDIRECTIONAL and unicodedata.category(character) not in (
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
