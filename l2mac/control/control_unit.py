"""The control unit: fetch an instruction, execute it, check it, retire it.

This is Algorithm 1 of the paper. A planner makes the program (`planner`, `guided.guided_planner`),
an executor executes an instruction (`agentic_executor`, `guided.guided_loop`), and `acceptance`
compares the result with the task. `l2mac.runs.composition` puts a control unit together.
"""

from l2mac.control.acceptance import Acceptance
from l2mac.control.budget import BudgetExhausted, InstructionExhausted, TurnBudget
from l2mac.control.effects import Notes
from l2mac.control.outcome import Outcome, Status
from l2mac.control.ports import EvaluatorModule, Executor, NoPlan, Planner
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.project_files import ProjectFiles
from l2mac.control.registry import Instruction, InstructionRegistry
from l2mac.control.replanner import Replanner
from l2mac.trace.events import InstructionCompleted, PlanMade


class ControlUnit:
    """The control unit of one run, which executes one prompt program.

    Args:
        evaluator: E(D) of the paper: decides whether work is done.
        briefing: Tells the model about files that were there before.
        planner: Makes the prompt program.
        executor: Works on one instruction until it is done.
        replanner: Changes the program when an instruction exhausts its budget.
        acceptance: Decides the outcome once the program is executed.
        budget: Counts the turns and restarts of an instruction.
        files: The file store D, read only.
        notes: Records the decisions.
    """

    def __init__(
        self,
        *,
        evaluator: EvaluatorModule,
        briefing: ProjectBriefing,
        planner: Planner,
        executor: Executor,
        replanner: Replanner,
        acceptance: Acceptance,
        budget: TurnBudget,
        files: ProjectFiles,
        notes: Notes,
    ) -> None:
        self._evaluator = evaluator
        self._briefing = briefing
        self._planner = planner
        self._executor = executor
        self._replanner = replanner
        self._acceptance = acceptance
        self._budget = budget
        self._files = files
        self._notes = notes
        self._registry = InstructionRegistry(())

    def run(self) -> Outcome:
        """Execute the whole program, verify the result, and compare it with the task."""
        try:
            self._evaluator.start()
            self._briefing.prepare(self._evaluator.input_report)
            self._registry = self._planned()
            self._execute_all()
            return self._acceptance.decide(self._registry, self._execute_all)
        except NoPlan as error:
            return Outcome(Status.NO_PLAN, str(error), self._evaluator.report)
        except BudgetExhausted as error:
            return self._acceptance.out_of_budget(error.cause)

    def _planned(self) -> InstructionRegistry:
        """Return the instruction registry with the planner's program."""
        program = self._planner.make_program()
        objects = self._notes.put_texts(program)
        self._notes.note(PlanMade(source=self._planner.source, instruction_objects=objects))
        return InstructionRegistry(program)

    def _execute_all(self) -> None:
        """Fetch, execute and retire the instructions that are left, one after the other."""
        while (instruction := self._registry.current()) is not None:
            self._budget.start_instruction()
            try:
                self._retire(instruction, self._execute(instruction))
            except InstructionExhausted as error:
                if not self._replanned(instruction, error):
                    # Ends the run, unless it has been resumed with a larger budget since.
                    self._retire(instruction, self._execute(instruction))

    def _execute(self, instruction: Instruction) -> str:
        return self._executor.execute(instruction, self._registry.summary)

    def _replanned(self, instruction: Instruction, error: InstructionExhausted) -> bool:
        """Change the program; return False without a usable answer of the model.

        Raises:
            InstructionExhausted: The bounds allow no replan.
        """
        if not self._replanner.may_replan(instruction):
            raise error
        self._budget.abort(instruction.number, error.cause)
        return self._replanner.replan(instruction, self._registry, error.cause)

    def _retire(self, instruction: Instruction, summary: str) -> None:
        """Record that an instruction is done, and hand its summary M_rs to the next one."""
        self._notes.note(
            InstructionCompleted(
                number=instruction.number,
                summary_object=self._notes.put_text(summary),
                tree=self._files.tree,
                checked=self._evaluator.checks_work,
            )
        )
        self._registry.complete(summary)
