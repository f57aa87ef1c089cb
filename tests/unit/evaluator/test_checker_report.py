"""Reports of checkers are read strictly: complete JSON lines up to their end, or not at all."""

import pytest

from l2mac.evaluator.checker_report import (
    IncompleteReport,
    read_clean_report,
    read_report,
    report_lines,
    why_incomplete,
)
from sandbox import Cause, JobResult, OutputStream
from sandbox.testing import job_result

END = b'{"e": "end", "code": 0}\n'


def job(report: bytes, *, cause: Cause = Cause.EXITED, code: int = 0) -> JobResult:
    return job_result("lint", cause=cause, code=code, report=report)


def test_complete_report_is_read_up_to_its_end() -> None:
    lines, end = read_report(job(b'{"e": "a"}\n[1]\n' + END))
    assert (lines, end) == ([{"e": "a"}, [1]], {"e": "end", "code": 0})
    assert read_clean_report(job(b'{"e": "a"}\n' + END)) == [{"e": "a"}]


@pytest.mark.parametrize(
    "report", [b"", b"\n", b"{", b"x\n" + END, b"[" * 100_000, b"\xff\n" + END]
)
def test_report_that_is_not_json_lines_is_incomplete(report: bytes) -> None:
    with pytest.raises(IncompleteReport):
        read_report(job(report))


@pytest.mark.parametrize("last", [b'{"e": "a"}', b'{"e": "end", "code": 1}', b'{"e": "end"}', b"0"])
def test_clean_report_needs_its_own_end(last: bytes) -> None:
    with pytest.raises(IncompleteReport):
        read_clean_report(job(b'{"e": "a"}\n' + last))


def test_truncated_report_is_incomplete() -> None:
    truncated = job(END)
    whole = OutputStream(END, b"", 10**9)
    elided = JobResult("lint", Cause.EXITED, 0, 1, truncated.output, truncated.errors, whole)
    with pytest.raises(IncompleteReport, match="too long"):
        read_report(elided)


@pytest.mark.parametrize(("cause", "code"), [(Cause.TIMEOUT, 0), (Cause.EXITED, 1)])
def test_report_of_a_failed_checker_does_not_count(cause: Cause, code: int) -> None:
    failed = job(END, cause=cause, code=code)
    with pytest.raises(IncompleteReport) as problem:
        read_report(failed)
    assert str(problem.value) == why_incomplete(failed)
    assert list(report_lines(failed)) == [{"e": "end", "code": 0}]


def test_missing_end_is_named_where_the_checker_succeeded() -> None:
    assert why_incomplete(job(b"")) == "it left no complete report"
