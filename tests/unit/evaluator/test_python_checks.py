import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.evaluator.python_checks import jobs_for, judge
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from sandbox import Cause, FileEntry, JobResult, OutputStream, RunResult
from sandbox.testing import job_result

END = {"e": "end", "code": 0}
STUB = {"e": "stub", "path": "a.py", "line": 3, "text": "parse"}
MESSAGE = {
    "e": "message",
    "path": "a.py",
    "line": 4,
    "column": 0,
    "code": "E0602",
    "symbol": "undefined-variable",
    "text": "x",
}
SYNTAX = {"e": "syntax", "path": "a.py", "line": 1, "text": "'(' was never closed"}
TESTS = [
    {"e": "declared", "ids": ["t"]},
    {"e": "collected", "ids": ["t"]},
    *(
        {"e": "phase", "id": "t", "when": when, "outcome": "passed"}
        for when in ("setup", "call", "teardown")
    ),
    END,
]
GUEST = """
import json, os, sys
from sandbox.checkers import jobs
os.chdir(sys.argv[1])
environment = dict(os.environ)
request = {"kind": "pylint", "paths": sys.argv[3:], "cwd": sys.argv[1], "environment": environment}
with open(sys.argv[2], "w", encoding="utf-8") as report:
    jobs.perform(request, report)
"""


def encoded(lines: Sequence[object]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def judged(
    lint: Sequence[object] | JobResult,
    tests: Sequence[object] | None = None,
    rewritten: tuple[str, ...] = (),
) -> CheckReport:
    if not isinstance(lint, JobResult):
        lint = job_result("lint", report=lint if isinstance(lint, bytes) else encoded(lint))
    jobs = (lint, job_result("tests", report=encoded(TESTS if tests is None else tests)))
    return judge(RunResult(jobs, (), 0, 0, 0, 0, 0, rewritten=rewritten))


def verdicts(report: CheckReport) -> dict[str, Verdict]:
    return {result.name: result.verdict for result in report.results}


def files(*paths: str) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(path, 1, "0" * 64) for path in paths)


def test_python_files_are_linted_by_name_and_all_tests_are_run() -> None:
    lint, tests = jobs_for(files("a.py", "b/test_b.py", "README.md", "x.pyc"))
    assert (lint.checker, lint.paths) == ("pylint", ("a.py", "b/test_b.py"))
    assert (tests.checker, tests.paths) == ("pytest", ())


@pytest.mark.parametrize("paths", [(), ("README.md", "py", "a.pyx")])
def test_python_checks_need_no_job_without_python_files(paths: tuple[str, ...]) -> None:
    assert jobs_for(files(*paths)) == ()


def test_a_clean_report_and_passed_tests_pass() -> None:
    report = judged([END])
    assert report.verdict is Verdict.PASSED
    assert report.summary == "syntax: clean; lint: clean; tests: 1 passed"


def test_messages_and_stubs_fail_lint_alone() -> None:
    report = judged([STUB, MESSAGE, END])
    assert verdicts(report) == {
        "syntax": Verdict.PASSED,
        "lint": Verdict.FAILED,
        "tests": Verdict.PASSED,
    }
    lint = report.results[1]
    assert lint.summary == "2 errors"
    assert [finding.where for finding in lint.findings] == ["a.py:3", "a.py:4"]
    assert lint.findings[0].text.startswith("parse is not written yet")
    assert lint.findings[1].text == "E0602 undefined-variable: x"


def test_sources_that_were_written_to_meanwhile_fail_lint() -> None:
    report = judged([END], rewritten=("a.py", "b.py"))
    assert verdicts(report) == {
        "syntax": Verdict.PASSED,
        "lint": Verdict.FAILED,
        "tests": Verdict.PASSED,
    }
    assert [finding.where for finding in report.results[1].findings] == ["a.py", "b.py"]
    assert verdicts(judged(b"", rewritten=("a.py",)))["lint"] is Verdict.BROKEN


def test_lint_finding_quotes_its_line_and_lists_repetitions_once() -> None:
    first = {**MESSAGE, "line": 4, "quote": "print(x)", "hint": "insert before line 1: import x"}
    again = [{**MESSAGE, "line": line, "quote": f"f(x, {line})"} for line in range(5, 20)]
    other = {**MESSAGE, "path": "b.py", "quote": ""}
    lint = judged([first, *again, other, END]).results[1]
    assert lint.summary == "17 errors"
    one, alone = [finding.text for finding in lint.findings]
    assert one.startswith(
        "E0602 undefined-variable: x (in: print(x)); the same at 15 more: line 5, 6, 7, "
    )
    assert one.endswith(", 14 …; insert before line 1: import x")
    assert alone == "E0602 undefined-variable: x"


