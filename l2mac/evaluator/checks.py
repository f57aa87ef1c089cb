"""The checks of a domain: their jobs on a file store, and their reports."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.file_store import FileStore, SandboxReplaced
from sandbox import FileEntry, Job, RunResult


class JobMaker(Protocol):
    """The maker of the jobs for some files."""

    def __call__(
        self, files: Sequence[FileEntry], known: Collection[str] = (), /
    ) -> tuple[Job, ...]:
        """Return the jobs; findings on the paths in `known` are known already."""
        ...


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a domain.

    Attributes:
        jobs_for: Makes the jobs for the files of a store.
        judge: Returns the report on the results of these jobs.
        jobs: The names of all jobs that `jobs_for` can make.
        at_the_end: The checks in their place in the last instruction and after it, where more is
            due then: all chapters of a book, for example. None where the same is due all along.
        for_input: Makes the jobs for an unchanged input; None where `jobs_for` does.
        originals: Makes the jobs for files of the input that have been changed since, where
            `for_input` excludes findings of single files.
    """

    jobs_for: JobMaker
    judge: Callable[[RunResult], CheckReport]
    jobs: frozenset[str] = frozenset()
    at_the_end: "Checks | None" = None
    for_input: Callable[[Sequence[FileEntry]], tuple[Job, ...]] | None = None
    originals: Callable[[Sequence[FileEntry], Sequence[FileEntry]], tuple[Job, ...]] = lambda *_: ()


def together(parts: tuple[Checks, ...]) -> Checks:
    """Return several checks as one, whose jobs run side by side."""
    if len(parts) == 1:
        return parts[0]

    def jobs_for(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:
        return tuple(job for part in parts for job in part.jobs_for(files, known))

    def for_input(files: Sequence[FileEntry]) -> tuple[Job, ...]:
        return tuple(job for part in parts for job in (part.for_input or part.jobs_for)(files))

    def originals(changed: Sequence[FileEntry], files: Sequence[FileEntry]) -> tuple[Job, ...]:
        return tuple(job for part in parts for job in part.originals(changed, files))

    def judge(result: RunResult) -> CheckReport:
        ran = {job.name for job in result.jobs}
        return CheckReport(
            tuple(one for part in parts if part.jobs & ran for one in part.judge(result).results),
        )

    end = None
    if any(part.at_the_end for part in parts):
        end = together(tuple(part.at_the_end or part for part in parts))
    return Checks(
        jobs_for,
        judge,
        frozenset().union(*(part.jobs for part in parts)),
        end,
        for_input,
        originals,
    )


def evaluate(
    store: FileStore, checks: Checks, *, at_the_end: bool = False, known: Collection[str] = ()
) -> CheckReport:
    """Run a domain's checks on the store; all that they write to it is undone."""
    if at_the_end and checks.at_the_end is not None:
        checks = checks.at_the_end
    return _ran(store, checks, checks.jobs_for(store.files, known))


def evaluate_input(store: FileStore, checks: Checks) -> CheckReport:
    """Run all of a domain's checks that can be due on an unchanged input."""
    if checks.at_the_end is not None:
        checks = checks.at_the_end
    return _ran(store, checks, (checks.for_input or checks.jobs_for)(store.files))


def evaluate_originals(
    store: FileStore, checks: Checks, changed: Sequence[FileEntry]
) -> CheckReport:
    """Run the checks on some files of an input that `evaluate_input` excluded."""
    return _ran(store, checks, checks.originals(changed, store.files))


def _ran(store: FileStore, checks: Checks, jobs: tuple[Job, ...]) -> CheckReport:
    if not jobs:
        return CheckReport()
    try:
        execution = store.execute(jobs, keep_changes=False)
    except SandboxReplaced as loss:
        finding = Finding("", f"running the checks ended the sandbox: {loss}")
        return CheckReport(
            (
                CheckResult(
                    name=jobs[-1].name,
                    verdict=Verdict.BROKEN,
                    summary=str(loss),
                    findings=(finding,),
                ),
            )
        )
    return checks.judge(execution.result)


def describe(report: CheckReport, limit: int) -> str:
    """Return the findings as text for the model, in about `limit` characters.

    Checks that passed are named only when all did: small models take `lint: clean` for something to
    look into.
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
