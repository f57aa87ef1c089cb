"""Replanning at run time: an exhausted instruction is split, or prepared.

Replanning terminates. Every replan uses up one of a fixed number, the parts of an instruction can
be replanned a second time and no further, a replan adds at most four instructions, and none of its
instructions may be in the program already.
"""

from l2mac.control.effects import Notes
from l2mac.control.ports import EvaluatorModule
from l2mac.control.registry import (
    MAX_INSTRUCTIONS,
    Instruction,
    InstructionRegistry,
    check_program,
    normal_form,
    numbered_list,
)
from l2mac.control.structured_output import Asker, NoAnswer, Question
from l2mac.tools.forms import MOST_PIECES, SubmitReplan, replan_form
from l2mac.trace.events import Replanned

REPLANS_PER_INSTRUCTION = 2
_ATTEMPTS = 3
_REPLY_TOKENS = 300 + 300 * MOST_PIECES
_FINDINGS_CHARACTERS = 1500


class Replanner:
    """The part that changes the program when an instruction exhausts its budget.

    Args:
        max_replans: How many replans a run may have.
        asker: The means of asking the model.
        evaluator: The source of the newest findings.
        notes: Records the replans.
        findings_characters: How long the description of the findings may be.
    """

    def __init__(
        self,
        *,
        max_replans: int,
        asker: Asker,
        evaluator: EvaluatorModule,
        notes: Notes,
        findings_characters: int,
    ) -> None:
        self._left = max_replans
        self._asker = asker
        self._evaluator = evaluator
        self._notes = notes
        self._findings_characters = findings_characters

    def may_replan(self, instruction: Instruction) -> bool:
        """Return whether the bounds allow a replan of this instruction."""
        return (
            self._left > 0
            and instruction.replans < REPLANS_PER_INSTRUCTION
            and instruction.total + MOST_PIECES <= MAX_INSTRUCTIONS
        )

    def replan(self, instruction: Instruction, registry: InstructionRegistry, cause: str) -> bool:
        """Ask for a smaller instruction; return False if the program stays.

        Args:
            instruction: The current one.
            registry: The program, which is changed.
            cause: Why the instruction is aborted.
        """
        self._left -= 1
        findings = self._evaluator.findings(self._findings_characters)[:_FINDINGS_CHARACTERS]
        question = self._question(instruction, registry, cause, findings)
        try:
            action, texts = self._asker.structured.ask(
                question, replan_form(), lambda replan: check_replan(replan, registry)
            )
        except NoAnswer as error:
            self._notes.note(Replanned(number=instruction.number, problem=str(error)))
            return False
        objects = self._notes.put_texts(texts)
        self._notes.note(
            Replanned(number=instruction.number, action=action, instruction_objects=objects)
        )
        change = registry.replace if action == "split" else registry.insert
        change(texts)
        unfinished = self._asker.prompts.render(
            "unfinished", instruction=instruction.text, findings=findings
        )
        registry.summary = f"{registry.summary}\n\n{unfinished}".strip()
        return True

    def _question(
        self, instruction: Instruction, registry: InstructionRegistry, cause: str, findings: str
    ) -> Question:
        text = self._asker.prompts.render(
            "replan",
            task=self._asker.task,
            plan=numbered_list(registry.texts),
            number=instruction.number,
            instruction=instruction.text,
            cause=cause,
            files=self._asker.files.listing(),
            findings=findings,
            most=MOST_PIECES,
        )
        return Question(
            purpose="replan",
            text=text,
            attempts=_ATTEMPTS,
            reply_tokens=_REPLY_TOKENS,
            shorter="make each step shorter",
        )


def check_replan(
    replan: SubmitReplan, registry: InstructionRegistry
) -> tuple[str, tuple[str, ...]]:
    """Return a replan's action and instructions.

    Raises:
        ValueError, SettingsError: The replan is not a split, is too long, or repeats a part of the
            program.
    """
    most = MOST_PIECES if replan.action == "split" else MOST_PIECES - 1
    texts = check_program(replan.steps, at_most=most, field="the replan")
    if replan.action == "split" and len(texts) < 2:
        raise ValueError("a split needs at least 2 steps")
    seen = {normal_form(text) for text in registry.texts}
    for number, text in enumerate(texts, 1):
        if normal_form(text) in seen:
            problem = (
                f"step {number} of the replan repeats the plan; say what is smaller or different"
            )
            raise ValueError(problem)
        seen.add(normal_form(text))
    return replan.action, texts
