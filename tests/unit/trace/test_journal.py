import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from interrupts import interrupted_at

from l2mac.errors import RunLocked, TraceError
from l2mac.trace import journal as journal_module
from l2mac.trace import objects as objects_module
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionStarted,
    ModelCalled,
    ProtocolChosen,
    RunEnded,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from sandbox import Change

SESSION = SessionStarted(reason="run", version="0", model="m", image="i")
STARTED = InstructionStarted(number=1, total=2, restart=0)
ENDED = RunEnded(status="completed", cause="all is well")
HOLDER = """
import signal, sys
from pathlib import Path
from l2mac.trace.journal import Journal
with Journal(Path(sys.argv[1])):
    print("open", flush=True)
    signal.pause()
"""
SMALL_DISK = """
import resource, sys
from pathlib import Path
from l2mac.errors import TraceError
from l2mac.trace.events import InstructionStarted
from l2mac.trace.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))
written = 0
with Journal(Path(sys.argv[1])) as journal:
    try:
        while True:
            journal.note(InstructionStarted(number=written + 1, total=99, restart=0))
            written += 1
    except TraceError as error:
        print(written, error)
"""


def choice(key: str = "key") -> ProtocolChosen:
    """Return an effect without objects."""
    return ProtocolChosen(key=key, protocol="native")


def model(journal: Journal, key: str) -> ModelCalled:
    """Return a call of the model with its objects."""
    put = journal.objects.put
    return ModelCalled(
        key=key,
        purpose="turn",
        message_objects=(put(b"question " + key.encode()),),
        tools_object=put(b"tools"),
        tool="",
        temperature=0.01,
        max_reply_tokens=100,
        reply_object=put(b"answer " + key.encode()),
        prompt_tokens=10,
        completion_tokens=5,
        counted=True,
        cost_usd=0.125,
    )


def tool(journal: Journal, key: str) -> ToolRan:
    """Return a tool call with its objects."""
    put = journal.objects.put
    file = b"file of " + key.encode()
    changes = (Change("a.py", len(file), put(file)), Change("b.py", -1, ""))
    return ToolRan(
        key=key,
        name="write_files",
        arguments_object=put(b"arguments"),
        outcome_object=put(b"outcome " + key.encode()),
        ok=True,
        changes=changes,
    )


def events_in(folder: Path) -> list[Event]:
    return [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]


def never() -> NoReturn:
    raise AssertionError("performed although it is recorded")


def ticking(*times: float) -> Callable[[], float]:
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_last_line_cut_anywhere_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.bracket(SESSION)
        journal.note(STARTED)
        kept_bytes = (tmp_path / TRACE_FILE).stat().st_size
        journal.effect(ProtocolChosen, "key", choice)
    content = (tmp_path / TRACE_FILE).read_bytes()
    for size in range(kept_bytes, len(content), 5):
        (tmp_path / TRACE_FILE).write_bytes(content[:size])
        with Journal(tmp_path) as journal:
            journal.bracket(ENDED)
        assert events_in(tmp_path) == [SESSION, STARTED, ENDED]


@pytest.fixture
def two_turns(tmp_path: Path) -> int:
    """Record two turns and return the size of the durable objects.

    The objects before the second call are durable, because the call waits for them.
    """
    with Journal(tmp_path) as journal:
        journal.bracket(SESSION)
        journal.effect(ModelCalled, "one", lambda: model(journal, "one"))
        journal.effect(ToolRan, "one", lambda: tool(journal, "one"))
        durable_bytes = (tmp_path / OBJECTS_FILE).stat().st_size
        journal.effect(ModelCalled, "two", lambda: model(journal, "two"))
        journal.effect(ToolRan, "two", lambda: tool(journal, "two"))
    return durable_bytes


