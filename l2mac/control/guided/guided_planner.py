"""The prompt program of guided mode: an instruction for each few files."""

from collections.abc import Sequence
from itertools import pairwise

from l2mac.control.budget import BudgetExhausted
from l2mac.control.guided.guided_answers import planned_files
from l2mac.control.planner import PLAN_TOKENS, TASK_TOO_LONG
from l2mac.control.ports import Program
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.domains.prompt_set import PromptSet
from l2mac.tools.forms import PlannedFile, files_form

_ATTEMPTS = 2
_FILE_TOKENS = 120
_FILES_AT_ONCE = 4
Files = tuple[PlannedFile, ...]


class GuidedPlanner:
    """The planner that asks the model for the files of the result.

    Without any file the task is the only instruction. Every question of an instruction shows the
    whole task, so that nothing of it is lost that no file is planned for.

    Args:
        task: The task.
        most: How many files may be named.
        prompts: The prompts of the domain.
        structured: Asks the model.
    """

    source = "model"

    def __init__(
        self, *, task: str, most: int, prompts: PromptSet, structured: StructuredOutput
    ) -> None:
        self._task = task
        self._most = most
        self._prompts = prompts
        self._structured = structured
        self._files: dict[str, Files] = {}

    def make_program(self) -> Program:
        """Return one instruction for each few files."""
        most, form = self._most, files_form(self._most)
        question = Question(
            purpose="plan",
            text=self._prompts.render("guided_plan", task=self._task, most=most),
            attempts=_ATTEMPTS,
            reply_tokens=PLAN_TOKENS + _FILE_TOKENS * most,
            shorter="name fewer files",
            must_fit=False,
        )
        try:
            files = self._structured.ask(question, form, planned_files)
        except NoAnswer as error:
            if error.overflow:
                raise BudgetExhausted(TASK_TOO_LONG) from error
            return (self._task,)
        self._files = {
            self._prompts.render("guided_parts", files=_listed(group)): group
            for group in groups(files)
        }
        return tuple(self._files)

    def files_of(self, instruction: str) -> Sequence[PlannedFile]:
        """Return the files that an instruction of the program was made of."""
        return self._files.get(instruction, ())


def groups(files: Files) -> tuple[Files, ...]:
    """Return files in groups that make an instruction each, few and even ones."""
    count = -(-len(files) // _FILES_AT_ONCE)
    bounds = [len(files) * number // count for number in range(count + 1)]
    return tuple(files[start:end] for start, end in pairwise(bounds))


def _listed(files: Files) -> str:
    return "\n".join(f"- {file.path}: {file.holds}" for file in files)
