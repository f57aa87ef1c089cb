"""Ask the model for one answer in a given form, and again with the reason when it cannot be used."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from l2mac.control.effects import Effects
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.errors import SettingsError
from l2mac.processor.messages import Message, Reply, Role
from l2mac.tools.base import Arguments, parse_arguments
from l2mac.tools.forms import Form

_WARMING = 0.2
_PROBLEM_CHARACTERS = 600
_TOO_LONG = "the question does not fit into the model's window"
A = TypeVar("A", bound=Arguments)
T = TypeVar("T")


class NoAnswer(Exception):
    """There is no usable answer.

    Attributes:
        overflow: Whether the question does not fit into the model's window; otherwise every attempt was unusable.
    """

    def __init__(self, problem: str, *, overflow: bool = False) -> None:
        super().__init__(problem)
        self.overflow = overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        purpose: As the record says it.
        text: The whole question.
        again: Gives what is added when an answer could not be used, from the reason.
        attempts: How often it is asked at most.
        reply_tokens: Where the answer is cut off.
        shorter: What to do about an answer that was cut off.
        must_fit: Whether it is not even sent when it seems too long; some servers cut what is, without a word.
        temperature: Of the first attempt.
    """

    purpose: str
    text: str
    again: Callable[[str], str]
    attempts: int
    reply_tokens: int
    shorter: str = "say less"
    must_fit: bool = True
    temperature: float = BASE_TEMPERATURE


class StructuredOutput:
    """Asks questions whose answer is one call of one tool.

    Args:
        effects: The way to the model.
        context_tokens: The model's declared window.
        system: What heads every question, if not the domain's prompt for that.
    """

    def __init__(
        self, effects: Effects, context_tokens: int, *, system: Message | None = None
    ) -> None:
        self._effects = effects
        self._context_tokens = context_tokens
        self.system = system or Message(Role.SYSTEM, effects.domain.prompts.render("system"))

    def room(self, question: Question, form: Form[A]) -> int:
        """Give how many tokens of the window a question leaves; negative when it does not fit."""
        used = self._effects.estimator.estimate(
            (self.system, Message(Role.USER, question.text)), (form.spec,)
        )
        return self._context_tokens - used - min(question.reply_tokens, self._effects.reply_tokens)

    def ask(self, question: Question, form: Form[A], read: Callable[[A], T]) -> T:
        """Give the first usable answer.

        An unusable one is not shown again, as models repeat what they see; the temperature rises instead.

        Args:
            question: What is asked.
            form: The tool that must be called.
            read: Makes the result of its arguments; raises ValueError with a text for the model.

        Raises:
            NoAnswer: There is none.
            BudgetSpent, ModelUnavailable, ModelRejected: As `Effects.ask`.
        """
        if question.must_fit and self.room(question, form) < 0:
            raise NoAnswer(_TOO_LONG, overflow=True)
        asked = [self.system, Message(Role.USER, question.text)]
        messages, problem = asked, ""
        for attempt in range(question.attempts):
            reply = self._effects.ask(
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
                return read(self._arguments(reply, form))
            except (ValueError, SettingsError) as error:
                problem = (
                    f"it was cut off; {question.shorter}"
                    if reply.truncated
                    else str(error)[:_PROBLEM_CHARACTERS]
                )
            messages = [*asked, Message(Role.USER, question.again(problem))]
        raise NoAnswer(f"no usable answer in {question.attempts} attempts, the last one: {problem}")

    def _arguments(self, reply: Reply, form: Form[A]) -> A:
        name = form.spec.name
        calls = [
            call
            for call in reply.tool_calls
            if self._effects.domain.toolbelt.proper_name(call.name) == name
        ]
        if not calls:
            raise ValueError(f"{name} was not called")
        return parse_arguments(form.arguments, calls[0].arguments)
