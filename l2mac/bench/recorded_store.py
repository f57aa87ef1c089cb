"""The files of a recorded run, brought into a fresh sandbox for each measuring."""

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
        open_sandbox: Makes a verified, empty sandbox for the run of that name.

    Attributes:
        receipts: What was verified about each sandbox, by what it was for.
    """

    def __init__(
        self, run: str, files: Sequence[FileEntry], objects: ObjectStore, open_sandbox: SandboxMaker
    ) -> None:
        self.files = tuple(sorted(files, key=lambda entry: entry.path))
        self.receipts: dict[str, Mapping[str, Any]] = {}
        self._run = run
        self._objects = objects
        self._open_sandbox = open_sandbox

    def content(self, entry: FileEntry) -> bytes:
        """Return a file's content.

        Raises:
            TraceError: It is missing from the record or altered.
        """
        return self._objects.get(entry.digest)

    def in_fresh_sandbox(
        self,
        purpose: str,
        use: Callable[[Sandbox], T],
        *,
        without: Callable[[str], bool] = lambda _: False,
        extra: Mapping[str, bytes] | None = None,
    ) -> T:
        """Use a sandbox that holds the files and nothing else; once more if the first is lost.

        Args:
            purpose: What for, as the receipts say it.
            use: What to do with it.
            without: Says which paths to leave out.
            extra: Files to add, in the place of the run's own where they have the same path.

        Raises:
            NoReading: Two sandboxes were lost, or they do not take the files.
            SandboxError: No sandbox can be made.
        """
        problem = ""
        for _ in range(_BOXES):
            sandbox = self._open_sandbox(self._run)
            try:
                self.receipts[purpose] = dict(sandbox.receipt)
                kept = [
                    entry
                    for entry in self.files
                    if not without(entry.path) and entry.path not in (extra or {})
                ]
                fill(sandbox, kept, self._objects)
                if extra:
                    sandbox.write(extra)
                return use(sandbox)
            except SandboxLost as loss:
                problem = f"the sandbox was lost: {loss}"
            except Refused as refusal:
                raise NoReading(f"the sandbox does not take the files: {refusal}") from refusal
            finally:
                sandbox.close()
        raise NoReading(problem)
