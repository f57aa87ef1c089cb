"""The run report, `report.json`, which binds all parts of a run's folder.

The report holds the hashes of:

- the *seal*, which is the last link of the chain in the trace. Without it, whole lines missing at
  the end of the trace would not be detected;
- the objects;
- the *receipts*, which state the verified confinement of each sandbox;
- the files in the file store.

The report is computed from the trace alone, so `l2mac audit verify` computes it again and compares
every byte. An attacker who rewrites the trace and the report consistently is detected only by users
who stored the seal elsewhere.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import TraceError
from l2mac.trace.chain import START, End, Entry
from l2mac.trace.events import SandboxOpened
from l2mac.trace.history import effective, recorded_files, state_of, tree_hash
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore, sync_folder

REPORT_FILE = "report.json"
RECEIPTS_FOLDER = "receipts"
PART_ENDING = ".part"
PIN_FILE = "pinned"


@dataclass(frozen=True, slots=True)
class RunReport:
    """The report of a run.

    Attributes:
        text: The content of `report.json`.
        events: The number of lines that the report covers. A longer trace needs it to compute the
            same report again.
        objects_bytes: The size of the objects that the report covers, likewise.
        seal: The last link of the chain.
    """

    text: bytes
    events: int
    objects_bytes: int
    seal: str


def build_report(
    lines: Sequence[tuple[Entry, End]], objects_bytes: int, objects_sha256: str
) -> RunReport:
    """Build the report for these lines and that many bytes of objects."""
    end = lines[-1][1] if lines else START
    entries = [entry for entry, _ in lines]
    files = recorded_files(entry.event for entry in effective(entries))
    ordered = sorted(files, key=lambda entry: entry.path)
    content = {
        "format": 1,
        "status": state_of([entry.event for entry in entries]),
        "trace": {"events": end.number, "bytes": end.size, "last_link": end.link},
        "objects": {"bytes": objects_bytes, "sha256": objects_sha256},
        "receipts": receipts_in(entries),
        "tree": tree_hash(files),
        "files": {entry.path: entry.digest for entry in ordered},
    }
    text = json.dumps(content, indent=1).encode("ascii") + b"\n"
    return RunReport(text, end.number, objects_bytes, end.link)


def receipts_in(entries: Sequence[Entry]) -> Mapping[str, str]:
    """Return the receipts: file in the run's folder → object."""
    opened = [entry.event for entry in entries if isinstance(entry.event, SandboxOpened)]
    return {
        f"{RECEIPTS_FOLDER}/{number:03}.json": event.receipt_object
        for number, event in enumerate(opened, 1)
    }


def write_report(folder: Path, lines: Sequence[tuple[Entry, End]]) -> RunReport:
    """Write the report and the receipts of a run. The caller holds the run's lock.

    Args:
        folder: The run's folder.
        lines: All lines of its trace.

    Raises:
        TraceError: A receipt is missing from the objects, or the disk refuses.
    """
    write_receipts(folder, [entry for entry, _ in lines])
    try:
        size, digest = _hash_file(folder / OBJECTS_FILE)
        report = build_report(lines, size, digest)
        _write(folder / REPORT_FILE, report.text)
    except OSError as error:
        raise _unwritable(folder / REPORT_FILE, error) from error
    return report


def write_receipts(folder: Path, entries: Sequence[Entry]) -> None:
    """Write every receipt as a file of its own, for people and their tools.

    Raises:
        TraceError: An object is missing, or the disk refuses.
    """
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        for name, digest in receipts_in(entries).items():
            target = folder / name
            if not target.exists():
                target.parent.mkdir(mode=0o700, exist_ok=True)
                _write(target, objects.get(digest))
    except OSError as error:
        raise _unwritable(folder / RECEIPTS_FOLDER, error) from error
    finally:
        objects.close()


def _unwritable(path: Path, error: OSError) -> TraceError:
    return TraceError(
        f"The path {path} is not writable: {error.strerror}. Check its disk and permissions."
    )


def _hash_file(path: Path) -> tuple[int, str]:
    if not path.exists():
        return 0, hashlib.sha256().hexdigest()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, even if a power failure interrupts it."""
    part = path.with_name(path.name + PART_ENDING)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    sync_folder(path.parent)
