"""One instruction in the hands of a closely led model: where it stands, and how it is asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from l2mac.control.budget import BudgetExhausted
from l2mac.control.effects import Effects
from l2mac.control.file_listing import show_contents
from l2mac.control.guided.fenced_file import file_text
from l2mac.control.registry import Instruction
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.run_spec import Job
from l2mac.control.structured_output import Question, StructuredOutput
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
    """A file's text before it was corrected, and how much was wrong then (`l2mac.control.guided.guided_answers.severity`)."""

    path: str
    before: str
    severity: int


@dataclass(slots=True, kw_only=True)
class GuidedInstruction:
    """An instruction with all that a question about it has to say, as every question stands alone.

    Attributes:
        total: How many instructions there are.
        before: What was done before it.
        planned: Files still to be written, with what each has to hold.
        fixes: Corrections since the last planned file.
        stuck: Turns in a row that led to nothing new.
        seen: States of the store, and findings, that have been there.
        problem: Why the last reply could not be used.
        correction: The last one, while it is not known what came of it.
    """

    job: Job
    effects: Effects
    inquirer: StructuredOutput
    instruction: Instruction
    total: int
    before: str
    planned: list[PlannedFile] = field(default_factory=list)
    fixes: int = 0
    stuck: int = 0
    seen: set[str] = field(default_factory=set)
    problem: str = ""
    correction: Correction | None = None

    @property
    def temperature(self) -> float:
        """The warmer the longer nothing new has come."""
        return min(BASE_TEMPERATURE + _WARMING * self.stuck, _HOTTEST)

    def notice(self, findings: str) -> None:
        """See whether the last turn led to something new: other files and other findings."""
        now = {self.effects.store.tree, findings}
        self.stuck = self.stuck + 1 if now & self.seen else 0
        self.seen |= now

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
            form: What the answer has to be.
            read: Makes the result of it; raises ValueError with a text for the model.
            files: How many files the answer needs room for.
            first: A text; the files that it names are shown before others.
            hidden: The path of a file that is not shown.

        Raises:
            NoAnswer: There is none.
            BudgetSpent: The question does not fit into the window.
        """
        prompts = self.effects.domain.prompts
        question = Question(
            purpose="choose",
            text=self._whole(text, first=first, hidden=hidden),
            again=lambda problem: prompts.render(
                "answer_again", problem=problem, tool=form.spec.name
            ),
            attempts=_ATTEMPTS,
            reply_tokens=_ANSWER_TOKENS + _ANSWER_TOKENS_PER_FILE * files,
            must_fit=False,
            temperature=self.temperature,
        )
        return self.inquirer.ask(question, form, read)

    def ask_for_file(self, text: str, path: str, *, hidden: str, at_least: float) -> str | None:
        """Ask for the content of a file, which is the reply; None with `problem` set when it cannot be used."""
        messages = (
            self.inquirer.system,
            Message(Role.USER, self._whole(text, first=path, hidden=hidden)),
        )
        reply = self.effects.ask("turn", messages, temperature=max(self.temperature, at_least))
        if reply is None:
            return None
        try:
            if reply.truncated:
                raise ValueError(
                    self.effects.domain.prompts.render("truncated", limit=self.effects.reply_tokens)
                )
            return file_text(reply.content, path)
        except ValueError as error:
            self.problem = str(error)
            return None

    def _whole(self, text: str, *, first: str, hidden: str) -> str:
        """Give a whole question: where the work stands, with as many files as the window has room for, and the text."""
        problem = f"{self.problem}\n\n" if self.problem else ""
        bare = f"{self._state('')}\n\n{problem}{text}"
        used = self.effects.estimator.estimate((self.inquirer.system, Message(Role.USER, bare)))
        room = self.job.context_tokens - self.effects.reply_tokens - used
        if room < 0:
            raise BudgetExhausted(
                f"the task, the instruction and a question alone take about {used} tokens, which leaves no room for a"
                f" reply in a window of {self.job.context_tokens} (--context-tokens)"
            )
        objects = self.effects.journal.objects
        texts = [
            (entry.path, objects.get(entry.digest).decode("utf-8", "replace"))
            for entry in self.effects.store.files
            if entry.path != hidden
        ]
        limit = int(self.effects.estimator.characters(room) * _FILL)
        return f"{self._state(show_contents(texts, first, limit))}\n\n{problem}{text}"

    def _state(self, files: str) -> str:
        return self.effects.domain.prompts.render(
            "guided_state",
            task=self.job.task,
            number=self.instruction.number,
            total=self.total,
            instruction=self.instruction.text,
            files=files,
            summary=self.before or "nothing yet.",
        )
