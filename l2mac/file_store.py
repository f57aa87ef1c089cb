"""The file store D: files in a sandbox, mirrored as objects of the trace.

The mirror makes every sandbox replaceable. If one is lost, the file store opens a new one and fills
it from the objects.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from l2mac.trace.objects import ObjectStore
from sandbox import (
    Change,
    FileEntry,
    Job,
    Match,
    PolicyError,
    Refused,
    RunResult,
    Sandbox,
    SandboxDied,
    SandboxError,
    SandboxLost,
)

_READ_BYTES = 16 * 1024 * 1024
_BATCH_BYTES = 16 * 1024 * 1024
_LOSSES_IN_A_ROW = 3
T = TypeVar("T")

SandboxMaker = Callable[[str], Sandbox]
"""A function that returns a new, verified, empty sandbox for a stated purpose."""


class SandboxReplaced(Exception):
    """A request ended its sandbox.

    The file store has been restored in a new sandbox to its state before the request.
    """


@dataclass(frozen=True, slots=True)
class KeepCaps:
    """The bounds of an execution's changes. Changes above them are undone."""

    files: int = 200
    file_bytes: int = 1024 * 1024
    total_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Execution:
    """The outcome of running jobs on the file store.

    Attributes:
        kept: Changes that are now part of the file store.
        undone: Restored paths.
        result: Report of the sandbox.
    """

    result: RunResult
    kept: tuple[Change, ...] = ()
    undone: tuple[str, ...] = ()


