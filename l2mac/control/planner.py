"""The prompt program before its execution: bootstrap, reflections, coverage.

The model's statements about its own plan are claims. A mechanical check finds out only that a claim
names requirements and instructions that exist; whether an instruction really carries out a
requirement shows at the end (`traceability`).
"""

from collections.abc import Iterable

from l2mac.control.budget import BudgetExhausted
from l2mac.control.effects import Notes
from l2mac.control.ports import NoPlan, Program
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.registry import check_program, numbered_list
from l2mac.control.requirements import TaskRequirements
from l2mac.control.structured_output import Asker, NoAnswer, Question
from l2mac.tools.forms import SubmitCoverage, SubmitPlan, coverage_form, plan_form
from l2mac.trace.events import CoverageClaimed, PlanRevised

PLAN_TOKENS = 300
TASK_TOO_LONG = "the task does not fit into the model's context window (--context-tokens)"
_PLAN_ATTEMPTS = 5
_REVISION_ATTEMPTS = 2
_CLAIM_ATTEMPTS = 2
_COVERAGE_ROUNDS = 2
_PLAN_TOKENS_PER_STEP = 300
_CLAIM_TOKENS = 200
_CLAIM_TOKENS_PER_REQUIREMENT = 40
Gaps = tuple[int, ...]


class GivenProgram:
    """The planner of a run whose user gave the program: it stands as it is.

    Args:
        program: The user's instructions.
    """

    source = "user"

    def __init__(self, program: Program) -> None:
        self._program = program

    def make_program(self) -> Program:
        """Return the user's program."""
        return self._program


class ModelPlanner:
    """The planner that asks the model for the program: bootstrap and revisions.

    Args:
        steps: How many instructions the program may have.
        reflections: How often the model is asked for a better plan.
        asker: The means of asking the model.
        notes: Records revisions and claims.
        requirements: The requirements that the plan is compared with; None where it is not.
        briefing: The texts about files that were there before.
    """

    source = "model"

    def __init__(
        self,
        *,
        steps: int,
        reflections: int,
        asker: Asker,
        notes: Notes,
        requirements: TaskRequirements | None,
        briefing: ProjectBriefing,
    ) -> None:
        self._steps = steps
        self._reflections = reflections
        self._task = asker.task
        self._prompts = asker.prompts
        self._structured = asker.structured
        self._notes = notes
        self._requirements = requirements
        self._briefing = briefing

    def make_program(self) -> Program:
        """Return the best program that the model makes."""
        program = self._bootstrap()
        for number in range(1, self._reflections + 1):
            text = self._prompts.render("reflect", **self._about(program))
            program = self._revised("reflect", "reflection", number, text) or program
        if self._requirements is None:
            return program
        return self._covering(program, self._requirements.texts())

    def _bootstrap(self) -> Program:
        """Ask the model for a program from the task: M_cb of the paper."""
        question = self._prompts.render("bootstrap", task=self._task, steps=self._steps)
        text = "\n\n".join(filter(None, (question, self._briefing.outline)))
        try:
            return self._ask_for_plan("plan", text, _PLAN_ATTEMPTS, must_fit=False)
        except NoAnswer as error:
            if error.overflow:
                raise BudgetExhausted(TASK_TOO_LONG) from error
            raise NoPlan(f"the model gave no usable plan in {_PLAN_ATTEMPTS} attempts") from error

    def _covering(self, program: Program, requirements: tuple[str, ...]) -> Program:
        """Ask for plans without gaps; return the plan with the fewest gaps."""
        if not requirements:
            return program
        best, gaps = program, self._gaps(program, requirements, 1)
        for number in range(1, _COVERAGE_ROUNDS + 1):
            if not gaps:
                break
            missing = "\n".join(f"- {requirements[gap]}" for gap in gaps)
            text = self._prompts.render("gaps", gaps=missing, **self._about(best))
            program = self._revised("coverage", "coverage", number, text)
            if not program:
                break
            left = self._gaps(program, requirements, number + 1)
            if left is not None and len(left) < len(gaps):
                best, gaps = program, left
        return best

    def _gaps(self, program: Program, requirements: tuple[str, ...], number: int) -> Gaps | None:
        """Return the places of requirements that no instruction covers; None if unknown."""
        listed, plan = numbered_list(requirements), numbered_list(program)
        question = Question(
            purpose="coverage",
            text=self._prompts.render("coverage", requirements=listed, plan=plan),
            attempts=_CLAIM_ATTEMPTS,
            reply_tokens=_CLAIM_TOKENS + _CLAIM_TOKENS_PER_REQUIREMENT * len(requirements),
        )
        try:
            steps = self._structured.ask(
                question,
                coverage_form(len(requirements)),
                lambda claim: check_coverage(claim, len(requirements), len(program)),
            )
        except NoAnswer as error:
            self._notes.note(CoverageClaimed(round=number, problem=str(error)))
            return None
        self._notes.note(CoverageClaimed(round=number, steps=steps))
        return tuple(place for place, covering in enumerate(steps) if not covering)

    def _revised(self, purpose: str, reason: str, number: int, text: str) -> Program:
        """Return a new plan, or none when the old one stands."""
        try:
            program, problem = self._ask_for_plan(purpose, text, _REVISION_ATTEMPTS), ""
        except NoAnswer as error:
            program, problem = (), str(error)
        note = PlanRevised(
            reason=reason,
            round=number,
            instruction_objects=self._notes.put_texts(program),
            problem=problem,
        )
        self._notes.note(note)
        return program

    def _ask_for_plan(
        self, purpose: str, text: str, attempts: int, *, must_fit: bool = True
    ) -> Program:
        steps = self._steps

        def read(plan: SubmitPlan) -> Program:
            return check_program(plan.steps, at_most=steps, field="the plan")

        question = Question(
            purpose=purpose,
            text=text,
            again=lambda problem: self._prompts.render("plan_again", problem=problem, steps=steps),
            attempts=attempts,
            reply_tokens=PLAN_TOKENS + _PLAN_TOKENS_PER_STEP * steps,
            shorter="make each step shorter",
            must_fit=must_fit,
        )
        return self._structured.ask(question, plan_form(steps), read)

    def _about(self, program: Iterable[str]) -> dict[str, object]:
        return {"task": self._task, "plan": numbered_list(program), "steps": self._steps}


def check_coverage(
    claim: SubmitCoverage, requirements: int, steps: int
) -> tuple[tuple[int, ...], ...]:
    """Return for each requirement the existing steps that claim to cover it.

    Raises:
        ValueError: The claim is about no requirement that exists.
    """
    covering: dict[int, set[int]] = {}
    for entry in claim.coverage:
        if 1 <= entry.requirement <= requirements:
            named = covering.setdefault(entry.requirement, set())
            named.update(step for step in entry.steps if 1 <= step <= steps)
    if not covering:
        problem = f"no entry names a requirement; they are numbered 1 to {requirements}"
        raise ValueError(problem)
    return tuple(tuple(sorted(covering.get(number, ()))) for number in range(1, requirements + 1))
