import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interrupts import interrupted_at

from l2mac.errors import RunLocked, TraceError
from l2mac.trace import journal as journal_module
from l2mac.trace import objects as objects_module
from l2mac.trace.events import (
    BoxOpened,
    Checked,
    Event,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    PlanMade,
    ProtocolChosen,
    RunEnded,
    RunStarted,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.journal import FIRST_LINK, Entry, Journal, encode_line, read_trace
from sandbox import Change

STARTED = RunStarted(
    task_object="a" * 64, domain="codebase", settings={"steps": 10, "program": [], "setup": {"x": None}}
)
SESSION = SessionStarted(reason="run", version="0", model="m", image="i")
ENDED = RunEnded(status="completed", cause="all is well")
HOLDER = """
import sys, time
from pathlib import Path
from l2mac.trace.journal import Journal
with Journal(Path(sys.argv[1])):
    print("open", flush=True)
    time.sleep(60)
"""
SMALL_DISK = """
import resource, sys
from pathlib import Path
from l2mac.errors import TraceError
from l2mac.trace.events import InstructionStarted
from l2mac.trace.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
written = 0
with Journal(Path(sys.argv[1])) as journal:
    try:
        while True:
            journal.note(InstructionStarted(number=written + 1, total=99, restart=0, reason="x" * 100))
            written += 1
    except TraceError as error:
        print(written, error)
"""


def tool(key: str = "key", **fields: Any) -> ToolRan:
    return ToolRan(key=key, name="write_files", arguments_object="b" * 64, outcome_object="c" * 64, ok=True, **fields)


def model(key: str = "key") -> ModelCalled:
    return ModelCalled(
        key=key,
        purpose="turn",
        message_objects=("d" * 64, "e" * 64),
        tools_object="f" * 64,
        tool="",
        temperature=0.01,
        max_reply_tokens=100,
        reply_object="0" * 64,
        prompt_tokens=10,
        completion_tokens=5,
        counted=True,
        cost_usd=0.125,
    )


EVENTS: tuple[Event, ...] = (
    SESSION,
    BoxOpened(receipt_object="1" * 64, purpose="work"),
    STARTED,
    ProtocolChosen(key="protocol", protocol="native"),
    PlanMade(source="model", instruction_objects=("2" * 64, "3" * 64)),
    InstructionStarted(number=1, total=2, restart=0),
    model(),
    tool(changes=(Change("a.py", 3, "4" * 64), Change("b.py", -1, ""))),
    Checked(key="tree", verdict="passed", summary="clean; ünïcödé \u2028", report_object="5" * 64),
    InstructionCompleted(number=1, summary_object="6" * 64, tree="tree"),
    ENDED,
)


def lines_of(events: tuple[Event, ...]) -> list[bytes]:
    lines, link = [], FIRST_LINK
    for number, event in enumerate(events):
        line, link = encode_line(Entry(number, float(number), event), link)
        lines.append(line)
    return lines


def trace_file(folder: Path, content: bytes) -> Path:
    path = folder / "trace.jsonl"
    path.write_bytes(content)
    return path


def events_in(folder: Path) -> list[Event]:
    return [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]


def never() -> Any:
    raise AssertionError("performed although it is recorded")


def ticking(*times: float) -> Callable[[], float]:
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_every_kind_of_event_comes_back_as_it_was(tmp_path: Path):
    path = trace_file(tmp_path, b"".join(lines_of(EVENTS)))
    entries, size, _ = read_trace(path)
    assert [entry.event for entry in entries] == list(EVENTS)
    assert size == path.stat().st_size


def test_a_trace_that_is_not_there_is_empty(tmp_path: Path):
    assert read_trace(tmp_path / "trace.jsonl") == ([], 0, FIRST_LINK)


def test_a_trace_that_cannot_be_read_is_an_error(tmp_path: Path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


def test_each_line_is_json_with_the_documented_fields():
    records = [json.loads(line) for line in lines_of(EVENTS)]
    assert {tuple(record) for record in records} == {("n", "t", "prev", "event", "sha256")}
    assert [record["prev"] for record in records[1:]] == [record["sha256"] for record in records[:-1]]


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path):
    content = b"".join(lines_of(EVENTS[:2]))
    for position in range(len(content) - 1):
        altered = bytearray(content)
        altered[position] ^= 1
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(trace_file(tmp_path, bytes(altered)))


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_replaced_byte_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int):
    content = b"".join(lines_of(EVENTS))
    position %= len(content) - 1
    altered = content[:position] + bytes([byte]) + content[position + 1 :]
    if altered != content:
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(trace_file(tmp_path_factory.mktemp("t"), altered))


