from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.evaluator import python_checks
from l2mac.evaluator.checks import Checks, describe, evaluate
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.file_store import FileStore
from l2mac.trace.objects import ObjectStore
from sandbox.testing import SandboxScript, ScriptedRun, job_result

CHECKS = Checks(python_checks.jobs_for, python_checks.judge)
CLEAN = job_result("lint", report=b'{"e": "end", "code": 0}\n')
NO_TESTS = job_result(
    "tests",
    code=5,
    report=b'{"e": "declared", "ids": []}\n{"e": "collected", "ids": []}\n'
    b'{"e": "end", "code": 5}\n',
)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects.pack")


def result(name: str, verdict: Verdict, *findings: Finding) -> CheckResult:
    return CheckResult(name=name, verdict=verdict, summary=verdict, findings=findings)


def test_evaluation_without_python_files_uses_no_sandbox(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = FileStore(script.make_sandbox, objects)
    assert evaluate(store, CHECKS) == CheckReport()
    assert script.sandboxes == []


def test_the_store_is_checked_in_its_sandbox_and_not_changed(objects: ObjectStore) -> None:
    script = SandboxScript(
        runs=[ScriptedRun(jobs=(CLEAN, NO_TESTS), writes={"a.py": b"changed", "trash": b""})]
    )
    store = FileStore(script.make_sandbox, objects)
    store.write({"a.py": b"x = 1\n"})
    assert evaluate(store, CHECKS).verdict is Verdict.NOTHING
    assert [job.name for job in script.sandboxes[0].asked[0]] == ["lint", "tests"]
    assert script.sandboxes[0].contents == {"a.py": b"x = 1\n"}


def test_checks_that_end_the_sandbox_are_broken(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2})
    store = FileStore(script.make_sandbox, objects)
    store.write({"a.py": b"x = 1\n"})
    report = evaluate(store, CHECKS)
    assert report.verdict is Verdict.BROKEN
    assert "ended the sandbox" in report.results[0].findings[0].text
    assert script.sandboxes[-1].contents == {"a.py": b"x = 1\n"}


def test_report_description_lists_only_failures() -> None:
    report = CheckReport(
        (
            result("syntax", Verdict.PASSED),
            result("lint", Verdict.FAILED, Finding("a.py:1", "undefined"), Finding("", "and more")),
            result("tests", Verdict.NOTHING),
        )
    )
    assert describe(report, 1000).splitlines() == [
        "lint: failed",
        "- a.py:1: undefined",
        "- and more",
        "tests: nothing to check",
    ]


def test_passing_report_is_described_as_passing() -> None:
    report = CheckReport((result("syntax", Verdict.PASSED), result("tests", Verdict.PASSED)))
    assert describe(report, 1000) == "syntax: passed\ntests: passed"


def test_report_description_counts_omitted_findings() -> None:
    findings = [Finding(f"a.py:{number}", "x" * 40) for number in range(10)]
    lines = describe(CheckReport((result("lint", Verdict.FAILED, *findings),)), 120).splitlines()
    assert len(lines) == 5
    assert lines[3].endswith("[... cut ...]")
    assert lines[4] == "- (7 more are not shown)"


@given(
    texts=st.lists(st.text(max_size=200), max_size=20),
    limit=st.integers(0, 1000),
)
def test_the_description_keeps_to_its_limit_but_for_its_headings(
    texts: list[str], limit: int
) -> None:
    report = CheckReport((result("lint", Verdict.FAILED, *(Finding("w", text) for text in texts)),))
    assert len(describe(report, limit)) <= limit + 2 * len(texts) + 100
