"""What prompts say about the files of the store: the list, the paper's semantic prior, or the contents; bounded."""

from collections import Counter
from collections.abc import Sequence


def describe_files(paths: Sequence[str], limit: int) -> str:
    """Give files by path, or by folder with counts when the paths take more than `limit` characters."""
    if not paths:
        return "(none)"
    listing = ", ".join(paths)
    if len(listing) <= limit:
        return listing
    folders = Counter(path.rpartition("/")[0] or "." for path in paths)
    grouped = ", ".join(f"{folder}/ ({count} files)" for folder, count in sorted(folders.items()))
    shown = grouped if len(grouped) <= limit else f"{grouped[:limit]}…"
    return f"{len(paths)} files: {shown}; use list_files and search_files to find what you need"


def show_contents(texts: Sequence[tuple[str, str]], first: str, limit: int) -> str:
    """Give files with their contents, each in a fence, as many as take no more than `limit` characters together.

    Args:
        texts: Path and content, in the order in which they are shown.
        first: A text; files that it names take the room before others do.
        limit: Files that find no room are named at the end.
    """
    if not texts:
        return "(none)"
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


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"
