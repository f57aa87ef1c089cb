"""Offline audit of a run's trace, by its files alone.

Every byte of the folder is accounted for: lines by the chain, objects by their hashes, receipts by
their objects, and all of it by the report, which is computed again and compared byte by byte.
Lines after the last report, as a killed session leaves them, are *incomplete*: they are consistent,
but lines may be missing at the end. A seal noted elsewhere settles this.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from l2mac.errors import TraceError
from l2mac.trace.chain import START, End, Entry, scan_lines
from l2mac.trace.history import effective, named_objects, recorded_files, state_of
from l2mac.trace.journal import LOCK_FILE, OBJECTS_FILE, TRACE_FILE
from l2mac.trace.run_report import (
    PART_ENDING,
    PIN_FILE,
    RECEIPTS_FOLDER,
    REPORT_FILE,
    build_report,
    receipts_in,
)
from l2mac.workspace.export import MANIFEST, manifest_of, sort_out
from l2mac.workspace.host_folder import HostFolder, UnsafePath

INTACT, INCOMPLETE, ALTERED = "intact", "incomplete", "altered"
_HEADER = struct.Struct(">32sQ")
_MOST_BYTES = 4 * 1024**3
_GOOD_ROWS = ("match", "not available")

Weight = Literal["incomplete", "altered"]


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One deviation.

    Attributes:
        file: Path, relative to the folder of the run or of the export.
        place: Line or byte, or '' for the whole file.
        problem: The content, and the expected content.
        weight: `altered`, or `incomplete` for the leftovers of a killed process.
    """

    file: str
    place: str
    problem: str
    weight: Weight = "altered"


