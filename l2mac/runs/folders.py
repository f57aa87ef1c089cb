"""The folders of recorded runs: names, creation, lookup, pins and removal.

A folder is removed only if it has the files of a run and nothing else, and if its lock is free.
"""

import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import RunLocked, RunNotFound, TraceError
from l2mac.trace.chain import scan_lines
from l2mac.trace.journal import LOCK_FILE, OBJECTS_FILE, TRACE_FILE, lock_run
from l2mac.trace.run_report import PART_ENDING, PIN_FILE, RECEIPTS_FOLDER, REPORT_FILE
from l2mac.workspace.host_folder import HostFolder, UnsafePath

_FIRST_LINE_BYTES = 64 * 1024 * 1024
_OWN = frozenset({TRACE_FILE, OBJECTS_FILE, LOCK_FILE, REPORT_FILE, REPORT_FILE + PART_ENDING})
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """The decision about a folder: `removed`, or the reason to keep it."""

    folder: Path
    size_bytes: int
    removed: bool
    reason: str


def new_run(runs_dir: Path, task: str) -> Path:
    """Return the new folder of a run, named by time and task.

    Raises:
        TraceError: The folder cannot be made.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(task)}-{secrets.token_hex(2)}"
    folder = runs_dir / name
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        problem = f"The run folder {folder} cannot be made: {error.strerror}."
        raise TraceError(f"{problem} Choose another folder with --runs-dir.") from error
    return folder


def find_run(runs_dir: Path, name: str) -> Path:
    """Return the folder of a run by name, beginning of a name, path, or `last`.

    Raises:
        RunNotFound: No run or several runs match.
    """
    if (Path(name) / TRACE_FILE).is_file():
        return Path(name)
    folders = sorted(path.parent for path in runs_dir.glob(f"*/{TRACE_FILE}"))
    if name == "last":
        found = folders[-1:]
    else:
        found = [folder for folder in folders if folder.name.startswith(name)]
    if not folders:
        advice = "`l2mac runs --runs-dir FOLDER` lists the runs of another folder."
        raise RunNotFound(f"No runs are recorded in {runs_dir}. {advice}")
    if len(found) != 1:
        problem = f"{len(found)} runs start with {name!r}" if found else f"No run matches {name!r}"
        raise RunNotFound(f"{problem} in {runs_dir}. `l2mac runs` lists all runs.")
    return found[0]


def slug(text: str) -> str:
    """Return the first words of a text as a file name."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:5])[:40].strip("-") or "run"


def is_pinned(folder: Path) -> bool:
    """Return whether `l2mac runs prune` keeps the run."""
    return (folder / PIN_FILE).exists()


def pin(folder: Path, *, pinned: bool) -> None:
    """Pin or unpin a run; repeating is harmless.

    Raises:
        TraceError: The folder is not writable.
    """
    try:
        if pinned:
            os.close(os.open(folder / PIN_FILE, _CREATE, 0o600))
        else:
            (folder / PIN_FILE).unlink(missing_ok=True)
    except OSError as error:
        problem = f"{folder / PIN_FILE} cannot be changed: {error.strerror}."
        raise TraceError(problem) from error


def size_of(folder: Path) -> int:
    """Return the size of all files in a run's folder, in bytes."""
    total = 0
    for path in [*folder.glob("*"), *folder.glob(f"{RECEIPTS_FOLDER}/*")]:
        with contextlib.suppress(OSError):
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    return total


def prune_runs(
    runs_dir: Path, *, older_than_s: float, dry_run: bool, now: float | None = None
) -> list[RetentionDecision]:
    """Remove the folders of runs whose traces have not grown for a time.

    Args:
        runs_dir: Folder of the runs; other entries in it are left alone.
        older_than_s: Seconds since the last line of the trace.
        dry_run: Decide, and remove nothing.
        now: Reference time, in seconds since the epoch.

    Returns:
        One decision for each folder with a trace.
    """
    moment = time.time() if now is None else now
    return [
        _decide(trace.parent, moment - older_than_s, dry_run)
        for trace in sorted(runs_dir.glob(f"*/{TRACE_FILE}"))
    ]


def _decide(folder: Path, before: float, dry_run: bool) -> RetentionDecision:  # noqa: FBT001 - the caller's own flag
    size = size_of(folder)
    try:
        if (folder / TRACE_FILE).lstat().st_mtime > before:
            return RetentionDecision(
                folder, size, removed=False, reason="younger than the given age"
            )
        lock = lock_run(folder)
        try:
            reason = _reason_to_keep(folder)
            if not reason and not dry_run:
                _remove(folder)
        finally:
            os.close(lock)
    except RunLocked:
        reason = "active"
    except TraceError as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be removed: {error.strerror}"
    return RetentionDecision(folder, size, removed=not reason, reason=reason)


def _reason_to_keep(folder: Path) -> str:
    """Return the reason to keep a folder, or '' for a run without foreign files."""
    if is_pinned(folder):
        return "pinned"
    try:
        with HostFolder(folder) as host:
            for path, kind in host.entries().items():
                if kind == "folder" and path == RECEIPTS_FOLDER:
                    continue
                receipt = path.startswith(RECEIPTS_FOLDER + "/") and path.count("/") == 1
                if kind != "file" or not (receipt or path in _OWN):
                    return f"has a foreign file: {path!r}"
            first = (host.read(TRACE_FILE, _FIRST_LINE_BYTES) or b"").partition(b"\n")[0] + b"\n"
    except UnsafePath as error:
        return str(error)
    lines, _ = scan_lines(first)
    return "" if lines else "has a trace that l2mac did not write"


def _remove(folder: Path) -> None:
    """Remove the known files, the trace last, so that a remainder is found."""
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
