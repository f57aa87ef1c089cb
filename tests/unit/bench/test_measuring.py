"""A recorded run is measured in sandboxes with scripted reports; failures count."""

import json
from pathlib import Path

import pytest
from json_parts import part
from recorded_run import PLAN, record, write

from l2mac.bench.judge import FeatureJudge
from l2mac.bench.measurement import Measurement
from l2mac.bench.measuring import measure
from l2mac.bench.task import Group, HandWritten, Task
from l2mac.control.effects import Prices
from l2mac.errors import SettingsError
from l2mac.processor.messages import Reply, ToolCall
from l2mac.testing.processor import ScriptedProcessor
from sandbox import Cause, Job, JobResult, SandboxDied
from sandbox.testing import MemorySandbox, SandboxScript, ScriptedRun, job_result

END = {"e": "end", "code": 0}
HAND = "test_by_hand.py"
BY_HAND = HandWritten(text="def test_1(): ...\ndef test_2(): ...\n", tests=2)
TASK = Task(
    name="mine",
    title="Mine",
    groups=(Group("All", ("It is a.", "It is b.")),),
    handwritten=BY_HAND,
)


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def report_of(declared: list[str], *, code: int = 0, **outcomes: str) -> bytes:
    """Give pytest's report: the declared tests, and those that ran with their outcomes."""
    ran = {name.replace("__", ".py::"): outcome for name, outcome in outcomes.items()}
    phases = [
        {
            "e": "phase",
            "id": test,
            "when": when,
            "outcome": "passed" if when == "teardown" else outcome,
        }
        for test, outcome in ran.items()
        for when in ("call", "teardown")
    ]
    collected = {"e": "collected", "ids": list(ran)}
    return lines({"e": "declared", "ids": declared}, collected, *phases, {"e": "end", "code": code})


def counted(path: str, statements: int, *, test: bool = False) -> dict[str, object]:
    pairs = [[line, line] for line in range(1, statements + 1)]
    return {
        "e": "file",
        "path": path,
        "test": test,
        "lines": 50,
        "valid": True,
        "code": 7,
        "statements": pairs,
    }


Report = bytes | JobResult | Exception
GOOD: dict[str, bytes] = {
    "count": lines(counted("a.py", 4), counted("p/b.py", 4), END),
    "lint": lines(END),
    "tests": report_of(["a.py::t"], a__t="passed"),
    "coverage": lines({"e": "ran", "path": "a.py", "lines": [1, 2]}, END),
    "by_hand": report_of(
        [f"{HAND}::test_1", f"{HAND}::test_2"], code=1, test_by_hand__test_1="passed"
    ),
}


class SandboxFactory:
    """Makes boxes in memory; each job leaves what is scripted for its name."""

    def __init__(self, **reports: Report) -> None:
        self._reports: dict[str, Report] = {**GOOD, **reports}
        self.script = SandboxScript(runs=self._run)

    def open(self, _: str) -> MemorySandbox:
        return self.script.make_sandbox()

    def _run(self, jobs: tuple[Job, ...]) -> ScriptedRun:
        (job,) = jobs
        left = self._reports[job.name.replace(" ", "_")]
        if isinstance(left, Exception):
            raise left
        if isinstance(left, JobResult):
            return ScriptedRun(jobs=(left,))
        code = json.loads(left.splitlines()[-1])["code"] if job.checker == "pytest" and left else 0
        return ScriptedRun(jobs=(job_result(job.name, code=code, report=left),))


def measured(
    folder: Path, task: Task = TASK, judge: FeatureJudge | None = None, **reports: Report
) -> Measurement:
    if not folder.exists():
        record(folder)
    return measure(folder, task, SandboxFactory(**reports).open, judge)


def test_a_run_is_measured_from_its_record_and_bound_to_its_seal(tmp_path: Path) -> None:
    run = record(tmp_path / "run")
    found = measured(tmp_path / "run")
    assert (found.run, found.seal, found.status) == ("run", run.seal, "completed")
    assert found.metrics == {
        "lint_errors": 0,
        "lines_of_code": 14,
        "tests_passed": 1,
        "tests_failed": 0,
        "tests_errors": 0,
        "tests_skipped": 0,
        "tests_total": 1,
        "coverage_percent": 25.0,
        "handwritten_percent": 50.0,
        "tokens": run.spending.prompt_tokens + run.spending.completion_tokens,
        "cost_usd": 0,
        "turns": 6,
        "seconds": found.metrics["seconds"],
    }
    assert found.problems == {}


