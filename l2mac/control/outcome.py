"""The outcome of a run."""

from dataclasses import dataclass, replace
from enum import StrEnum

from l2mac.evaluator.verdict import CheckReport

CLAIM = "claimed by the model, with existing files and passed tests; their relevance is unchecked"
"""Label of every table of requirements."""


class Status(StrEnum):
    """State of a run.

    All but `COMPLETED`, `FAILING` and `REQUIREMENTS_UNVERIFIED` can be resumed.
    """

    COMPLETED = "completed"
    FAILING = "checks failed"
    REQUIREMENTS_UNVERIFIED = "requirements unverified"
    BUDGET = "budget exhausted"
    NO_PLAN = "no plan"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementRow:
    """One requirement of the task, and as much of the model's claim as holds.

    A requirement is `shown` by a file, and by a passed test where files of its kind are checked.

    Attributes:
        refused: Files and tests of the claim that do not exist or have not passed.
        files: Paths in the verified store.
        tests: Ids of tests that passed in the fresh sandbox.
    """

    requirement: str
    shown: bool
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """The model's opinion on a file of its own result, which changes no verdict."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: its status, its cause in one sentence, and the last report.

    Attributes:
        requirements: The table of requirements, a model's claim; empty when they were not examined.
        unexamined: Why the model gave no usable claim; empty when it gave one or was not asked.
        opinions: The model's opinions on its own files, where it was asked.
    """

    status: Status
    cause: str
    report: CheckReport
    requirements: tuple[RequirementRow, ...] = ()
    unexamined: str = ""
    opinions: tuple[Opinion, ...] = ()


def verified_outcome(report: CheckReport, remark: str = "") -> Outcome:
    """Return the outcome for the final verdict; nothing else makes a run completed.

    Args:
        report: The verdict on the recorded result, from a fresh sandbox.
        remark: A reader of the outcome has to know this about how the result came about.
    """
    if report.accepts_completion:
        status, said = Status.COMPLETED, report.summary
    else:
        status, said = Status.FAILING, f"in a fresh sandbox: {report.summary}"
    return Outcome(status, "; ".join(filter(None, (said, remark))), report)


def with_files(outcome: Outcome, *, written: bool) -> Outcome:
    """Return the outcome, which is not completed when no file was written."""
    if written or outcome.status is not Status.COMPLETED:
        return outcome
    return replace(outcome, status=Status.FAILING, cause=f"no files were written; {outcome.cause}")
