"""How a run ends."""

from dataclasses import dataclass, field
from enum import StrEnum

from l2mac.checks.report import CheckReport


class Status(StrEnum):
    """In what state a run is; everything but `COMPLETED` and `FAILING` can be resumed."""

    COMPLETED = "completed"
    FAILING = "finished with failing checks"
    BUDGET = "budget spent"
    NO_PLAN = "no plan"
    INTERRUPTED = "interrupted"
    BROKEN_OFF = "broken off"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model says about a file of its own result: no check, and no part of any verdict."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: its status, the cause in one sentence, the last report on the store, and opinions on it."""

    status: Status
    cause: str
    report: CheckReport
    opinions: tuple[Opinion, ...] = field(default=())
