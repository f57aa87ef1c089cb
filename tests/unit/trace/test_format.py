"""A trace of another format is refused in one sentence, and by every command that reads traces."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from recorded_run import record
from run_specs import run_spec

from l2mac.cli.records import runs
from l2mac.errors import TraceError
from l2mac.runs.audit import audit_run
from l2mac.runs.recorded_spec import read_spec, record_spec
from l2mac.trace.chain import FIRST_LINK, Entry, encode_line, read_trace
from l2mac.trace.events import TRACE_FORMAT
from l2mac.trace.journal import TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore

REFUSAL = r"format .*, and this version of l2mac reads format 1 only\. Use the version of l2mac"


def rewritten(folder: Path, **changed: object) -> None:
    """Rewrite the run's first line as another version's, with a valid chain."""
    objects = ObjectStore(folder / "objects.pack")
    event = record_spec(run_spec(), objects)
    line, _ = encode_line(Entry(0, 0.0, event), FIRST_LINK)
    record = json.loads(line)
    fields = record["event"] | changed
    record["event"] = {name: value for name, value in fields.items() if value is not None}
    del record["sha256"]
    (folder / TRACE_FILE).write_bytes(sealed(record))


def sealed(record: dict[str, object]) -> bytes:
    import hashlib

    body = json.dumps(record, separators=(",", ":")).encode()[:-1]
    return body + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


def test_a_run_is_recorded_with_the_number_of_the_format(tmp_path: Path) -> None:
    record(tmp_path / "run")
    first = json.loads((tmp_path / "run" / TRACE_FILE).read_text().splitlines()[0])
    assert first["event"]["format"] == TRACE_FORMAT


@pytest.mark.parametrize(
    ("format_", "named"), [(None, "without a number"), (0, "0"), (2, "2"), ("x", "x")]
)
def test_a_trace_of_another_format_is_one_sentence(
    tmp_path: Path, format_: object, named: str
) -> None:
    rewritten(tmp_path, format=format_)
    for read in (read_spec, lambda folder: read_trace(folder / TRACE_FILE), audit_run):
        with pytest.raises(TraceError, match=REFUSAL) as refusal:
            read(tmp_path)
        assert f"has format {named}," in str(refusal.value)
    with pytest.raises(TraceError, match=REFUSAL):
        Journal(tmp_path).open()


def test_a_trace_of_this_format_is_read(tmp_path: Path) -> None:
    rewritten(tmp_path)
    assert read_spec(tmp_path) == run_spec()


def test_the_list_of_runs_names_a_trace_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rewritten(tmp_path / "old", format=None)
    listed = CliRunner().invoke(runs, ["--runs-dir", str(tmp_path)]).output
    assert "has format without a number" in listed
