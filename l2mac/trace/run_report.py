"""The report of a run: one small file that binds the end of the chain, the objects, the receipts and the files.

The chain alone cannot show that whole lines are missing at its end. The report holds the last link, so that it can;
and it is computed from the record alone, so that `l2mac audit verify` computes it again and compares every byte.
Whoever rewrites record and report together and consistently is not found out by either: against that, note the *seal*,
which is the last link, somewhere else.
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
class Report:
    """What `report.json` holds: its text, and the numbers needed to compute it anew from a record that went on."""

    text: bytes
    events: int
    objects_bytes: int
    seal: str


def make_report(
    lines: Sequence[tuple[Entry, End]], objects_bytes: int, objects_sha256: str
) -> Report:
    """Compute the report for a record that ends with these lines and that many bytes of objects."""
    end = lines[-1][1] if lines else START
    entries = [entry for entry, _ in lines]
    files = recorded_files(entry.event for entry in effective(entries))
    content = {
        "format": 1,
        "status": state_of([entry.event for entry in entries]),
        "trace": {"events": end.number, "bytes": end.size, "last_link": end.link},
        "objects": {"bytes": objects_bytes, "sha256": objects_sha256},
        "receipts": receipts_in(entries),
        "tree": tree_hash(files),
        "files": {
            entry.path: entry.digest for entry in sorted(files, key=lambda entry: entry.path)
        },
    }
    return Report(
        json.dumps(content, indent=1).encode("ascii") + b"\n", end.number, objects_bytes, end.link
    )


def receipts_in(entries: Sequence[Entry]) -> Mapping[str, str]:
    """Give the files that the receipts of a record's boxes lie in, with the objects that they must equal."""
    boxes = [entry.event for entry in entries if isinstance(entry.event, SandboxOpened)]
    return {
        f"{RECEIPTS_FOLDER}/{number:03}.json": box.receipt_object
        for number, box in enumerate(boxes, 1)
    }


def write_report(folder: Path, lines: Sequence[tuple[Entry, End]]) -> Report:
    """Write the report of a run whose trace holds these lines, and the receipts; for the holder of the run's lock.

    Raises:
        TraceError: A receipt is missing from the record, or the disk refuses.
    """
    write_receipts(folder, [entry for entry, _ in lines])
    try:
        size, digest = _hash_file(folder / OBJECTS_FILE)
        report = make_report(lines, size, digest)
        _write(folder / REPORT_FILE, report.text)
    except OSError as error:
        raise TraceError(f"{folder / REPORT_FILE} cannot be written: {error.strerror}") from error
    return report


def write_receipts(folder: Path, entries: Sequence[Entry]) -> None:
    """Lay every receipt of the record out as a file, for people and their tools.

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
        raise TraceError(
            f"{folder / RECEIPTS_FOLDER} cannot be written: {error.strerror}"
        ) from error
    finally:
        objects.close()


def _hash_file(path: Path) -> tuple[int, str]:
    if not path.exists():
        return 0, hashlib.sha256().hexdigest()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, after a power failure, too."""
    part = path.with_name(path.name + PART_ENDING)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    sync_folder(path.parent)
