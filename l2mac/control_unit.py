"""The control unit: fetch an instruction, execute it turn by turn, check, retire it. Algorithm 1 of the paper.

Read `ControlUnit.run` and `ControlUnit._execute`; the rest of the file is what they call.
"""

from dataclasses import dataclass

from l2mac.budget import BudgetSpent
from l2mac.checks.inventory import TestInventory
from l2mac.checks.report import CheckReport, Verdict
from l2mac.context import ContextWindow
from l2mac.effects import Effects
from l2mac.errors import SettingsError
from l2mac.evaluator import describe
from l2mac.loops import BASE_TEMPERATURE, LoopDetector
from l2mac.manifest import describe_files
from l2mac.messages import Message, Reply, Role, ToolCall
from l2mac.outcome import Outcome, Status
from l2mac.registry import Instruction, InstructionRegistry, check_program
from l2mac.tools.base import parse_arguments
from l2mac.tools.control import COMPLETE_INSTRUCTION, SUBMIT_PLAN, SubmitPlan, complete_spec, plan_spec
from l2mac.trace.events import InstructionCompleted, InstructionStarted, PlanMade

_PLAN_ATTEMPTS = 5
_MOST_IDLE_TURNS = 2
_PLAN_WARMING = 0.2
_PLAN_TOKENS = 300
_PLAN_TOKENS_PER_STEP = 300
_SUMMARY_TOKENS = 400
_SUMMARY_CHARACTERS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a run is to do.

    Attributes:
        task: The user's prompt.
        program: Instructions given by the user; empty when the model is to make them.
        steps: How many instructions the model may make.
        context_tokens: The model's declared window.
        dependencies: Which packages the model may have, as the prompts are named: `off`, `locked`, `resolve`.
    """

    task: str
    program: tuple[str, ...]
    steps: int
    context_tokens: int
    dependencies: str = "off"


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
        packages = self._prompts.render(f"packages_{job.dependencies}")
        self._system = Message(Role.SYSTEM, self._prompts.render("system", packages=packages))
        self._registry = InstructionRegistry(())
        self._loops = LoopDetector()
        self._inventory = TestInventory()
        self._report = CheckReport()
        self._checked_tree = ""
        self._idle_turns = 0
        self._calls = 0

    def run(self) -> Outcome:
        """Execute the whole program, then verify the result in a fresh box."""
        try:
            self._registry = InstructionRegistry(self._load_program())
            if not self._registry.total:
                return Outcome(
                    Status.NO_PLAN, f"the model gave no usable plan in {_PLAN_ATTEMPTS} attempts", self._report
                )
            while (instruction := self._registry.current()) is not None:
                summary = self._execute(instruction)
                self._registry.complete(summary)
        except BudgetSpent as spent:
            return Outcome(Status.BUDGET, spent.cause, self._report)
        return self._verify()

    def _execute(self, instruction: Instruction) -> str:
        """Work on one instruction until it is done, starting anew whenever its context is exhausted."""
        self._effects.spending.start_instruction()
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
            self._effects.spending.count_turn()
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
        values = {"instruction": instruction.text, "files": self._files()}
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
            return self._prompts.render("fix", findings=findings, **values)
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
            "instruction",
            task=self._job.task,
            number=instruction.number,
            total=self._registry.total,
            instruction=instruction.text,
            files=self._files(),
            summary=summary or "Nothing yet.",
        )
        window = ContextWindow(
            (self._system, Message(Role.USER, text)),
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
        tree = self._effects.store.tree
        if tree != self._checked_tree:
            self._report = self._inventory.judge(self._effects.check())
            self._checked_tree = tree
        return self._report

    def _verify(self) -> Outcome:
        self._report = self._inventory.judge_fresh(self._effects.verify())
        if self._report.accepts_completion:
            return Outcome(Status.COMPLETED, self._report.summary, self._report)
        return Outcome(Status.FAILING, f"in a fresh box: {self._report.summary}", self._report)

    def _load_program(self) -> tuple[str, ...]:
        """Give the user's program, or have the model make one: the bootstrap of the paper."""
        source, program = ("user", self._job.program) if self._job.program else ("model", self._bootstrap())
        put = self._effects.journal.objects.put_text
        if program:
            objects = tuple(put(text) for text in program)
            self._effects.journal.note(PlanMade(source=source, instruction_objects=objects))
        return program

    def _bootstrap(self) -> tuple[str, ...]:
        prompt = self._prompts.render("bootstrap", task=self._job.task, steps=self._job.steps)
        question = [self._system, Message(Role.USER, prompt)]
        messages = question
        tools = (plan_spec(self._job.steps),)
        for attempt in range(_PLAN_ATTEMPTS):
            reply = self._effects.ask(
                "plan",
                messages,
                tools=tools,
                tool=SUBMIT_PLAN,
                temperature=BASE_TEMPERATURE + _PLAN_WARMING * attempt,
                reply_tokens=_PLAN_TOKENS + _PLAN_TOKENS_PER_STEP * self._job.steps,
            )
            if reply is None:
                raise BudgetSpent("the task does not fit into the model's context window (--context-tokens)")
            try:
                return self._read_plan(reply)
            except (ValueError, SettingsError) as error:
                problem = "it was cut off; make each step shorter" if reply.cut_off else error
            # The unusable plan itself is not shown again: models repeat what they see.
            text = self._prompts.render("plan_again", problem=problem, steps=self._job.steps)
            messages = [*question, Message(Role.USER, text)]
        return ()

    def _read_plan(self, reply: Reply) -> tuple[str, ...]:
        plans = [
            call for call in reply.tool_calls if self._effects.domain.toolbelt.proper_name(call.name) == SUBMIT_PLAN
        ]
        if not plans:
            raise ValueError("submit_plan was not called")
        steps = parse_arguments(SubmitPlan, plans[0].arguments).steps
        return check_program(steps, at_most=self._job.steps, field="the plan")

    def _with_own_ids(self, reply: Reply) -> Reply:
        """Number the calls ourselves: servers' ids are random, sometimes missing or given twice."""
        calls = []
        for call in reply.tool_calls:
            self._calls += 1
            calls.append(ToolCall(f"call_{self._calls}", call.name, call.arguments))
        return Reply(content=reply.content, tool_calls=tuple(calls), usage=reply.usage, cut_off=reply.cut_off)

    def _files(self) -> str:
        return describe_files(self._effects.store.files, self._effects.outcome_characters // 2)
