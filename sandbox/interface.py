"""The sandbox as the host sees it, for any kind of confinement."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sandbox.results import FileEntry, Job, Match, Receipt, RunResult


class Sandbox(Protocol):
    """A confined file store on which commands can be run.

    Every method raises `SandboxLost` if the sandbox is gone; then the object is useless and its
    store lost. Paths must satisfy `sandbox.paths.check_path`. Only one call may be active at a
    time.
    """

    @property
    def receipt(self) -> Receipt:
        """The confinement that was verified before anything ran, as plain JSON values."""
        ...

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write all files or none and return their SHA-256.

        Raises:
            Refused: A name, a size, the number of files or the free space does not allow the write;
                nothing has changed.
        """
        ...

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """Return at most `limit` bytes of a file from `offset`, and the file's size.

        No more than 32 MiB are returned.

        Raises:
            Refused: The file does not exist.
        """
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files.

        Raises:
            Refused: One of the files does not exist; none has been deleted.
        """
        ...

    def files(self) -> tuple[FileEntry, ...]:
        """Return every file of the store, sorted by path."""
        ...

    def search(
        self, text: str, *, ignore_case: bool = False, max_matches: int = 200
    ) -> tuple[tuple[Match, ...], bool]:
        """Return the lines that contain `text` literally, and whether there are more.

        At most `max_matches` lines are returned, never more than 1000, and each is truncated after
        400 bytes. `ignore_case` applies to ASCII letters. Files with NUL bytes at their start are
        skipped, and so is content beyond the largest size of a written file.
        """
        ...

    def run(
        self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None
    ) -> RunResult:
        """Run jobs side by side, wait for all, and end all their processes.

        Timeouts, crashes and running out of memory are results.

        Args:
            jobs: At most 8 processes to run.
            stdin: Standard input of every job with an `argv`.
            timeout_s: Wall time for all jobs together, at most the policy's; None means the
                policy's.
        """
        ...

    def close(self) -> None:
        """End the sandbox and remove it with its store; closing twice is harmless."""
        ...
