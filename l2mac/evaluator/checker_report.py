"""The report that a checker leaves in the sandbox: JSON lines, of which the last one is its end.

Reports come from processes that may also have run generated code. They are read strictly: a report
that is truncated, lacks its end or holds anything but JSON is incomplete, and never repaired.
"""

import json
from collections.abc import Iterator
from typing import Any

import pydantic

from l2mac.evaluator.wording import cause_sentence
from sandbox import Cause, JobResult

_CLEAN_END = {"e": "end", "code": 0}
_NOT_COMPLETE = "its report is not complete, or not what the job writes"


class IncompleteReport(ValueError):
    """A checker left no complete report; the message says why."""


class ReportLine(pydantic.BaseModel):
    """A line of a report: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


def report_lines(job: JobResult) -> Iterator[Any]:
    """Yield the lines of a report as far as it is there, whether it has an end or not.

    Raises:
        IncompleteReport: A line is not JSON.
    """
    for line in (job.report.head + job.report.tail).splitlines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise IncompleteReport(_NOT_COMPLETE) from None


def read_report(job: JobResult) -> tuple[list[Any], Any]:
    """Return the lines of a complete report before its end, and the end.

    Raises:
        IncompleteReport: The checker failed, or its report is truncated or not JSON.
    """
    if not job.succeeded:
        raise IncompleteReport(cause_sentence(job))
    if job.report.elided:
        raise IncompleteReport("its report is too long to be read whole")
    lines = list(report_lines(job))
    if not lines:
        raise IncompleteReport(_NOT_COMPLETE)
    return lines[:-1], lines[-1]


def read_clean_report(job: JobResult) -> list[Any]:
    """Return the lines of a complete report whose end says nothing but that.

    Raises:
        IncompleteReport: As `read_report`, or the last line is not such an end.
    """
    lines, end = read_report(job)
    if end != _CLEAN_END:
        raise IncompleteReport(_NOT_COMPLETE)
    return lines


def why_incomplete(job: JobResult) -> str:
    """Return why a checker's report could not be used, as a short sentence."""
    if job.cause is not Cause.EXITED or job.code:
        return cause_sentence(job)
    return "it left no complete report"
