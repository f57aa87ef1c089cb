"""The prompt program before it is executed: made by the model, reflected upon, compared with the requirements.

What the model says about its own plan is a claim. Checked mechanically is only that a claim names requirements and
instructions that exist; whether an instruction really carries out a requirement shows at the end (`traceability`).
"""

from itertools import pairwise

from l2mac.control.budget import BudgetExhausted
from l2mac.control.effects import Effects
from l2mac.control.guided.guided_answers import planned_files
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.registry import check_program, numbered_list
from l2mac.control.requirements import TaskRequirements
from l2mac.control.run_spec import Job
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.tools.forms import (
    PlannedFile,
    SubmitCoverage,
    SubmitPlan,
    coverage_form,
    files_form,
    plan_form,
)
from l2mac.trace.events import CoverageClaimed, PlanMade, PlanRevised

PLAN_ATTEMPTS = 5
_REVISION_ATTEMPTS = 2
_CLAIM_ATTEMPTS = 2
_COVERAGE_ROUNDS = 2
_PLAN_TOKENS = 300
_PLAN_TOKENS_PER_STEP = 300
_CLAIM_TOKENS = 200
_CLAIM_TOKENS_PER_REQUIREMENT = 40
_FILES_AT_ONCE = 4
_FILE_TOKENS = 120
_TASK_TOO_LONG = "the task does not fit into the model's context window (--context-tokens)"
Program = tuple[str, ...]
Gaps = tuple[int, ...]


