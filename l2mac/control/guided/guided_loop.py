"""Lead a small model through one instruction: one question at a time, one file in each reply, nothing to remember.

A large model is given tools and finds its way. A small one gets lost in that: it looks around instead of writing,
repeats what it sees itself say, and spoils code that it has to write as a string of JSON. So here the control unit has
the initiative. It asks which files the instruction needs, asks for each as plain text, shows what the checks found and
asks which file is wrong, and when everything passes asks whether the instruction is done. Every question stands alone:
task, instruction, the files as they are now, the findings. What is accepted is the same as ever: all checks pass, and
the model says that the work is done.
"""

import json
from collections.abc import Sequence
from typing import Protocol

from l2mac.control.effects import Effects
from l2mac.control.guided.guided_answers import (
    WRONG,
    done,
    edited,
    is_a_paragraph,
    named_by,
    numbered,
    planned_files,
    same,
    severity,
)
from l2mac.control.guided.guided_instruction import Correction, GuidedInstruction
from l2mac.control.registry import Instruction
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.run_spec import Job
from l2mac.control.structured_output import NoAnswer, StructuredOutput
from l2mac.evaluator.checks import describe
from l2mac.evaluator.verdict import CheckReport
from l2mac.processor.messages import ToolCall
from l2mac.tools.forms import (
    MOST_FILES,
    ChooseFile,
    PlannedFile,
    choice_form,
    done_form,
    edit_form,
    files_form,
)

_ANEW_AFTER = 3
_FIXES_BEFORE_THE_NEXT_FILE = 2
_FOLLOWED = 2
_WARM = 0.5


class Check(Protocol):
    """Evaluates the store."""

    def __call__(self, *, more_to_come: bool) -> CheckReport:
        """Give the report on the store as it is now; what is still to come is not missed."""
        ...


