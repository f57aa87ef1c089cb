"""The checks of a book: their jobs in the sandbox, and their reports.

`sandbox.checkers.prose` makes the findings, and this module weighs them. Most findings refuse
completion. A missing chapter does so only at the end, and guesses are advice.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from l2mac.evaluator.checker_report import ReportLine, read_report, why_incomplete
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import how_many, valid_text
from sandbox import FileEntry, Job, JobResult, RunResult

JOBS = frozenset({"prose"})
RESULTS = ("outline", "text", "references", "advice")
_OF_RESULT = {
    "outline": "outline missing chapter title numbering length",
    "text": "placeholder repeated heading empty markup encoding",
    "references": "link reference name",
    "advice": "unused",
}
_RULES = {rule: result for result, rules in _OF_RESULT.items() for rule in rules.split()}
_TEXT_CHARACTERS = 1000


class _ProseFinding(ReportLine):
    """A finding, as `sandbox.checkers.prose` writes it."""

    e: Literal["finding"]
    rule: str
    path: str
    line: Annotated[int, Field(ge=0)]
    text: str


class _BookEnd(ReportLine):
    """The end of a report, as `sandbox.checkers.prose` writes it."""

    e: Literal["end"]
    code: Literal[0]
    chapters: Annotated[int, Field(ge=0)]
    written: Annotated[int, Field(ge=0)]
    words: Annotated[int, Field(ge=0)]
    unreported: Annotated[int, Field(ge=0)]


def jobs_for(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:  # noqa: ARG001 - a book is one
    """Return the jobs for these files; none while there is no Markdown file."""
    has_text = any(entry.path.endswith(".md") for entry in files)
    return jobs_at_the_end(files) if has_text else ()


def jobs_at_the_end(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:  # noqa: ARG001 - a book is one
    """Return the job for these files when a book is due, even without files."""
    return (Job("prose", checker="prose", paths=tuple(entry.path for entry in files)),)


def judge(result: RunResult) -> CheckReport:
    """Read the job's report; chapters that are not written yet are not missed."""
    return _judged(result.job("prose"), whole=False)


def judge_whole(result: RunResult) -> CheckReport:
    """Read the job's report when the whole book has to be there."""
    return _judged(result.job("prose"), whole=True)


def _judged(job: JobResult, *, whole: bool) -> CheckReport:
    try:
        lines, last = read_report(job)
        end = _BookEnd.model_validate(last)
        found = [_ProseFinding.model_validate(line) for line in lines]
        groups: dict[str, list[Finding]] = {name: [] for name in RESULTS}
        for one in found:
            if whole or one.rule != "missing":
                groups[_RULES[one.rule]].append(_finding(one))
    except (ValueError, KeyError, RecursionError):
        return _broken(job)
    return CheckReport(tuple(_results(groups, end)))


def _results(groups: dict[str, list[Finding]], end: _BookEnd) -> Iterable[CheckResult]:
    clean = {
        "outline": f"{end.written} of {how_many(range(end.chapters), 'chapter')} written",
        "text": f"{end.words} words",
        "references": "clean",
    }
    for name in RESULTS[:-1]:
        findings, summary, verdict = groups[name], clean[name], Verdict.PASSED
        if findings:
            verdict, summary = Verdict.FAILED, how_many(findings, "error")
            if end.unreported:
                summary += f", and {end.unreported} more of the book are not listed"
        yield CheckResult(name=name, verdict=verdict, summary=summary, findings=tuple(findings))
    if advice := groups["advice"]:
        summary = f"{how_many(advice, 'note')}, the first: {advice[0].where}: {advice[0].text}"
        yield CheckResult(
            name="advice", verdict=Verdict.PASSED, summary=summary, findings=tuple(advice)
        )


def _finding(found: _ProseFinding) -> Finding:
    path = valid_text(found.path)
    where = f"{path}:{found.line}" if found.line else path
    return Finding(where, valid_text(found.text)[:_TEXT_CHARACTERS])


def _broken(job: JobResult) -> CheckReport:
    reason = why_incomplete(job)
    text = valid_text(job.errors.text(1500) or job.output.text(1500))
    finding = Finding("", f"the book could not be checked: {reason}\n{text}")
    return CheckReport(
        (CheckResult(name="text", verdict=Verdict.BROKEN, summary=reason, findings=(finding,)),)
    )
