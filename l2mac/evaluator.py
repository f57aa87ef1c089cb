"""The evaluator E(D): checks the store in its box and remembers the answer for the state that it was given for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from l2mac.checks.report import CheckReport, CheckResult, Finding, Verdict
from l2mac.file_store import BoxReplaced, FileStore
from sandbox import FileEntry, Job, RunResult


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a domain: what to run for some files, and how to read what comes back."""

    jobs_for: Callable[[Sequence[FileEntry]], tuple[Job, ...]]
    judge: Callable[[RunResult], CheckReport]


def evaluate(store: FileStore, checks: Checks) -> CheckReport:
    """Run a domain's checks on the store; whatever they write to it is undone."""
    jobs = checks.jobs_for(store.files)
    if not jobs:
        return CheckReport()
    try:
        execution = store.execute(jobs, keep_changes=False)
    except BoxReplaced as loss:
        finding = Finding("", f"running the checks ended the box: {loss}")
        return CheckReport((CheckResult(name="tests", verdict=Verdict.BROKEN, summary=str(loss), findings=(finding,)),))
    return checks.judge(execution.result)


def describe(report: CheckReport, limit: int) -> str:
    """Give what is wrong as text for the model, about `limit` characters long; what is left out is counted.

    Checks that passed are named only when all did: small models take `lint: clean` for something to look into.
    """
    lines: list[str] = []
    left = limit
    unmet = [result for result in report.results if result.verdict is not Verdict.PASSED]
    for result in unmet or report.results:
        lines.append(f"{result.name}: {result.summary}")
        for shown, finding in enumerate(result.findings):
            text = f"- {finding.where}: {finding.text}" if finding.where else f"- {finding.text}"
            if left <= 0:
                lines.append(f"- ({len(result.findings) - shown} more are not shown)")
                break
            lines.append(text if len(text) <= left else f"{text[:left]} [... cut ...]")
            left -= len(text)
    return "\n".join(lines)