@given(position=st.integers(0, 10_000), inserted=st.binary(min_size=1, max_size=3))
def test_inserted_bytes_are_found_or_stand_behind_the_last_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, inserted: bytes
):
    content = b"".join(lines_of(EVENTS))
    position %= len(content) + 1
    altered = content[:position] + inserted + content[position:]
    path = trace_file(tmp_path_factory.mktemp("t"), altered)
    if altered.startswith(content) and b"\n" not in altered[len(content) :]:
        assert [entry.event for entry in read_trace(path)[0]] == list(EVENTS)
    else:
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(path)


@pytest.mark.parametrize("dropped", range(len(EVENTS) - 1))
def test_a_dropped_line_is_found(tmp_path: Path, dropped: int):
    lines = lines_of(EVENTS)
    del lines[dropped]
    with pytest.raises(TraceError, match=f"line {dropped + 1}"):
        read_trace(trace_file(tmp_path, b"".join(lines)))


@pytest.mark.parametrize("at", range(len(EVENTS) - 1))
def test_swapped_lines_are_found(tmp_path: Path, at: int):
    lines = lines_of(EVENTS)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, b"".join(lines)))


@pytest.mark.parametrize("at", range(len(EVENTS) + 1))
def test_a_line_of_another_run_is_found_wherever_it_is_put(tmp_path: Path, at: int):
    lines, foreign = lines_of(EVENTS), lines_of((*EVENTS[:at], ENDED, ENDED))[-1]
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, b"".join([*lines[:at], foreign, *lines[at:]])))


def test_a_whole_line_that_is_no_event_is_found_even_if_its_chain_is_right(tmp_path: Path):
    line, _ = encode_line(Entry(0, 0.0, ENDED), FIRST_LINK)
    forged = json.loads(line)
    forged["event"]["kind"] = "surprise"
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, json.dumps(forged).encode() + b"\n"))


def test_a_last_line_cut_anywhere_is_dropped_and_the_run_goes_on(tmp_path: Path):
    *kept, last = lines_of(EVENTS)
    for length in range(1, len(last)):
        trace_file(tmp_path, b"".join(kept) + last[:length])
        with Journal(tmp_path) as journal:
            journal.bracket(SESSION)
        assert events_in(tmp_path) == [*EVENTS[:-1], SESSION]


