"""Readers of any bytes return a value or raise a typed error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import TraceError
from l2mac.runs.audit import audit_run
from l2mac.trace.chain import FIRST_LINK, Entry, encode_line, scan_lines
from l2mac.trace.events import Event, InstructionStarted, RunEnded, ToolRan
from l2mac.trace.history import accesses, effective, recorded_files, steps
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore
from l2mac.trace.run_report import REPORT_FILE
from sandbox import Change

BYTES = st.binary(max_size=200) | st.sampled_from(
    [b"[" * 50_000, b'{"n":0}\n', b"\x00" * 40, b"\xff" * 40]
)
NAMES = st.text(max_size=5)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        InstructionStarted,
        number=st.integers(),
        total=st.integers(),
        restart=st.integers(),
    ),
    st.builds(RunEnded, status=NAMES, cause=NAMES),
    st.builds(
        ToolRan,
        key=NAMES,
        name=st.sampled_from(["view_files", "run_tests", "write_files"]),
        arguments_object=st.sampled_from(["", "0" * 64, "../../etc"]),
        outcome_object=NAMES,
        ok=st.booleans(),
        changes=st.lists(st.builds(Change, NAMES, st.integers(-1, 9), NAMES), max_size=2).map(
            tuple
        ),
    ),
)


def chained(events: list[Event]) -> bytes:
    content, link = b"", FIRST_LINK
    for number, event in enumerate(events):
        line, link = encode_line(Entry(number, 0.0, event), link)
        content += line
    return content


@given(content=BYTES)
def test_line_reader_rejects_arbitrary_bytes_with_a_reason(content: bytes) -> None:
    lines, problem = scan_lines(content)
    assert not lines
    assert bool(problem) == (b"\n" in content)


@given(content=BYTES, name=st.text(max_size=64))
def test_object_store_of_any_bytes_raises_errors_and_accepts_new_objects(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("run") / OBJECTS_FILE
    path.write_bytes(content)
    objects = ObjectStore(path)
    with pytest.raises(TraceError):
        objects.get(name)
    kept = objects.put(b"new")
    assert objects.get(kept) == b"new"
    objects.close()


@given(trace=BYTES | st.lists(EVENTS, max_size=4).map(chained), pack=BYTES, report=BYTES)
def test_a_folder_of_any_bytes_is_judged_and_never_found_intact(
    tmp_path_factory: pytest.TempPathFactory, trace: bytes, pack: bytes, report: bytes
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for name, content in ((TRACE_FILE, trace), (OBJECTS_FILE, pack), (REPORT_FILE, report)):
        (folder / name).write_bytes(content)
    assert audit_run(folder).verdict == "altered"
    with contextlib.suppress(TraceError), Journal(folder) as journal:
        journal.recorded()


@given(events=st.lists(EVENTS, max_size=6))
def test_a_history_of_any_events_has_steps_and_files(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    entries = [Entry(number, 0.0, event) for number, event in enumerate(events)]
    found = steps(entries)
    assert [step.number for step in found] == list(range(len(found)))
    files = {file.path for file in recorded_files(entry.event for entry in effective(entries))}
    assert not found or set(found[-1].files) == files
    objects = ObjectStore(tmp_path_factory.mktemp("run") / OBJECTS_FILE)
    with (
        pytest.raises(TraceError)
        if any(_reads(event) for event in events)
        else contextlib.nullcontext()
    ):
        accesses(entries, objects)


def _reads(event: Event) -> bool:
    return isinstance(event, ToolRan) and event.ok and event.name in ("view_files", "run_tests")