class Planner:
    """Makes the prompt program of a run.

    Args:
        job: What is to be done.
        effects: For prompts and the record.
        inquirer: Asks the model.
        requirements: What the task demands.
        existing: What there is already.

    Attributes:
        files: For each instruction that is made of files, these.
    """

    def __init__(
        self,
        job: Job,
        effects: Effects,
        inquirer: StructuredOutput,
        requirements: TaskRequirements,
        existing: ProjectBriefing,
    ) -> None:
        self.files: dict[str, tuple[PlannedFile, ...]] = {}
        self._job = job
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._inquirer = inquirer
        self._requirements = requirements
        self._existing = existing

    def program(self) -> Program:
        """Give the user's program as it is, or the best one that the model makes; empty when it makes none.

        Raises:
            BudgetSpent: Nothing more may be spent, or the task does not fit into the model's window.
        """
        source, program = (
            ("user", self._job.program) if self._job.program else ("model", self._made_by_model())
        )
        if program:
            self._effects.journal.note(
                PlanMade(source=source, instruction_objects=self._recorded(program))
            )
        return program

    def _made_by_model(self) -> Program:
        if self._job.closely:
            return self._of_files()
        program = self._bootstrap()
        if not program:
            return ()
        for number in range(1, self._job.thinking.reflections + 1):
            text = self._prompts.render("reflect", **self._about(program))
            program = self._revised("reflect", "reflection", number, text) or program
        return self._covering(program) if self._job.thinking.coverage else program

    def _bootstrap(self) -> Program:
        """Have the model make a program: the bootstrap of the paper."""
        question = self._prompts.render("bootstrap", task=self._job.task, steps=self._job.steps)
        text = "\n\n".join(part for part in (question, self._existing.outline) if part)
        try:
            return self._ask_for_plan("plan", text, PLAN_ATTEMPTS, must_fit=False)
        except NoAnswer as error:
            if error.overflow:
                raise BudgetExhausted(_TASK_TOO_LONG) from error
            return ()

    def _of_files(self) -> Program:
        """Have a closely led model name the files; a few make an instruction, and without any the task is the only one.

        Every question of an instruction shows the whole task, so that what no file is said to hold is not lost.
        """
        most = self._job.steps
        question = Question(
            purpose="plan",
            text=self._prompts.render("guided_plan", task=self._job.task, most=most),
            again=lambda problem: self._prompts.render(
                "answer_again", problem=problem, tool=files_form(most).spec.name
            ),
            attempts=_CLAIM_ATTEMPTS,
            reply_tokens=_PLAN_TOKENS + _FILE_TOKENS * most,
            shorter="name fewer files",
            must_fit=False,
        )
        try:
            files = self._inquirer.ask(question, files_form(most), planned_files)
        except NoAnswer as error:
            if error.overflow:
                raise BudgetExhausted(_TASK_TOO_LONG) from error
            return (self._job.task,)
        self.files = {
            self._prompts.render("guided_parts", files=_listed(group)): group
            for group in groups(files)
        }
        return tuple(self.files)

    def _covering(self, program: Program) -> Program:
        """Compare with the requirements and have gaps closed; of all plans the one with the fewest gaps is taken."""
        requirements = self._requirements.texts()
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
        """Give the places of the requirements that no instruction carries out; None when the model does not say."""
        form = coverage_form(len(requirements))
        question = Question(
            purpose="coverage",
            text=self._prompts.render(
                "coverage", requirements=numbered_list(requirements), plan=numbered_list(program)
            ),
            again=lambda problem: self._prompts.render(
                "answer_again", problem=problem, tool=form.spec.name
            ),
            attempts=_CLAIM_ATTEMPTS,
            reply_tokens=_CLAIM_TOKENS + _CLAIM_TOKENS_PER_REQUIREMENT * len(requirements),
        )
        try:
            steps = self._inquirer.ask(
                question, form, lambda claim: check_coverage(claim, len(requirements), len(program))
            )
        except NoAnswer as error:
            self._effects.journal.note(CoverageClaimed(round=number, problem=str(error)))
            return None
        self._effects.journal.note(CoverageClaimed(round=number, steps=steps))
        return tuple(place for place, covering in enumerate(steps) if not covering)

    def _revised(self, purpose: str, reason: str, number: int, text: str) -> Program:
        """Give a new plan, or none when the old one stands."""
        try:
            program, problem = self._ask_for_plan(purpose, text, _REVISION_ATTEMPTS), ""
        except NoAnswer as error:
            program, problem = (), str(error)
        note = PlanRevised(
            reason=reason,
            round=number,
            instruction_objects=self._recorded(program),
            problem=problem,
        )
        self._effects.journal.note(note)
        return program

    def _ask_for_plan(
        self, purpose: str, text: str, attempts: int, *, must_fit: bool = True
    ) -> Program:
        steps = self._job.steps

        def read(plan: SubmitPlan) -> Program:
            return check_program(plan.steps, at_most=steps, field="the plan")

        question = Question(
            purpose=purpose,
            text=text,
            again=lambda problem: self._prompts.render("plan_again", problem=problem, steps=steps),
            attempts=attempts,
            reply_tokens=_PLAN_TOKENS + _PLAN_TOKENS_PER_STEP * steps,
            shorter="make each step shorter",
            must_fit=must_fit,
        )
        return self._inquirer.ask(question, plan_form(steps), read)

    def _about(self, program: Program) -> dict[str, object]:
        return {"task": self._job.task, "plan": numbered_list(program), "steps": self._job.steps}

    def _recorded(self, program: Program) -> tuple[str, ...]:
        return tuple(self._effects.journal.objects.put_text(text) for text in program)


def check_coverage(
    claim: SubmitCoverage, requirements: int, steps: int
) -> tuple[tuple[int, ...], ...]:
    """Give for each requirement the steps that are claimed to carry it out, as far as they exist.

    Raises:
        ValueError: The claim speaks of no requirement that exists.
    """
    covering: dict[int, set[int]] = {}
    for entry in claim.coverage:
        if 1 <= entry.requirement <= requirements:
            covering.setdefault(entry.requirement, set()).update(
                step for step in entry.steps if 1 <= step <= steps
            )
    if not covering:
        raise ValueError(f"no entry names a requirement; they are numbered 1 to {requirements}")
    return tuple(tuple(sorted(covering.get(number, ()))) for number in range(1, requirements + 1))


def groups(files: tuple[PlannedFile, ...]) -> tuple[tuple[PlannedFile, ...], ...]:
    """Give files in groups that make an instruction each, as few and as even as can be."""
    count = -(-len(files) // _FILES_AT_ONCE)
    bounds = [len(files) * number // count for number in range(count + 1)]
    return tuple(files[start:end] for start, end in pairwise(bounds))


def _listed(files: tuple[PlannedFile, ...]) -> str:
    return "\n".join(f"- {file.path}: {file.holds}" for file in files)
