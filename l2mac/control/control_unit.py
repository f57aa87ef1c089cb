"""The control unit: fetch an instruction, execute it turn by turn, check, retire it. Algorithm 1 of the paper.

Read `ControlUnit.run` and `ControlUnit._execute`; the rest of the file is what they call. How the program is made is
in `planner`, how it changes on the way in `replanner`, how the result is held against the task in `traceability`; what
it shares with the methods that the paper compares it with (`l2mac.control.methods`) is in `turns`.
"""

from dataclasses import replace

from l2mac.control.budget import BudgetExhausted, InstructionExhausted
from l2mac.control.context_window import ContextWindow
from l2mac.control.effects import Effects
from l2mac.control.guided.guided_loop import GuidedLoop
from l2mac.control.outcome import Outcome, Status, verified_outcome, with_files
from l2mac.control.planner import PLAN_ATTEMPTS, Planner
from l2mac.control.project_briefing import ProjectBriefing
from l2mac.control.registry import Instruction, InstructionRegistry
from l2mac.control.repetition import BASE_TEMPERATURE, RepetitionDetector
from l2mac.control.replanner import Replanner
from l2mac.control.requirements import TaskRequirements
from l2mac.control.run_spec import Job
from l2mac.control.second_opinion import with_opinions
from l2mac.control.structured_output import StructuredOutput
from l2mac.control.traceability import Traceability
from l2mac.control.turn import TurnRunner, open_window, system_message
from l2mac.evaluator.verdict import CheckReport, Verdict
from l2mac.processor.messages import Message, Reply, Role
from l2mac.tools.forms import complete_spec
from l2mac.trace.events import InstructionCompleted, InstructionStarted