def test_measuring_changes_nothing_in_the_record(tmp_path: Path) -> None:
    record(tmp_path / "run")
    before = {
        path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    }
    measured(tmp_path / "run")
    assert {
        path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    } == before


@pytest.mark.parametrize(
    "report",
    [
        b"",
        lines({"e": "ran", "path": "a.py", "lines": [51]}, END),
        lines({"e": "ran", "path": "a.py", "lines": [1]}),
        lines({"coverage": 100}, END),
        job_result("coverage", cause=Cause.TIMEOUT),
        SandboxDied("gone"),
    ],
)
def test_a_report_of_coverage_that_is_forged_or_missing_is_never_a_number(
    tmp_path: Path, report: Report
) -> None:
    found = measured(tmp_path / "run", coverage=report)
    assert found.metrics["coverage_percent"] is None
    assert found.problems["coverage_percent"]
    assert found.metrics["tests_passed"] == 1


def test_coverage_is_missing_without_a_statement_count(tmp_path: Path) -> None:
    found = measured(tmp_path / "run", count=b"")
    assert (found.metrics["coverage_percent"], found.metrics["lines_of_code"]) == (None, None)
    found = measured(tmp_path / "run", count=lines(counted("a.py", 4), END))
    assert found.problems["lines_of_code"] == "not every file was counted"


def test_hanging_suite_counts_all_its_tests_as_errors(tmp_path: Path) -> None:
    hung = job_result(
        "tests",
        cause=Cause.TIMEOUT,
        report=report_of(["a.py::t", "a.py::hangs"], a__t="passed"),
    )
    found = measured(tmp_path / "run", tests=hung)
    assert [found.metrics[f"tests_{name}"] for name in ("passed", "failed", "errors", "total")] == [
        0,
        0,
        2,
        2,
    ]
    assert "did not end in time" in found.problems["tests_passed"]


def test_passed_and_failed_and_broken_and_skipped_tests_are_counted_apart(tmp_path: Path) -> None:
    report = report_of(
        [f"a.py::{name}" for name in "abcd"],
        code=1,
        a__a="passed",
        a__b="failed",
        a__c="failed",
        a__d="skipped",
    )
    found = measured(tmp_path / "run", tests=report)
    assert [
        found.metrics[f"tests_{name}"] for name in ("passed", "failed", "skipped", "total")
    ] == [1, 2, 1, 4]


@pytest.mark.parametrize(
    ("report", "percent"),
    [
        (report_of([f"{HAND}::test_1", f"{HAND}::test_2"], code=2), 0),
        (report_of([], code=5), 0),
        (b"", 0),
        (job_result("by hand", cause=Cause.TIMEOUT, report=GOOD["by_hand"]), 0),
        (SandboxDied("gone"), 0),
        (
            report_of(
                [f"{HAND}::test_1", f"{HAND}::test_2"],
                test_by_hand__test_1="passed",
                test_by_hand__test_2="passed",
            ),
            100,
        ),
        (
            report_of(
                [f"{HAND}::test_1", f"{HAND}::test_2"],
                test_by_hand__test_3="passed",
                a__test_1="passed",
            ),
            0,
        ),
    ],
)
def test_hand_written_tests_that_cannot_import_or_do_not_end_have_failed(
    tmp_path: Path, report: Report, percent: int
) -> None:
    found = measured(tmp_path / "run", by_hand=report)
    assert found.metrics["handwritten_percent"] == percent


def test_more_hand_written_tests_than_the_task_says_are_the_tasks_fault(tmp_path: Path) -> None:
    report = report_of([f"{HAND}::test_{number}" for number in (1, 2, 3)])
    with pytest.raises(SettingsError, match="has 3 tests, not 2"):
        measured(tmp_path / "run", by_hand=report)


def test_a_run_that_wrote_nothing_counts_with_zeros_without_a_sandbox(tmp_path: Path) -> None:
    record(tmp_path / "run", (PLAN, *[Reply(content="I would rather talk.")] * 3), turns=2)
    boxes = SandboxFactory()
    judge = FeatureJudge(
        ScriptedProcessor([]), context_tokens=8192, prices=Prices(), prepare=lambda: None
    )
    found = measure(
        tmp_path / "run", Task(name="a", title="A", groups=TASK.groups), boxes.open, judge
    )
    assert boxes.script.sandboxes == []
    zero = (
        "features_percent",
        "features_tested_percent",
        "lines_of_code",
        "tests_passed",
        "coverage_percent",
    )
    assert [found.metrics[key] for key in zero] == [0, 0, 0, 0, 0]
    assert (found.status, found.problems) == ("budget exhausted", {})


