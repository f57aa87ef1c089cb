"""Outcomes of checks, with which tests script the fake sandbox."""

import json

from sandbox import Cause, JobResult
from sandbox.testing import ScriptedRun, job_result

LINT = b'{"e": "end", "code": 0}\n'


def job(name: str, report: bytes, *, cause: Cause = Cause.EXITED, code: int = 0) -> JobResult:
    """Return the result of a checker's job that left this report."""
    return job_result(name, cause=cause, code=code, report=report)


def report_of_tests(outcome: str, code: int) -> bytes:
    """Return the report of a suite with one test."""
    declared = {"e": "declared", "ids": ["t"]}
    collected = {"e": "collected", "ids": ["t"]}
    call = {"e": "phase", "id": "t", "when": "call", "outcome": outcome, "text": "assert 1 == 2"}
    teardown = {"e": "phase", "id": "t", "when": "teardown", "outcome": "passed"}
    lines = (declared, collected, call, teardown, {"e": "end", "code": code})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def checked(outcome: str) -> ScriptedRun:
    """Return the outcome of clean lint and one test."""
    code = 0 if outcome == "passed" else 1
    return ScriptedRun(
        jobs=(job("lint", LINT), job("tests", report_of_tests(outcome, code), code=code))
    )


_NONE = b'{"e": "declared", "ids": []}\n{"e": "collected", "ids": []}\n{"e": "end", "code": 5}\n'
NO_TESTS = ScriptedRun(jobs=(job("lint", LINT), job("tests", _NONE, code=5)))
HANGING = ScriptedRun(jobs=(job("lint", LINT), job("tests", b"", cause=Cause.TIMEOUT)))
PASSED, FAILED = checked("passed"), checked("failed")
