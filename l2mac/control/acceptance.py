"""The end of a program: the verified result is compared with the task."""

from collections.abc import Callable
from dataclasses import replace

from l2mac.control.budget import InstructionExhausted, TurnBudget
from l2mac.control.effects import Tools
from l2mac.control.outcome import Outcome, Status, verified_outcome, with_files
from l2mac.control.ports import EvaluatorModule, Opinions
from l2mac.control.project_files import ProjectFiles
from l2mac.control.registry import InstructionRegistry
from l2mac.control.traceability import Traceability


class Acceptance:
    """The decision on the outcome of a program that was executed.

    Args:
        evaluator: Verifies the result in a fresh sandbox; nothing else makes a run completed.
        traceability: Compares the result with the task's requirements.
        opinions: Asks for opinions on the result.
        files: The file store.
        tools: Restores the verified files after an attempt that failed.
        budget: Records an instruction that was exhausted.
    """

    def __init__(
        self,
        *,
        evaluator: EvaluatorModule,
        traceability: Traceability,
        opinions: Opinions,
        files: ProjectFiles,
        tools: Tools,
        budget: TurnBudget,
    ) -> None:
        self._evaluator = evaluator
        self._traceability = traceability
        self._opinions = opinions
        self._files = files
        self._tools = tools
        self._budget = budget

    def decide(self, registry: InstructionRegistry, execute_all: Callable[[], None]) -> Outcome:
        """Return the outcome, after rounds of follow-up instructions if there are any.

        Args:
            registry: The program, whose instructions are all done.
            execute_all: Executes the instructions that are added to it.
        """
        outcome = self._verified()
        while texts := self._traceability.follow_up_instructions(outcome):
            verified = self._files.entries
            registry.extend(texts)
            attempt = self._attempt(registry, execute_all)
            if attempt.status in (Status.BUDGET, Status.FAILING):
                self._tools.restore(verified)
                failed = f"an attempt at them failed and was undone: {attempt.cause}"
                outcome = replace(outcome, cause=f"{outcome.cause}; {failed}")
                break
            outcome = attempt
        outcome = with_files(outcome, written=bool(self._files.entries))
        return self._opinions.add_to(outcome)

    def out_of_budget(self, cause: str) -> Outcome:
        """Return the outcome of a run that ends before its result is verified."""
        said = "; ".join(filter(None, (cause, self._evaluator.remark)))
        return Outcome(Status.BUDGET, said, self._evaluator.report, self._traceability.rows)

    def _attempt(self, registry: InstructionRegistry, execute_all: Callable[[], None]) -> Outcome:
        try:
            execute_all()
        except InstructionExhausted as error:
            self._budget.abort(registry.done + 1, error.cause)
            return Outcome(Status.BUDGET, error.cause, self._evaluator.report)
        return self._verified()

    def _verified(self) -> Outcome:
        report = self._evaluator.verify()
        return self._traceability.examine(verified_outcome(report, self._evaluator.remark))
