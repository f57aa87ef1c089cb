"""One check has one verdict, the same for each reader of a trace and the control unit."""

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from sandbox_scripts import LINT, job
from scripted_sessions import ScriptedSessions, call, write

from l2mac.cli.progress import Progress
from l2mac.cli.records import show
from l2mac.cli.watch import watch
from l2mac.control.budget import Limits
from l2mac.control.outcome import Status
from l2mac.insight.junit import as_junit
from l2mac.insight.reading import read_insight
from l2mac.insight.summary import as_markdown
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Checked, Event
from l2mac.trace.journal import TRACE_FILE
from sandbox.testing import ScriptedRun

PLAN = call("submit_plan", steps=["Do it."])
DONE = call("complete_instruction")
WEAKER, WEAKER_STILL = write("A = 2\n"), write("A = 3\n")
REFUSAL = "1 test that failed cannot be seen"


def ends(**outcomes: str) -> ScriptedRun:
    """Return a run of the checks in which lint is clean and these tests end so."""
    code = int("failed" in outcomes.values())
    lines: list[dict[str, object]] = [
        {"e": kind, "ids": list(outcomes)} for kind in ("declared", "collected")
    ]
    for test, outcome in outcomes.items():
        lines.append({"e": "phase", "id": test, "when": "call", "outcome": outcome, "text": "no"})
        lines.append({"e": "phase", "id": test, "when": "teardown", "outcome": "passed"})
    lines.append({"e": "end", "code": code})
    report = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return ScriptedRun(jobs=(job("lint", LINT), job("tests", report, code=code)))


ONE_FAILS = ends(test_a="failed", test_b="passed")
IT_IS_DELETED = ends(test_b="passed")


@pytest.fixture
def sessions(tmp_path: Path) -> ScriptedSessions:
    """A run that deletes its failing test, whose claim of being done is refused."""
    sessions = ScriptedSessions(tmp_path)
    sessions.work([PLAN, write(), WEAKER, DONE], [ONE_FAILS, IT_IS_DELETED], limits=Limits(turns=3))
    return sessions


def events(sessions: ScriptedSessions) -> list[Event]:
    return [entry.event for entry in read_trace(sessions.folder / TRACE_FILE)[0]]


def checks(sessions: ScriptedSessions) -> list[Checked]:
    return [event for event in events(sessions) if isinstance(event, Checked)]


def progress_lines(sessions: ScriptedSessions) -> str:
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        for entry in read_trace(sessions.folder / TRACE_FILE)[0]:
            progress.on(entry)
    return stream.getvalue()


def test_recorded_verdict_is_the_one_the_control_unit_acted_on(sessions: ScriptedSessions) -> None:
    answer = sessions.processor.requests[-1].messages
    assert sessions.work([DONE], limits=Limits(turns=4)).outcome.status is Status.BUDGET
    refused = sessions.processor.requests[-1].messages[-2].content
    assert refused == "not accepted: the checks do not pass"
    assert REFUSAL in answer[-1].content
    assert [event.verdict for event in checks(sessions)] == ["failed", "failed"]
    assert REFUSAL in checks(sessions)[-1].summary


def test_progress_watch_and_show_print_the_verdict_acted_on(sessions: ScriptedSessions) -> None:
    assert re.search(rf"checked: failed \(.*{REFUSAL}\)", progress_lines(sessions))
    watched = CliRunner().invoke(watch, [str(sessions.folder)]).output
    assert re.search(rf"checked: failed \(.*{REFUSAL}\)", watched)
    shown = CliRunner().invoke(show, [str(sessions.folder)]).output
    assert re.search(rf"checks +failed \(.*{REFUSAL}\)", shown)


def test_report_and_junit_say_the_verdict_acted_on(sessions: ScriptedSessions) -> None:
    insight = read_insight(sessions.folder)
    assert [point.verdict for point in insight.checks] == ["failed", "failed"]
    assert insight.last is not None
    assert insight.last.summary == checks(sessions)[-1].summary
    assert REFUSAL in as_markdown(insight)
    document = ET.fromstring(as_junit(insight))
    failed = [
        case.get("name") for case in document.iter("testcase") if case.find("failure") is not None
    ]
    assert "inventory" in failed


def test_every_verdict_is_that_of_its_recorded_report(sessions: ScriptedSessions) -> None:
    insight = read_insight(sessions.folder)
    recorded = [(event.verdict, event.summary) for event in checks(sessions)]
    assert [(point.verdict, point.summary) for point in insight.checks] == recorded


def test_a_resumed_run_repeats_the_refusals_of_its_trace(
    sessions: ScriptedSessions,
) -> None:
    result = sessions.work([DONE], limits=Limits(turns=4))
    assert sessions.script.sandboxes[0].asked == []
    assert REFUSAL in result.outcome.report.summary


def test_final_verdict_holds_tests_that_do_not_come_up_again(tmp_path: Path) -> None:
    sessions = ScriptedSessions(tmp_path)
    both = ends(test_a="passed", test_b="passed")
    replies = [PLAN, write(), DONE, call("complete_instruction")]
    result = sessions.work(replies, [both, IT_IS_DELETED])
    final = checks(sessions)[-1]
    assert result.outcome.status is Status.FAILING
    assert (final.final, final.verdict) == (True, "failed")
    assert (
        result.outcome.report.summary == final.summary == read_insight(tmp_path).checks[-1].summary
    )
    assert "verified in a fresh sandbox: failed" in progress_lines(sessions)
