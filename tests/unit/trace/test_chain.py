import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import TraceError
from l2mac.trace.chain import FIRST_LINK, Entry, encode_line, read_first, read_trace
from l2mac.trace.events import (
    CandidateChosen,
    Checked,
    Event,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    PartEnded,
    PartStarted,
    PlanMade,
    ProtocolChosen,
    RunEnded,
    RunStarted,
    SandboxOpened,
    SessionStarted,
    StoreRestored,
    ToolRan,
)
from sandbox import Change

EVENTS: tuple[Event, ...] = (
    SessionStarted(reason="run", version="0", model="m", image="i"),
    SandboxOpened(receipt_object="1" * 64, purpose="work"),
    RunStarted(
        task_object="a" * 64,
        domain="codebase",
        domain_object="b" * 64,
        settings={"steps": 10, "program": [], "setup": {"x": None}},
    ),
    ProtocolChosen(key="protocol", protocol="native"),
    PlanMade(source="model", instruction_objects=("2" * 64, "3" * 64)),
    InstructionStarted(number=1, total=2, restart=0),
    ModelCalled(
        key="key",
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
    ),
    ToolRan(
        key="key",
        name="write_files",
        arguments_object="b" * 64,
        outcome_object="c" * 64,
        ok=True,
        changes=(Change("a.py", 3, "4" * 64), Change("b.py", -1, "")),
    ),
    Checked(key="tree", verdict="passed", summary="clean; ünïcödé \u2028", report_object="5" * 64),
    InstructionCompleted(number=1, summary_object="6" * 64, tree="tree"),
    PartStarted(number=1, name="candidate 1 of 3"),
    StoreRestored(changes=(Change("a.py", -1, ""),), reason="no files"),
    PartEnded(number=1, claimed_done=True, tree="tree"),
    CandidateChosen(passed=(1, 2, 2), tests=2, chosen=2, agreeing=2),
    RunEnded(status="completed", cause="all is well"),
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


def test_every_kind_of_event_comes_back_as_it_was(tmp_path: Path) -> None:
    path = trace_file(tmp_path, b"".join(lines_of(EVENTS)))
    entries, size, _ = read_trace(path)
    assert [entry.event for entry in entries] == list(EVENTS)
    assert size == path.stat().st_size


def test_a_trace_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_trace(tmp_path / "trace.jsonl") == ([], 0, FIRST_LINK)


def test_a_trace_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not readable"):
        read_trace(tmp_path)


def test_each_line_is_json_with_the_documented_fields() -> None:
    records = [json.loads(line) for line in lines_of(EVENTS)]
    assert {tuple(record) for record in records} == {("n", "t", "prev", "event", "sha256")}
    assert [record["prev"] for record in records[1:]] == [
        record["sha256"] for record in records[:-1]
    ]


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    content = b"".join(lines_of(EVENTS[:2]))
    for position in range(len(content) - 1):
        altered = bytearray(content)
        altered[position] ^= 1
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(trace_file(tmp_path, bytes(altered)))


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_replaced_byte_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    content = b"".join(lines_of(EVENTS))
    position %= len(content) - 1
    altered = content[:position] + bytes([byte]) + content[position + 1 :]
    if altered != content:
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(trace_file(tmp_path_factory.mktemp("t"), altered))


@given(position=st.integers(0, 10_000), inserted=st.binary(min_size=1, max_size=3))
def test_inserted_bytes_are_found_or_stand_behind_the_last_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, inserted: bytes
) -> None:
    content = b"".join(lines_of(EVENTS))
    position %= len(content) + 1
    altered = content[:position] + inserted + content[position:]
    path = trace_file(tmp_path_factory.mktemp("t"), altered)
    if altered.startswith(content) and b"\n" not in altered[len(content) :]:
        assert [entry.event for entry in read_trace(path)[0]] == list(EVENTS)
    else:
        with pytest.raises(TraceError, match="has been altered"):
            read_trace(path)


def test_the_first_event_of_a_kind_is_given_and_none_where_there_is_none(tmp_path: Path) -> None:
    path = trace_file(
        tmp_path, b"".join(lines_of((*EVENTS, ProtocolChosen(key="later", protocol="json"))))
    )
    assert read_first(path, ProtocolChosen) == EVENTS[3]
    assert read_first(path, PlanMade) == EVENTS[4]
    assert read_first(trace_file(tmp_path, b"".join(lines_of(EVENTS[:2]))), PlanMade) is None
    assert read_first(tmp_path / "none.jsonl", PlanMade) is None


def test_flipped_bit_behind_the_requested_event_is_found(tmp_path: Path) -> None:
    content = b"".join(lines_of(EVENTS[:4]))
    for position in range(len(content) - 1):
        altered = bytearray(content)
        altered[position] ^= 1
        with pytest.raises(TraceError, match="has been altered"):
            read_first(trace_file(tmp_path, bytes(altered)), SessionStarted)


@pytest.mark.parametrize("dropped", range(len(EVENTS) - 1))
def test_a_dropped_line_is_found(tmp_path: Path, dropped: int) -> None:
    lines = lines_of(EVENTS)
    del lines[dropped]
    with pytest.raises(TraceError, match=f"line {dropped + 1}"):
        read_trace(trace_file(tmp_path, b"".join(lines)))


@pytest.mark.parametrize("at", range(len(EVENTS) - 1))
def test_swapped_lines_are_found(tmp_path: Path, at: int) -> None:
    lines = lines_of(EVENTS)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, b"".join(lines)))


@pytest.mark.parametrize("at", range(len(EVENTS) + 1))
def test_line_of_another_run_is_found_at_every_position(tmp_path: Path, at: int) -> None:
    lines, foreign = lines_of(EVENTS), lines_of((*EVENTS[:at], EVENTS[-1], EVENTS[-1]))[-1]
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, b"".join([*lines[:at], foreign, *lines[at:]])))


def test_a_whole_line_that_is_no_event_is_found_even_if_its_chain_is_right(tmp_path: Path) -> None:
    line, _ = encode_line(Entry(0, 0.0, EVENTS[-1]), FIRST_LINK)
    forged = json.loads(line)
    forged["event"]["kind"] = "surprise"
    with pytest.raises(TraceError, match="has been altered"):
        read_trace(trace_file(tmp_path, json.dumps(forged).encode() + b"\n"))
