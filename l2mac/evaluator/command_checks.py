"""A domain's own checks: programs in the sandbox that pass by their exit code."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from l2mac.evaluator.checks import JobMaker
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import cause_sentence, valid_text
from sandbox import Cause, FileEntry, Job, JobResult, RunResult

_NOT_STARTED = (126, 127)
_TEXT_CHARACTERS = 2500


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """A program that runs in the sandbox as a check.

    Attributes:
        argv: The program and its arguments. No shell reads them.
        exit_codes: The exit codes that are a pass.
        files: Patterns of paths. The check is due as soon as a file of the store fits one of them.
    """

    name: str
    argv: tuple[str, ...]
    exit_codes: tuple[int, ...] = (0,)
    files: tuple[str, ...] = ("*",)


def command_jobs(command: CommandCheck) -> JobMaker:
    """Return the function from files to the command's job, due once a file fits."""

    def jobs_for(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:  # noqa: ARG001 - all are its own
        due = any(fnmatchcase(entry.path, pattern) for entry in files for pattern in command.files)
        return (Job(command.name, argv=command.argv),) if due else ()

    return jobs_for


def command_judge(command: CommandCheck) -> Callable[[RunResult], CheckReport]:
    """Return the function that reads the result of the command's job."""

    def judge(result: RunResult) -> CheckReport:
        return CheckReport((_judged(command, result.job(command.name)),))

    return judge


def _judged(command: CommandCheck, job: JobResult) -> CheckResult:
    if job.cause is Cause.EXITED and job.code in command.exit_codes:
        return CheckResult(
            name=command.name, verdict=Verdict.PASSED, summary=f"exit code {job.code}"
        )
    verdict, summary = Verdict.FAILED, cause_sentence(job)
    if job.cause is not Cause.EXITED:
        verdict = Verdict.BROKEN
    elif job.code in _NOT_STARTED:
        verdict, summary = (
            Verdict.BROKEN,
            f"{command.argv[0]} cannot be started; it has to be in the sandbox's image",
        )
    texts = (
        valid_text(stream.text(_TEXT_CHARACTERS))
        for stream in (job.output, job.errors)
        if stream.total
    )
    text = "\n".join([f"{' '.join(command.argv)}: {summary}", *texts])
    return CheckResult(
        name=command.name, verdict=verdict, summary=summary, findings=(Finding("", text),)
    )
