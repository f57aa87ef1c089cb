"""The protocols of the control unit's parts; see `l2mac.runs.composition`."""

from typing import Protocol

from l2mac.control.outcome import Outcome
from l2mac.control.registry import Instruction
from l2mac.evaluator.verdict import CheckReport

Program = tuple[str, ...]
"""The texts of a prompt program's instructions, in order."""


class NoPlan(Exception):
    """No usable prompt program exists; the message says why."""


class Planner(Protocol):
    """The maker of the prompt program."""

    @property
    def source(self) -> str:
        """The maker of the program, as it is recorded: `user` or `model`."""
        ...

    def make_program(self) -> Program:
        """Return the prompt program.

        Raises:
            NoPlan: There is none.
            BudgetExhausted: Nothing more may be spent, or the task does not fit into the model's
                window.
        """
        ...


class Executor(Protocol):
    """The part that works on one instruction until it is done."""

    def execute(self, instruction: Instruction, summary: str) -> str:
        """Execute an instruction, and return the summary M_rs for the next one.

        Args:
            instruction: The current one.
            summary: The message of the instructions before.

        Raises:
            InstructionExhausted: Its turns or restarts are used up.
            BudgetExhausted, ModelUnavailable, ModelRejected: As `Model.ask`.
        """
        ...


class EvaluatorModule(Protocol):
    """The evaluator module E(D) of the paper; see `l2mac.evaluator.evaluator`."""

    @property
    def report(self) -> CheckReport:
        """The newest verdict."""
        ...

    @property
    def input_report(self) -> CheckReport:
        """The checks' result on the unchanged input."""
        ...

    @property
    def summary(self) -> str:
        """The newest verdict in one line."""
        ...

    @property
    def is_outdated(self) -> bool:
        """Whether the store has changed since the newest verdict."""
        ...

    @property
    def remark(self) -> str:
        """A sentence for the outcome on how the work was checked."""
        ...

    @property
    def checks_work(self) -> bool:
        """Whether work is checked before it is accepted."""
        ...

    def start(self) -> CheckReport:
        """Evaluate the run's input, and return the verdict on it."""
        ...

    def check(self, *, whole: bool) -> CheckReport:
        """Return the verdict on the store; with `whole`, everything has to be there."""
        ...

    def verify(self) -> CheckReport:
        """Return the verdict on the recorded files in a fresh sandbox."""
        ...

    def findings(self, limit: int) -> str:
        """Return the newest evaluation's findings as text for the model."""
        ...


class Opinions(Protocol):
    """The source of opinions on a result, which change no verdict."""

    def add_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the opinions."""
        ...
