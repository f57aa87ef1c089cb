"""Merge of a run's files into an existing folder: planned, checked, written.

A file of the host that differs from the run's is *updated* if it is still as an earlier export
wrote it, by the manifest there, or as the run's input had it. Otherwise it is a *conflict*: it was
changed on the host, or its origin is unknown. Files of the input that the run did not change are
left alone in any case. Nothing is ever deleted.
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
    """The plan of a merge; each path is in one of the groups.

    Attributes:
        folder: Folder of the host.
        added: New on the host.
        updated: On the host as an earlier export wrote them, or as the input had them.
        same: On the host with the same bytes.
        conflicts: On the host, but changed or deleted there; replaced only with --overwrite.
        blocked: Impossible to write: path → reason.
        gone: Part of an earlier export or the input, and no longer in the run; they stay.
        quarantined: Not exported: path → reason.
        host_state: The state of the host, path → SHA-256, checked again at the moment of writing.
    """

    folder: Path
    added: tuple[str, ...]
    updated: tuple[str, ...]
    same: tuple[str, ...]
    conflicts: tuple[str, ...]
    blocked: Mapping[str, str]
    gone: tuple[str, ...]
    quarantined: Mapping[str, str]
    host_state: Mapping[str, str]


def plan_merge(
    files: Mapping[str, str], folder: Path, origin: Mapping[str, str] | None = None
) -> MergePlan:
    """Return the plan of merging files (path → object) into a folder; writes nothing.

    Args:
        files: The run's files.
        folder: Folder of the host.
        origin: The run's input, path → object, if it has one.

    Raises:
        SettingsError: The folder does not exist, is a link or cannot be read.
    """
    origin = origin or {}
    writable, quarantined = sort_out(changed(files, origin))
    kinds: dict[str, list[str]] = {"added": [], "updated": [], "same": [], "conflicts": []}
    blocked: dict[str, str] = {}
    host_state: dict[str, str] = {}
    try:
        with HostFolder(folder) as host:
            manifest = _manifest(host)
            for path, name in writable.items():
                try:
                    kind = _kind(host, path, name, manifest, origin, host_state)
                except UnsafePath as error:
                    blocked[path] = error.reason
                else:
                    kinds[kind].append(path)
            known = {**origin, **manifest}
            gone = tuple(path for path in known if path not in files and _present(host, path))
    except UnsafePath as error:
        raise SettingsError(_FLAG, f"{_FLAG} cannot be used: {error}.") from error
    return MergePlan(
        folder,
        **{kind: tuple(paths) for kind, paths in kinds.items()},
        blocked=blocked,
        gone=gone,
        quarantined=quarantined,
        host_state=host_state,
    )


def merge(
    plan: MergePlan, files: Mapping[str, str], objects: ObjectStore, *, overwrite: bool
) -> tuple[str, ...]:
    """Write the files of a plan and return their paths.

    Files that changed meanwhile are left alone.

    Raises:
        SettingsError: A file is blocked, in conflict or changed meanwhile. Nothing is written
            unless the file changed after the plan.
        TraceError: An object is missing or altered; nothing has been written.
    """
    if plan.blocked:
        path, reason = next(iter(plan.blocked.items()))
        raise SettingsError(_FLAG, f"{_FLAG} wrote nothing, because {path!r} {reason}.")
    if plan.conflicts and not overwrite:
        more = f" and {len(plan.conflicts) - 1} more" if plan.conflicts[1:] else ""
        problem = f"{_FLAG} wrote nothing, because {plan.conflicts[0]!r}{more} changed on the host."
        raise SettingsError(_FLAG, f"{problem} Use --overwrite to replace changed files.")
    paths = (*plan.added, *plan.updated, *plan.conflicts)
    known = (*paths, *plan.same, *plan.quarantined)
    writable, quarantined = sort_out({path: files[path] for path in known})
    contents = read_whole({path: files[path] for path in paths}, objects)
    try:
        with HostFolder(plan.folder) as host:
            for path in paths:
                _check_unchanged(host, path, plan.host_state.get(path))
            for path in paths:
                _check_unchanged(host, path, plan.host_state.get(path))
                host.write(path, contents[path], replace=path in plan.host_state)
            if writable:
                host.write(MANIFEST, manifest_of(writable, quarantined), replace=True)
    except UnsafePath as error:
        problem = f"{_FLAG} stopped early: {error}. Files written before are complete."
        raise SettingsError(_FLAG, problem) from error
    return paths


def changed(files: Mapping[str, str], origin: Mapping[str, str]) -> dict[str, str]:
    """Return the files that differ from the run's input."""
    return {path: name for path, name in files.items() if origin.get(path) != name}


def _kind(
    host: HostFolder,
    path: str,
    name: str,
    manifest: Mapping[str, str],
    origin: Mapping[str, str],
    host_state: dict[str, str],
) -> str:
    content = host.read(path, _MOST_BYTES)
    if content is None:
        _check_no_twin(host, path)
        return "conflicts" if path in origin else "added"
    host_state[path] = digest = hashlib.sha256(content).hexdigest()
    if digest == name:
        return "same"
    return "updated" if digest in (manifest.get(path), origin.get(path)) else "conflicts"


def _check_no_twin(host: HostFolder, path: str) -> None:
    """Check that no part of the path exists in other letter case."""
    parts = path.split("/")
    for depth, part in enumerate(parts, 1):
        for name in host.siblings("/".join(parts[:depth])):
            if name != part and _folded(name) == _folded(part):
                raise UnsafePath(
                    path, f"differs from {name!r} only in letter case, which some systems ignore"
                )


def _check_unchanged(host: HostFolder, path: str, digest: str | None) -> None:
    content = host.read(path, _MOST_BYTES)
    found = None if content is None else hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UnsafePath(path, "has changed since the merge was planned")


def _manifest(host: HostFolder) -> dict[str, str]:
    """Return the files of an earlier export, by a readable manifest."""
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