class GuidedLoop:
    """Carries out instructions by asking for one thing at a time.

    Args:
        job: What is to be done.
        effects: Model, tools and checks.
        inquirer: Asks the questions whose answer is a form.
        check: Gives the report on the store as it is now, of which the rest may be still to come.
    """

    def __init__(
        self, job: Job, effects: Effects, inquirer: StructuredOutput, check: Check
    ) -> None:
        self._job = job
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._inquirer = inquirer
        self._check = check

    def carry_out(
        self, instruction: Instruction, total: int, before: str, files: Sequence[PlannedFile] = ()
    ) -> None:
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
        work = GuidedInstruction(
            job=self._job,
            effects=self._effects,
            inquirer=self._inquirer,
            instruction=instruction,
            total=total,
            before=before,
        )
        work.planned = list(files or self._files_of(work))
        while True:
            self._effects.begin_turn()
            report = self._with_what_helped(work, self._check(more_to_come=bool(work.planned)))
            work.notice(self._findings(report))
            if work.planned and (not _wrong(report) or work.fixes >= _FIXES_BEFORE_THE_NEXT_FILE):
                self._write_planned(work)
            elif report.accepts_completion and self._effects.store.files:
                if self._is_done(work, report):
                    return
            else:
                self._correct(work, report)

    def _with_what_helped(self, work: GuidedInstruction, report: CheckReport) -> CheckReport:
        """Undo a correction that made it worse: a small model would go on from there, to and fro."""
        done, work.correction = work.correction, None
        if done is None or severity(report) <= done.severity or self._text_of(done.path) is None:
            return report
        said = self._findings(report)
        self._put(work, done.path, done.before)
        work.problem = self._prompts.render("guided_undone", path=done.path, findings=said)
        return self._check(more_to_come=bool(work.planned))

    def _files_of(self, work: GuidedInstruction) -> Sequence[PlannedFile]:
        """Ask which files the instruction writes; none when the model does not say."""
        text = self._prompts.render(
            "guided_files", instruction=work.instruction.text, most=MOST_FILES
        )
        try:
            return work.ask(text, files_form(MOST_FILES), planned_files, files=MOST_FILES)
        except NoAnswer:
            return ()

    def _write_planned(self, work: GuidedInstruction) -> None:
        file = work.planned[0]
        work.fixes = 0
        if self._write(
            work, self._prompts.render("guided_write", path=file.path, holds=file.holds), file.path
        ):
            work.planned.pop(0)
        elif work.stuck >= _ANEW_AFTER:
            work.planned.pop(0)  # it does not come; the checks will say whether it is missed

    def _correct(self, work: GuidedInstruction, report: CheckReport) -> None:
        """Have a file corrected: the one that a finding names by itself, or else the one that the model chooses."""
        work.fixes += 1
        findings = self._findings(report)
        choice = named_by(report) if work.stuck < _FOLLOWED else None
        if choice is None:
            text = self._prompts.render("guided_choose", findings=findings)
            try:
                choice = work.ask(text, choice_form(), same, first=findings)
            except NoAnswer:
                return
        before = self._text_of(choice.path)
        self._change(work, choice, report, findings)
        if before is not None and self._text_of(choice.path) not in (before, None):
            work.correction = Correction(choice.path, before, severity(report))

    def _change(
        self, work: GuidedInstruction, choice: ChooseFile, report: CheckReport, findings: str
    ) -> None:
        if not self._edit(work, choice, report, findings):
            self._rewrite(work, choice, findings)

    def _edit(
        self, work: GuidedInstruction, choice: ChooseFile, report: CheckReport, findings: str
    ) -> bool:
        """Ask for one change of a few lines; False where a file is to be written whole, or no usable change comes.

        A small model that has a file before it and is to write it whole copies it, the fault with it. A line of prose
        is a paragraph, though, of which it would keep nothing.
        """
        before = self._text_of(choice.path)
        if before is None or work.stuck % 2 or is_a_paragraph(before, report, choice.path):
            return False
        text = self._prompts.render(
            "guided_edit",
            findings=findings,
            path=choice.path,
            wrong=choice.wrong,
            numbered=numbered(before),
        )
        try:
            after = work.ask(
                text,
                edit_form(),
                lambda edit: edited(before, edit),
                files=2,
                first=findings,
                hidden=choice.path,
            )
        except NoAnswer:
            return False
        return self._put(work, choice.path, after)

    def _rewrite(self, work: GuidedInstruction, choice: ChooseFile, findings: str) -> None:
        """Ask for a file as a whole, warm enough that it does not become what it was."""
        values = {"path": choice.path, "wrong": choice.wrong}
        if work.stuck >= _ANEW_AFTER:
            text, hidden = self._prompts.render("guided_rewrite", **values), choice.path
        else:
            text, hidden = self._prompts.render("guided_correct", findings=findings, **values), ""
        self._write(work, text, choice.path, hidden=hidden, at_least=_WARM)

    def _is_done(self, work: GuidedInstruction, report: CheckReport) -> bool:
        """Ask whether the instruction is done; what is missing is added, or is the next file."""
        text = self._prompts.render(
            "guided_done", instruction=work.instruction.text, checks=report.summary
        )
        try:
            answer = work.ask(text, done_form(), done)
        except NoAnswer:
            return False
        if answer.done:
            return True
        if self._text_of(answer.path) is None:
            work.planned.append(PlannedFile(path=answer.path, holds=answer.missing))
        else:
            self._change(
                work, ChooseFile(path=answer.path, wrong=answer.missing), report, report.summary
            )
        return False

    def _write(
        self,
        work: GuidedInstruction,
        text: str,
        path: str,
        *,
        hidden: str = "",
        at_least: float = BASE_TEMPERATURE,
    ) -> bool:
        """Ask for a file and write it; gives whether something was written."""
        content = work.ask_for_file(text, path, hidden=hidden, at_least=at_least)
        return content is not None and self._put(work, path, content)

    def _put(self, work: GuidedInstruction, path: str, content: str) -> bool:
        """Write a file as the model's own call of the tool would; gives whether it was written."""
        arguments = json.dumps({"files": [{"path": path, "content": content}]}, ensure_ascii=False)
        outcome = self._effects.use_tool(ToolCall("call_1", "write_files", arguments))
        work.problem = "" if outcome.ok else outcome.text
        return outcome.ok

    def _text_of(self, path: str) -> str | None:
        digest = next(
            (entry.digest for entry in self._effects.store.files if entry.path == path), None
        )
        return (
            None
            if digest is None
            else self._effects.journal.objects.get(digest).decode("utf-8", "replace")
        )

    def _findings(self, report: CheckReport) -> str:
        return describe(report, self._effects.outcome_characters // 2)


def _wrong(report: CheckReport) -> bool:
    """Whether something is wrong, other than that tests are still to come."""
    return report.verdict in WRONG