class FileStore:
    """Files by path, in a replaceable sandbox.

    Args:
        make_sandbox: Opens the sandboxes.
        objects: Keeps every content on the host, as inert bytes.
        caps: The bounds of the files that an execution may add.
    """

    def __init__(
        self, make_sandbox: SandboxMaker, objects: ObjectStore, *, caps: KeepCaps | None = None
    ) -> None:
        self._make_sandbox = make_sandbox
        self._objects = objects
        self._caps = caps or KeepCaps()
        self._sandbox: Sandbox | None = None
        self._files: dict[str, FileEntry] = {}
        self._losses = 0
        self._paths: tuple[str, ...] | None = None
        self._lines: dict[str, str] = {}
        self._listing: tuple[FileEntry, ...] | None = None
        self._tree = ""

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Every file, sorted by path."""
        if self._listing is None:
            self._listing = tuple(map(self._files.__getitem__, self.paths))
        return self._listing

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of every file, sorted."""
        if self._paths is None:
            self._paths = tuple(sorted(self._files))
        return self._paths

    @property
    def tree(self) -> str:
        """A hash of all paths and contents; equals `l2mac.trace.history.tree_hash`."""
        if not self._tree:
            lines = "".join(map(self._lines.__getitem__, self.paths))
            self._tree = hashlib.sha256(lines.encode()).hexdigest()
        return self._tree

    def open(self) -> Sandbox:
        """Return the sandbox. If there is none, open one and write every file into it."""
        return self._opened(self.files) if self._sandbox is None else self._sandbox

    def close(self) -> None:
        """Remove the sandbox. The objects stay."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply recorded changes to the listing of files, without touching a sandbox."""
        for change in changes:
            if change.deleted:
                self._forget(change.path)
            else:
                self._remember(FileEntry(change.path, change.size, change.digest))

    def open_with(self, files: Iterable[FileEntry]) -> None:
        """Open a sandbox with recorded files while the listing of files stays empty.

        For a resumed run: the control unit repeats its recorded effects, whose changes bring the
        listing to the state that the sandbox already has.
        """
        self._opened(files)

    def adopt(self, files: Iterable[FileEntry]) -> None:
        """Replace the listing by recorded files, in a file store without a sandbox."""
        for path in tuple(self._files):
            self._forget(path)
        for entry in files:
            self._remember(entry)

    def write(self, contents: Mapping[str, bytes]) -> tuple[Change, ...]:
        """Write all files or none and return the changes.

        Raises:
            Refused: The sandbox refuses a file. No file changed.
            SandboxReplaced: The sandbox was lost during the request.
        """
        digests = self._request(lambda sandbox: sandbox.write(contents))
        changes = []
        for path, content in contents.items():
            digest = self._objects.put(content)
            if digests[path] != digest:
                raise SandboxDied(f"the sandbox wrote other content than requested to {path!r}")
            if path not in self._files or self._files[path].digest != digest:
                changes.append(Change(path, len(content), digest))
        self.apply(changes)
        return tuple(changes)

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            Refused: The file does not exist, or is larger than 16 MiB.
            SandboxReplaced: The sandbox was lost during the request.
        """
        content, size = self._request(lambda sandbox: sandbox.read(path, limit=_READ_BYTES))
        if size > _READ_BYTES:
            raise Refused(f"{path!r} has {size} bytes and cannot be read whole")
        return content

    def delete(self, paths: Sequence[str]) -> tuple[Change, ...]:
        """Delete files and return the changes.

        Raises:
            Refused: A file does not exist. No file changed.
            SandboxReplaced: The sandbox was lost during the request.
        """
        self._request(lambda sandbox: sandbox.delete(paths))
        changes = tuple(Change(path, -1, "") for path in paths)
        self.apply(changes)
        return changes

    def search(
        self, text: str, *, ignore_case: bool, max_matches: int
    ) -> tuple[tuple[Match, ...], bool]:
        """Return the lines that contain `text`, and whether there are more.

        Raises:
            SandboxReplaced: The sandbox was lost during the request.
        """
        return self._request(
            lambda sandbox: sandbox.search(text, ignore_case=ignore_case, max_matches=max_matches)
        )

    def execute(
        self, jobs: Sequence[Job], *, keep_changes: bool, timeout_s: float | None = None
    ) -> Execution:
        """Run jobs on the file store.

        Args:
            jobs: The jobs, which run at the same time.
            keep_changes: Whether the changes within the caps become part of the file store. All
                other changes are undone.
            timeout_s: The wall time, or the sandbox's own limit when None.

        Raises:
            SandboxReplaced: The jobs ended the sandbox, or their changes are neither readable nor
                undoable.
        """
        result = self._request(lambda sandbox: sandbox.run(jobs, timeout_s=timeout_s))
        kept = self._within_caps(result.changes) if keep_changes else ()
        undone = tuple(change for change in result.changes if change not in kept)
        try:
            for change in kept:
                if not change.deleted:
                    self._store_object(change)
            self._undo(undone)
        except Refused as refusal:
            self.close()
            self.open()
            raise SandboxReplaced(f"its changes could not be put in order: {refusal}") from refusal
        self.apply(kept)
        return Execution(result, kept, tuple(change.path for change in undone))

    def _remember(self, entry: FileEntry) -> None:
        if entry.path not in self._files:
            self._paths = None
        self._files[entry.path] = entry
        self._lines[entry.path] = f"{entry.digest} {entry.path}\n"
        self._listing, self._tree = None, ""

    def _forget(self, path: str) -> None:
        if self._files.pop(path, None) is not None:
            self._paths, self._listing, self._tree = None, None, ""

    def _store_object(self, change: Change) -> None:
        content = self.read(change.path)
        if self._objects.put(content) != change.digest:
            raise SandboxDied(f"{change.path!r} changed while it was read")

    def _within_caps(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """Return the changes to keep, which include every deletion.

        An undone deletion could need a folder in the place of a kept file.
        """
        caps = self._caps
        kept = [change for change in changes if change.deleted]
        count = total = 0
        for change in changes:
            fits = (
                count < caps.files
                and change.size <= caps.file_bytes
                and total + change.size <= caps.total_bytes
            )
            if fits and not change.deleted:
                kept.append(change)
                count, total = count + 1, total + change.size
        return tuple(sorted(kept, key=lambda change: change.path))

    def _undo(self, changes: Sequence[Change]) -> None:
        created = [change.path for change in changes if change.path not in self._files]
        lost = [self._files[change.path] for change in changes if change.path in self._files]
        if created:
            self._request(lambda sandbox: sandbox.delete(created))
        if lost:
            self._request(lambda sandbox: fill(sandbox, lost, self._objects))

    def _opened(self, files: Iterable[FileEntry]) -> Sandbox:
        """Open a sandbox and write files into it. A sandbox that refuses them is removed."""
        self._sandbox = self._make_sandbox("work")
        try:
            fill(self._sandbox, files, self._objects)
        except BaseException as error:
            with contextlib.suppress(SandboxError):
                self.close()
            if isinstance(error, Refused):
                raise PolicyError(
                    f"The recorded files do not fit into the sandbox: {error}. Raise --disk."
                ) from error
            raise
        return self._sandbox

    def _request(self, request: Callable[[Sandbox], T]) -> T:
        """Send a request to the sandbox. If the sandbox is lost, open another one.

        Raises:
            SandboxReplaced: The sandbox was lost, and another one is open.
            SandboxLost: The sandbox was lost for the third time in a row.
        """
        try:
            answer = request(self.open())
        except SandboxLost as loss:
            self._losses += 1
            self.close()
            if self._losses >= _LOSSES_IN_A_ROW:
                raise
            self.open()
            raise SandboxReplaced(str(loss)) from loss
        self._losses = 0
        return answer


def fill(sandbox: Sandbox, files: Iterable[FileEntry], objects: ObjectStore) -> None:
    """Write recorded files into a sandbox, in batches that fit into one request.

    Raises:
        Refused: The sandbox refuses the files.
        SandboxLost: The sandbox is lost during the request.
        TraceError: A content is missing from the objects or altered.
    """
    batch: dict[str, bytes] = {}
    size = 0
    for entry in files:
        content = objects.get(entry.digest)
        if batch and size + len(content) > _BATCH_BYTES:
            sandbox.write(batch)
            batch, size = {}, 0
        batch[entry.path] = content
        size += len(content)
    if batch:
        sandbox.write(batch)
