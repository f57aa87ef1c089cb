"""Guided mode: one question at a time, for one file in each reply.

A large model is given tools and finds its way. A small one gets lost in that: it looks around
instead of writing, repeats its own words, and spoils code that it has to write as a string of JSON.
So in this mode the control unit has the initiative. Its questions are: which files the instruction
needs, the content of each file as plain text, which file is wrong in view of the findings, and in
the end whether the instruction is done. Every question stands alone: task,
instruction, the files as they are now, the findings. An instruction is accepted as in agentic mode:
all checks pass, and the model says that the work is done.
"""

import json
from collections.abc import Callable, Sequence

from l2mac.control.budget import TurnBudget
from l2mac.control.effects import Notes, Tools
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
from l2mac.control.ports import EvaluatorModule
from l2mac.control.registry import Instruction
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.structured_output import Asker, NoAnswer
from l2mac.control.summariser import SUMMARY_CHARACTERS
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
from l2mac.trace.events import InstructionStarted

_ANEW_AFTER = 3
_FIXES_BEFORE_THE_NEXT_FILE = 2
_FOLLOWED = 2
_WARM = 0.5


class GuidedExecutor:
    """The executor of guided mode, which asks for one thing at a time.

    Args:
        asker: The means of asking.
        tools: Writes the files.
        evaluator: Checks the file store.
        budget: Counts turns.
        notes: Records where an instruction starts.
        files_of: Returns the files that an instruction writes, where these are known.
        findings_characters: How long the checks' findings may be.
    """

    def __init__(
        self,
        *,
        asker: Asker,
        tools: Tools,
        evaluator: EvaluatorModule,
        budget: TurnBudget,
        notes: Notes,
        files_of: Callable[[str], Sequence[PlannedFile]],
        findings_characters: int,
    ) -> None:
        self._asker = asker
        self._prompts = asker.prompts
        self._files = asker.files
        self._tools = tools
        self._evaluator = evaluator
        self._budget = budget
        self._notes = notes
        self._files_of = files_of
        self._findings_characters = findings_characters

    def execute(self, instruction: Instruction, summary: str) -> str:
        """Execute an instruction; its text is the summary for the next one."""
        note = InstructionStarted(number=instruction.number, total=instruction.total, restart=0)
        self._notes.note(note)
        work = GuidedInstruction(asker=self._asker, instruction=instruction, before=summary)
        work.planned = list(self._files_of(instruction.text) or self._asked_files(work))
        self._work_on(work)
        return instruction.text[:SUMMARY_CHARACTERS]

    def _work_on(self, work: GuidedInstruction) -> None:
        while True:
            self._budget.begin_turn()
            report = self._with_what_helped(work, self._check(work))
            work.notice(self._findings(report))
            if work.planned and (not _wrong(report) or work.fixes >= _FIXES_BEFORE_THE_NEXT_FILE):
                self._write_planned(work)
            elif report.accepts_completion and self._files.entries:
                if self._is_done(work, report):
                    return
            else:
                self._correct(work, report)

    def _with_what_helped(self, work: GuidedInstruction, report: CheckReport) -> CheckReport:
        """Restore a file whose correction made the findings worse."""
        done, work.correction = work.correction, None
        if (
            done is None
            or severity(report) <= done.severity
            or self._files.text_at(done.path) is None
        ):
            return report
        # A small model would continue from the worse file.
        said = self._findings(report)
        self._put(work, done.path, done.before)
        work.problem = self._prompts.render("guided_undone", path=done.path, findings=said)
        return self._check(work)

    def _check(self, work: GuidedInstruction) -> CheckReport:
        """Check the store; nothing is missed while planned files are still to be written."""
        return self._evaluator.check(whole=work.instruction.is_last and not work.planned)

    def _asked_files(self, work: GuidedInstruction) -> Sequence[PlannedFile]:
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
            work.planned.pop(0)  # the model fails to write it; the checks will say if it is missed

    def _correct(self, work: GuidedInstruction, report: CheckReport) -> None:
        """Fix a file: the one that a finding names, or the model's choice."""
        work.fixes += 1
        findings = self._findings(report)
        choice = named_by(report) if work.stuck < _FOLLOWED else None
        if choice is None:
            text = self._prompts.render("guided_choose", findings=findings)
            try:
                choice = work.ask(text, choice_form(), same, first=findings)
            except NoAnswer:
                return
        before = self._files.text_at(choice.path)
        self._change(work, choice, report, findings)
        if before is not None and self._files.text_at(choice.path) not in (before, None):
            work.correction = Correction(choice.path, before, severity(report))

    def _change(
        self, work: GuidedInstruction, choice: ChooseFile, report: CheckReport, findings: str
    ) -> None:
        if not self._edit(work, choice, report, findings):
            self._rewrite(work, choice, findings)

    def _edit(
        self, work: GuidedInstruction, choice: ChooseFile, report: CheckReport, findings: str
    ) -> bool:
        """Ask for one change of a few lines; False where the file is to be written whole.

        A small model that sees a file and is to write it whole copies it with its fault. A line of
        prose is a paragraph, though, of which it would keep nothing.
        """
        before = self._files.text_at(choice.path)
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
        """Ask for a whole file, warm enough that the old one is not repeated."""
        values = {"path": choice.path, "wrong": choice.wrong}
        if work.stuck >= _ANEW_AFTER:
            text, hidden = self._prompts.render("guided_rewrite", **values), choice.path
        else:
            text, hidden = self._prompts.render("guided_correct", findings=findings, **values), ""
        self._write(work, text, choice.path, hidden=hidden, at_least=_WARM)

    def _is_done(self, work: GuidedInstruction, report: CheckReport) -> bool:
        """Ask whether the work is done; a missing part is added, or is the next file."""
        text = self._prompts.render(
            "guided_done", instruction=work.instruction.text, checks=report.summary
        )
        try:
            answer = work.ask(text, done_form(), done)
        except NoAnswer:
            return False
        if answer.done:
            return True
        if self._files.text_at(answer.path) is None:
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
        """Ask for a file and write it; return whether it was written."""
        content = work.ask_for_file(text, path, hidden=hidden, at_least=at_least)
        return content is not None and self._put(work, path, content)

    def _put(self, work: GuidedInstruction, path: str, content: str) -> bool:
        """Write a file by the tool, as the model would; return whether it was written."""
        arguments = json.dumps({"files": [{"path": path, "content": content}]}, ensure_ascii=False)
        outcome = self._tools.use(ToolCall("call_1", "write_files", arguments))
        work.problem = "" if outcome.ok else outcome.text
        return outcome.ok

    def _findings(self, report: CheckReport) -> str:
        return describe(report, self._findings_characters)


def _wrong(report: CheckReport) -> bool:
    """Return whether a check failed or broke; missing tests are not wrong."""
    return report.verdict in WRONG