@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_run_resumes_from_its_whole_events_after_a_power_failure(
    tmp_path: Path, two_turns: int, damage: str
) -> None:
    """The whole trace survived, but only the durable objects did.

    The rest of the objects is truncated or zero.
    """
    objects, trace = (tmp_path / OBJECTS_FILE).read_bytes(), (tmp_path / TRACE_FILE).read_bytes()
    whole = [event for event in events_in(tmp_path) if event != SESSION]
    for size in range(two_turns, len(objects), 7):
        (tmp_path / TRACE_FILE).write_bytes(trace)
        (tmp_path / OBJECTS_FILE).write_bytes(
            objects[:size] + bytes(len(objects) - size) * (damage == "zeros")
        )
        with Journal(tmp_path) as journal:
            journal.require_objects()
            left = list(journal.recorded())
            assert left == whole[: len(left)]
            assert 2 <= len(left) < len(whole)
            for event in left:
                assert isinstance(event, ModelCalled | ToolRan)
                journal.effect(type(event), event.key, never)
            journal.effect(ToolRan, "two", partial(tool, journal, "two"))
        with Journal(tmp_path) as journal:
            journal.require_objects()
            assert len(journal.recorded()) == len(left) + 1


def test_missing_durable_objects_are_an_error(tmp_path: Path, two_turns: int) -> None:
    objects, trace = (tmp_path / OBJECTS_FILE).read_bytes(), (tmp_path / TRACE_FILE).read_bytes()
    for size in range(0, two_turns, 7):
        (tmp_path / TRACE_FILE).write_bytes(trace)
        (tmp_path / OBJECTS_FILE).write_bytes(objects[:size])
        with Journal(tmp_path) as journal:
            with pytest.raises(TraceError, match="is missing"):
                journal.require_objects()


def test_events_used_by_a_later_session_are_never_dropped(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.effect(ToolRan, "one", lambda: tool(journal, "one"))
    with Journal(tmp_path) as journal:
        journal.bracket(SESSION)
        journal.effect(ToolRan, "one", never)
        journal.effect(ProtocolChosen, "key", choice)
    (tmp_path / OBJECTS_FILE).write_bytes(b"")
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="is missing"):
            journal.require_objects()


def test_a_second_process_finds_the_run_locked_until_the_first_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(RunLocked, match="Another process works on the run"):
            Journal(tmp_path).open()
        holder.kill()
        holder.wait()
        with Journal(tmp_path) as journal:
            assert journal.recorded() == ()


def test_a_damaged_trace_leaves_the_run_unlocked(tmp_path: Path) -> None:
    path = tmp_path / TRACE_FILE
    path.write_bytes(b"{}\n")
    with pytest.raises(TraceError):
        Journal(tmp_path).open()
    path.unlink()
    with Journal(tmp_path) as journal:
        assert journal.recorded() == ()


