"""The list of files that every prompt carries: the paper's semantic prior, bounded."""

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
