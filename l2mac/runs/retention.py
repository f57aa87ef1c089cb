"""Recorded runs as folders: their size, which are pinned, and the removal of old ones.

Only a folder that holds what a run writes, and nothing else, is ever removed, and only while its lock is free.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import RunLocked, TraceError
from l2mac.trace.chain import scan_lines
from l2mac.trace.journal import LOCK_FILE, OBJECTS_FILE, TRACE_FILE, lock_run
from l2mac.trace.run_report import PART_ENDING, PIN_FILE, RECEIPTS_FOLDER, REPORT_FILE
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_FIRST_LINE_BYTES = 64 * 1024 * 1024
_OWN = frozenset({TRACE_FILE, OBJECTS_FILE, LOCK_FILE, REPORT_FILE, REPORT_FILE + PART_ENDING})
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """What becomes of a folder: `removed`, or why it is kept."""

    folder: Path
    size_bytes: int
    removed: bool
    reason: str


def is_pinned(folder: Path) -> bool:
    """Whether `l2mac clean` leaves the run alone."""
    return (folder / PIN_FILE).exists()


def pin(folder: Path, *, pinned: bool) -> None:
    """Pin a run, or take the pin away; either twice is harmless.

    Raises:
        TraceError: The folder cannot be written.
    """
    try:
        if pinned:
            os.close(
                os.open(
                    folder / PIN_FILE,
                    os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o600,
                )
            )
        else:
            (folder / PIN_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise TraceError(f"{folder / PIN_FILE} cannot be changed: {error.strerror}") from error


def size_of(folder: Path) -> int:
    """Give how many bytes the files of a run's folder take."""
    total = 0
    for path in [*folder.glob("*"), *folder.glob(f"{RECEIPTS_FOLDER}/*")]:
        with contextlib.suppress(OSError):
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    return total


def clean_runs(
    runs_dir: Path, *, older_than_s: float, dry_run: bool, now: float | None = None
) -> list[RetentionDecision]:
    """Remove the folders of runs that nothing was written to for that long.

    Args:
        runs_dir: The folder of the runs; whatever else lies in it is left alone.
        older_than_s: Seconds since the last line of the trace.
        dry_run: Only say what would be removed.
        now: The time to count from, in seconds since the epoch.

    Returns:
        One verdict for each folder that looks like a run.
    """
    moment = time.time() if now is None else now
    return [
        _judge(trace.parent, moment - older_than_s, dry_run)
        for trace in sorted(runs_dir.glob(f"*/{TRACE_FILE}"))
    ]


def _judge(folder: Path, before: float, dry_run: bool) -> RetentionDecision:  # noqa: FBT001 - the caller's own flag
    size = size_of(folder)
    try:
        if (folder / TRACE_FILE).lstat().st_mtime > before:
            return RetentionDecision(folder, size, removed=False, reason="younger than that")
        lock = lock_run(folder)
        try:
            reason = _reason_to_keep(folder)
            if not reason and not dry_run:
                _remove(folder)
        finally:
            os.close(lock)
    except RunLocked:
        reason = "a process works on it"
    except TraceError as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be removed: {error.strerror}"
    return RetentionDecision(folder, size, removed=not reason, reason=reason)


def _reason_to_keep(folder: Path) -> str:
    """Say why the folder must stay; empty when it is a run's, whole, and nobody's in particular."""
    if is_pinned(folder):
        return "pinned"
    try:
        with HostFolder(folder) as host:
            for path, kind in host.entries().items():
                if kind == "folder" and path == RECEIPTS_FOLDER:
                    continue
                receipt = path.startswith(RECEIPTS_FOLDER + "/") and path.count("/") == 1
                if kind != "file" or not (receipt or path in _OWN):
                    return f"holds {path!r}, which no run writes"
            first = (host.read(TRACE_FILE, _FIRST_LINE_BYTES) or b"").partition(b"\n")[0] + b"\n"
    except UnsafePath as error:
        return str(error)
    lines, _ = scan_lines(first)
    return "" if lines else "its trace is none of l2mac"


def _remove(folder: Path) -> None:
    """Remove what was looked at, by name and below one descriptor; the trace goes last, so that a rest is found."""
    root = os.open(folder, _DIRECTORY)
    try:
        with contextlib.suppress(FileNotFoundError):
            receipts = os.open(RECEIPTS_FOLDER, _DIRECTORY, dir_fd=root)
            try:
                for name in os.listdir(receipts):
                    os.unlink(name, dir_fd=receipts)
            finally:
                os.close(receipts)
            os.rmdir(RECEIPTS_FOLDER, dir_fd=root)
        for name in [*sorted(_OWN - {TRACE_FILE}), TRACE_FILE]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=root)
    finally:
        os.close(root)
    folder.rmdir()
