"""Differences between two states of a run's files, or from a folder of the host."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.workspace.export import MANIFEST
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_MOST_FILE_BYTES = 64 * 1024 * 1024
_MOST_DIFF_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that differs.

    Attributes:
        how: `added`, `changed`, `deleted`, or `other` for links and special files.
        text: A unified diff, not yet made safe for a terminal; one line for a file that is binary
            or too large to compare by line.
    """

    path: str
    how: str
    text: str


def compare(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Difference]:
    """Return every file that differs, sorted by path."""
    return [
        _difference(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def read_host(folder: Path) -> tuple[dict[str, bytes], list[Difference]]:
    """Return the regular files of a folder, and its links and special files.

    Raises:
        SettingsError: The folder cannot be read.
    """
    contents: dict[str, bytes] = {}
    others: list[Difference] = []
    try:
        with HostFolder(folder) as host:
            for path, kind in host.entries().items():
                if kind == "file" and path != MANIFEST:
                    contents[path] = host.read(path, _MOST_FILE_BYTES) or b""
                elif kind in ("link", "special"):
                    text = f"{path!r}: a {kind}, which is never read\n"
                    others.append(Difference(path, "other", text))
    except UnsafePath as error:
        raise SettingsError("--against", f"--against cannot be read: {error}.") from error
    return contents, others


def _difference(path: str, before: bytes | None, after: bytes | None) -> Difference:
    # A name on the host may hold a line break, and could pass for a line of the diff.
    shown = path.replace("\n", "\\n")
    how = _how(before, after)
    old, new = before or b"", after or b""
    sizes = f"{shown}: {how}, {len(old)} → {len(new)} bytes"
    if len(old) + len(new) > _MOST_DIFF_BYTES:
        return Difference(path, how, f"{sizes}, too large to compare by line\n")
    try:
        old_lines, new_lines = _lines(old.decode("utf-8")), _lines(new.decode("utf-8"))
    except UnicodeDecodeError:
        return Difference(path, how, f"{sizes}, not text\n")
    origin = "/dev/null" if before is None else f"a/{shown}"
    goal = "/dev/null" if after is None else f"b/{shown}"
    diff = difflib.unified_diff(old_lines, new_lines, origin, goal)
    return Difference(path, how, "".join(diff) or f"{shown}: {how}, empty\n")


def _how(before: bytes | None, after: bytes | None) -> str:
    if before is None:
        return "added"
    return "deleted" if after is None else "changed"


def _lines(text: str) -> list[str]:
    """Return lines that all end, as a diff needs; only a newline ends a line."""
    lines = [line + "\n" for line in text.split("\n")]
    if text.endswith("\n") or not text:
        return lines[:-1]
    return [*lines[:-1], lines[-1] + "\\ No newline at end of file\n"]
