"""The file store D: files in a box, mirrored as objects of the run's record, so that no box is irreplaceable."""

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


class SandboxReplaced(Exception):
    """A request ended its box; the store has been rebuilt in a new one as it was before the request."""


@dataclass(frozen=True, slots=True)
class KeepCaps:
    """How much of what an execution wrote is kept; what is over is undone."""

    files: int = 200
    file_bytes: int = 1024 * 1024
    total_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of running something on the store.

    Attributes:
        result: The box's account of it.
        kept: Changes that are now part of the store.
        undone: Paths that it changed and that were put back.
    """

    result: RunResult
    kept: tuple[Change, ...] = ()
    undone: tuple[str, ...] = ()


class FileStore:
    """Files by path, in a box that can be lost and made again.

    Args:
        make_box: Gives a new, verified, empty box for a stated purpose.
        objects: Where every content is kept on the host, as inert bytes.
    """

    def __init__(
        self, make_sandbox: SandboxMaker, objects: ObjectStore, *, caps: KeepCaps | None = None
    ) -> None:
        self._make_box = make_sandbox
        self._objects = objects
        self._caps = caps or KeepCaps()
        self._box: Sandbox | None = None
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
        """A hash of all paths and contents."""
        if not self._tree:
            lines = "".join(map(self._lines.__getitem__, self.paths))
            self._tree = hashlib.sha256(lines.encode()).hexdigest()
        return self._tree

    def open(self) -> Sandbox:
        """Give the box; if there is none, make one and bring every file into it."""
        return self._opened(self.files) if self._box is None else self._box

    def close(self) -> None:
        """Remove the box; the objects stay."""
        box, self._box = self._box, None
        if box is not None:
            box.close()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take recorded changes over without touching a box."""
        for change in changes:
            if change.deleted:
                self._forget(change.path)
            else:
                self._remember(FileEntry(change.path, change.size, change.digest))

    def open_with(self, files: Iterable[FileEntry]) -> None:
        """Make the box with recorded files in it, while the store itself counts as empty.

        For a run that is taken up: the control unit walks through its record, which brings the store to what the
        box holds already.
        """
        self._opened(files)

    def adopt(self, files: Iterable[FileEntry]) -> None:
        """Take over recorded files as the store's content; for a store that has no box yet."""
        for path in tuple(self._files):
            self._forget(path)
        for entry in files:
            self._remember(entry)

    def write(self, contents: Mapping[str, bytes]) -> tuple[Change, ...]:
        """Write all files or none; gives what changed.

        Raises:
            Refused: The box refuses them; nothing changed.
            BoxReplaced: The box was lost meanwhile.
        """
        digests = self._on_box(lambda box: box.write(contents))
        changes = []
        for path, content in contents.items():
            digest = self._objects.put(content)
            if digests[path] != digest:
                raise SandboxDied(f"the box wrote something else than it was given to {path!r}")
            if path not in self._files or self._files[path].digest != digest:
                changes.append(Change(path, len(content), digest))
        self.apply(changes)
        return tuple(changes)

    def read(self, path: str) -> bytes:
        """Give a file's content.

        Raises:
            Refused: There is no such file, or it is larger than 16 MiB.
            BoxReplaced: The box was lost meanwhile.
        """
        content, size = self._on_box(lambda box: box.read(path, limit=_READ_BYTES))
        if size > _READ_BYTES:
            raise Refused(f"{path!r} has {size} bytes and cannot be read whole")
        return content

    def delete(self, paths: Sequence[str]) -> tuple[Change, ...]:
        """Delete files; gives what changed.

        Raises:
            Refused: One of them does not exist; nothing changed.
            BoxReplaced: The box was lost meanwhile.
        """
        self._on_box(lambda box: box.delete(paths))
        changes = tuple(Change(path, -1, "") for path in paths)
        self.apply(changes)
        return changes

    def search(
        self, text: str, *, ignore_case: bool, max_matches: int
    ) -> tuple[tuple[Match, ...], bool]:
        """Give the lines that contain `text`, and whether there are more."""
        return self._on_box(
            lambda box: box.search(text, ignore_case=ignore_case, max_matches=max_matches)
        )

    def execute(
        self, jobs: Sequence[Job], *, keep_changes: bool, timeout_s: float | None = None
    ) -> Execution:
        """Run jobs on the store.

        Args:
            jobs: What to run.
            keep_changes: Whether files that they write become part of the store, within the caps; otherwise, and
                beyond the caps, the store is put back as it was.
            timeout_s: Wall time; the box's own limit when None.

        Raises:
            BoxReplaced: The jobs ended the box, or left it in a state that cannot be taken over or put back.
        """
        result = self._on_box(lambda box: box.run(jobs, timeout_s=timeout_s))
        kept = self._within_caps(result.changes) if keep_changes else ()
        undone = tuple(change for change in result.changes if change not in kept)
        try:
            for change in kept:
                if not change.deleted:
                    self._adopt(change)
            self._put_back(undone)
        except Refused as refusal:
            self.close()
            self.open()
            raise SandboxReplaced(f"what it left could not be put in order: {refusal}") from refusal
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

    def _adopt(self, change: Change) -> None:
        content = self.read(change.path)
        if self._objects.put(content) != change.digest:
            raise SandboxDied(f"{change.path!r} changed while it was read")

    def _within_caps(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """Give the changes to keep: every deletion, so that no kept file stands where a folder is put back."""
        caps, kept = self._caps, [change for change in changes if change.deleted]
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

    def _put_back(self, changes: Sequence[Change]) -> None:
        created = [change.path for change in changes if change.path not in self._files]
        lost = [self._files[change.path] for change in changes if change.path in self._files]
        if created:
            self._on_box(lambda box: box.delete(created))
        if lost:
            self._on_box(lambda box: fill(box, lost, self._objects))

    def _opened(self, files: Iterable[FileEntry]) -> Sandbox:
        """Make the box and bring files into it; one that cannot take them is removed."""
        self._box = self._make_box("work")
        try:
            fill(self._box, files, self._objects)
        except BaseException as error:
            with contextlib.suppress(SandboxError):
                self.close()
            if isinstance(error, Refused):
                raise PolicyError(
                    f"the recorded files do not fit into the box: {error}; raise --disk"
                ) from error
            raise
        return self._box

    def _on_box(self, request: Callable[[Sandbox], T]) -> T:
        """Make a request of the box; when it loses the box, make another and say so."""
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


def fill(box: Sandbox, files: Iterable[FileEntry], objects: ObjectStore) -> None:
    """Bring recorded files into a box, in batches that one request can carry.

    Raises:
        Refused: The box does not take them.
        SandboxLost: It is lost meanwhile.
        TraceError: A content is missing from the record or altered.
    """
    batch: dict[str, bytes] = {}
    size = 0
    for entry in files:
        content = objects.get(entry.digest)
        if batch and size + len(content) > _BATCH_BYTES:
            box.write(batch)
            batch, size = {}, 0
        batch[entry.path] = content
        size += len(content)
    if batch:
        box.write(batch)
