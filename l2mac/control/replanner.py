"""Replanning at run time: an instruction that used up its turns or restarts is split, or others go before it.

It cannot loop. Every replan uses up one of a fixed number, what comes of an instruction can be replanned once more
and no further, a replan adds at most four instructions, and none of its instructions may be in the program already.
"""

from l2mac.control.effects import Effects
from l2mac.control.registry import (
    MAX_INSTRUCTIONS,
    Instruction,
    InstructionRegistry,
    check_program,
    normal_form,
    numbered_list,
)
from l2mac.control.run_spec import Job
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.tools.forms import MOST_PIECES, SubmitReplan, replan_form
from l2mac.trace.events import Replanned

REPLANS_PER_INSTRUCTION = 2
_ATTEMPTS = 3
_REPLY_TOKENS = 300 + 300 * MOST_PIECES
_FINDINGS_CHARACTERS = 1500


class Replanner:
    """Changes the program when an instruction fails its budget.

    Args:
        job: What is to be done.
        effects: For prompts and the record.
        inquirer: Asks the model.
    """

    def __init__(self, job: Job, effects: Effects, inquirer: StructuredOutput) -> None:
        self._job = job
        self._effects = effects
        self._inquirer = inquirer
        self._left = job.thinking.max_replans

    def may_replan(self, instruction: Instruction, registry: InstructionRegistry) -> bool:
        """Whether the bounds on replans and instructions allow another one, of this instruction."""
        return (
            self._left > 0
            and instruction.replans < REPLANS_PER_INSTRUCTION
            and registry.total + MOST_PIECES <= MAX_INSTRUCTIONS
        )

    def replan(
        self, instruction: Instruction, registry: InstructionRegistry, cause: str, findings: str
    ) -> bool:
        """Have the model make an instruction smaller and change the program; False when it stays as it is.

        Args:
            instruction: The current one.
            registry: The program.
            cause: Why the instruction is given up.
            findings: What the checks said last.
        """
        self._left -= 1
        prompts, findings = self._effects.domain.prompts, findings[:_FINDINGS_CHARACTERS]
        form, journal = replan_form(), self._effects.journal
        try:
            replan = self._inquirer.ask(
                self._question(instruction, registry, cause, findings),
                form,
                lambda replan: check_replan(replan, registry),
            )
        except NoAnswer as error:
            journal.note(Replanned(number=instruction.number, problem=str(error)))
            return False
        action, texts = replan
        objects = tuple(journal.objects.put_text(text) for text in texts)
        journal.note(
            Replanned(number=instruction.number, action=action, instruction_objects=objects)
        )
        (registry.replace if action == "split" else registry.insert)(texts)
        note = prompts.render("unfinished", instruction=instruction.text, findings=findings)
        registry.summary = f"{registry.summary}\n\n{note}".strip()
        return True

    def _question(
        self, instruction: Instruction, registry: InstructionRegistry, cause: str, findings: str
    ) -> Question:
        prompts, tool = self._effects.domain.prompts, replan_form().spec.name
        text = prompts.render(
            "replan",
            task=self._job.task,
            plan=numbered_list(registry.texts),
            number=instruction.number,
            instruction=instruction.text,
            cause=cause,
            files=self._effects.files(),
            findings=findings,
            most=MOST_PIECES,
        )
        return Question(
            purpose="replan",
            text=text,
            again=lambda problem: prompts.render("answer_again", problem=problem, tool=tool),
            attempts=_ATTEMPTS,
            reply_tokens=_REPLY_TOKENS,
            shorter="make each step shorter",
        )


def check_replan(
    replan: SubmitReplan, registry: InstructionRegistry
) -> tuple[str, tuple[str, ...]]:
    """Give a replan's action and instructions.

    Raises:
        ValueError, SettingsError: It is no split, too long, or repeats what the program has or had.
    """
    most = MOST_PIECES if replan.action == "split" else MOST_PIECES - 1
    texts = check_program(replan.steps, at_most=most, field="the replan")
    if replan.action == "split" and len(texts) < 2:
        raise ValueError("a split needs at least 2 steps")
    seen = {normal_form(text): number for number, text in enumerate(registry.texts, 1)}
    for number, text in enumerate(texts, 1):
        if normal_form(text) in seen:
            raise ValueError(
                f"step {number} of the replan repeats the plan; say what is smaller or different"
            )
        seen[normal_form(text)] = number
    return replan.action, texts
