"""Files as prompts show them: the list of paths, and contents in several forms.

Every form is bounded. A text that does not fit is truncated or excluded, and a mark in its place
says so.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

_LEAST_PIECE = 200
_MOST_NAMES = 10
_NAME_CHARACTERS = 200
_NONE = "(none)"
_CUT = "\n[... cut ...]"
FileText = tuple[str, str]
"""A path and the content of the file."""


def describe_files(paths: Sequence[str], limit: int) -> str:
    """Return the list of paths, or of folders with counts where it is too long."""
    if not paths:
        return _NONE
    listing = ", ".join(paths)
    if len(listing) <= limit:
        return listing
    folders = Counter(path.rpartition("/")[0] or "." for path in paths)
    grouped = ", ".join(f"{folder}/ ({count} files)" for folder, count in sorted(folders.items()))
    shown = grouped if len(grouped) <= limit else f"{grouped[:limit]}…"
    return f"{len(paths)} files: {shown}; use list_files and search_files to find what you need"


def truncated(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, and a mark where it was truncated."""
    return text if len(text) <= limit else f"{text[:limit]}{_CUT}"


def fenced_files(texts: Sequence[FileText], first: str, limit: int) -> str:
    """Return whole files, each in a fence, as many as `limit` characters can hold.

    Args:
        texts: The files, in the order in which they are shown.
        first: A text; files that it names take the room before others do.
        limit: Files that find no room are named at the end.
    """
    if not texts:
        return _NONE
    shown: set[str] = set()
    left = limit
    for path, text in sorted(texts, key=lambda one: (one[0] not in first, len(one[1]))):
        if len(text) <= left:
            shown.add(path)
            left -= len(text)
    parts = [f"{path}:\n{_fenced(text)}" for path, text in texts if path in shown]
    if hidden := [path for path, _ in texts if path not in shown]:
        parts.append(f"(not shown, for want of room: {', '.join(hidden)})")
    return "\n\n".join(parts)


def headed_files(texts: Iterable[FileText], limit: int) -> str:
    """Return files, each below a line with its path, in about `limit` characters.

    A file that does not fit is truncated; files without room for a piece are named at the end.
    """
    parts: list[str] = []
    left: list[str] = []
    room = limit
    for path, text in texts:
        head = _head(path)
        fits = room - len(head)
        if fits < min(len(text), _LEAST_PIECE):
            left.append(path)
            continue
        parts.append(head + truncated(text, fits))
        room -= len(head) + len(text)
    if left:
        more = f" and {len(left) - _MOST_NAMES} more" if len(left) > _MOST_NAMES else ""
        parts.append(f"(There is no room to show {', '.join(left[:_MOST_NAMES])}{more}.)")
    return "\n".join(parts) or _NONE


def paged_files(texts: Iterable[FileText], room: Callable[[], int]) -> Iterator[tuple[str, int]]:
    """Yield pages of files below their paths, each page with its characters of text.

    Args:
        texts: The files; a long text continues on the next page.
        room: Returns how many characters a page may have, asked anew for each; too few end the
            pages.
    """
    page, taken, left = "", 0, room()
    for path, text in texts:
        rest = text
        while rest:
            head = _head(path[:_NAME_CHARACTERS])
            fits = left - len(page) - len(head) - 1
            if fits < min(len(rest), _LEAST_PIECE):
                if not page:
                    return
                yield page, taken
                page, taken, left = "", 0, room()
                continue
            page += f"{head}{rest[:fits]}\n"
            taken += len(rest[:fits])
            rest = rest[fits:]
    if page:
        yield page, taken


def _head(path: str) -> str:
    return f"--- {path}\n"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"
