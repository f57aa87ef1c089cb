"""Fill fresh sandboxes with a recorded run's files and packages."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from l2mac.bench.readings import NoReading
from l2mac.errors import TraceError
from l2mac.evaluator.packages import recorded_fetch
from l2mac.evaluator.requirement_files import FILES, read_requirements
from l2mac.file_store import fill
from l2mac.runs.recorded_spec import read_spec
from l2mac.trace.chain import read_trace
from l2mac.trace.history import effective, recorded_files
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry, Refused, Sandbox, SandboxLost

SandboxMaker = Callable[[str], Sandbox]
T = TypeVar("T")

_ATTEMPTS = 2


class RecordedStore:
    """A run's files as its trace holds them; nothing is ever written to the trace.

    Args:
        run: The run's name.
        files: The run's files.
        objects: Contents of the files.
        open_sandbox: Makes a verified, empty sandbox for the run of that name.

    Attributes:
        receipts: The receipt of each sandbox, by its purpose.
    """

    def __init__(
        self, run: str, files: Sequence[FileEntry], objects: ObjectStore, open_sandbox: SandboxMaker
    ) -> None:
        self.files = tuple(sorted(files, key=lambda entry: entry.path))
        self.receipts: dict[str, Mapping[str, object]] = {}
        self._run = run
        self._objects = objects
        self._open_sandbox = open_sandbox

    def content(self, entry: FileEntry) -> bytes:
        """Return a file's content.

        Raises:
            TraceError: The content is missing from the trace or has been altered.
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
        """Use a sandbox that holds only the files; retry once if the sandbox is lost.

        Args:
            purpose: Purpose of the sandbox, as the receipts name it.
            use: The function to call with the sandbox.
            without: Returns whether a path is excluded.
            extra: Files to add; they replace the run's files of the same path.

        Raises:
            NoReading: Two sandboxes were lost, or one does not accept the files.
            SandboxError: No sandbox can be made.
        """
        added = extra or {}
        files = [one for one in self.files if not without(one.path) and one.path not in added]
        problem = ""
        for _ in range(_ATTEMPTS):
            sandbox = self._open_sandbox(self._run)
            try:
                self.receipts[purpose] = dict(sandbox.receipt)
                fill(sandbox, files, self._objects)
                if added:
                    sandbox.write(added)
                return use(sandbox)
            except SandboxLost as loss:
                problem = f"the sandbox was lost: {loss}"
            except Refused as refusal:
                raise NoReading(f"the sandbox does not accept the files: {refusal}") from refusal
            finally:
                sandbox.close()
        raise NoReading(problem)


def recorded_wheels(run: Path) -> Mapping[str, bytes]:
    """Return the wheels that a run's final files require, if it fetched any."""
    mode = read_spec(run).dependencies
    if mode == "off":
        return {}
    events = [entry.event for entry in effective(read_trace(run / TRACE_FILE)[0])]
    objects = ObjectStore(run / OBJECTS_FILE)
    try:
        files = [entry for entry in recorded_files(events) if entry.path in FILES]
        contents = {entry.path: objects.get(entry.digest) for entry in files}
        wanted = read_requirements(contents, hashed=mode == "locked")
        if wanted.findings or not wanted.lines:
            return {}
        try:
            return recorded_fetch(events, objects)(run.name, wanted.text, mode == "locked").wheels
        except TraceError:  # the run ended before the packages were fetched
            return {}
    finally:
        objects.close()
