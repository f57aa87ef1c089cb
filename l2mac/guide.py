"""Lead a small model through one instruction: one question at a time, one file in each reply, nothing to remember.

A large model is given tools and finds its way. A small one gets lost in that: it looks around instead of writing,
repeats what it sees itself say, and spoils code that it has to write as a string of JSON. So here the control unit has
the initiative. It asks which files the instruction needs, asks for each as plain text, shows what the checks found and
asks which file is wrong, and when everything passes asks whether the instruction is done. Every question stands alone:
task, instruction, the files as they are now, the findings. What is accepted is the same as ever: all checks pass, and
the model says that the work is done.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from l2mac.answers import WRONG, done, edited, named_by, numbered, planned_files, same
from l2mac.checks.report import CheckReport
from l2mac.effects import Effects
from l2mac.evaluator import describe
from l2mac.fenced import file_text
from l2mac.inquiry import Inquirer, NoAnswer, Question
from l2mac.job import Job
from l2mac.loops import BASE_TEMPERATURE
from l2mac.manifest import show_contents
from l2mac.messages import Message, Role, ToolCall
from l2mac.registry import Instruction
from l2mac.tools.base import Arguments
from l2mac.tools.control import (
    MOST_FILES,
    ChooseFile,
    Form,
    PlannedFile,
    choice_form,
    done_form,
    edit_form,
    files_form,
)

_ATTEMPTS = 2
_ANSWER_TOKENS = 200
_ANSWER_TOKENS_PER_FILE = 120
_WARMING = 0.15
_HOTTEST = 0.9
_ANEW_AFTER = 3
_FIXES_BEFORE_THE_NEXT_FILE = 2
_QUESTION_TOKENS = 1200
_FOLLOWED = 2
A = TypeVar("A", bound=Arguments)
T = TypeVar("T")


class Check(Protocol):
    """Evaluates the store."""

    def __call__(self, *, more_to_come: bool) -> CheckReport:
        """Give the report on the store as it is now; what is still to come is not missed."""
        ...


@dataclass(slots=True)
class _Work:
    """One instruction in hand.

    Attributes:
        place: Its number and how many there are.
        before: What was done before it.
        planned: Files still to be written, with what each has to hold.
        fixes: Corrections since the last planned file.
        stuck: Turns in a row that led to nothing new.
        seen: States of the store, and findings, that have been there.
        problem: Why the last reply could not be used.
    """

    instruction: Instruction
    total: int
    before: str
    planned: list[PlannedFile] = field(default_factory=list)
    fixes: int = 0
    stuck: int = 0
    seen: set[str] = field(default_factory=set)
    problem: str = ""

    @property
    def temperature(self) -> float:
        """The warmer the longer nothing new has come."""
        return min(BASE_TEMPERATURE + _WARMING * self.stuck, _HOTTEST)


class Guide:
    """Carries out instructions by asking for one thing at a time.

    Args:
        job: What is to be done.
        effects: Model, tools and checks.
        inquirer: Asks the questions whose answer is a form.
        check: Gives the report on the store as it is now, of which the rest may be still to come.
    """

    def __init__(self, job: Job, effects: Effects, inquirer: Inquirer, check: Check) -> None:
        self._job = job
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._inquirer = inquirer
        self._check = check

    def carry_out(self, instruction: Instruction, total: int, before: str, files: Sequence[PlannedFile] = ()) -> None:
        """Work on an instruction until it is done.

        Args:
            instruction: The current one.
            total: How many there are.
            before: What was done before it.
            files: What it writes, where that is known; otherwise the model is asked.

        Raises:
            InstructionSpent: Its turns are used up.
            BudgetSpent, ModelUnavailable, ModelRejected: As `Effects.ask`.
        """
        work = _Work(instruction, total, before)
        work.planned = list(files or self._files_of(work))
        while True:
            self._effects.begin_turn()
            report = self._check(more_to_come=bool(work.planned))
            self._notice(work, report)
            if work.planned and (not _wrong(report) or work.fixes >= _FIXES_BEFORE_THE_NEXT_FILE):
                self._write_planned(work)
            elif report.accepts_completion and self._effects.store.files:
                if self._is_done(work, report):
                    return
            else:
                self._correct(work, report)

    def _notice(self, work: _Work, report: CheckReport) -> None:
        """See whether the last turn led to something new: other files and other findings."""
        now = {self._effects.store.tree, self._findings(report)}
        work.stuck = work.stuck + 1 if now & work.seen else 0
        work.seen |= now

    def _files_of(self, work: _Work) -> Sequence[PlannedFile]:
        """Ask which files the instruction writes; none when the model does not say."""
        text = self._prompts.render("close_files", instruction=work.instruction.text, most=MOST_FILES)
        try:
            return self._ask(work, text, files_form(MOST_FILES), planned_files, files=MOST_FILES)
        except NoAnswer:
            return ()

    def _write_planned(self, work: _Work) -> None:
        file = work.planned[0]
        work.fixes = 0
        if self._write(work, self._prompts.render("close_write", path=file.path, holds=file.holds), file.path):
            work.planned.pop(0)
        elif work.stuck >= _ANEW_AFTER:
            work.planned.pop(0)  # it does not come; the checks will say whether it is missed

    def _correct(self, work: _Work, report: CheckReport) -> None:
        """Have a file corrected: the one that a finding names by itself, or else the one that the model chooses."""
        work.fixes += 1
        findings = self._findings(report)
        choice = named_by(report) if work.stuck < _FOLLOWED else None
        if choice is None:
            text = self._prompts.render("close_choose", findings=findings)
            try:
                choice = self._ask(work, text, choice_form(), same, first=findings)
            except NoAnswer:
                return
        if not self._edit(work, choice, findings):
            self._rewrite(work, choice, findings)

    def _edit(self, work: _Work, choice: ChooseFile, findings: str) -> bool:
        """Ask for one change of a few lines; False where a file is to be written whole, or no usable change comes.

        A small model that has a file before it and is to write it whole copies it, the fault with it.
        """
        before = self._text_of(choice.path)
        if before is None or work.stuck % 2:
            return False
        text = self._prompts.render(
            "close_edit", findings=findings, path=choice.path, wrong=choice.wrong, numbered=numbered(before)
        )
        try:
            after = self._ask(
                work, text, edit_form(), lambda edit: edited(before, edit), files=2, first=findings, hidden=choice.path
            )
        except NoAnswer:
            return False
        return self._put(work, choice.path, after)

    def _rewrite(self, work: _Work, choice: ChooseFile, findings: str) -> None:
        values = {"path": choice.path, "wrong": choice.wrong}
        if work.stuck >= _ANEW_AFTER:
            self._write(work, self._prompts.render("close_anew", **values), choice.path, hidden=choice.path)
        else:
            self._write(work, self._prompts.render("close_correct", findings=findings, **values), choice.path)

    def _is_done(self, work: _Work, report: CheckReport) -> bool:
        """Ask whether the instruction is done; what is missing is written next."""
        text = self._prompts.render("close_done", instruction=work.instruction.text, checks=report.summary)
        try:
            answer = self._ask(work, text, done_form(), done)
        except NoAnswer:
            return False
        if answer.done:
            return True
        work.planned.append(PlannedFile(path=answer.path, holds=answer.missing))
        return False

    def _write(self, work: _Work, text: str, path: str, *, hidden: str = "") -> bool:
        """Ask for a file and write it; gives whether something was written."""
        messages = self._messages(work, text, first=path, hidden=hidden)
        reply = self._effects.ask("turn", messages, temperature=work.temperature)
        if reply is None:
            return False
        work.problem = ""
        try:
            if reply.cut_off:
                raise ValueError(self._prompts.render("cut_off", limit=self._effects.reply_tokens))
            content = file_text(reply.content, path)
        except ValueError as error:
            work.problem = str(error)
            return False
        return self._put(work, path, content)

    def _put(self, work: _Work, path: str, content: str) -> bool:
        """Write a file as the model's own call of the tool would; gives whether it was written."""
        arguments = json.dumps({"files": [{"path": path, "content": content}]}, ensure_ascii=False)
        outcome = self._effects.use_tool(ToolCall("call_1", "write_files", arguments))
        work.problem = "" if outcome.ok else outcome.text
        return outcome.ok

    def _text_of(self, path: str) -> str | None:
        digest = next((entry.digest for entry in self._effects.store.files if entry.path == path), None)
        return None if digest is None else self._effects.journal.objects.get(digest).decode("utf-8", "replace")

    def _ask(
        self,
        work: _Work,
        text: str,
        form: Form[A],
        read: Callable[[A], T],
        *,
        files: int = 0,
        first: str = "",
        hidden: str = "",
    ) -> T:
        """Ask a question whose answer is a form; `files` says for how many files the answer needs room.

        Raises:
            NoAnswer: There is none.
        """
        question = Question(
            purpose="choose",
            text=self._text(work, text, first=first, hidden=hidden),
            again=lambda problem: self._prompts.render("answer_again", problem=problem, tool=form.spec.name),
            attempts=_ATTEMPTS,
            reply_tokens=_ANSWER_TOKENS + _ANSWER_TOKENS_PER_FILE * files,
            must_fit=False,
            temperature=work.temperature,
        )
        return self._inquirer.ask(question, form, read)

    def _messages(self, work: _Work, text: str, *, first: str, hidden: str) -> tuple[Message, ...]:
        system = Message(Role.SYSTEM, self._prompts.render("close_system"))
        return (system, Message(Role.USER, self._text(work, text, first=first, hidden=hidden)))

    def _text(self, work: _Work, text: str, *, first: str = "", hidden: str = "") -> str:
        """Give a whole question: where the work stands, then what is asked."""
        state = self._prompts.render(
            "close_state",
            task=self._job.task,
            number=work.instruction.number,
            total=work.total,
            instruction=work.instruction.text,
            files=self._contents(f"{first}\n{work.problem}", hidden),
            summary=work.before or "nothing yet.",
        )
        problem = f"{work.problem}\n\n" if work.problem else ""
        return f"{state}\n\n{problem}{text}"

    def _contents(self, first: str, hidden: str) -> str:
        """Give the files with their contents as far as the window has room; those named in `first` before others."""
        effects = self._effects
        room = self._job.context_tokens - effects.reply_tokens - _QUESTION_TOKENS
        texts = [
            (entry.path, effects.journal.objects.get(entry.digest).decode("utf-8", "replace"))
            for entry in effects.store.files
            if entry.path != hidden
        ]
        return show_contents(texts, first, max(effects.estimator.characters(room), effects.outcome_characters // 4))

    def _findings(self, report: CheckReport) -> str:
        return describe(report, self._effects.outcome_characters // 2)


def _wrong(report: CheckReport) -> bool:
    """Whether something is wrong, other than that tests are still to come."""
    return report.verdict in WRONG
