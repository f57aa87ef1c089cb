"""Reports of measuring jobs are read strictly; incomplete reports give no number."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.bench.readings import NoReading, SourceFile, read_count, read_coverage, read_lint
from sandbox import Cause, JobResult, OutputStream
from sandbox.testing import job_result

END = {"e": "end", "code": 0}
FILES = {
    "a.py": SourceFile(
        "a.py", test=False, lines=9, valid=True, code=7, statements=((1, 1), (3, 5), (7, 7), (9, 9))
    ),
    "never.py": SourceFile(
        "never.py", test=False, lines=3, valid=True, code=2, statements=((1, 1), (2, 2))
    ),
    "bad.py": SourceFile("bad.py", test=False, lines=5, valid=False, code=4, statements=()),
    "test_a.py": SourceFile(
        "test_a.py", test=True, lines=4, valid=True, code=4, statements=((1, 1), (2, 2))
    ),
}
COUNTED = {
    "e": "file", "path": "a.py", "test": False, "lines": 9, "valid": True, "code": 7,
    "statements": [[1, 1], [3, 5]],
}  # fmt: skip
RAN = {"e": "ran", "path": "a.py", "lines": [1, 4, 9]}
SYNTAX = {"e": "syntax", "path": "bad.py", "line": 1, "text": "never closed"}
STUB = {"e": "stub", "path": "a.py", "line": 3, "text": "later"}
MESSAGE = {
    "e": "message", "path": "a.py", "line": 4, "column": 0, "code": "E0602", "symbol": "undefined",
    "text": "x",
}  # fmt: skip


def job(lines: list[object] | bytes) -> JobResult:
    report = (
        lines
        if isinstance(lines, bytes)
        else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    )
    return job_result("job", report=report)


def test_coverage_is_the_share_of_statements_outside_tests_that_ran() -> None:
    coverage = read_coverage(
        job([RAN, {"e": "ran", "path": "test_a.py", "lines": [1, 2]}, END]), FILES
    )
    assert coverage.files == {"a.py": (3, 4), "never.py": (0, 2), "bad.py": (0, 4)}
    assert coverage.percent == 30


def test_failing_tests_have_coverage_and_missing_tests_have_none() -> None:
    assert read_coverage(job([RAN, {"e": "end", "code": 1}]), FILES).percent == 30
    assert read_coverage(job([{"e": "end", "code": 5}]), FILES).percent == 0


def test_coverage_of_tests_alone_is_zero() -> None:
    assert read_coverage(job([END]), {"test_a.py": FILES["test_a.py"]}).percent == 0


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"end\n",
        [RAN],
        [END, RAN],
        [RAN, RAN, END],
        [{**RAN, "lines": [10]}, END],
        [{**RAN, "lines": [0]}, END],
        [{**RAN, "lines": [True]}, END],
        [{**RAN, "lines": ["1"]}, END],
        [{**RAN, "more": 1}, END],
        [{"e": "ran", "path": "bad.py", "lines": [1]}, END],
        [RAN, {"e": "end", "code": 3}],
        [RAN, {"e": "end"}],
        [{"coverage_percent": 100}, END],
        b"[" * 100_000 + b"\n",
    ],
)
def test_malformed_or_missing_coverage_reports_give_no_number(report: list[object] | bytes) -> None:
    with pytest.raises(NoReading):
        read_coverage(job(report), FILES)


@pytest.mark.parametrize(
    "result",
    [
        replace(job([RAN, END]), cause=Cause.TIMEOUT),
        replace(job([RAN, END]), cause=Cause.LOST),
        replace(job([RAN, END]), code=1),
        replace(job([RAN, END]), report=OutputStream(b'{"e": "end", "code": 0}\n', b"", 10_000)),
    ],
)
def test_a_job_that_did_not_come_to_its_end_gives_no_number(result: JobResult) -> None:
    for read in (read_count, read_lint, lambda one: read_coverage(one, FILES)):
        with pytest.raises(NoReading):
            read(result)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_never_give_a_number_or_a_crash(report: bytes) -> None:
    for read in (read_count, read_lint, lambda one: read_coverage(one, FILES)):
        with pytest.raises(NoReading):
            read(job(report))


def test_coverage_of_files_outside_the_store_does_not_count() -> None:
    assert (
        read_coverage(job([{"e": "ran", "path": "made.py", "lines": [1]}, END]), FILES).percent == 0
    )


def test_the_files_are_counted() -> None:
    (file,) = read_count(job([COUNTED, END])).values()
    assert (file.code, file.statements, file.to_cover) == (7, ((1, 1), (3, 5)), 2)


@pytest.mark.parametrize(
    "report",
    [
        [COUNTED, COUNTED, END],
        [{**COUNTED, "statements": [[3, 1]]}, END],
        [{**COUNTED, "statements": [[1, 10]]}, END],
        [{**COUNTED, "statements": [[1]]}, END],
        [{**COUNTED, "code": -1}, END],
        [COUNTED],
    ],
)
def test_a_count_that_contradicts_itself_gives_no_number(report: list[object]) -> None:
    with pytest.raises(NoReading):
        read_count(job(report))


def test_errors_of_lint_are_those_of_pylint_and_files_that_are_no_python() -> None:
    errors, invalid = read_lint(job([SYNTAX, STUB, MESSAGE, END]))
    assert errors == ("bad.py:1: syntax never closed", "a.py:4: E0602 x")
    assert invalid == ("bad.py",)
