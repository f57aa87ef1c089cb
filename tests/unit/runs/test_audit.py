"""Every change in a run's folder is found, offline. A killed run is incomplete, not altered."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_run import STORY, record

from l2mac.runs.audit import audit_run
from l2mac.trace.events import SandboxOpened
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore
from l2mac.trace.run_report import REPORT_FILE, write_report
from l2mac.workspace.export import MANIFEST, export

RECEIPT = "receipts/001.json"
FILES = (TRACE_FILE, OBJECTS_FILE, REPORT_FILE, RECEIPT)
Judge = Callable[[str, bytes | None], str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert record(folder).outcome.status == "completed"
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "copy")


@pytest.fixture(scope="module")
def verdict_of(run: Path) -> Iterator[Judge]:
    """Return a function that audits the run with one file replaced, or removed by None."""
    before = {name: (run / name).read_bytes() for name in FILES}

    def judge(name: str, content: bytes | None) -> str:
        try:
            if content is None:
                (run / name).unlink()
            else:
                (run / name).write_bytes(content)
            return audit_run(run).verdict
        finally:
            (run / name).write_bytes(before[name])

    yield judge
    assert audit_run(run).verdict == "intact"


def test_a_run_as_it_was_recorded_is_intact(run: Path) -> None:
    found = audit_run(run)
    assert (found.verdict, found.findings, found.state) == ("intact", [], "completed")
    assert (found.receipts, found.events) == (2, (run / TRACE_FILE).read_bytes().count(b"\n"))


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_audit_finds_every_flipped_dropped_or_added_byte(
    run: Path, verdict_of: Judge, name: str, data: st.DataObject
) -> None:
    content = (run / name).read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    flip = data.draw(st.integers(1, 255))
    change = data.draw(st.sampled_from(["flip", "drop", "add", "cut"]))
    after = {
        "flip": content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :],
        "drop": content[:at] + content[at + 1 :],
        "add": content[:at] + bytes([flip]) + content[at:],
        "cut": content[:at],
    }[change]
    assert verdict_of(name, after) == "altered"


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_audit_finds_every_dropped_doubled_or_moved_line(
    run: Path, verdict_of: Judge, name: str, data: st.DataObject
) -> None:
    lines = (run / name).read_bytes().splitlines(keepends=True)
    one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    dropped = [line for number, line in enumerate(lines) if number != one]
    doubled = [*lines[:other], lines[one], *lines[other:]]
    moved = [*dropped[:other], lines[one], *dropped[other:]]
    for after in (dropped, doubled, moved):
        if after != lines:
            assert verdict_of(name, b"".join(after)) == "altered"


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_taken_away_is_found(verdict_of: Judge, name: str) -> None:
    assert verdict_of(name, None) == ("incomplete" if name == REPORT_FILE else "altered")


def test_lines_that_were_dropped_at_the_end_are_named(copy: Path) -> None:
    lines = (copy / TRACE_FILE).read_bytes().splitlines(keepends=True)
    (copy / TRACE_FILE).write_bytes(b"".join(lines[:-3]))
    (finding,) = [one for one in audit_run(copy).findings if one.file == TRACE_FILE]
    assert finding.place == f"line {len(lines) - 2}"
    assert "3 are missing" in finding.problem


def test_seal_reveals_a_dropped_end_and_report(copy: Path) -> None:
    seal = audit_run(copy).seal
    lines = (copy / TRACE_FILE).read_bytes().splitlines(keepends=True)
    (copy / TRACE_FILE).write_bytes(b"".join(lines[:-3]))
    (copy / REPORT_FILE).unlink()
    assert audit_run(copy).verdict == "altered"  # the receipt of the fresh box is named no more
    (copy / "receipts/002.json").unlink()
    assert audit_run(copy).verdict == "incomplete"
    assert audit_run(copy, seal=seal).verdict == "altered"


def test_the_noted_seal_fits_and_another_does_not(run: Path) -> None:
    seal = audit_run(run).seal
    assert json.loads((run / REPORT_FILE).read_text())["trace"]["last_link"] == seal
    assert audit_run(run, seal=seal.upper()).verdict == "intact"
    assert audit_run(run, seal="0" * 64).verdict == "altered"


def test_trace_of_a_killed_first_session_is_incomplete_not_altered(copy: Path) -> None:
    content = (copy / TRACE_FILE).read_bytes()
    (copy / REPORT_FILE).unlink()
    shutil.rmtree(copy / "receipts")
    for size in range(0, len(content), 97):
        (copy / TRACE_FILE).write_bytes(content[:size])
        assert audit_run(copy).verdict == "incomplete"


def test_a_later_session_that_is_killed_leaves_an_incomplete_record(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert record(folder, turns=2).outcome.status == "budget exhausted"
    first_report, first_size = (
        (folder / REPORT_FILE).read_bytes(),
        (folder / TRACE_FILE).stat().st_size,
    )
    assert audit_run(folder).verdict == "intact"
    assert record(folder, STORY[3:]).outcome.status == "completed"
    assert audit_run(folder).verdict == "intact"
    content = (folder / TRACE_FILE).read_bytes()
    (folder / REPORT_FILE).write_bytes(first_report)
    for name in ("002", "003"):
        (folder / f"receipts/{name}.json").unlink()
    for size in range(first_size + 900, len(content), 97):
        (folder / TRACE_FILE).write_bytes(content[:size])
        assert audit_run(folder).verdict == "incomplete"


@pytest.mark.parametrize("make", ["link", "file", "folder", "receipt"])
def test_audit_finds_foreign_files_in_the_run_folder(copy: Path, make: str) -> None:
    if make == "link":
        (copy / "trace.jsonl").rename(copy.parent / "elsewhere")
        (copy / "trace.jsonl").symlink_to(copy.parent / "elsewhere")
    elif make == "folder":
        (copy / "more").mkdir()
    else:
        (copy / ("receipts/003.json" if make == "receipt" else "notes.txt")).write_bytes(b"{}")
    assert audit_run(copy).verdict == "altered"


def test_audit_finds_a_failed_receipt_row_even_if_the_chain_is_valid(tmp_path: Path) -> None:
    row = {"name": "inside.uid", "verdict": "mismatch"}
    with Journal(tmp_path) as journal:
        name = journal.objects.put(json.dumps({"rows": [row]}).encode())
        journal.bracket(SandboxOpened(receipt_object=name, purpose="work"))
        write_report(tmp_path, journal.lines)
    (finding,) = audit_run(tmp_path).findings
    assert (finding.file, finding.place) == (RECEIPT, "row inside.uid")


def test_an_exported_folder_is_compared_byte_by_byte(copy: Path, tmp_path: Path) -> None:
    files = json.loads((copy / REPORT_FILE).read_text())["files"]
    out = export(files, ObjectStore(copy / OBJECTS_FILE), tmp_path / "out").folder
    assert audit_run(copy, exported=out).verdict == "intact"
    (out / "a.py").write_text("A = 3\n")
    (out / "more.py").write_text("")
    (out / "p/b.py").unlink()
    (out / MANIFEST).write_text("{}")
    named = {Path(one.file).name for one in audit_run(copy, exported=out).findings}
    assert named == {"a.py", "more.py", "b.py", MANIFEST}


def test_the_bundled_session_is_intact() -> None:
    assert (
        audit_run(Path(__file__).parents[3] / "examples/sessions/url-shortener").verdict == "intact"
    )