def test_run_out_of_budget_is_measured_by_its_existing_files(tmp_path: Path) -> None:
    record(tmp_path / "run", (PLAN, write(a="A = 1\n"), *[Reply(content="Hm.")] * 3), turns=2)
    found = measured(tmp_path / "run", count=lines(counted("a.py", 4), END))
    assert found.status == "budget exhausted"
    assert found.metrics["coverage_percent"] == 50


def test_a_sandbox_lost_once_is_replaced_with_the_same_number(tmp_path: Path) -> None:
    record(tmp_path / "run")
    boxes = SandboxFactory()
    boxes.script.lost_at = (2,)
    found = measure(tmp_path / "run", TASK, boxes.open, None)
    assert (found.metrics["tests_passed"], found.problems) == (1, {})
    assert all(box.closed for box in boxes.script.sandboxes)


def test_the_stores_conftest_has_no_say_about_hand_written_tests(tmp_path: Path) -> None:
    run = tmp_path / "run"
    record(
        run,
        (
            PLAN,
            write(a="A = 1\n", conftest="import a\n", test_by_hand="def test_1(): ...\n"),
            *[Reply(content="Hm.")] * 3,
        ),
        turns=2,
    )
    boxes = SandboxFactory(
        count=lines(*(counted(path, 1) for path in ("a.py", "conftest.py", "test_by_hand.py")), END)
    )
    measure(run, TASK, boxes.open, None)
    (by_hand,) = (box for box in boxes.script.sandboxes if box.asked[0][0].name == "by hand")
    assert set(by_hand.contents) == {"a.py", "test_by_hand.py"}
    assert by_hand.contents["test_by_hand.py"] == BY_HAND.text.encode()


def test_an_unreadable_judgement_is_no_number(tmp_path: Path) -> None:
    processor = ScriptedProcessor([Reply(content="All of them."), Reply(content="All.")])
    judge = FeatureJudge(processor, context_tokens=8192, prices=Prices(), prepare=lambda: None)
    found = measured(tmp_path / "run", judge=judge)
    assert found.metrics["features_percent"] is None
    assert "no usable answer" in found.problems["features_percent"]


def test_features_are_counted_with_and_without_a_test_that_passed(tmp_path: Path) -> None:
    claims = [
        {"requirement": 1, "files": ["a.py"], "tests": ["a.py::t"]},
        {"requirement": 2, "files": ["p/b.py"], "tests": ["a.py::other"]},
    ]
    reply = Reply(
        content="", tool_calls=(ToolCall("1", "submit_evidence", json.dumps({"evidence": claims})),)
    )
    judge = FeatureJudge(
        ScriptedProcessor([reply]), context_tokens=8192, prices=Prices(), prepare=lambda: None
    )
    found = measured(tmp_path / "run", judge=judge)
    assert (found.metrics["features_percent"], found.metrics["features_tested_percent"]) == (
        100,
        50,
    )
    assert "claim" in str(part(found.details["judge"], "by"))


MESSAGE: dict[str, object] = {
    "e": "message",
    "path": "p/b.py",
    "line": 1,
    "column": 0,
    "code": "E0602",
    "symbol": "u",
    "text": "x",
}


@pytest.mark.parametrize("seen_at_once", [[], [MESSAGE]])
def test_lint_errors_beside_an_invalid_file_are_counted_once(
    tmp_path: Path, seen_at_once: list[dict[str, object]]
) -> None:
    record(tmp_path / "run")
    boxes = SandboxFactory()
    asked: list[tuple[str, ...]] = []

    def run(jobs: tuple[Job, ...]) -> ScriptedRun:
        if jobs[0].name != "lint":
            return ScriptedRun(
                jobs=(job_result(jobs[0].name, report=GOOD[jobs[0].name.replace(" ", "_")]),)
            )
        asked.append(jobs[0].paths)
        syntax: list[dict[str, object]] = [
            {"e": "syntax", "path": "a.py", "line": 1, "text": "bad"}
        ]
        found = syntax + seen_at_once if len(asked) == 1 else [MESSAGE]
        return ScriptedRun(jobs=(job_result("lint", report=lines(*found, END)),))

    boxes.script.runs = run
    found = measure(
        tmp_path / "run", Task(name="a", title="A", groups=TASK.groups), boxes.open, None
    )
    assert asked == [("a.py", "p/b.py"), ("p/b.py",)]
    assert found.metrics["lint_errors"] == 2
