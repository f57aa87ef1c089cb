"""How a run ends."""

from dataclasses import dataclass, replace
from enum import StrEnum

from l2mac.evaluator.verdict import CheckReport

CLAIM = "claimed by the model, with existing files and passed tests; their relevance is unchecked"
"""Label of every table of requirements."""


class Status(StrEnum):
    """State of a run; all but `COMPLETED`, `FAILING` and `REQUIREMENTS_UNVERIFIED` can be resumed."""

    COMPLETED = "completed"
    FAILING = "checks failed"
    REQUIREMENTS_UNVERIFIED = "requirements unverified"
    BUDGET = "budget exhausted"
    NO_PLAN = "no plan"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementRow:
    """One requirement of the task and what the model claims to show it, as far as the claim holds.

    Attributes:
        shown: Whether a file, and where files of its kind are checked a passed test, shows it.
        files: Paths in the verified store.
        tests: Ids of tests that passed in the fresh box.
        refused: What was claimed beyond that and does not exist or has not passed.
    """

    requirement: str
    shown: bool
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model says about a file of its own result: no check, and no part of any verdict."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: its status, the cause in one sentence, and the last report on the store.

    Attributes:
        requirements: The table of requirements, a model's claim; empty when they were not examined.
        unexamined: Why the model gave no usable claim; empty when it gave one or was not asked.
        opinions: What the model says about its own files, where it was asked.
    """

    status: Status
    cause: str
    report: CheckReport
    requirements: tuple[RequirementRow, ...] = ()
    unexamined: str = ""
    opinions: tuple[Opinion, ...] = ()


def verified_outcome(report: CheckReport, remark: str = "") -> Outcome:
    """Give the outcome that the report from the fresh box comes to; nothing else makes a run completed.

    Args:
        report: On the result as it is recorded.
        remark: What is to be known about how the result came about.
    """
    done = report.accepts_completion
    said = report.summary if done else f"in a fresh sandbox: {report.summary}"
    cause = f"{said}; {remark}" if remark else said
    return Outcome(Status.COMPLETED if done else Status.FAILING, cause, report)


def with_files(outcome: Outcome, *, written: bool) -> Outcome:
    """Give the outcome unless it is of a store without any file: there nothing is due, and nothing is done either."""
    if written or outcome.status is not Status.COMPLETED:
        return outcome
    return replace(outcome, status=Status.FAILING, cause=f"no files were written; {outcome.cause}")
