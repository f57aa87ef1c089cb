"""The box as the host sees it: the one seam between the control unit and whatever confines generated code."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sandbox.results import FileEntry, Job, Match, RunResult


class Sandbox(Protocol):
    """A file store and the means to run commands on it, both confined.

    All methods raise `SandboxLost` when the box is gone; the object is then useless and its store is lost.
    Paths are those that `sandbox.paths.check_path` accepts. One call at a time.
    """

    @property
    def receipt(self) -> Mapping[str, Any]:
        """What was verified about the box's confinement before anything ran in it, as plain JSON values."""
        ...

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write all files or none; gives their SHA-256.

        Raises:
            Refused: A name, a size, the number of files or the space left does not allow it; nothing changed.
        """
        ...

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """Give at most `limit` bytes of a file from `offset`, never more than 32 MiB, and the file's size.

        Raises:
            Refused: There is no such file.
        """
        ...

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files.

        Raises:
            Refused: One of them does not exist; none has been deleted.
        """
        ...

    def files(self) -> tuple[FileEntry, ...]:
        """Give every file of the store, sorted by path."""
        ...

    def search(
        self, text: str, *, ignore_case: bool = False, max_matches: int = 200
    ) -> tuple[tuple[Match, ...], bool]:
        """Give the lines that contain `text`, literally, and whether there are more than `max_matches`.

        `ignore_case` is for ASCII letters; at most 1000 matches are given, and lines are cut after 400 bytes. Files
        with NUL bytes at their start are left out, and so is what lies beyond the largest size of a written file.
        """
        ...

    def run(
        self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None
    ) -> RunResult:
        """Run jobs side by side, wait for all, end whatever they started.

        Timeouts, crashes and running out of memory are results.

        Args:
            jobs: What to run, 8 at most; `stdin` goes to each of those with an `argv`.
            stdin: Standard input.
            timeout_s: Wall time for all of them together; the policy's when None, and never more than that.
        """
        ...

    def close(self) -> None:
        """End the box and remove it with its store; closing twice is harmless."""
        ...
