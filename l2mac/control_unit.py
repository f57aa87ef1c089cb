"""The control unit: fetch an instruction, execute it turn by turn, check, retire it. Algorithm 1 of the paper.

Read `ControlUnit.run` and `ControlUnit._execute`; the rest of the file is what they call. How the program is made is
in `planner`, how it changes on the way in `replanner`, how the result is held against the task in `traceability`.
"""

from dataclasses import dataclass, replace

from l2mac.budget import BudgetSpent, InstructionSpent
from l2mac.checks.inventory import TestInventory
from l2mac.checks.report import CheckReport, Verdict
from l2mac.context import ContextWindow
from l2mac.effects import Effects
from l2mac.evaluator import describe
from l2mac.existing import Existing
from l2mac.inquiry import Inquirer
from l2mac.job import Job
from l2mac.loops import BASE_TEMPERATURE, LoopDetector
from l2mac.messages import Message, Reply, Role, ToolCall
from l2mac.opinion import second_opinions
from l2mac.outcome import Outcome, Status
from l2mac.planner import PLAN_ATTEMPTS, Planner
from l2mac.registry import Instruction, InstructionRegistry
from l2mac.replanner import Replanner
from l2mac.requirements import Requirements
from l2mac.tools.control import COMPLETE_INSTRUCTION, SUBMIT_PLAN, complete_spec
from l2mac.trace.events import InstructionCompleted, InstructionStarted
from l2mac.traceability import Traceability

_MOST_IDLE_TURNS = 2
_SUMMARY_TOKENS = 400
_SUMMARY_CHARACTERS = 1500


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one reply came to: the messages to remember, and whether the instruction is done."""

    messages: tuple[Message, ...]
    completed: bool


class ControlUnit:
    """Execute one prompt program.

    Args:
        job: What to do.
        effects: Model, tools and checks.
    """

    def __init__(self, job: Job, effects: Effects) -> None:
        self._job = job
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._tools = (*effects.domain.toolbelt.specs, complete_spec())
        self._deciding_tools = (*effects.domain.toolbelt.writing_specs, complete_spec())
        packages = () if job.dependencies == "off" else (self._prompts.render(f"packages_{job.dependencies}"),)
        self._system_texts = (self._prompts.render("system"), *packages)
        self._existing = Existing(effects, job.task)
        inquirer = Inquirer(effects, job.context_tokens)
        requirements = Requirements(job.task, effects, inquirer)
        self._planner = Planner(job, effects, inquirer, requirements, self._existing)
        self._replanner = Replanner(job, effects, inquirer)
        self._traceability = Traceability(job, effects, inquirer, requirements)
        self._registry = InstructionRegistry(())
        self._loops = LoopDetector()
        self._inventory = TestInventory()
        self._report = CheckReport()
        self._checked_state = self._checked_tree = ""
        self._idle_turns = 0
        self._calls = 0

    def run(self) -> Outcome:
        """Execute the whole program, verify the result in a fresh box, then hold it against the requirements."""
        try:
            self._begin()
            self._registry = InstructionRegistry(self._planner.program())
            if not self._registry.total:
                cause = f"the model gave no usable plan in {PLAN_ATTEMPTS} attempts"
                return Outcome(Status.NO_PLAN, cause, self._report)
            return self._with_opinions(self._with_what_is_missing(self._finish_program()))
        except BudgetSpent as spent:
            return Outcome(Status.BUDGET, spent.cause, self._report, self._traceability.rows)

    def _begin(self) -> None:
        """Look at what is there already; until something is written, that is the answer of the checks, too."""
        begun = self._existing.look()
        if begun is not None:
            examination = self._effects.examination
            self._inventory.start_from(begun)
            self._report = self._inventory.judge(examination.excused(begun))
            self._checked_state, self._checked_tree = examination.state(at_the_end=False), self._effects.store.tree

    def _finish_program(self) -> Outcome:
        """Carry out what is left of the program, verify the result, examine what it shows."""
        while (instruction := self._registry.current()) is not None:
            self._carry_out(instruction)
        return self._traceability.examine(self._verify())

    def _with_what_is_missing(self, outcome: Outcome) -> Outcome:
        """Carry out what is not shown as long as rounds are left; an attempt that fails is undone."""
        while further := self._traceability.further(outcome):
            verified = self._effects.store.files
            self._registry.extend(further)
            try:
                better = self._finish_program()
            except InstructionSpent as spent:
                self._effects.give_up(self._registry.done + 1, spent.cause)
                better = Outcome(Status.BUDGET, spent.cause, self._report)
            if better.status in (Status.BUDGET, Status.FAILING):
                self._effects.restore(verified)
                cause = f"{outcome.cause}; an attempt at them failed and was undone: {better.cause}"
                return replace(outcome, cause=cause)
            outcome = better
        return outcome

    def _carry_out(self, instruction: Instruction) -> None:
        """Execute and retire an instruction; one that is too much for its budget may be replanned instead."""
        self._effects.spending.start_instruction()
        try:
            self._registry.complete(self._execute(instruction))
        except InstructionSpent as spent:
            if not self._replanned(instruction, spent):
                # Ends the run, unless it has been resumed with a larger budget since.
                self._registry.complete(self._execute(instruction))

    def _replanned(self, instruction: Instruction, spent: InstructionSpent) -> bool:
        """Have the program changed; False when the model has no usable idea how."""
        if not self._replanner.may_replan(instruction, self._registry):
            raise spent
        self._effects.give_up(instruction.number, spent.cause)
        findings = describe(self._report, self._effects.outcome_characters)
        return self._replanner.replan(instruction, self._registry, spent.cause, findings)

    def _execute(self, instruction: Instruction) -> str:
        """Work on one instruction until it is done, starting anew whenever its context is exhausted."""
        self._loops = LoopDetector()
        self._idle_turns = 0
        summary, restart = self._registry.summary, 0
        while True:
            window = self._fresh_window(instruction, summary, restart)
            if self._take_turns(instruction, window):
                return self._retire(instruction, window)
            summary = self._summarise(window, "exhausted") or summary
            self._effects.spending.count_restart()
            restart += 1

    def _take_turns(self, instruction: Instruction, window: ContextWindow) -> bool:
        """Let the model work; True when the instruction is done, False when the context is exhausted."""
        while window.has_room():
            self._effects.begin_turn()
            # A model that only looks around although everything passes may finish or write, nothing else.
            tools = self._tools if self._idle_turns < _MOST_IDLE_TURNS else self._deciding_tools
            reply = self._effects.ask("turn", window.messages, tools=tools, temperature=self._loops.temperature)
            if reply is None:
                return False
            self._loops.observe(reply)
            turn = self._perform(instruction, reply)
            # A model that sees itself repeat a reply repeats it all the more: its window shows the reply only once.
            (window.replace_newest if self._loops.repeating_last else window.add)(turn.messages)
            if turn.completed:
                return True
        return False

    def _perform(self, instruction: Instruction, reply: Reply) -> _Turn:
        """Perform a reply's tool calls in order, then say where the instruction stands."""
        before = self._effects.store.tree
        reply = self._with_own_ids(reply)
        messages = [reply.as_message()]
        completed = claimed = False
        for call in reply.tool_calls:
            name = self._effects.domain.toolbelt.proper_name(call.name)
            if completed:
                text = "not performed: the instruction was already done"
            elif name == COMPLETE_INSTRUCTION:
                claimed, completed = True, self._check().accepts_completion
                text = "accepted" if completed else "not accepted: the checks do not pass"
            elif name == SUBMIT_PLAN:
                text = "the plan stands; carry out the current instruction"
            else:
                text = self._effects.use_tool(call).text
            messages.append(Message(Role.TOOL, text, tool_call_id=call.id))
        self._idle_turns = self._idle_turns + 1 if self._effects.store.tree == before else 0
        if not completed:
            messages.append(Message(Role.USER, self._guidance(instruction, reply, claimed=claimed)))
        return _Turn(tuple(messages), completed)

    def _guidance(self, instruction: Instruction, reply: Reply, *, claimed: bool) -> str:
        """Say what the checks say, or ask whether the instruction is done: M_fe or M_cc of the paper."""
        written = self._effects.store.tree != self._checked_tree
        if reply.cut_off and not written:
            return self._prompts.render("cut_off", limit=self._effects.reply_tokens)
        values = {"instruction": instruction.text, "files": self._effects.files()}
        if not reply.tool_calls:
            return self._prompts.render("no_call", **values)
        report = self._check()
        findings = describe(report, self._effects.outcome_characters)
        if self._loops.repeating:
            return self._prompts.render("repeated", findings=findings, **values)
        if report.accepts_completion:
            kind = "cycle" if self._idle_turns < _MOST_IDLE_TURNS else "idle"
            return self._prompts.render(kind, checks=report.summary, **values)
        if report.verdict is Verdict.NOTHING:
            return self._prompts.render("no_tests", **values)
        if written or claimed:
            return self._prompts.render(self._existing.prompt("fix"), findings=findings, **values)
        return self._prompts.render("cycle", checks=report.summary, **values)

    def _retire(self, instruction: Instruction, window: ContextWindow) -> str:
        summary = self._summarise(window, "completed")
        self._effects.journal.note(
            InstructionCompleted(
                number=instruction.number,
                summary_object=self._effects.journal.objects.put_text(summary),
                tree=self._effects.store.tree,
            )
        )
        return summary

    def _summarise(self, window: ContextWindow, kind: str) -> str:
        """Ask for a summary, dropping the oldest turns until question and answer fit: M_cs and M_rs of the paper."""
        if not self._job.thinking.summary:
            return ""
        question = Message(Role.USER, self._prompts.render(kind))
        while True:
            if window.has_room((question,)):
                messages = (*window.messages, question)
                reply = self._effects.ask(
                    "summary", messages, temperature=BASE_TEMPERATURE, reply_tokens=_SUMMARY_TOKENS
                )
                if reply is not None:
                    return reply.content.strip()[:_SUMMARY_CHARACTERS]
            if not window.drop_oldest():
                return ""

    def _fresh_window(self, instruction: Instruction, summary: str, restart: int) -> ContextWindow:
        self._effects.journal.note(
            InstructionStarted(number=instruction.number, total=self._registry.total, restart=restart)
        )
        text = self._prompts.render(
            self._existing.prompt("instruction"),
            task=self._job.task,
            number=instruction.number,
            total=self._registry.total,
            instruction=instruction.text,
            files=self._effects.files(),
            summary=(summary if self._job.thinking.summary else "") or "Nothing yet.",
        )
        system = Message(Role.SYSTEM, "\n\n".join(part for part in (*self._system_texts, self._existing.rules) if part))
        window = ContextWindow(
            (system, Message(Role.USER, text)),
            self._tools,
            context_tokens=self._job.context_tokens,
            reply_tokens=self._effects.reply_tokens,
            estimator=self._effects.estimator,
        )
        if not window.has_room():
            raise BudgetSpent(
                f"the task, the instruction and the tools alone take about {window.used_tokens} tokens, which leaves no"
                f" room for a reply in a window of {self._job.context_tokens} (--context-tokens)"
            )
        return window

    def _check(self) -> CheckReport:
        """Evaluate the store unless that has been done for exactly this state."""
        examination = self._effects.examination
        state = examination.state(at_the_end=self._registry.on_the_last)
        if state != self._checked_state:
            self._report = self._inventory.judge(examination.check(state))
            self._checked_state, self._checked_tree = state, self._effects.store.tree
        return self._report

    def _verify(self) -> Outcome:
        self._report = self._inventory.judge_fresh(self._effects.examination.verify())
        if self._report.accepts_completion:
            return Outcome(Status.COMPLETED, self._report.summary, self._report)
        return Outcome(Status.FAILING, f"in a fresh box: {self._report.summary}", self._report)

    def _with_opinions(self, outcome: Outcome) -> Outcome:
        if not self._job.judge:
            return outcome
        return replace(outcome, opinions=second_opinions(self._effects, self._job.task, self._job.context_tokens))

    def _with_own_ids(self, reply: Reply) -> Reply:
        """Number the calls ourselves: servers' ids are random, sometimes missing or given twice."""
        calls = []
        for call in reply.tool_calls:
            self._calls += 1
            calls.append(ToolCall(f"call_{self._calls}", call.name, call.arguments))
        return Reply(content=reply.content, tool_calls=tuple(calls), usage=reply.usage, cut_off=reply.cut_off)
