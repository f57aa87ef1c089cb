"""The files of a recorded run, brought into a fresh box for each measuring."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from l2mac.bench.readings import NoReading
from l2mac.file_store import fill
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry, Refused, Sandbox, SandboxLost

SandboxMaker = Callable[[str], Sandbox]
T = TypeVar("T")

_BOXES = 2


class RecordedStore:
    """A run's files as its record holds them; nothing is ever written to the record.

    Args:
        run: The run's name.
        files: Its files.
        objects: Their contents.
        open_box: Makes a verified, empty box for the run of that name.

    Attributes:
        receipts: What was verified about each box, by what it was for.
    """

    def __init__(
        self, run: str, files: Sequence[FileEntry], objects: ObjectStore, open_sandbox: SandboxMaker
    ) -> None:
        self.files = tuple(sorted(files, key=lambda entry: entry.path))
        self.receipts: dict[str, Mapping[str, Any]] = {}
        self._run = run
        self._objects = objects
        self._open_box = open_sandbox

    def content(self, entry: FileEntry) -> bytes:
        """Give a file's content.

        Raises:
            TraceError: It is missing from the record or altered.
        """
        return self._objects.get(entry.digest)

    def in_fresh_box(
        self,
        purpose: str,
        use: Callable[[Sandbox], T],
        *,
        without: Callable[[str], bool] = lambda _: False,
        extra: Mapping[str, bytes] | None = None,
    ) -> T:
        """Use a box that holds the files and nothing else; once more if the first is lost.

        Args:
            purpose: What for, as the receipts say it.
            use: What to do with it.
            without: Says which paths to leave out.
            extra: Files to add, in the place of the run's own where they have the same path.

        Raises:
            NoReading: Two boxes were lost, or they do not take the files.
            SandboxError: No box can be made.
        """
        problem = ""
        for _ in range(_BOXES):
            box = self._open_box(self._run)
            try:
                self.receipts[purpose] = dict(box.receipt)
                kept = [
                    entry
                    for entry in self.files
                    if not without(entry.path) and entry.path not in (extra or {})
                ]
                fill(box, kept, self._objects)
                if extra:
                    box.write(extra)
                return use(box)
            except SandboxLost as loss:
                problem = f"the box was lost: {loss}"
            except Refused as refusal:
                raise NoReading(f"the box does not take the files: {refusal}") from refusal
            finally:
                box.close()
        raise NoReading(problem)
