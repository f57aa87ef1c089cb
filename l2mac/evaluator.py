"""The evaluator E(D): checks the store in its box and remembers the answer for the state that it was given for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from l2mac.checks.report import CheckReport, CheckResult, Finding, Verdict
from l2mac.file_store import BoxReplaced, FileStore
from sandbox import FileEntry, Job, RunResult


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a domain: what to run for some files, and how to read what comes back.

    Attributes:
        jobs: The names of all jobs that `jobs_for` can give.
        at_the_end: What takes their place in the last instruction and after it, where more is due than before: the
            chapters that are still missing, for example. None where the same is due all along.
    """

    jobs_for: Callable[[Sequence[FileEntry]], tuple[Job, ...]]
    judge: Callable[[RunResult], CheckReport]
    jobs: frozenset[str] = frozenset()
    at_the_end: "Checks | None" = None


def together(parts: tuple[Checks, ...]) -> Checks:
    """Make one of several checks, whose jobs run side by side and whose results stand behind one another."""
    if len(parts) == 1:
        return parts[0]

    def jobs_for(files: Sequence[FileEntry]) -> tuple[Job, ...]:
        return tuple(job for part in parts for job in part.jobs_for(files))

    def judge(result: RunResult) -> CheckReport:
        ran = {job.name for job in result.jobs}
        return CheckReport(
            tuple(one for part in parts if part.jobs & ran for one in part.judge(result).results),
        )

    staged = any(part.at_the_end for part in parts)
    end = together(tuple(part.at_the_end or part for part in parts)) if staged else None
    return Checks(jobs_for, judge, frozenset().union(*(part.jobs for part in parts)), end)


def evaluate(store: FileStore, checks: Checks, *, at_the_end: bool = False) -> CheckReport:
    """Run a domain's checks on the store; whatever they write to it is undone."""
    if at_the_end and checks.at_the_end is not None:
        checks = checks.at_the_end
    jobs = checks.jobs_for(store.files)
    if not jobs:
        return CheckReport()
    try:
        execution = store.execute(jobs, keep_changes=False)
    except BoxReplaced as loss:
        finding = Finding("", f"running the checks ended the box: {loss}")
        return CheckReport(
            (CheckResult(name=jobs[-1].name, verdict=Verdict.BROKEN, summary=str(loss), findings=(finding,)),)
        )
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