def test_a_second_process_finds_the_run_locked_until_the_first_is_dead(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(RunLocked, match="another process works on the run"):
            Journal(tmp_path).open()
        holder.kill()
        holder.wait()
        with Journal(tmp_path) as journal:
            assert journal.recorded() == ()


def test_a_damaged_trace_leaves_the_run_unlocked(tmp_path: Path):
    path = trace_file(tmp_path, b"{}\n")
    with pytest.raises(TraceError):
        Journal(tmp_path).open()
    path.unlink()
    with Journal(tmp_path) as journal:
        assert journal.recorded() == ()


def test_a_folder_that_is_missing_is_an_error_of_the_record(tmp_path: Path):
    with pytest.raises(TraceError, match="cannot be locked"):
        Journal(tmp_path / "none").open()


def test_closing_twice_is_harmless(tmp_path: Path):
    journal = Journal(tmp_path).open()
    journal.close()
    journal.close()
    with Journal(tmp_path) as again:
        assert again.recorded() == ()


def test_a_full_disk_is_an_error_and_what_was_written_before_is_intact(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    written, _, text = done.stdout.partition(" ")
    assert "what was written before is intact" in text
    assert len(events_in(tmp_path)) == int(written) > 2
    with Journal(tmp_path) as journal:
        journal.bracket(ENDED)
    assert events_in(tmp_path)[-1] == ENDED


def test_an_effect_is_performed_once_and_its_record_is_given_afterwards(tmp_path: Path):
    with Journal(tmp_path) as journal:
        first = journal.effect(ToolRan, "key", tool)
        assert not journal.repeating
    with Journal(tmp_path) as journal:
        assert journal.repeating
        assert journal.effect(ToolRan, "key", never) == first
        assert not journal.repeating
        assert journal.effect(ToolRan, "next", lambda: tool("next")).key == "next"
    assert [event.key for event in events_in(tmp_path) if isinstance(event, ToolRan)] == ["key", "next"]


def test_what_an_effect_raises_is_not_recorded(tmp_path: Path):
    with Journal(tmp_path) as journal:
        with pytest.raises(ZeroDivisionError):
            journal.effect(ToolRan, "key", lambda: tool(str(1 // 0)))
        assert journal.effect(ToolRan, "key", tool) == tool()
    assert events_in(tmp_path) == [tool()]


@pytest.mark.parametrize(("kind", "key"), [(ToolRan, "other"), (Checked, "key"), (ModelCalled, "key")])
def test_a_recorded_effect_of_another_key_or_kind_does_not_fit(tmp_path: Path, kind: Any, key: str):
    with Journal(tmp_path) as journal:
        journal.effect(ToolRan, "key", tool)
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="does not fit"):
            journal.effect(kind, key, never)


def test_a_note_where_an_effect_is_recorded_does_not_fit(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.note(STARTED)
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="RunStarted"):
            journal.effect(ToolRan, "key", never)


def test_a_note_is_recorded_once_and_compared_afterwards(tmp_path: Path):
    for _ in range(2):
        with Journal(tmp_path) as journal:
            journal.note(STARTED)
    assert events_in(tmp_path) == [STARTED]


def test_another_note_than_the_recorded_one_does_not_fit(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.note(InstructionStarted(number=1, total=2, restart=0))
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="resume it with the version that recorded it"):
            journal.note(InstructionStarted(number=1, total=2, restart=1))


def test_brackets_stand_outside_the_order_of_effects(tmp_path: Path):
    for number in range(3):
        with Journal(tmp_path) as journal:
            journal.bracket(SESSION)
            for earlier in range(number):
                journal.effect(ToolRan, str(earlier), never)
            journal.effect(ToolRan, str(number), lambda key=str(number): tool(key))
            journal.bracket(ENDED)
    assert [type(event) for event in events_in(tmp_path)] == [SessionStarted, ToolRan, RunEnded] * 3


def test_the_listener_hears_what_is_appended_and_nothing_that_is_repeated(tmp_path: Path):
    with Journal(tmp_path) as journal:
        journal.note(STARTED)
    heard: list[Entry] = []
    with Journal(tmp_path, listener=heard.append) as journal:
        journal.bracket(SESSION)
        journal.note(STARTED)
        journal.effect(ToolRan, "key", tool)
    assert [(entry.number, entry.event) for entry in heard] == [(1, SESSION), (2, tool())]


def test_the_time_of_work_adds_up_over_sessions_without_the_pauses_between(tmp_path: Path):
    with Journal(tmp_path, clock=ticking(100.0, 107.5)) as journal:
        journal.bracket(SESSION)
    with Journal(tmp_path, clock=ticking(9000.0, 9002.25)) as journal:
        assert journal.elapsed_s == 9.75
        journal.bracket(SESSION)
    assert [entry.elapsed_s for entry in read_trace(tmp_path / "trace.jsonl")[0]] == [7.5, 9.75]


def test_an_interrupt_at_any_line_leaves_a_trace_that_the_end_can_be_written_to(
    tmp_path_factory: pytest.TempPathFactory,
):
    step, interrupted = 0, True
    while interrupted:
        step += 1
        folder = tmp_path_factory.mktemp("run")
        with Journal(folder) as journal:
            journal.note(STARTED)

            def work(journal: Journal = journal) -> None:
                journal.effect(ToolRan, journal.objects.put(b"content"), tool)
                journal.note(InstructionStarted(number=1, total=1, restart=0))

            interrupted = interrupted_at(step, work, journal_module, objects_module)
            journal.bracket(ENDED)
        events = events_in(folder)
        assert (events[0], events[-1]) == (STARTED, ENDED)
        assert list(folder.rglob("*.part")) == []
    assert step > 40
    assert len(events) == 4
