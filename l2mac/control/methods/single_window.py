"""The model at work without a control unit, in one context window."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from l2mac.control.budget import BudgetExhausted, TurnBudget
from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Model, Notes
from l2mac.control.file_listing import headed_files
from l2mac.control.outcome import Outcome, Status, verified_outcome, with_files
from l2mac.control.ports import Opinions
from l2mac.control.project_files import ProjectFiles
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.turn import TurnRunner
from l2mac.domains.prompt_set import PromptSet
from l2mac.evaluator.evaluator import Evaluator
from l2mac.evaluator.verdict import CheckReport
from l2mac.processor.messages import Message, Reply, Role, ToolSpec
from l2mac.trace.events import PartEnded, PartStarted

_PAGE_FILL = 0.85
_ANSWER_CHARACTERS = 6000


class SingleWindowAgent:
    """The model's work on a task in parts, each in a window of its own.

    Args:
        task: The task.
        system: M_s of the paper.
        specs: The tools of every window.
        model: The language model.
        turns: Performs its tool calls.
        prompts: The prompts of the domain.
        files: The file store, for prompts.
        evaluator: Checks and verifies the file store.
        opinions: Asks for opinions on the result.
        budget: Counts the turns of a part.
        notes: Records where parts start and end.

    Attributes:
        remarks: Sentences that a reader of the outcome has to know about how the result came about.
        unfinished: The part that the result lacks, as its window was full before; empty if it is
            whole.
    """

    def __init__(
        self,
        *,
        task: str,
        system: Message,
        specs: tuple[ToolSpec, ...],
        model: Model,
        turns: TurnRunner,
        prompts: PromptSet,
        files: ProjectFiles,
        evaluator: Evaluator,
        opinions: Opinions,
        budget: TurnBudget,
        notes: Notes,
    ) -> None:
        self.task = task
        self._system = system
        self._specs = specs
        self._model = model
        self._turns = turns
        self._prompts = prompts
        self._files = files
        self._evaluator = evaluator
        self._opinions = opinions
        self._budget = budget
        self._notes = notes
        self._parts = 0
        self.remarks: list[str] = []
        self.unfinished = ""

    @property
    def has_begun(self) -> bool:
        """Whether any part of the work has begun."""
        return self._parts > 0

    def outcome_of(self, work: Callable[[], None], *, by: str) -> Outcome:
        """Perform all the work, then verify it as the control unit does.

        Without the model's word that it is done the run is not completed, though: the window is a
        budget, too.

        Args:
            work: Does the work.
            by: The method, for the outcome.
        """
        self.remarks.append(f"by {by}")
        try:
            work()
            outcome = verified_outcome(self._evaluator.verify(), "; ".join(self.remarks))
            outcome = with_files(outcome, written=bool(self._files.entries))
            return self._opinions.add_to(self._unless_unfinished(outcome))
        except BudgetExhausted as error:
            cause = "; ".join((error.cause, *self.remarks))
            return Outcome(Status.BUDGET, cause, self._evaluator.report)

    def work(self, part: str, instruction: str, *, temperature: float = BASE_TEMPERATURE) -> None:
        """Run turns in a fresh window until the model is done, or the window is full.

        Args:
            part: The name of this part of the work, for the trace.
            instruction: The work to do in it.
            temperature: The temperature of every reply.

        Raises:
            BudgetExhausted: Nothing more may be spent, or the task leaves no room in the window.
        """
        self._parts += 1
        self._notes.note(PartStarted(number=self._parts, name=part))
        self._budget.start_instruction()
        text = self._prompts.render(
            "instruction",
            task=self.task,
            number=1,
            total=1,
            instruction=instruction,
            files=self._files.listing(),
            summary="Nothing yet.",
        )
        window = self._model.open_window((self._system, Message(Role.USER, text)), self._specs)
        claimed_done = self._take_turns(instruction, window, temperature)
        tree = self._files.tree
        self._notes.note(PartEnded(number=self._parts, claimed_done=claimed_done, tree=tree))
        self.unfinished = "" if claimed_done else part

    def answer(self, purpose: str, kind: str, reply_tokens: int, **values: str) -> str:
        """Ask one question; return the reply's text, or "" if the question does not fit."""
        messages = (self._system, Message(Role.USER, self._prompts.render(kind, **values)))
        reply = self._model.ask(
            purpose, messages, temperature=BASE_TEMPERATURE, reply_tokens=reply_tokens
        )
        return reply.content.strip()[:_ANSWER_CHARACTERS] if reply else ""

    def review(self, purpose: str, kind: str, reply_tokens: int, **values: str) -> str:
        """Ask a question that shows the files' contents as far as there is room."""
        bare = Message(Role.USER, self._prompts.render(kind, contents="", **values))
        left = self._model.room((self._system, bare), reply_tokens=reply_tokens)
        room = int(self._model.characters(max(left, 0)) * _PAGE_FILL)
        texts = [(entry.path, self._files.text(entry)) for entry in self._files.entries]
        contents = headed_files(texts, room)
        return self.answer(purpose, kind, reply_tokens, contents=contents, **values)

    def check(self) -> CheckReport:
        """Check the whole store, even if nothing has changed since the last check."""
        return self._evaluator.evaluate(whole=True)

    def _unless_unfinished(self, outcome: Outcome) -> Outcome:
        if not self.unfinished:
            return outcome
        status = Status.BUDGET if outcome.status is Status.COMPLETED else outcome.status
        full = f"the context was full before {self.unfinished} was done (--context-tokens)"
        return replace(outcome, status=status, cause=f"{full}; {outcome.cause}")

    def _take_turns(self, instruction: str, window: ContextWindow, temperature: float) -> bool:
        silent = False
        while window.has_room():
            self._budget.begin_turn()
            reply = self._model.ask(
                "turn", window.messages, tools=self._specs, temperature=temperature
            )
            if reply is None:
                return False
            before = self._files.tree
            turn = self._turns.perform(reply, lambda: True)
            was_silent, silent = silent, not reply.tool_calls and not reply.truncated
            if turn.completed or (silent and was_silent):
                return True
            wrote = self._files.tree != before
            window.add((*turn.messages, *self._reminder(instruction, reply, wrote=wrote)))
        return False

    def _reminder(self, instruction: str, reply: Reply, *, wrote: bool) -> Iterator[Message]:
        """Yield why a reply did nothing: it was truncated, or calls no tool."""
        render = self._prompts.render
        if reply.truncated and not wrote:
            yield Message(Role.USER, render("truncated", limit=self._model.reply_tokens))
        elif not reply.tool_calls:
            files = self._files.listing()
            yield Message(Role.USER, render("no_call", instruction=instruction, files=files))
