"""Experiment trackers receive a run's numbers and settings once, and nothing else."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from recorded_run import STORY, record
from traces import TraceBuilder, hostile, known, report

from l2mac.cli.insight import track as track_command
from l2mac.errors import SettingsError, TraceError
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.insight.reading import read_insight, report_reader
from l2mac.insight.tracking import MetricValues, run_id, track
from l2mac.trace.branching import rewind
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import Checked
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

PRIVATE = (
    "Make a package",
    "http://secret/v1",
    "Write a.",
    "test_a",
    "a.py",
    "old.py",
    "it broke",
    "A.",
)


@dataclass
class RecordingSink:
    """Keeps what it is sent."""

    run_id: str = ""
    config: Mapping[str, float | str | bool] = field(default_factory=dict)
    lines: list[tuple[int, MetricValues]] = field(default_factory=list)
    final: MetricValues = field(default_factory=dict)
    completed: bool | None = None

    def open(self, run_id: str, config: Mapping[str, float | str | bool]) -> None:
        self.run_id, self.config = run_id, config

    def log(self, line: int, numbers: MetricValues) -> None:
        self.lines.append((line, dict(numbers)))

    def close(self, numbers: MetricValues, *, completed: bool) -> None:
        self.final, self.completed = numbers, completed


def entries_of(folder: Path) -> list[Entry]:
    return read_trace(folder / TRACE_FILE)[0]


def last_check(folder: Path) -> Checked:
    event = entries_of(folder)[-1].event
    assert isinstance(event, Checked)
    return event


def tracked(folder: Path) -> RecordingSink:
    sink = RecordingSink()
    track(
        folder.name, [entries_of(folder)], report_reader(ObjectStore(folder / OBJECTS_FILE)), sink
    )
    return sink


def test_a_known_run_has_known_numbers(tmp_path: Path) -> None:
    sink = tracked(known(tmp_path / "run").folder)
    assert dict(sink.final) == {
        "tokens/sent": 3800.0, "tokens/replies": 90.0, "tokens/all": 3890.0, "cost_usd": 5.0,
        "model_calls": 10.0, "instruction": 3, "instructions_done": 3.0, "turns": 7.0,
        "restarts": 1.0, "replans": 1.0, "checks": 6.0, "tool_calls": 7.0, "tool_failures": 0.0,
        "sandboxes": 1.0, "elapsed_s": 42.0, "files": 3.0, "bytes": 30.0,
    }  # fmt: skip
    assert sink.completed is False
    checks = [numbers for _, numbers in sink.lines if "tests/passed" in numbers]
    names = ("tests/passed", "tests/failed", "findings/lint")
    assert [tuple(map(one.get, names)) for one in checks] == [
        (0, 0, 2), (0, 0, None), (1, 0, 0), (1, 1, 0), (2, 0, 0), (2, 0, 0),
    ]  # fmt: skip
    assert [one["check/verified"] for one in checks if "check/verified" in one] == [1.0]


def test_lines_come_in_their_order_and_every_value_is_a_number(tmp_path: Path) -> None:
    for lay_down in (known, hostile):
        sink = tracked(lay_down(tmp_path / lay_down.__name__).folder)
        numbers = [line for line, _ in sink.lines]
        assert numbers == sorted(set(numbers))
        assert len(numbers) > 5
        values = [value for _, one in [*sink.lines, (0, sink.final)] for value in one.values()]
        assert {type(value) for value in values} <= {int, float}


def test_tracking_sends_no_text_of_model_or_user(tmp_path: Path) -> None:
    for lay_down in (known, hostile):
        sink = tracked(lay_down(tmp_path / f"the-task-in-words-{lay_down.__name__}").folder)
        sent = json.dumps([sink.run_id, dict(sink.config), sink.lines, dict(sink.final)])
        assert [text for text in (*PRIVATE, "words") if text in sent] == []
        assert sent.count("alert(1)") == ("scripted" not in sent)  # the model's name is a setting


def test_the_settings_that_are_sent_are_those_on_a_list(tmp_path: Path) -> None:
    setup = {
        "model": "m",
        "base_url": "http://secret/v1",
        "api_key": "sk-secret",
        "memory": 5,
        "image": "private/image",
    }
    planning = {"coverage": True, "new_switch": "secret"}
    made = TraceBuilder(tmp_path / "run").begin(
        "secret", setup=setup, planning=planning, program=["secret"], surprise="secret"
    )
    assert dict(tracked(made.folder).config) == {
        "domain": "codebase", "steps": 10, "context_tokens": 4000, "model": "m", "memory": 5,
        "planning/coverage": True,
    }  # fmt: skip


def test_the_names_of_a_domains_own_checks_are_not_sent(tmp_path: Path) -> None:
    own = CheckResult(
        name="secret", verdict=Verdict.FAILED, summary="s", findings=(Finding("", "x"),) * 3
    )
    made = (
        TraceBuilder(tmp_path / "run").begin().plan("a").instruction(1).check(CheckReport((own,)))
    )
    assert tracked(made.folder).lines[-1][1]["findings/other"] == 3.0


def test_the_name_of_a_run_says_nothing_and_stays_the_same(tmp_path: Path) -> None:
    assert run_id("20260101-a-secret-plan-1f2e") == run_id("20260101-a-secret-plan-1f2e")
    assert run_id("a") != run_id("b")
    sink = tracked(known(tmp_path / "a-secret-plan").folder)
    assert "secret" not in sink.run_id


@pytest.mark.parametrize("step", range(6))
def test_rewound_work_is_undone_and_its_cost_remains(tmp_path: Path, step: int) -> None:
    record(tmp_path / "run")
    rewind(tmp_path / "run", step)
    result = record(
        tmp_path / "run",
        {0: STORY, 1: STORY[2:], 2: STORY[4:], 3: STORY[6:], 4: STORY[7:], 5: ()}[step],
    )
    sink, insight = tracked(tmp_path / "run"), read_insight(tmp_path / "run")
    assert sink.final["tokens/all"] == insight.tokens
    assert sink.final["turns"] == sum(one.turns for one in insight.instructions)
    assert sink.final["files"] == len(result.files)
    assert (sink.final["instructions_done"], sink.completed) == (2, True)


def test_numbers_that_come_as_the_record_grows_are_the_same(tmp_path: Path) -> None:
    made = known(tmp_path / "run")
    sink, whole = RecordingSink(), tracked(made.folder)
    batches = ([entry] for entry in entries_of(made.folder))
    track("run", batches, report_reader(ObjectStore(made.folder / OBJECTS_FILE)), sink)
    assert sink == whole


def test_a_report_that_is_recorded_after_the_store_was_opened_is_read(tmp_path: Path) -> None:
    made = TraceBuilder(tmp_path / "run").begin().plan("a").instruction(1)
    objects = ObjectStore(made.folder / OBJECTS_FILE)
    read = report_reader(objects)
    made.check(report(lint=1))
    read(last_check(made.folder))
    made.check(report(lint=2))
    assert read(last_check(made.folder)) == report(lint=2)


def test_a_record_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nothing to send"):
        track("run", [], lambda _: report(), RecordingSink())


def test_track_without_wandb_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    known(tmp_path / "run")
    done = CliRunner().invoke(
        track_command, [str(tmp_path / "run"), "--project", "p"], standalone_mode=False
    )
    assert isinstance(done.exception, SettingsError)
    assert "pip install 'l2mac[wandb]'" in str(done.exception)


def test_their_client_is_not_loaded_by_any_other_command() -> None:
    program = "import sys, l2mac.cli.insight, l2mac.cli.main; print('wandb' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )
