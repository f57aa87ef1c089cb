"""Agentic mode: the model chooses tools until an instruction is done.

This is the inner loop of Algorithm 1 of the paper: ask, perform the calls, check, report
the findings; restart the same instruction with a summary whenever its context window is exhausted.
"""

from dataclasses import dataclass

from l2mac.control.budget import TurnBudget
from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Model, Notes
from l2mac.control.ports import EvaluatorModule
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.project_files import ProjectFiles
from l2mac.control.registry import Instruction
from l2mac.control.repetition import RepetitionDetector
from l2mac.control.summariser import Summariser
from l2mac.control.turn import TurnRunner
from l2mac.domains.prompt_set import PromptSet
from l2mac.evaluator.verdict import Verdict
from l2mac.processor.messages import Message, Reply, Role, ToolSpec
from l2mac.trace.events import InstructionStarted

_MOST_IDLE_TURNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The texts and tools that steer the model, the same in every window of a run.

    Attributes:
        system: M_s of the paper.
        task: The task as each window shows it.
        tools: All tools, and the one by which the model claims that an instruction is done.
        deciding_tools: The tools that write, and that one.
        completed_prompt: The kind of prompt that asks for a summary when an instruction is done.
        idle_prompt: The kind of prompt that answers turns without effect while everything passes.
        findings_characters: How long the checks' findings may be.
    """

    system: Message
    task: str
    tools: tuple[ToolSpec, ...]
    deciding_tools: tuple[ToolSpec, ...]
    completed_prompt: str
    idle_prompt: str
    findings_characters: int


class AgenticExecutor:
    """The executor of agentic mode: the model calls tools in every turn.

    Args:
        steering: The texts and tools of every window.
        model: The language model.
        turns: Performs its tool calls.
        prompts: The prompts of the domain.
        evaluator: Decides whether a claim that the work is done is accepted.
        summariser: Makes the summaries between windows.
        files: The file store, for prompts.
        budget: Counts turns and restarts.
        notes: Records where an instruction starts.
        briefing: The texts about files that were there before.
    """

    def __init__(
        self,
        *,
        steering: Steering,
        model: Model,
        turns: TurnRunner,
        prompts: PromptSet,
        evaluator: EvaluatorModule,
        summariser: Summariser,
        files: ProjectFiles,
        budget: TurnBudget,
        notes: Notes,
        briefing: ProjectBriefing,
    ) -> None:
        self._steering = steering
        self._model = model
        self._turns = turns
        self._prompts = prompts
        self._evaluator = evaluator
        self._summariser = summariser
        self._files = files
        self._budget = budget
        self._notes = notes
        self._briefing = briefing
        self._repetition = RepetitionDetector()
        self._idle_turns = 0

    def execute(self, instruction: Instruction, summary: str) -> str:
        """Execute an instruction, with a restart whenever the context is exhausted."""
        self._repetition = RepetitionDetector()
        self._idle_turns = restart = 0
        while True:
            window = self._fresh_window(instruction, summary, restart)
            if self._take_turns(instruction, window):
                return self._summariser.summarise(window, self._steering.completed_prompt)
            summary = self._summariser.summarise(window, "exhausted") or summary
            self._budget.count_restart()
            restart += 1

    def _take_turns(self, instruction: Instruction, window: ContextWindow) -> bool:
        """Run turns; return False if the context is exhausted before the work is done."""
        while window.has_room():
            self._budget.begin_turn()
            reply = self._model.ask(
                "turn",
                window.messages,
                tools=self._tools(),
                temperature=self._repetition.temperature,
            )
            if reply is None:
                return False
            self._repetition.observe(reply)
            messages, completed = self._perform(instruction, reply)
            # A model that sees itself repeat a reply repeats it all the more: its window shows it
            # once.
            add = window.replace_newest if self._repetition.repeating_last else window.add
            add(messages)
            if completed:
                return True
        return False

    def _tools(self) -> tuple[ToolSpec, ...]:
        """Return the tools of a turn: a model that only looks around may finish or write."""
        is_idle = self._idle_turns >= _MOST_IDLE_TURNS
        return self._steering.deciding_tools if is_idle else self._steering.tools

    def _perform(self, instruction: Instruction, reply: Reply) -> tuple[tuple[Message, ...], bool]:
        """Perform a reply; return the messages to keep, and whether the work is done."""
        before = self._files.tree
        turn = self._turns.perform(reply, lambda: self._is_accepted(instruction))
        self._idle_turns = self._idle_turns + 1 if self._files.tree == before else 0
        if turn.completed:
            return turn.messages, True
        text = self._guidance(instruction, reply, claimed=turn.claimed)
        return (*turn.messages, Message(Role.USER, text)), False

    def _is_accepted(self, instruction: Instruction) -> bool:
        return self._evaluator.check(whole=instruction.is_last).accepts_completion

    def _guidance(self, instruction: Instruction, reply: Reply, *, claimed: bool) -> str:
        """Return the checks' findings (M_fe), or the question whether it is done (M_cc)."""
        render, evaluator = self._prompts.render, self._evaluator
        written = evaluator.is_outdated
        if reply.truncated and not written:
            return render("truncated", limit=self._model.reply_tokens)
        values = {"instruction": instruction.text, "files": self._files.listing()}
        if not reply.tool_calls:
            return render("no_call", **values)
        report = evaluator.check(whole=instruction.is_last)
        findings = evaluator.findings(self._steering.findings_characters)
        if self._repetition.repeating:
            return render("repeated", findings=findings, **values)
        if report.accepts_completion:
            is_idle = self._idle_turns >= _MOST_IDLE_TURNS
            kind = self._steering.idle_prompt if is_idle else "cycle"
            return render(kind, checks=evaluator.summary, **values)
        if report.verdict is Verdict.NOTHING:
            return render("no_tests", **values)
        if written or claimed:
            return render(self._briefing.prompt("fix"), findings=findings, **values)
        return render("cycle", checks=evaluator.summary, **values)

    def _fresh_window(self, instruction: Instruction, summary: str, restart: int) -> ContextWindow:
        """Return the window C ← {M_s, M_rs, I^(k)} of the paper, with the list of files."""
        self._notes.note(
            InstructionStarted(number=instruction.number, total=instruction.total, restart=restart)
        )
        text = self._prompts.render(
            self._briefing.prompt("instruction"),
            task=self._steering.task,
            number=instruction.number,
            total=instruction.total,
            instruction=instruction.text,
            files=self._files.listing(),
            summary=self._summariser.shown(summary) or "Nothing yet.",
        )
        system = self._briefing.with_rules(self._steering.system)
        return self._model.open_window((system, Message(Role.USER, text)), self._steering.tools)
