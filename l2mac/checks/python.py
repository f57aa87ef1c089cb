"""The checks of the codebase domain: what to run in the box, and how to read what comes back.

Everything read here comes from processes that also ran generated code. It is parsed strictly: what is missing,
contradicts itself or was cut off makes a check broken or failed, never passed.
"""

import json
from collections.abc import Sequence
from typing import Any

from l2mac.checks.pytest_report import judge_tests
from l2mac.checks.report import CheckReport, CheckResult, Finding, Verdict
from l2mac.checks.wording import cause_sentence, how_many
from sandbox import Cause, FileEntry, Job, JobResult, RunResult

_RUFF = "ruff check --isolated --no-cache --exit-zero --output-format json --select E9,F63,F7,F82 --quiet .".split()


def jobs_for(files: Sequence[FileEntry]) -> tuple[Job, ...]:
    """Give what to run for these files; nothing when there is no Python file."""
    sources = tuple(entry.path for entry in files if entry.path.endswith(".py"))
    if not sources:
        return ()
    return (
        Job("syntax", argv=tuple(_RUFF)),
        Job("lint", checker="pylint", paths=sources),
        Job("tests", checker="pytest"),
    )


def judge(result: RunResult) -> CheckReport:
    """Read what the jobs of `jobs_for` left."""
    syntax = _judge_syntax(result.job("syntax"))
    if syntax.verdict is Verdict.FAILED:
        unread = "not judged before the syntax is right"
        lint = CheckResult(name="lint", verdict=Verdict.FAILED, summary=unread)
        return CheckReport((syntax, lint, CheckResult(name="tests", verdict=Verdict.FAILED, summary=unread)))
    lint = _judge_lint(result.job("lint"), known={finding.where for finding in syntax.findings})
    return CheckReport((syntax, lint, judge_tests(result.job("tests"))))


def _judge_syntax(job: JobResult) -> CheckResult:
    if not job.succeeded or job.output.elided:
        return _broken("syntax", job)
    try:
        messages = json.loads(job.output.head + job.output.tail)
        findings = tuple(_ruff_finding(message) for message in messages)
    except (ValueError, KeyError, TypeError, RecursionError):
        return _broken("syntax", job)
    return _from_findings("syntax", findings)


def _ruff_finding(message: dict[str, Any]) -> Finding:
    path = str(message["filename"]).removeprefix("/workspace/")
    return Finding(f"{path}:{int(message['location']['row'])}", f"{message['code']}: {message['message']}")


def _judge_lint(job: JobResult, *, known: set[str]) -> CheckResult:
    if not job.succeeded or job.report.elided:
        return _broken("lint", job)
    findings = []
    ended = False
    try:
        for line in (job.report.head + job.report.tail).splitlines():
            event = json.loads(line)
            if event["e"] == "end":
                ended = True
            elif (where := f"{event['path']}:{int(event['line'])}") not in known:
                findings.append(Finding(where, f"{event['code']} {event['symbol']}: {event['text']}"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return _broken("lint", job)
    return _from_findings("lint", tuple(findings)) if ended else _broken("lint", job)


def _from_findings(name: str, findings: tuple[Finding, ...]) -> CheckResult:
    if findings:
        return CheckResult(name=name, verdict=Verdict.FAILED, summary=how_many(findings, "error"), findings=findings)
    return CheckResult(name=name, verdict=Verdict.PASSED, summary="clean")


def _broken(name: str, job: JobResult) -> CheckResult:
    text = job.errors.text(1500) or job.output.text(1500)
    reason = cause_sentence(job) if job.cause is not Cause.EXITED or job.code else "it left no complete report"
    return CheckResult(name=name, verdict=Verdict.BROKEN, summary=reason, findings=(Finding("", f"{reason}\n{text}"),))
