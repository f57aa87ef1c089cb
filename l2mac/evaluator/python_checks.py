"""The checks of the codebase domain: their jobs, and their reports.

The reports come from processes that also ran generated code. They are read strictly: a report that
is incomplete, contradicts itself or is truncated makes a check broken or failed, never passed.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import pydantic

from l2mac.evaluator.checker_report import (
    ReportLine,
    ValidText,
    read_clean_report,
    why_incomplete,
)
from l2mac.evaluator.pytest_report import HOOK, judge_tests
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import how_many
from sandbox import FileEntry, Job, JobResult, RunResult

_REWRITTEN = (
    "was written to while the checks ran, by the tests or by what they import; no test may change"
    " the sources, not even for a moment: let it write to tmp_path"
)
_MOST_LINES = 10
_LINTED_WHOLE = 200
_STUB = "is not written yet: its body does nothing; write it, or say why in a docstring"


class _Located(ReportLine):
    """A finding at a line of a file; `quote` is the line, `hint` the way to a fix."""

    path: ValidText
    line: int
    text: ValidText
    quote: ValidText = ""
    hint: ValidText = ""


class _SourceFinding(_Located):
    """A finding of `sandbox.checkers.sources`."""

    e: Literal["syntax", "stub", "hook"]


class _Message(_Located):
    """A message of pylint."""

    e: Literal["message"]
    code: ValidText
    symbol: ValidText
    column: int | None = None


class _Compiled(ReportLine):
    """The number of files that were compiled and not linted."""

    e: Literal["compiled"]
    count: int


_Event = _SourceFinding | _Message
_Line = _SourceFinding | _Message | _Compiled
_LINE: pydantic.TypeAdapter[_Line] = pydantic.TypeAdapter(
    Annotated[_Line, pydantic.Field(discriminator="e")]
)


def jobs_for(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:
    """Return the jobs for these files, side by side; none without a Python file.

    Where there are many, lint does not look at those that are `known`, as they are in the input.
    """
    sources = _sources(files)
    if not sources:
        return ()
    passed_over = frozenset(known) if len(sources) > _LINTED_WHOLE else frozenset()
    paths = tuple(path for path in sources if path not in passed_over)
    return (Job("lint", checker="pylint", paths=paths), Job("tests", checker="pytest"))


def jobs_for_input(files: Sequence[FileEntry]) -> tuple[Job, ...]:
    """Return the jobs for an input; many files are all compiled and not linted."""
    sources = _sources(files)
    if len(sources) <= _LINTED_WHOLE:
        return jobs_for(files)
    return (Job("lint", checker="pylint", others=sources), Job("tests", checker="pytest"))


def originals(changed: Sequence[FileEntry], files: Sequence[FileEntry]) -> tuple[Job, ...]:
    """Return the jobs that `jobs_for_input` excluded, for files that have changed."""
    paths = _sources(changed)
    if not paths or len(_sources(files)) <= _LINTED_WHOLE:
        return ()
    return (Job("lint", checker="pylint", paths=paths),)


def judge(result: RunResult) -> CheckReport:
    """Read the reports of the jobs of `jobs_for`: syntax, lint, tests.

    Lint and tests do not count while a file is not valid Python: their findings would only repeat
    that. Sources that were written to while the checks ran fail the lint, which may have read other
    contents.
    """
    syntax, lint = _judge_lint(result.job("lint"))
    if result.rewritten and lint.verdict is not Verdict.BROKEN:
        lint = _doubted(lint, result.rewritten)
    tests = tuple(judge_tests(job) for job in result.jobs if job.name == "tests")
    return CheckReport((replace(syntax, gates=("lint", "tests")), lint, *tests))


def _sources(files: Sequence[FileEntry]) -> tuple[str, ...]:
    return tuple(entry.path for entry in files if entry.path.endswith(".py"))


def _doubted(lint: CheckResult, rewritten: Sequence[str]) -> CheckResult:
    findings = (*(Finding(path, _REWRITTEN) for path in rewritten), *lint.findings)
    said = "" if lint.verdict is Verdict.PASSED else f", {lint.summary}"
    summary = f"{how_many(rewritten, 'source')} written to meanwhile{said}"
    return replace(lint, verdict=Verdict.FAILED, summary=summary, findings=findings)


def _judge_lint(job: JobResult) -> tuple[CheckResult, CheckResult]:
    events: dict[str, list[_Event]] = {"syntax": [], "stub": [], "hook": [], "message": []}
    only_compiled = 0
    try:
        for line in map(_LINE.validate_python, read_clean_report(job)):
            if isinstance(line, _Compiled):
                only_compiled = line.count
            else:
                events[line.e].append(line)
    except (ValueError, RecursionError):
        return _broken("syntax", job), _broken("lint", job)
    in_order = events["stub"] + events["hook"] + events["message"]
    lint = _from_events("lint", in_order)
    if only_compiled and not in_order:
        lint = replace(lint, summary=f"{only_compiled} files are only compiled")
    return _from_events("syntax", events["syntax"]), lint


def _finding(event: _Event, more: Sequence[_Event]) -> Finding:
    """Return a finding; `more` are the same at further lines."""
    finding = _alone(event)
    quote = f" (in: {event.quote})" if event.quote else ""
    others = ""
    if more:
        lines = ", ".join(str(one.line) for one in more[:_MOST_LINES])
        others = f"; the same at {len(more)} more: line {lines}"
    if len(more) > _MOST_LINES:
        others += " …"
    hint = f"; {event.hint}" if event.hint else ""
    text = f"{finding.text}{quote}{others}{hint}"
    return Finding(finding.where, text, sort=finding.text, count=1 + len(more))


def _alone(event: _Event) -> Finding:
    where = f"{event.path}:{event.line}"
    if isinstance(event, _Message):
        return Finding(where, f"{event.code} {event.symbol}: {event.text}")
    texts = {
        "syntax": event.text,
        "stub": f"{event.text} {_STUB}",
        "hook": HOOK.format(name=event.text),
    }
    return Finding(where, texts[event.e])


def _from_events(name: str, events: Sequence[_Event]) -> CheckResult:
    """Return a result in which repeated findings of a file are one."""
    if not events:
        return CheckResult(name=name, verdict=Verdict.PASSED, summary="clean")
    alike: dict[tuple[str, str], list[_Event]] = {}
    for event in events:
        alike.setdefault((event.path, _alone(event).text), []).append(event)
    findings = tuple(_finding(first, more) for first, *more in alike.values())
    return CheckResult(
        name=name, verdict=Verdict.FAILED, summary=how_many(events, "error"), findings=findings
    )


def _broken(name: str, job: JobResult) -> CheckResult:
    text = job.errors.text(1500) or job.output.text(1500)
    reason = why_incomplete(job)
    return CheckResult(
        name=name,
        verdict=Verdict.BROKEN,
        summary=reason,
        findings=(Finding("", f"{reason}\n{text}"),),
    )
