"""What differs between two states of a run's files, or between them and a folder of the host: as a unified diff."""

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
    """One file that differs: `how` is added, changed, deleted or other; `text` a unified diff, not yet cleaned.

    Files that are no text, or too large to compare line by line, have a sentence instead.
    """

    path: str
    how: str
    text: str


def compare(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Difference]:
    """Give every file that differs, sorted by path."""
    return [
        _difference(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def read_host(folder: Path) -> tuple[dict[str, bytes], list[Difference]]:
    """Give the regular files of a folder, links not followed, and what else stands there.

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
                    others.append(
                        Difference(
                            path, "other", f"{path!r}: is a {kind}, which is not looked into\n"
                        )
                    )
    except UnsafePath as error:
        raise SettingsError("--against", str(error)) from error
    return contents, others


def _difference(path: str, before: bytes | None, after: bytes | None) -> Difference:
    shown = path.replace(
        "\n", "\\n"
    )  # a name on the host may hold one, and could pass for a line of the diff
    how = "added" if before is None else "deleted" if after is None else "changed"
    old, new = before or b"", after or b""
    if len(old) + len(new) > _MOST_DIFF_BYTES:
        return Difference(
            path,
            how,
            f"{shown}: {how}, {len(old)} → {len(new)} bytes, too large to compare by line\n",
        )
    try:
        old_lines, new_lines = _lines(old.decode("utf-8")), _lines(new.decode("utf-8"))
    except UnicodeDecodeError:
        return Difference(path, how, f"{shown}: {how}, {len(old)} → {len(new)} bytes, no text\n")
    origin, goal = (
        "/dev/null" if before is None else f"a/{shown}",
        "/dev/null" if after is None else f"b/{shown}",
    )
    diff = difflib.unified_diff(old_lines, new_lines, origin, goal)
    return Difference(path, how, "".join(diff) or f"{shown}: {how}, empty\n")


def _lines(text: str) -> list[str]:
    """Give lines that all end, as a diff's must; only a newline ends one."""
    lines = [line + "\n" for line in text.split("\n")]
    if text.endswith("\n") or not text:
        return lines[:-1]
    return [*lines[:-1], lines[-1] + "\\ No newline at end of file\n"]
