"""The list of files that every prompt carries: the paper's semantic prior, bounded."""

from collections import Counter
from collections.abc import Sequence

from sandbox import FileEntry


def describe_files(files: Sequence[FileEntry], limit: int) -> str:
    """Give the files by path, or by folder with counts when the paths take more than `limit` characters."""
    if not files:
        return "(none)"
    listing = ", ".join(entry.path for entry in files)
    if len(listing) <= limit:
        return listing
    folders = Counter(entry.path.rpartition("/")[0] or "." for entry in files)
    grouped = ", ".join(f"{folder}/ ({count} files)" for folder, count in sorted(folders.items()))
    shown = grouped if len(grouped) <= limit else f"{grouped[:limit]}…"
    return f"{len(files)} files: {shown}; use list_files and search_files to find what you need"
