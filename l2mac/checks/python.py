"""The checks of the codebase domain: what to run in the box, and how to read what comes back.

Everything read here comes from processes that also ran generated code. It is parsed strictly: what is missing,
contradicts itself or was cut off makes a check broken or failed, never passed.
"""

import json
from collections.abc import Sequence
from typing import Any

from l2mac.checks.pytest_report import HOOK, judge_tests
from l2mac.checks.report import CheckReport, CheckResult, Finding, Verdict
from l2mac.checks.wording import cause_sentence, how_many, valid_text
from sandbox import Cause, FileEntry, Job, JobResult, RunResult

_END = {"e": "end", "code": 0}
_REWRITTEN = (
    "was written to while the checks ran, by the tests or by what they import; no test may change the sources, not"
    " even for a moment: let it write to tmp_path"
)


def jobs_for(files: Sequence[FileEntry]) -> tuple[Job, ...]:
    """Give what to run for these files, side by side; nothing when there is no Python file."""
    sources = tuple(entry.path for entry in files if entry.path.endswith(".py"))
    if not sources:
        return ()
    return (Job("lint", checker="pylint", paths=sources), Job("tests", checker="pytest"))


def judge(result: RunResult) -> CheckReport:
    """Read what the jobs of `jobs_for` left: syntax, lint, tests.

    Lint and tests are not judged while a file is not valid Python: what they say then only repeats it. Sources that
    were written to meanwhile fail the lint: it may have read something else than what is there.
    """
    syntax, lint = _judge_lint(result.job("lint"))
    if result.rewritten and lint.verdict is not Verdict.BROKEN:
        lint = _from_findings("lint", (*(Finding(path, _REWRITTEN) for path in result.rewritten), *lint.findings))
    if syntax.verdict is Verdict.FAILED:
        unread = "not judged before the syntax is right"
        return CheckReport(
            (syntax, *(CheckResult(name=name, verdict=Verdict.FAILED, summary=unread) for name in ("lint", "tests")))
        )
    return CheckReport((syntax, lint, judge_tests(result.job("tests"))))


def _judge_lint(job: JobResult) -> tuple[CheckResult, CheckResult]:
    broken = (_broken("syntax", job), _broken("lint", job))
    if not job.succeeded or job.report.elided:
        return broken
    findings: dict[str, list[Finding]] = {"syntax": [], "stub": [], "hook": [], "message": []}
    *lines, end = (job.report.head + job.report.tail).splitlines() or [b""]
    try:
        if json.loads(end) != _END:
            raise ValueError("the last line is not an end")
        for line in lines:
            event = json.loads(line)
            findings[event["e"]].append(_finding(event))
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return broken
    in_order = findings["stub"] + findings["hook"] + findings["message"]
    return _from_findings("syntax", findings["syntax"]), _from_findings("lint", in_order)


def _finding(event: dict[str, Any]) -> Finding:
    event = {name: valid_text(value) if isinstance(value, str) else value for name, value in event.items()}
    where = f"{event['path']}:{int(event['line'])}"
    if event["e"] == "stub":
        return Finding(
            where, f"{event['text']} is not written yet: its body does nothing; write it, or say why in a docstring"
        )
    if event["e"] == "hook":
        return Finding(where, HOOK.format(name=event["text"]))
    rule = f"{event['code']} {event['symbol']}: " if event["e"] == "message" else ""
    return Finding(where, f"{rule}{event['text']}")


def _from_findings(name: str, findings: Sequence[Finding]) -> CheckResult:
    if findings:
        summary = how_many(findings, "error")
        return CheckResult(name=name, verdict=Verdict.FAILED, summary=summary, findings=tuple(findings))
    return CheckResult(name=name, verdict=Verdict.PASSED, summary="clean")


def _broken(name: str, job: JobResult) -> CheckResult:
    text = job.errors.text(1500) or job.output.text(1500)
    reason = cause_sentence(job) if job.cause is not Cause.EXITED or job.code else "it left no complete report"
    return CheckResult(name=name, verdict=Verdict.BROKEN, summary=reason, findings=(Finding("", f"{reason}\n{text}"),))