def test_lint_and_tests_are_not_judged_beside_a_syntax_error() -> None:
    report = judged([SYNTAX, END], tests=[]).gated()
    assert verdicts(report) == dict.fromkeys(("syntax", "lint", "tests"), Verdict.FAILED)
    assert [(one.where, one.text) for one in report.results[0].findings] == [
        ("a.py:1", "'(' was never closed")
    ]
    assert {result.findings for result in report.results[1:]} == {()}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [MESSAGE],
        [END, END],
        [END, MESSAGE],
        [{"e": "end"}],
        [{"e": "end", "code": 1}],
        [{"e": "surprise"}, END],
        [{}, END],
        [[], END],
        [None, END],
        [{**MESSAGE, "line": "x"}, END],
        [{**MESSAGE, "line": float("inf")}, END],
        [{**MESSAGE, "line": float("nan")}, END],
        [{**MESSAGE, "e": ["message"]}, END],
        [{"e": "message", "path": "a.py"}, END],
    ],
)
def test_a_report_that_is_incomplete_or_no_report_breaks_syntax_and_lint(
    lines: list[object],
) -> None:
    report = judged(lines)
    assert verdicts(report) == {
        "syntax": Verdict.BROKEN,
        "lint": Verdict.BROKEN,
        "tests": Verdict.PASSED,
    }
    assert report.results[0].summary == "it left no complete report"


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (job_result("lint", cause=Cause.TIMEOUT, report=encoded([END])), "did not end in time"),
        (job_result("lint", cause=Cause.MEMORY, report=encoded([END])), "ran out of memory"),
        (job_result("lint", cause=Cause.OUTPUT, report=encoded([END])), "put out too much"),
        (job_result("lint", cause=Cause.PIDS, report=encoded([END])), "too many processes"),
        (job_result("lint", cause=Cause.LOST, report=encoded([END])), "was lost"),
        (job_result("lint", cause=Cause.SIGNALLED, code=11, report=encoded([END])), "signal 11"),
        (job_result("lint", code=1, errors=b"Traceback", report=encoded([END])), "exit code 1"),
        (
            JobResult(
                "lint",
                Cause.EXITED,
                0,
                1,
                OutputStream(b"", b"", 0),
                OutputStream(b"", b"", 0),
                OutputStream(encoded([END]), b"", 10**6),
            ),
            "it left no complete report",
        ),
    ],
)
def test_a_linter_that_did_not_come_to_its_end_breaks_both(job: JobResult, reason: str) -> None:
    report = judged(job)
    assert verdicts(report) == {
        "syntax": Verdict.BROKEN,
        "lint": Verdict.BROKEN,
        "tests": Verdict.PASSED,
    }
    assert report.verdict is Verdict.BROKEN
    assert reason in report.results[0].summary


def test_output_of_a_broken_linter_is_shown() -> None:
    report = judged(job_result("lint", code=1, errors=b"Traceback", output=b"..."))
    assert "Traceback" in report.results[0].findings[0].text


def test_text_that_is_no_valid_unicode_is_made_so() -> None:
    report = judged([{**SYNTAX, "text": "\ud800"}, END])
    assert report.results[0].findings[0].text == "\\ud800"


@given(content=st.binary())
def test_arbitrary_report_bytes_never_pass(content: bytes) -> None:
    assert judged(content).verdict is Verdict.BROKEN


@given(cut=st.integers(0, len(encoded([MESSAGE, END])) - 2))
def test_a_report_cut_anywhere_is_broken(cut: int) -> None:
    assert judged(encoded([MESSAGE, END])[:cut]).verdict is Verdict.BROKEN


@given(
    position=st.integers(0, 1),
    line=st.text()
    | st.dictionaries(st.sampled_from(["e", "path", "line", "text"]), st.text() | st.integers()),
)
def test_no_line_turns_a_failing_report_into_a_pass(position: int, line: object) -> None:
    lines: list[object] = [MESSAGE, END]
    lines.insert(position, line)
    assert judged(lines).verdict is not Verdict.PASSED


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("x = (\n", "a.py:1"),
        ("\n\n  x = 1\n", "a.py:3"),
        ("x = 'a\x00'", "a.py:1"),
        ("(" * 5000, "a.py:1"),
        ("return\n", "a.py:1"),
    ],
)
def test_invalid_files_are_reported_at_their_line(tmp_path: Path, content: str, where: str) -> None:
    (tmp_path / "a.py").write_text(content, encoding="utf-8")
    words = [sys.executable, "-c", GUEST, str(tmp_path), str(tmp_path / "report"), "a.py"]
    subprocess.run(words, check=True, timeout=600, env={"PATH": os.environ["PATH"]})
    report = judged((tmp_path / "report").read_bytes())
    assert report.results[0].verdict is Verdict.FAILED
    assert [finding.where for finding in report.results[0].findings] == [where]


def result(verdict: Verdict) -> CheckResult:
    return CheckResult(name="one", verdict=verdict, summary=verdict)


@pytest.mark.parametrize(
    ("some", "worst"),
    [
        ((), Verdict.NOTHING),
        ((Verdict.PASSED,), Verdict.PASSED),
        ((Verdict.PASSED, Verdict.NOTHING), Verdict.NOTHING),
        ((Verdict.NOTHING, Verdict.FAILED, Verdict.PASSED), Verdict.FAILED),
        ((Verdict.FAILED, Verdict.BROKEN), Verdict.BROKEN),
    ],
)
def test_the_worst_verdict_counts(some: tuple[Verdict, ...], worst: Verdict) -> None:
    assert CheckReport(tuple(map(result, some))).verdict is worst


@pytest.mark.parametrize("verdict", Verdict)
def test_completion_is_accepted_only_after_a_pass(verdict: Verdict) -> None:
    assert CheckReport((result(verdict), result(Verdict.PASSED))).accepts_completion == (
        verdict is Verdict.PASSED
    )


def test_completion_is_accepted_without_a_due_check() -> None:
    assert CheckReport().accepts_completion
    assert CheckReport().summary == "nothing to check"


def test_files_that_were_only_compiled_are_not_said_to_be_clean() -> None:
    report = judged([{"e": "compiled", "count": 7}, END])
    assert report.results[1].summary == "7 files are only compiled"