@dataclass(slots=True)
class Audit:
    """The result of an audit.

    Attributes:
        state: State of the run, by its trace.
        events: Number of trace lines.
        objects: Number of objects.
        receipts: Number of sandboxes with a receipt.
        seal: Last link of the chain.
    """

    state: str = ""
    events: int = 0
    objects: int = 0
    receipts: int = 0
    seal: str = START.link
    findings: list[AuditFinding] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`intact`, `incomplete` or `altered`."""
        weights = {finding.weight for finding in self.findings}
        if ALTERED in weights:
            return ALTERED
        return INCOMPLETE if weights else INTACT

    def add(self, file: str, place: str, problem: str, weight: Weight = "altered") -> None:
        """Add a finding."""
        self.findings.append(AuditFinding(file, place, problem, weight))


@dataclass(frozen=True, slots=True)
class _Record:
    """One object of the pack: start of the content, hash, and whether the two agree."""

    start: int
    name: str
    intact: bool


def audit_run(folder: Path, *, seal: str = "", exported: Path | None = None) -> Audit:
    """Return the audit of a run's folder, and of a folder with its exported files.

    Args:
        folder: Folder of the run.
        seal: Expected last link, as noted when the run ended.
        exported: Folder that `l2mac export` or `l2mac run` wrote.

    Raises:
        TraceError: The folder cannot be opened.
    """
    audit = Audit()
    try:
        with HostFolder(folder) as host:
            kinds = host.entries()
            contents = _read(host, kinds, audit)
    except UnsafePath as error:
        raise TraceError(f"{folder} cannot be audited: {error}.") from error
    _check(contents, audit)
    if seal and seal.lower() != audit.seal:
        audit.add(
            TRACE_FILE,
            f"line {audit.events}",
            f"the chain ends with {audit.seal}, but the noted seal is {seal}",
        )
    if exported is not None:
        _check_export(contents, exported, audit)
    return audit


def _read(host: HostFolder, kinds: Mapping[str, str], audit: Audit) -> dict[str, bytes]:
    """Return the files of the trace; every other entry is a finding."""
    contents: dict[str, bytes] = {}
    for path, kind in kinds.items():
        known = path in (TRACE_FILE, OBJECTS_FILE, REPORT_FILE, LOCK_FILE, PIN_FILE)
        receipt = (
            path.startswith(RECEIPTS_FOLDER + "/")
            and path.endswith(".json")
            and path.count("/") == 1
        )
        if kind == "folder" and path == RECEIPTS_FOLDER:
            continue
        if (
            kind == "file"
            and path.endswith(PART_ENDING)
            and path.removesuffix(PART_ENDING).endswith(".json")
        ):
            audit.add(path, "", "unfinished: its process was killed", "incomplete")
        elif kind != "file" or not (known or receipt):
            audit.add(path, "", f"foreign {kind}: no run writes it")
        else:
            contents[path] = host.read(path, _MOST_BYTES) or b""
    for path in (LOCK_FILE, PIN_FILE):
        if contents.get(path):
            audit.add(path, "byte 1", f"has {len(contents[path])} bytes, but must be empty")
    return contents


def _check(contents: Mapping[str, bytes], audit: Audit) -> None:
    trace, pack = contents.get(TRACE_FILE, b""), contents.get(OBJECTS_FILE, b"")
    lines, damage = scan_lines(trace)
    end = lines[-1][1] if lines else START
    entries = [entry for entry, _ in lines]
    audit.events, audit.seal = end.number, end.link
    audit.state = state_of([entry.event for entry in entries])
    if damage:
        audit.add(
            TRACE_FILE,
            f"line {end.number + 1}, byte {end.size + 1}",
            f"{damage}, expected link {end.link}",
        )
    elif end.size < len(trace):
        audit.add(TRACE_FILE, f"byte {end.size + 1}", "the last line is truncated", "incomplete")
    if not lines:
        audit.add(TRACE_FILE, "", "no events", "incomplete")
    covered = _check_report(contents, lines, pack, audit)
    _check_objects(pack, entries, covered, audit)
    _check_receipts(contents, entries, covered[0], audit)


def _check_report(
    contents: Mapping[str, bytes], lines: Sequence[tuple[Entry, End]], pack: bytes, audit: Audit
) -> tuple[int, int]:
    """Check the report; return the number of events and object bytes it covers."""
    found = contents.get(REPORT_FILE)
    if found is None:
        problem = "missing. The session was killed or the report removed. Lines may be missing"
        audit.add(REPORT_FILE, "", problem, "incomplete")
        return 0, 0
    try:
        claims = json.loads(found)
        events, size = int(claims["trace"]["events"]), int(claims["objects"]["bytes"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        audit.add(REPORT_FILE, "", "not a report of l2mac")
        return 0, 0
    if events > len(lines):
        lost = events - len(lines)
        problem = f"{len(lines)} of {events} lines are intact, {lost} are missing or damaged"
        audit.add(TRACE_FILE, f"line {len(lines) + 1}", problem)
        return 0, 0
    if size > len(pack):
        audit.add(
            OBJECTS_FILE,
            f"byte {len(pack) + 1}",
            f"the file ends here, but the report names {size} bytes",
        )
    digest = hashlib.sha256(memoryview(pack)[: max(size, 0)]).hexdigest()
    report = build_report(lines[: max(events, 0)], size, digest)
    if report.text != found:
        audit.add(
            REPORT_FILE,
            _first_difference(found, report.text),
            "differs from the report computed from the trace",
        )
        return 0, 0
    if events < len(lines):
        problem = (
            f"{len(lines) - events} lines after the last report, because their session was killed"
        )
        audit.add(TRACE_FILE, f"line {events + 1}", problem, "incomplete")
    elif size < len(pack):
        audit.add(
            OBJECTS_FILE,
            f"byte {size + 1}",
            f"{len(pack) - size} bytes that the report does not cover",
        )
    elif (trace_bytes := lines[-1][1].size if lines else 0) < len(contents.get(TRACE_FILE, b"")):
        audit.add(TRACE_FILE, f"byte {trace_bytes + 1}", "bytes after the last line of the report")
    return events, size


def _check_objects(
    pack: bytes, entries: Sequence[Entry], covered: tuple[int, int], audit: Audit
) -> None:
    records, rest = _records(pack)
    audit.objects = len(records)
    whole = {record.name for record in records if record.intact}
    for record in records:
        # A power failure can leave an empty object, which is written again; the report covers it.
        if not record.intact and record.start > covered[1]:
            wanted = f"the bytes whose SHA-256 is {record.name}"
            audit.add(
                OBJECTS_FILE,
                f"byte {record.start + 1}",
                f"altered object, expected {wanted}",
            )
    if rest < len(pack) and covered[1] < len(pack):
        audit.add(OBJECTS_FILE, f"byte {rest + 1}", "the last object is truncated", "incomplete")
    for entry in entries:
        for name in named_objects(entry.event):
            if name not in whole:
                line = f"line {entry.number + 1} of {TRACE_FILE}"
                problem = f"the object {name} of {line} is missing"
                audit.add(OBJECTS_FILE, "", problem)


def _records(pack: bytes) -> tuple[list[_Record], int]:
    records: list[_Record] = []
    start = 0
    while start + _HEADER.size <= len(pack):
        digest, length = _HEADER.unpack_from(pack, start)
        begin = start + _HEADER.size
        if begin + length > len(pack):
            break
        intact = hashlib.sha256(memoryview(pack)[begin : begin + length]).digest() == digest
        records.append(_Record(begin, digest.hex(), intact))
        start = begin + length
    return records, start


def _check_receipts(
    contents: Mapping[str, bytes], entries: Sequence[Entry], covered: int, audit: Audit
) -> None:
    wanted = receipts_in(entries)
    vouched = receipts_in(entries[:covered])
    audit.receipts = len(wanted)
    for path, digest in wanted.items():
        content = contents.get(path)
        if content is None:
            weight: Weight = "altered" if path in vouched else "incomplete"
            audit.add(path, "", f"missing, expected the object {digest}", weight)
        elif hashlib.sha256(content).hexdigest() != digest:
            audit.add(path, "", f"not the receipt of the chain, which is the object {digest}")
        else:
            _check_rows(path, content, audit)
    for path in sorted(contents.keys() - wanted.keys()):
        if path.startswith(RECEIPTS_FOLDER + "/"):
            audit.add(path, "", "a receipt that the chain does not name")


def _check_rows(path: str, content: bytes, audit: Audit) -> None:
    try:
        rows = [(str(row["name"]), str(row["verdict"])) for row in json.loads(content)["rows"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        rows = []
    if not rows:
        audit.add(path, "", "no rows, so the receipt proves nothing about its sandbox")
    for name, verdict in rows:
        if verdict not in _GOOD_ROWS:
            audit.add(path, f"row {name}", f"verdict {verdict!r}: such a sandbox must not be used")


def _check_export(contents: Mapping[str, bytes], folder: Path, audit: Audit) -> None:
    entries = [entry for entry, _ in scan_lines(contents.get(TRACE_FILE, b""))[0]]
    files = {
        entry.path: entry.digest
        for entry in recorded_files(entry.event for entry in effective(entries))
    }
    writable, quarantined = sort_out(files)
    try:
        with HostFolder(folder) as host:
            for path, kind in host.entries().items():
                inside = any(name.startswith(path + "/") for name in writable)
                if path not in writable and path != MANIFEST and not (kind == "folder" and inside):
                    audit.add(str(folder / path), "", f"a {kind} that this run did not export")
            expected = dict.fromkeys(writable, b"") | {MANIFEST: manifest_of(writable, quarantined)}
            for path, text in expected.items():
                content = host.read(path, _MOST_BYTES)
                same = (
                    content == text
                    if path == MANIFEST
                    else content is not None and _named(content, writable[path])
                )
                if not same:
                    problem = "missing" if content is None else "not the recorded content"
                    audit.add(
                        str(folder / path),
                        "",
                        f"{problem}, expected {writable.get(path, 'the manifest')}",
                    )
    except UnsafePath as error:
        audit.add(str(folder), "", str(error))


def _named(content: bytes, digest: str) -> bool:
    return hashlib.sha256(content).hexdigest() == digest


def _first_difference(found: bytes, wanted: bytes) -> str:
    pairs = zip(found, wanted, strict=False)
    shorter = min(len(found), len(wanted))
    position = next((number for number, (one, two) in enumerate(pairs) if one != two), shorter)
    return f"byte {position + 1}"
