"""The model at work without a control unit: it writes in one context window until it says that it is done."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from l2mac.control.budget import BudgetExhausted
from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Effects
from l2mac.control.outcome import Outcome, Status, verified_outcome, with_files
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.run_spec import Job
from l2mac.control.second_opinion import with_opinions
from l2mac.control.turn import TurnRunner, open_window, system_message
from l2mac.evaluator.verdict import CheckReport
from l2mac.processor.messages import Message, Reply, Role
from l2mac.tools.forms import complete_spec
from l2mac.trace.events import PartEnded, PartStarted

_PAGE_FILL = 0.85
_LEAST_PIECE = 200
_MOST_NAMES = 10
_ANSWER_CHARACTERS = 6000
_NO_FILES = "(none)"


class SingleWindowAgent:
    """Has a task carried out in parts, each in a window of its own.

    Args:
        method: What the method is called, for the outcome.
        job: What is to be done.
        effects: Model, tools and checks.

    Attributes:
        remarks: What is to be known about how the result came about.
        unfinished: The part of the work that the result lacks, as its window was full before; empty if it is whole.
    """

    def __init__(self, method: str, job: Job, effects: Effects) -> None:
        self._job = job
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._system = system_message(job, effects, checked=False)
        self._tools = (*effects.domain.toolbelt.specs, complete_spec(checked=False))
        self._turns = TurnRunner(effects)
        self._parts = 0
        self.remarks = [f"by {method}"]
        self.unfinished = ""

    @property
    def has_begun(self) -> bool:
        """Whether any part of the work has begun."""
        return self._parts > 0

    def outcome_of(self, work: Callable[[], None]) -> Outcome:
        """Have all the work done; then, as for the control unit, a fresh box alone decides what came of it.

        Without the model's word that it is done it is not completed, though: the window is a budget, too.
        """
        try:
            work()
            report = self._effects.evaluator.verify()
            outcome = verified_outcome(report, "; ".join(self.remarks))
            outcome = with_files(outcome, written=bool(self._effects.store.files))
            return with_opinions(self._unless_unfinished(outcome), self._job, self._effects)
        except BudgetExhausted as spent:
            cause = "; ".join((spent.cause, *self.remarks))
            return Outcome(Status.BUDGET, cause, self._effects.evaluator.report)

    def _unless_unfinished(self, outcome: Outcome) -> Outcome:
        if not self.unfinished:
            return outcome
        status = Status.BUDGET if outcome.status is Status.COMPLETED else outcome.status
        cause = f"the context was full before {self.unfinished} was done (--context-tokens); {outcome.cause}"
        return replace(outcome, status=status, cause=cause)

    def work(self, part: str, instruction: str, *, temperature: float = BASE_TEMPERATURE) -> None:
        """Have the model work in a fresh window until it says that it is done, or the window is full.

        Args:
            part: What the record calls this part of the work.
            instruction: What is to be done in it.
            temperature: Of every reply.

        Raises:
            BudgetSpent: Nothing more may be spent, or the task leaves no room in the window.
        """
        self._parts += 1
        self._effects.journal.note(PartStarted(number=self._parts, name=part))
        self._effects.spending.start_instruction()
        text = self._prompts.render(
            "instruction",
            task=self._job.task,
            number=1,
            total=1,
            instruction=instruction,
            files=self._effects.files(),
            summary="Nothing yet.",
        )
        window = open_window(
            self._job, self._effects, (self._system, Message(Role.USER, text)), self._tools
        )
        claimed_done = self._take_turns(instruction, window, temperature)
        tree = self._effects.store.tree
        self._effects.journal.note(
            PartEnded(number=self._parts, claimed_done=claimed_done, tree=tree)
        )
        self.unfinished = "" if claimed_done else part

    def answer(self, purpose: str, kind: str, reply_tokens: int, **values: str) -> str:
        """Ask one question and give the text of the reply; empty when the question does not fit into the window."""
        messages = (self._system, Message(Role.USER, self._prompts.render(kind, **values)))
        reply = self._effects.ask(
            purpose, messages, temperature=BASE_TEMPERATURE, reply_tokens=reply_tokens
        )
        return reply.content.strip()[:_ANSWER_CHARACTERS] if reply else ""

    def review(self, purpose: str, kind: str, reply_tokens: int, **values: str) -> str:
        """Ask a question about the files, whose contents it shows as far as there is room."""
        estimator = self._effects.estimator
        bare = Message(Role.USER, self._prompts.render(kind, contents="", **values))
        used = estimator.estimate((self._system, bare)) + min(
            reply_tokens, self._effects.reply_tokens
        )
        room = int(estimator.characters(max(self._job.context_tokens - used, 0)) * _PAGE_FILL)
        return self.answer(purpose, kind, reply_tokens, contents=self._contents(room), **values)

    def check(self) -> CheckReport:
        """Have the store checked in its box, as the control unit does in its last instruction."""
        return self._effects.evaluator.check(whole=True)

    def _take_turns(self, instruction: str, window: ContextWindow, temperature: float) -> bool:
        silent = False
        while window.has_room():
            self._effects.begin_turn()
            reply = self._effects.ask(
                "turn", window.messages, tools=self._tools, temperature=temperature
            )
            if reply is None:
                return False
            before = self._effects.store.tree
            turn = self._turns.perform(reply, lambda: True)
            was_silent, silent = silent, not reply.tool_calls and not reply.truncated
            if turn.completed or (silent and was_silent):
                return True
            wrote = self._effects.store.tree != before
            window.add((*turn.messages, *self._reminder(instruction, reply, wrote=wrote)))
        return False

    def _reminder(self, instruction: str, reply: Reply, *, wrote: bool) -> Iterator[Message]:
        """Say why a reply did nothing: it was cut off, or calls no tool. How to act at all is no steering."""
        if reply.truncated and not wrote:
            yield Message(
                Role.USER, self._prompts.render("truncated", limit=self._effects.reply_tokens)
            )
        elif not reply.tool_calls:
            files = self._effects.files()
            yield Message(
                Role.USER, self._prompts.render("no_call", instruction=instruction, files=files)
            )

    def _contents(self, room: int) -> str:
        """Give the files' contents, each under its path; what does not fit is cut and said to be missing."""
        parts: list[str] = []
        left: list[str] = []
        for entry in self._effects.store.files:
            text = self._effects.journal.objects.get(entry.digest).decode("utf-8", "replace")
            head = f"--- {entry.path}\n"
            fits = room - len(head)
            if fits < min(len(text), _LEAST_PIECE):
                left.append(entry.path)
                continue
            parts.append(head + text[:fits] + ("\n[... cut ...]" if len(text) > fits else ""))
            room -= len(head) + len(text)
        if left:
            more = f" and {len(left) - _MOST_NAMES} more" if len(left) > _MOST_NAMES else ""
            parts.append(f"(There is no room to show {', '.join(left[:_MOST_NAMES])}{more}.)")
        return "\n".join(parts) or _NO_FILES
