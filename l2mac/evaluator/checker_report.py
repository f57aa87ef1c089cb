"""The report that a checker leaves in the sandbox: JSON lines and an end.

Reports come from processes that may also have run generated code. They are read strictly: a report
that is truncated, lacks its end or holds anything but JSON is incomplete, and never repaired.
"""

import json
from collections.abc import Iterator
from typing import Annotated

import pydantic

from l2mac.evaluator.wording import cause_sentence, valid_text
from sandbox import Cause, JobResult

_CLEAN_END = {"e": "end", "code": 0}
_NOT_COMPLETE = "its report is not complete, or not what the job writes"
ValidText = Annotated[str, pydantic.AfterValidator(valid_text)]
"""A text of the sandbox as valid Unicode."""


class IncompleteReport(ValueError):
    """A checker left no complete report; the message says why."""


class ReportLine(pydantic.BaseModel):
    """A line of a report: nothing unknown, nothing converted."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


def report_lines(job: JobResult) -> Iterator[object]:
    """Yield the lines of a report, which may lack its end.

    Raises:
        IncompleteReport: A line is not JSON.
    """
    for line in (job.report.head + job.report.tail).splitlines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise IncompleteReport(_NOT_COMPLETE) from None


def read_report(job: JobResult) -> tuple[list[object], object]:
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


def read_clean_report(job: JobResult) -> list[object]:
    """Return the lines of a complete report whose end carries no values.

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
