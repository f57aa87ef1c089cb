"""Ask the model for one answer in a given form, and again when it cannot be used."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from l2mac.control.effects import Model
from l2mac.control.project_files import ProjectFiles
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.domains.prompt_set import PromptSet
from l2mac.errors import SettingsError
from l2mac.processor.messages import Message, Reply, Role
from l2mac.tools.base import Arguments, parse_arguments
from l2mac.tools.forms import Form, proper_name

_WARMING = 0.2
_PROBLEM_CHARACTERS = 600
_TOO_LONG = "the question does not fit into the model's window"
A = TypeVar("A", bound=Arguments)
T = TypeVar("T")


class NoAnswer(Exception):
    """No attempt gave a usable answer.

    Attributes:
        overflow: Whether the question does not fit into the model's window; otherwise every attempt
            was unusable.
    """

    def __init__(self, problem: str, *, overflow: bool = False) -> None:
        super().__init__(problem)
        self.overflow = overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to the model.

    Attributes:
        purpose: The purpose of the call, as it is recorded.
        text: The whole question.
        attempts: How often it is asked at most.
        reply_tokens: Where the answer is truncated.
        again: Returns the text that follows an unusable answer, from the reason; None for the
            domain's prompt for that.
        shorter: The advice after an answer that was truncated.
        must_fit: Whether it is not even sent when it seems too long; some servers silently truncate
            it.
        temperature: The temperature of the first attempt.
    """

    purpose: str
    text: str
    attempts: int
    reply_tokens: int
    again: Callable[[str], str] | None = None
    shorter: str = "say less"
    must_fit: bool = True
    temperature: float = BASE_TEMPERATURE


class StructuredOutput:
    """Questions to the model whose answer is one call of one tool.

    Args:
        model: The language model.
        prompts: The prompts of the domain.
        system: The message at the head of every question.
    """

    def __init__(self, model: Model, prompts: PromptSet, *, system: Message) -> None:
        self._model = model
        self._prompts = prompts
        self.system = system

    def room(self, question: Question, form: Form[A]) -> int:
        """Return the tokens that a question leaves of the window; negative if none."""
        messages = (self.system, Message(Role.USER, question.text))
        return self._model.room(messages, (form.spec,), reply_tokens=question.reply_tokens)

    def ask(self, question: Question, form: Form[A], read: Callable[[A], T]) -> T:
        """Return the first usable answer.

        An unusable answer is not shown again, as models repeat what they see; the temperature
        rises.

        Args:
            question: The question.
            form: The tool that must be called.
            read: Returns the result of the tool's arguments; raises ValueError with a text for the
                model.

        Raises:
            NoAnswer: No answer was usable.
            BudgetExhausted, ModelUnavailable, ModelRejected: As `Model.ask`.
        """
        if question.must_fit and self.room(question, form) < 0:
            raise NoAnswer(_TOO_LONG, overflow=True)
        asked = [self.system, Message(Role.USER, question.text)]
        messages, problem = asked, ""
        for attempt in range(question.attempts):
            reply = self._model.ask(
                question.purpose,
                messages,
                tools=(form.spec,),
                tool=form.spec.name,
                temperature=question.temperature + _WARMING * attempt,
                reply_tokens=question.reply_tokens,
            )
            if reply is None:
                raise NoAnswer(_TOO_LONG, overflow=True)
            try:
                return read(_arguments(reply, form))
            except (ValueError, SettingsError) as error:
                problem = str(error)[:_PROBLEM_CHARACTERS]
            if reply.truncated:
                problem = f"it was truncated; {question.shorter}"
            messages = [*asked, Message(Role.USER, self._again(question, form, problem))]
        raise NoAnswer(f"no usable answer in {question.attempts} attempts, the last one: {problem}")

    def _again(self, question: Question, form: Form[A], problem: str) -> str:
        if question.again is not None:
            return question.again(problem)
        return self._prompts.render("answer_again", problem=problem, tool=form.spec.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The means of a run to ask the model about its task.

    Attributes:
        task: The task.
        model: The language model.
        structured: Asks the questions whose answer is a form.
        prompts: The prompts of the domain.
        files: The file store, for prompts.
    """

    task: str
    model: Model
    structured: StructuredOutput
    prompts: PromptSet
    files: ProjectFiles


def _arguments(reply: Reply, form: Form[A]) -> A:
    name = form.spec.name
    calls = [call for call in reply.tool_calls if proper_name(call.name) == name]
    if not calls:
        raise ValueError(f"{name} was not called")
    return parse_arguments(form.arguments, calls[0].arguments)
