"""A domain's own checks: programs that are run in the box, each a pass by its exit code alone."""

from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

from l2mac.domains.definition import Command
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import cause_sentence, valid_text
from sandbox import Cause, FileEntry, Job, JobResult, RunResult

_NOT_STARTED = (126, 127)
_TEXT_CHARACTERS = 2500


def command_jobs(command: Command) -> Callable[..., tuple[Job, ...]]:
    """Give the function from files to the command's job; nothing is due while no file fits its patterns."""

    def jobs_for(files: Sequence[FileEntry], known: Collection[str] = ()) -> tuple[Job, ...]:  # noqa: ARG001 - all are its own
        due = any(fnmatchcase(entry.path, pattern) for entry in files for pattern in command.files)
        return (Job(command.name, argv=tuple(command.argv)),) if due else ()

    return jobs_for


def command_judge(command: Command) -> Callable[[RunResult], CheckReport]:
    """Give the function that reads what the command's job left."""

    def judge(result: RunResult) -> CheckReport:
        return CheckReport((_judged(command, result.job(command.name)),))

    return judge


def _judged(command: Command, job: JobResult) -> CheckResult:
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
            f"{command.argv[0]} cannot be started; it has to be in the box's image",
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
