"""The task's requirements: a list that the model makes once, from the task alone.

The list is made without the plan in sight, so that no plan colours it.
"""

from l2mac.control.effects import Notes
from l2mac.control.registry import normal_form
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.domains.prompt_set import PromptSet
from l2mac.tools.forms import MOST_REQUIREMENTS, SubmitRequirements, requirements_form
from l2mac.trace.events import RequirementsListed

_ATTEMPTS = 3
_MOST_CHARACTERS = 400
_REPLY_TOKENS = 1600
_NO_REQUIREMENT = "the list has no requirement; name at least one"


class TaskRequirements:
    """The task's requirements, listed when they are first asked for.

    Args:
        task: The task.
        prompts: The prompts of the domain.
        structured: Asks the model.
        notes: Records the list.
    """

    def __init__(
        self, task: str, *, prompts: PromptSet, structured: StructuredOutput, notes: Notes
    ) -> None:
        self._task = task
        self._prompts = prompts
        self._structured = structured
        self._notes = notes
        self._listed: RequirementsListed | None = None
        self._texts: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """The reason for a missing list; empty with a list, and before it is asked for."""
        return "" if self._listed is None else self._listed.problem

    def texts(self) -> tuple[str, ...]:
        """Return the requirements; none without a usable list, see `problem`."""
        if self._listed is None:
            self._texts, problem = self._ask()
            self._listed = RequirementsListed(
                requirement_objects=self._notes.put_texts(self._texts), problem=problem
            )
            self._notes.note(self._listed)
        return self._texts

    def _ask(self) -> tuple[tuple[str, ...], str]:
        question = Question(
            purpose="coverage",
            text=self._prompts.render("requirements", task=self._task, most=MOST_REQUIREMENTS),
            attempts=_ATTEMPTS,
            reply_tokens=_REPLY_TOKENS,
            shorter="make the list and its sentences shorter",
        )
        try:
            return self._structured.ask(question, requirements_form(), check_requirements), ""
        except NoAnswer as error:
            return (), str(error)


def check_requirements(submitted: SubmitRequirements) -> tuple[str, ...]:
    """Return a list of requirements without its repetitions.

    Raises:
        ValueError: The list has no or too many requirements, or one is empty or too long. None is
            silently dropped.
    """
    distinct = {
        normal_form(text): " ".join(text.split()) for text in reversed(submitted.requirements)
    }
    texts = tuple(reversed(distinct.values()))
    if not texts:
        raise ValueError(_NO_REQUIREMENT)
    if len(texts) > MOST_REQUIREMENTS:
        most = f"join related ones, at most {MOST_REQUIREMENTS}"
        problem = f"the list has {len(texts)} requirements; {most}"
        raise ValueError(problem)
    for number, text in enumerate(texts, 1):
        if not normal_form(text):
            raise ValueError("a requirement is empty")
        if len(text) > _MOST_CHARACTERS:
            problem = f"requirement {number} has {len(text)} characters; at most {_MOST_CHARACTERS}"
            raise ValueError(problem)
    return texts
