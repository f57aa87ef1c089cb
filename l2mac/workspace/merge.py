"""Merge a run's files into an existing folder of the host: looked at first, checked whole, then written file by file.

A file that the host has and the run has otherwise is *updated* when it is still what an earlier export wrote, by the
manifest there, or what the run began with, and *in conflict* when somebody changed it since, or nothing is known of it.
What a run has left as it began with it is none of the merge's business, whatever the host has there. Nothing is ever
deleted.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import SettingsError
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.export import MANIFEST, manifest_of, read_whole, sort_out
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_MOST_BYTES = 1024**3
_FLAG = "--into"


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What a merge would do; each path stands in one place.

    Attributes:
        folder: Where.
        added: Not there yet.
        updated: There as an earlier export wrote them, or as the run began with them.
        same: There already, byte by byte.
        conflicts: Changed or deleted on the host; only written over when asked for.
        blocked: Cannot be written at all: path → reason.
        gone: Written by an earlier export or part of the input, and no longer in the run; they stay.
        set_aside: Not exported: path → reason.
        seen: What stands on the host, path → SHA-256, to be found unchanged at the moment of writing.
    """

    folder: Path
    added: tuple[str, ...]
    updated: tuple[str, ...]
    same: tuple[str, ...]
    conflicts: tuple[str, ...]
    blocked: Mapping[str, str]
    gone: tuple[str, ...]
    set_aside: Mapping[str, str]
    seen: Mapping[str, str]


def plan_merge(
    files: Mapping[str, str], folder: Path, origin: Mapping[str, str] | None = None
) -> MergePlan:
    """Look at what merging files (path → object) into a folder would change; writes nothing.

    Args:
        files: The run's files.
        folder: Where.
        origin: The files that the run began with, path → object, if it began with any.

    Raises:
        SettingsError: The folder is none, or is a link.
    """
    origin = origin or {}
    writable, aside = sort_out(changed(files, origin))
    kinds: dict[str, list[str]] = {"added": [], "updated": [], "same": [], "conflicts": []}
    blocked: dict[str, str] = {}
    seen: dict[str, str] = {}
    try:
        with HostFolder(folder) as host:
            manifest = _manifest(host)
            for path, name in writable.items():
                try:
                    kind = _kind(host, path, name, manifest, origin, seen)
                except UnsafePath as error:
                    blocked[path] = error.reason
                else:
                    kinds[kind].append(path)
            gone = tuple(
                path
                for path in {**origin, **manifest}
                if path not in files and _present(host, path)
            )
    except UnsafePath as error:
        raise SettingsError(_FLAG, str(error)) from error
    return MergePlan(
        folder,
        **{kind: tuple(paths) for kind, paths in kinds.items()},
        blocked=blocked,
        gone=gone,
        set_aside=aside,
        seen=seen,
    )


def merge(
    plan: MergePlan, files: Mapping[str, str], objects: ObjectStore, *, overwrite: bool
) -> tuple[str, ...]:
    """Carry a plan out; gives what was written. Each file appears whole; what changed meanwhile is left alone.

    Raises:
        SettingsError: Something is in the way; if that was known from the plan, nothing has been written.
        TraceError: An object is missing or altered; nothing has been written.
    """
    if plan.blocked:
        path, reason = next(iter(plan.blocked.items()))
        raise SettingsError(_FLAG, f"nothing was written, as {path!r} {reason}")
    if plan.conflicts and not overwrite:
        several = f" and {len(plan.conflicts) - 1} more" if plan.conflicts[1:] else ""
        problem = f"{plan.conflicts[0]!r}{several} changed on the host; --overwrite writes over such files"
        raise SettingsError(_FLAG, f"nothing was written, as {problem}")
    paths = (*plan.added, *plan.updated, *plan.conflicts)
    writable, aside = sort_out(
        {path: files[path] for path in (*paths, *plan.same, *plan.set_aside)}
    )
    contents = read_whole({path: files[path] for path in paths}, objects)
    try:
        with HostFolder(plan.folder) as host:
            for path in paths:
                _make_sure(host, path, plan.seen.get(path))
            for path in paths:
                _make_sure(host, path, plan.seen.get(path))
                host.write(path, contents[path], replace=path in plan.seen)
            if writable:
                host.write(MANIFEST, manifest_of(writable, aside), replace=True)
    except UnsafePath as error:
        raise SettingsError(_FLAG, f"{error}; what was written before is whole") from error
    return paths


def changed(files: Mapping[str, str], origin: Mapping[str, str]) -> dict[str, str]:
    """Give the files that are not as the run began with them."""
    return {path: name for path, name in files.items() if origin.get(path) != name}


def _kind(
    host: HostFolder,
    path: str,
    name: str,
    manifest: Mapping[str, str],
    origin: Mapping[str, str],
    seen: dict[str, str],
) -> str:
    content = host.read(path, _MOST_BYTES)
    if content is None:
        _no_twin(host, path)
        return "conflicts" if path in origin else "added"
    seen[path] = digest = hashlib.sha256(content).hexdigest()
    if digest == name:
        return "same"
    return "updated" if digest in (manifest.get(path), origin.get(path)) else "conflicts"


def _no_twin(host: HostFolder, path: str) -> None:
    """Make sure that no name on the way stands there already in other letters, which may be the same elsewhere."""
    parts = path.split("/")
    for depth, part in enumerate(parts, 1):
        for name in host.siblings("/".join(parts[:depth])):
            if name != part and _folded(name) == _folded(part):
                raise UnsafePath(
                    path,
                    f"cannot stand beside {name!r} everywhere: only letter case tells them apart",
                )


def _make_sure(host: HostFolder, path: str, digest: str | None) -> None:
    content = host.read(path, _MOST_BYTES)
    if (None if content is None else hashlib.sha256(content).hexdigest()) != digest:
        raise UnsafePath(path, "changed while it was looked at")


def _manifest(host: HostFolder) -> dict[str, str]:
    """Give what an earlier export wrote, as its manifest says; nothing where there is none that can be read."""
    try:
        written = json.loads(host.read(MANIFEST, _MOST_BYTES) or b"{}").get("sha256", {})
        return {path: digest for path, digest in written.items() if isinstance(digest, str)}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _present(host: HostFolder, path: str) -> bool:
    try:
        return host.read(path, _MOST_BYTES) is not None
    except UnsafePath:
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
