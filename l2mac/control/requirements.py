"""What the task demands: a list that the model makes once, from the task alone, so that no plan colours it."""

from l2mac.control.effects import Effects
from l2mac.control.registry import normal_form
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.tools.forms import MOST_REQUIREMENTS, SubmitRequirements, requirements_form
from l2mac.trace.events import RequirementsListed

_ATTEMPTS = 3
_MOST_CHARACTERS = 400
_REPLY_TOKENS = 1600


class TaskRequirements:
    """The task's requirements, listed when they are first asked for.

    Args:
        task: The user's prompt.
        effects: For prompts and the record.
        inquirer: Asks the model.
    """

    def __init__(self, task: str, effects: Effects, inquirer: StructuredOutput) -> None:
        self._task = task
        self._effects = effects
        self._inquirer = inquirer
        self._listed: RequirementsListed | None = None
        self._texts: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """Why there is no list; empty when there is one or it has not been asked for."""
        return self._listed.problem if self._listed is not None else ""

    def texts(self) -> tuple[str, ...]:
        """Give the requirements; none when the model gives no usable list, which `problem` explains."""
        if self._listed is None:
            self._texts, problem = self._ask()
            put = self._effects.journal.objects.put_text
            self._listed = RequirementsListed(
                requirement_objects=tuple(put(text) for text in self._texts), problem=problem
            )
            self._effects.journal.note(self._listed)
        return self._texts

    def _ask(self) -> tuple[tuple[str, ...], str]:
        prompts = self._effects.domain.prompts
        form = requirements_form()
        question = Question(
            purpose="coverage",
            text=prompts.render("requirements", task=self._task, most=MOST_REQUIREMENTS),
            again=lambda problem: prompts.render(
                "answer_again", problem=problem, tool=form.spec.name
            ),
            attempts=_ATTEMPTS,
            reply_tokens=_REPLY_TOKENS,
            shorter="make the list and its sentences shorter",
        )
        try:
            return self._inquirer.ask(question, form, check_requirements), ""
        except NoAnswer as error:
            return (), str(error)


def check_requirements(submitted: SubmitRequirements) -> tuple[str, ...]:
    """Give a list of requirements without its repetitions.

    Raises:
        ValueError: There is none, there are too many, or one is empty or too long; none is left out in silence.
    """
    distinct = {
        normal_form(text): " ".join(text.split()) for text in reversed(submitted.requirements)
    }
    texts = tuple(reversed(distinct.values()))
    if not texts:
        raise ValueError("the list has no requirement; name at least one")
    if len(texts) > MOST_REQUIREMENTS:
        raise ValueError(
            f"the list has {len(texts)} requirements; join related ones, at most {MOST_REQUIREMENTS}"
        )
    for number, text in enumerate(texts, 1):
        if not normal_form(text):
            raise ValueError("a requirement is empty")
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(
                f"requirement {number} has {len(text)} characters; at most {_MOST_CHARACTERS}"
            )
    return texts
