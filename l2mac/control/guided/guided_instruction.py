"""One instruction in guided mode: the state of the work, and its questions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from l2mac.control.budget import BudgetExhausted
from l2mac.control.file_listing import fenced_files
from l2mac.control.guided.fenced_file import file_text
from l2mac.control.registry import Instruction
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.structured_output import Asker, Question
from l2mac.processor.messages import Message, Role
from l2mac.tools.base import Arguments
from l2mac.tools.forms import Form, PlannedFile

_ATTEMPTS = 2
_ANSWER_TOKENS = 200
_ANSWER_TOKENS_PER_FILE = 120
_WARMING = 0.15
_HOTTEST = 0.9
_FILL = 0.9
A = TypeVar("A", bound=Arguments)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Correction:
    """A file's text before it was corrected, and the severity of the findings then."""

    path: str
    before: str
    severity: int


@dataclass(slots=True, kw_only=True)
class GuidedInstruction:
    """An instruction with everything that each question about it has to say.

    Attributes:
        asker: The means of asking.
        before: The work that was done before it.
        planned: Files still to be written, with their planned contents.
        fixes: Corrections since the last planned file.
        stuck: Turns in a row without anything new.
        history: Earlier states of the store, and earlier findings.
        problem: The reason why the last reply could not be used.
        correction: The last one, while its effect is not known.
    """

    asker: Asker
    instruction: Instruction
    before: str
    planned: list[PlannedFile] = field(default_factory=list)
    fixes: int = 0
    stuck: int = 0
    history: set[str] = field(default_factory=set)
    problem: str = ""
    correction: Correction | None = None

    @property
    def temperature(self) -> float:
        """The temperature of the next question, which rises while nothing new comes."""
        return min(BASE_TEMPERATURE + _WARMING * self.stuck, _HOTTEST)

    def notice(self, findings: str) -> None:
        """Record whether the last turn brought anything new: other files and findings."""
        now = {self.asker.files.tree, findings}
        self.stuck = self.stuck + 1 if now & self.history else 0
        self.history |= now

    def ask(
        self,
        text: str,
        form: Form[A],
        read: Callable[[A], T],
        *,
        files: int = 0,
        first: str = "",
        hidden: str = "",
    ) -> T:
        """Ask a question whose answer is a form.

        Args:
            text: The question.
            form: The form of the answer.
            read: Returns the result of an answer; raises ValueError with a text for the model.
            files: How many files the answer needs room for.
            first: A text; the files that it names are shown before others.
            hidden: The path of a file that is not shown.

        Raises:
            NoAnswer: No answer was usable.
            BudgetExhausted: The question does not fit into the window.
        """
        question = Question(
            purpose="choose",
            text=self._whole(text, first=first, hidden=hidden),
            attempts=_ATTEMPTS,
            reply_tokens=_ANSWER_TOKENS + _ANSWER_TOKENS_PER_FILE * files,
            must_fit=False,
            temperature=self.temperature,
        )
        return self.asker.structured.ask(question, form, read)

    def ask_for_file(self, text: str, path: str, *, hidden: str, at_least: float) -> str | None:
        """Ask for a file, whose content is the reply.

        Returns:
            The content; None where the reply cannot be used, with the reason in `problem`.
        """
        question = Message(Role.USER, self._whole(text, first=path, hidden=hidden))
        messages = (self.asker.structured.system, question)
        model, prompts = self.asker.model, self.asker.prompts
        reply = model.ask("turn", messages, temperature=max(self.temperature, at_least))
        if reply is None:
            return None
        try:
            if reply.truncated:
                raise ValueError(prompts.render("truncated", limit=model.reply_tokens))
            return file_text(reply.content, path)
        except ValueError as error:
            self.problem = str(error)
            return None

    def _whole(self, text: str, *, first: str, hidden: str) -> str:
        """Return a whole question: the state of the work, with files as room allows."""
        problem = f"{self.problem}\n\n" if self.problem else ""
        limit = self._room_for_files(f"{self._state('')}\n\n{problem}{text}")
        files = self.asker.files
        texts = [(one.path, files.text(one)) for one in files.entries if one.path != hidden]
        return f"{self._state(fenced_files(texts, first, limit))}\n\n{problem}{text}"

    def _room_for_files(self, bare: str) -> int:
        """Return how many characters of files a question may show."""
        model = self.asker.model
        room = model.room((self.asker.structured.system, Message(Role.USER, bare)))
        if room < 0:
            window = model.context_tokens
            used = window - model.reply_tokens - room
            raise BudgetExhausted(
                f"the task, the instruction and a question alone take about {used} tokens,"
                f" which leaves no room for a reply in a window of {window} (--context-tokens)"
            )
        return int(model.characters(room) * _FILL)

    def _state(self, files: str) -> str:
        return self.asker.prompts.render(
            "guided_state",
            task=self.asker.task,
            number=self.instruction.number,
            total=self.instruction.total,
            instruction=self.instruction.text,
            files=files,
            summary=self.before or "nothing yet.",
        )
