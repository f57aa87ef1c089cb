"""How a run ends."""

from dataclasses import dataclass, replace
from enum import StrEnum

from l2mac.evaluator.verdict import CheckReport

CLAIM = "the model's claim; files and passed tests were checked to exist, not that they show it"
"""What a table of requirements is labelled as, wherever it appears."""


class Status(StrEnum):
    """In what state a run is; everything but `COMPLETED`, `FAILING` and `UNSHOWN` can be resumed."""

    COMPLETED = "completed"
    FAILING = "finished with failing checks"
    UNSHOWN = "finished, but not every requirement is shown"
    BUDGET = "budget spent"
    NO_PLAN = "no plan"
    INTERRUPTED = "interrupted"
    BROKEN_OFF = "broken off"


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
    said = report.summary if done else f"in a fresh box: {report.summary}"
    cause = f"{said}; {remark}" if remark else said
    return Outcome(Status.COMPLETED if done else Status.FAILING, cause, report)


def with_files(outcome: Outcome, *, written: bool) -> Outcome:
    """Give the outcome unless it is of a store without any file: there nothing is due, and nothing is done either."""
    if written or outcome.status is not Status.COMPLETED:
        return outcome
    return replace(outcome, status=Status.FAILING, cause=f"nothing was written; {outcome.cause}")
