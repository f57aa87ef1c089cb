"""The file in a reply: its first fenced block, or all of it.

Every model writes code in fences, small ones above all. A model that fills a JSON string with one
repeated line writes the same file well in a fence. The rule is fixed and nothing is repaired: a
block that is not closed is refused.
"""

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^`]*)")
_WHOLE = (".md", ".txt", ".rst")
_NOT_CLOSED = "the fenced block is not closed; the file may be incomplete"
_BLANK_LINES = re.compile(r"^(?:[ \t]*\n)+")


def file_text(reply: str, path: str) -> str:
    """Return the file in a reply: its first fenced block, or the whole reply.

    In a text file fences may be content, so there only a fence that opens the reply counts, up to
    the last one. The content ends with one line end.

    Raises:
        ValueError: There is no content, or the block is not closed; the message is for the model.
    """
    lines = reply.replace("\r\n", "\n").split("\n")
    opening = next((number for number, line in enumerate(lines) if _FENCE.fullmatch(line)), None)
    if (
        opening is not None
        and path.endswith(_WHOLE)
        and any(line.strip() for line in lines[:opening])
    ):
        opening = None
    inside = lines if opening is None else _inside(lines, opening, last=path.endswith(_WHOLE))
    content = _BLANK_LINES.sub("", "\n".join(inside)).rstrip()
    if not content:
        raise ValueError(f"the reply holds no content for {path}")
    return content + "\n"


def _inside(lines: list[str], opening: int, *, last: bool) -> list[str]:
    fence = _FENCE.fullmatch(lines[opening])
    mark = fence[1] if fence else "```"
    closing = [number for number in range(opening + 1, len(lines)) if _closes(lines[number], mark)]
    if not closing:
        raise ValueError(_NOT_CLOSED)
    return lines[opening + 1 : closing[-1 if last else 0]]


def _closes(line: str, mark: str) -> bool:
    text = line.strip()
    return len(text) >= len(mark) and set(text) == {mark[0]} and len(line) - len(line.lstrip()) <= 3