_MOST_IDLE_TURNS = 2
_SUMMARY_TOKENS = 400
_SUMMARY_CHARACTERS = 1500
_NOT_CHECKED = "nothing is checked in this run"
_WITHOUT_CHECKS = "the work was done without checks (--no-evaluator)"


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
        self._evaluates = job.thinking.evaluator
        self._completed = "completed" if self._evaluates else "completed_unchecked"
        complete = complete_spec(checked=self._evaluates)
        self._tools = (*effects.domain.toolbelt.specs, complete)
        self._deciding_tools = (*effects.domain.toolbelt.writing_specs, complete)
        self._system = system_message(job, effects, checked=self._evaluates)
        self._turns = TurnRunner(effects)
        self._existing = ProjectBriefing(effects, job.task)
        inquirer = StructuredOutput(
            effects, job.context_tokens, system=self._system if job.closely else None
        )
        requirements = TaskRequirements(job.task, effects, inquirer)
        self._planner = Planner(job, effects, inquirer, requirements, self._existing)
        self._replanner = Replanner(job, effects, inquirer)
        self._traceability = Traceability(job, effects, inquirer, requirements)
        self._guide = GuidedLoop(job, effects, inquirer, self._check)
        self._registry = InstructionRegistry(())
        self._loops = RepetitionDetector()
        self._unchecked_tree = ""
        self._idle_turns = 0

    def run(self) -> Outcome:
        """Execute the whole program, verify the result in a fresh box, then hold it against the requirements."""
        try:
            self._effects.evaluator.start()
            self._existing.prepare()
            self._registry = InstructionRegistry(self._planner.program())
            if not self._registry.total:
                cause = f"the model gave no usable plan in {PLAN_ATTEMPTS} attempts"
                return Outcome(Status.NO_PLAN, cause, self._effects.evaluator.report)
            outcome = self._with_what_is_missing(self._finish_program())
            outcome = with_files(outcome, written=bool(self._effects.store.files))
            return with_opinions(outcome, self._job, self._effects)
        except BudgetExhausted as spent:
            cause = spent.cause if self._evaluates else f"{spent.cause}; {_WITHOUT_CHECKS}"
            report = self._effects.evaluator.report
            return Outcome(Status.BUDGET, cause, report, self._traceability.rows)

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
            except InstructionExhausted as spent:
                self._effects.give_up(self._registry.done + 1, spent.cause)
                better = Outcome(Status.BUDGET, spent.cause, self._effects.evaluator.report)
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
        except InstructionExhausted as spent:
            if not self._replanned(instruction, spent):
                # Ends the run, unless it has been resumed with a larger budget since.
                self._registry.complete(self._execute(instruction))

    def _replanned(self, instruction: Instruction, spent: InstructionExhausted) -> bool:
        """Have the program changed; False when the model has no usable idea how."""
        if not self._replanner.may_replan(instruction, self._registry):
            raise spent
        self._effects.give_up(instruction.number, spent.cause)
        return self._replanner.replan(instruction, self._registry, spent.cause, self._findings())

    def _execute(self, instruction: Instruction) -> str:
        """Work on one instruction until it is done, starting anew whenever its context is exhausted."""
        if self._job.closely:
            self._note_start(instruction, 0)
            files = self._planner.files.get(instruction.text, ())
            self._guide.carry_out(instruction, self._registry.total, self._registry.summary, files)
            return self._retire(instruction, instruction.text[:_SUMMARY_CHARACTERS])
        self._loops = RepetitionDetector()
        self._idle_turns = 0
        summary, restart = self._registry.summary, 0
        while True:
            window = self._fresh_window(instruction, summary, restart)
            if self._take_turns(instruction, window):
                return self._retire(instruction, self._summarise(window, self._completed))
            summary = self._summarise(window, "exhausted") or summary
            self._effects.spending.count_restart()
            restart += 1

    def _take_turns(self, instruction: Instruction, window: ContextWindow) -> bool:
        """Let the model work; True when the instruction is done, False when the context is exhausted."""
        while window.has_room():
            self._effects.begin_turn()
            # A model that only looks around although everything passes may finish or write, nothing else.
            tools = self._tools if self._idle_turns < _MOST_IDLE_TURNS else self._deciding_tools
            reply = self._effects.ask(
                "turn", window.messages, tools=tools, temperature=self._loops.temperature
            )
            if reply is None:
                return False
            self._loops.observe(reply)
            messages, completed = self._perform(instruction, reply)
            # A model that sees itself repeat a reply repeats it all the more: its window shows the reply only once.
            (window.replace_newest if self._loops.repeating_last else window.add)(messages)
            if completed:
                return True
        return False

    def _perform(self, instruction: Instruction, reply: Reply) -> tuple[tuple[Message, ...], bool]:
        """Perform a reply, then say where the instruction stands; gives what to remember, and whether it is done."""
        before = self._effects.store.tree
        turn = self._turns.perform(reply, lambda: self._check().accepts_completion)
        self._idle_turns = self._idle_turns + 1 if self._effects.store.tree == before else 0
        if turn.completed:
            return turn.messages, True
        told = Message(Role.USER, self._guidance(instruction, reply, claimed=turn.claimed))
        return (*turn.messages, told), False

    def _guidance(self, instruction: Instruction, reply: Reply, *, claimed: bool) -> str:
        """Say what the checks say, or ask whether the instruction is done: M_fe or M_cc of the paper."""
        written = self._is_outdated()
        if reply.truncated and not written:
            return self._prompts.render("truncated", limit=self._effects.reply_tokens)
        values = {"instruction": instruction.text, "files": self._effects.files()}
        if not reply.tool_calls:
            return self._prompts.render("no_call", **values)
        report, findings = self._check(), self._findings()
        if self._loops.repeating:
            return self._prompts.render("repeated", findings=findings, **values)
        if report.accepts_completion:
            idle = self._evaluates and self._idle_turns >= _MOST_IDLE_TURNS
            checks = report.summary if self._evaluates else _NOT_CHECKED
            return self._prompts.render("idle" if idle else "cycle", checks=checks, **values)
        if report.verdict is Verdict.NOTHING:
            return self._prompts.render("no_tests", **values)
        if written or claimed:
            return self._prompts.render(self._existing.prompt("fix"), findings=findings, **values)
        return self._prompts.render("cycle", checks=report.summary, **values)

    def _note_start(self, instruction: Instruction, restart: int) -> None:
        self._effects.journal.note(
            InstructionStarted(
                number=instruction.number, total=self._registry.total, restart=restart
            )
        )

    def _retire(self, instruction: Instruction, summary: str) -> str:
        self._effects.journal.note(
            InstructionCompleted(
                number=instruction.number,
                summary_object=self._effects.journal.objects.put_text(summary),
                tree=self._effects.store.tree,
                checked=self._evaluates,
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
        self._note_start(instruction, restart)
        text = self._prompts.render(
            self._existing.prompt("instruction"),
            task=self._job.task
            if self._job.thinking.task_in_context
            else self._prompts.render("task_not_shown"),
            number=instruction.number,
            total=self._registry.total,
            instruction=instruction.text,
            files=self._effects.files(),
            summary=(summary if self._job.thinking.summary else "") or "Nothing yet.",
        )
        return open_window(
            self._job, self._effects, (self._headed(), Message(Role.USER, text)), self._tools
        )

    def _headed(self) -> Message:
        """Give the system message, with what there is to know about files that were there before."""
        rules = self._existing.rules
        return Message(Role.SYSTEM, f"{self._system.content}\n\n{rules}") if rules else self._system

    def _check(self, *, more_to_come: bool = False) -> CheckReport:
        """Evaluate the store unless that has been done for exactly this state; not as a whole while more is to come.

        Without an evaluator nothing is due.
        """
        if not self._evaluates:
            self._unchecked_tree = self._effects.store.tree
            return CheckReport()
        whole = self._registry.on_the_last and not more_to_come
        return self._effects.evaluator.check(whole=whole)

    def _is_outdated(self) -> bool:
        if not self._evaluates:
            return self._effects.store.tree != self._unchecked_tree
        return self._effects.evaluator.is_outdated

    def _findings(self) -> str:
        """Give what the newest evaluation found, as text for the model."""
        return (
            self._effects.evaluator.findings(self._effects.outcome_characters)
            if self._evaluates
            else _NOT_CHECKED
        )

    def _verify(self) -> Outcome:
        report = self._effects.evaluator.verify()
        return verified_outcome(report, "" if self._evaluates else _WITHOUT_CHECKS)