def test_a_folder_that_is_missing_is_an_error_of_the_record(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not available"):
        Journal(tmp_path / "none").open()


def test_a_folder_that_cannot_be_written_to_is_an_error_of_the_record(tmp_path: Path) -> None:
    (tmp_path / TRACE_FILE).mkdir()
    with pytest.raises(TraceError, match="is not readable"):
        Journal(tmp_path).open()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    journal = Journal(tmp_path).open()
    journal.close()
    journal.close()
    with Journal(tmp_path) as again:
        assert again.recorded() == ()


def test_trace_stays_intact_when_the_disk_is_full(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    written, _, text = done.stdout.partition(" ")
    assert "Everything written before is intact" in text
    assert len(events_in(tmp_path)) == int(written) > 2
    with Journal(tmp_path) as journal:
        journal.bracket(ENDED)
    assert events_in(tmp_path)[-1] == ENDED


def test_an_effect_is_performed_once_and_its_record_is_given_afterwards(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        first = journal.effect(ProtocolChosen, "key", choice)
        assert not journal.replaying
    with Journal(tmp_path) as journal:
        perform: Callable[[], ProtocolChosen] = never
        before, effect = journal.replaying, journal.effect(ProtocolChosen, "key", perform)
        assert (before, effect, journal.replaying) == (True, first, False)
        assert journal.effect(ProtocolChosen, "next", lambda: choice("next")).key == "next"
    assert [event.key for event in events_in(tmp_path) if isinstance(event, ProtocolChosen)] == [
        "key",
        "next",
    ]


def test_exceptions_of_an_effect_are_not_recorded(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        with pytest.raises(ZeroDivisionError):
            journal.effect(ProtocolChosen, "key", lambda: choice(str(1 // 0)))
        assert journal.effect(ProtocolChosen, "key", choice) == choice()
    assert events_in(tmp_path) == [choice()]


@pytest.mark.parametrize(
    ("kind", "key"), [(ProtocolChosen, "other"), (Checked, "key"), (ToolRan, "key")]
)
def test_a_recorded_effect_of_another_key_or_kind_does_not_fit(
    tmp_path: Path, kind: type[ProtocolChosen | Checked | ToolRan], key: str
) -> None:
    with Journal(tmp_path) as journal:
        journal.effect(ProtocolChosen, "key", choice)
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="does not fit"):
            journal.effect(kind, key, never)


def test_a_note_where_an_effect_is_recorded_does_not_fit(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.note(STARTED)
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="InstructionStarted"):
            journal.effect(ProtocolChosen, "key", never)


def test_a_note_is_recorded_once_and_compared_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with Journal(tmp_path) as journal:
            journal.note(STARTED)
    assert events_in(tmp_path) == [STARTED]


def test_note_that_differs_from_the_recorded_one_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.note(InstructionStarted(number=1, total=2, restart=0))
    with Journal(tmp_path) as journal:
        with pytest.raises(TraceError, match="Resume the run with the version that recorded it"):
            journal.note(InstructionStarted(number=1, total=2, restart=1))


def test_brackets_stand_outside_the_order_of_effects(tmp_path: Path) -> None:
    for number in range(3):
        with Journal(tmp_path) as journal:
            journal.bracket(SESSION)
            for earlier in range(number):
                journal.effect(ProtocolChosen, str(earlier), never)
            journal.effect(ProtocolChosen, str(number), partial(choice, str(number)))
            journal.bracket(ENDED)
    assert [type(event) for event in events_in(tmp_path)] == [
        SessionStarted,
        ProtocolChosen,
        RunEnded,
    ] * 3


def test_listener_hears_appended_entries_and_no_repeated_ones(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.note(STARTED)
    heard: list[Entry] = []
    with Journal(tmp_path, listener=heard.append) as journal:
        journal.bracket(SESSION)
        journal.note(STARTED)
        journal.effect(ProtocolChosen, "key", choice)
    assert [(entry.number, entry.event) for entry in heard] == [(1, SESSION), (2, choice())]


def test_the_time_of_work_adds_up_over_sessions_without_the_pauses_between(tmp_path: Path) -> None:
    with Journal(tmp_path, clock=ticking(100.0, 107.5)) as journal:
        journal.bracket(SESSION)
    with Journal(tmp_path, clock=ticking(9000.0, 9002.25)) as journal:
        assert journal.elapsed_s == 9.75
        journal.bracket(SESSION)
    assert [entry.elapsed_s for entry in read_trace(tmp_path / "trace.jsonl")[0]] == [7.5, 9.75]


def test_trace_accepts_its_end_after_an_interrupt_at_any_line(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    step, interrupted, events = 0, True, []
    while interrupted:
        step += 1
        folder = tmp_path_factory.mktemp("run")
        with Journal(folder) as journal:
            journal.note(STARTED)

            def work(journal: Journal = journal) -> None:
                journal.effect(ToolRan, "key", lambda: tool(journal, "key"))
                journal.note(InstructionStarted(number=1, total=1, restart=0))

            interrupted = interrupted_at(step, work, journal_module, objects_module)
            journal.bracket(ENDED)
        events = events_in(folder)
        assert (events[0], events[-1]) == (STARTED, ENDED)
        with Journal(folder) as journal:
            journal.require_objects()
    assert step > 40
    assert len(events) == 4
