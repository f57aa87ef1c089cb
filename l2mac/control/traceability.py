"""The final comparison with the task: requirement → files and passed tests.

The table is the model's claim, and is labelled so wherever it appears. A mechanical check finds out
that the files are in the verified store, and that the tests were collected and passed in the fresh
sandbox; a claim of anything else does not count. A requirement is shown when at least one file and
one passed test hold; or the files alone, where the domain checks no such files or has no tests: no
test can show what a README says. The comparison can only make an outcome worse, never better.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace

from l2mac.control.effects import Notes
from l2mac.control.file_listing import paged_files
from l2mac.control.outcome import Outcome, RequirementRow, Status
from l2mac.control.registry import numbered_list
from l2mac.control.requirements import TaskRequirements
from l2mac.control.structured_output import Asker, NoAnswer, Question
from l2mac.evaluator.checks import JobMaker
from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.evaluator.verdict import CheckReport
from l2mac.tools.forms import Evidence, evidence_form
from l2mac.trace.events import InstructionsAdded, RequirementsVerified
from sandbox import FileEntry

_ATTEMPTS = 2
_MOST_PAGES = 6
_PAGE_FILL = 0.85
_NO_ROOM = "requirements, files and tests leave no room for contents in the model's window"
_MOST_TEST_CHARACTERS = 4000
_REPLY_TOKENS = 300
_REPLY_TOKENS_PER_REQUIREMENT = 80
_PER_INSTRUCTION = 3
_MOST_NAMES = 10
_NAME_CHARACTERS = 200
Claims = dict[int, list[Evidence]]


class Traceability:
    """The comparison of a verified store with the requirements of the task.

    Args:
        enabled: Whether results are examined at all.
        rounds: How often requirements that are not shown may be carried out.
        asker: The means of asking the model.
        requirements: The requirements of the task.
        jobs_for: The checks of the domain, for some files.
        notes: Records tables and instructions.

    Attributes:
        rows: The newest table, one row for each requirement.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        rounds: int,
        asker: Asker,
        requirements: TaskRequirements,
        jobs_for: JobMaker,
        notes: Notes,
    ) -> None:
        self._enabled = enabled
        self._rounds_left = rounds
        self._asker = asker
        self._prompts = asker.prompts
        self._files = asker.files
        self._requirements = requirements
        self._jobs_for = jobs_for
        self._notes = notes
        self._rounds = 0
        self._unseen = 0
        self.rows: tuple[RequirementRow, ...] = ()

    def examine(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the table, worse if a requirement is not shown."""
        if not self._enabled or outcome.status is not Status.COMPLETED:
            return outcome
        requirements = self._requirements.texts()
        problem = self._requirements.problem
        if requirements:
            claims, problem = self._claims(requirements, outcome.report)
            check = _ClaimCheck(self._files.entries, self._jobs_for, outcome.report)
            self.rows = tuple(
                check.row(text, claims.get(number, []))
                for number, text in enumerate(requirements, 1)
            )
        self._note(problem)
        return self._with_rows(outcome, problem)

    def follow_up_instructions(self, outcome: Outcome) -> tuple[str, ...]:
        """Return instructions for requirements that are not shown, if a round is left."""
        missing = [row.requirement for row in outcome.requirements if not row.shown]
        if (
            not missing
            or outcome.status is not Status.REQUIREMENTS_UNVERIFIED
            or outcome.unexamined
        ):
            return ()
        if not self._rounds_left:
            return ()
        self._rounds_left -= 1
        starts = range(0, len(missing), _PER_INSTRUCTION)
        texts = tuple(
            self._follow_up(missing[start : start + _PER_INSTRUCTION]) for start in starts
        )
        self._notes.note(InstructionsAdded(instruction_objects=self._notes.put_texts(texts)))
        return texts

    def _follow_up(self, requirements: Iterable[str]) -> str:
        listed = "\n".join(f"- {text}" for text in requirements)
        return self._prompts.render("follow_up", requirements=listed)

    def _with_rows(self, outcome: Outcome, problem: str) -> Outcome:
        missing = sum(not row.shown for row in self.rows)
        if self.rows and not missing:
            return replace(outcome, requirements=self.rows)
        said = "no requirement is shown"
        if self.rows:
            said = f"{missing} of {len(self.rows)} requirements are not shown"
        if problem:
            said += f" (the model gave no usable account: {problem})"
        return replace(
            outcome,
            status=Status.REQUIREMENTS_UNVERIFIED,
            cause=f"{outcome.cause}; {said}",
            requirements=self.rows,
            unexamined=problem,
        )

    def _claims(self, requirements: tuple[str, ...], report: CheckReport) -> tuple[Claims, str]:
        """Show the files page by page; return the model's claims, or why there are none.

        Without files the model is not asked, as nothing can be shown.
        """
        form = evidence_form(len(requirements))
        contents = [(entry.path, self._files.text(entry)) for entry in self._files.own()]
        question_for = self._question_maker(requirements, report)

        def room() -> int:
            left = self._asker.structured.room(question_for(0, ""), form)
            return int(self._asker.model.characters(left) * _PAGE_FILL)

        claims: Claims = {}
        seen, problem = 0, _NO_ROOM
        pages = itertools.islice(paged_files(contents, room), _MOST_PAGES)
        for number, (page, taken) in enumerate(pages, 1):
            try:
                answer = self._asker.structured.ask(
                    question_for(number, page), form, lambda claim: claim.evidence
                )
            except NoAnswer as error:
                problem = str(error)
                continue
            seen += taken
            for entry in answer:
                claims.setdefault(entry.requirement, []).append(entry)
        self._unseen = sum(len(text) for _, text in contents) - seen
        return claims, problem if contents and not seen else ""

    def _question_maker(
        self, requirements: tuple[str, ...], report: CheckReport
    ) -> Callable[[int, str], Question]:
        tests = "\n".join(sorted(passed_tests(report))) or "(none)"
        if len(tests) > _MOST_TEST_CHARACTERS:
            tests = f"{tests[:_MOST_TEST_CHARACTERS]}\n(more)"

        def make(page: int, contents: str) -> Question:
            text = self._prompts.render(
                "evidence",
                requirements=numbered_list(requirements),
                files=self._files.listing(),
                tests=tests,
                page=page,
                contents=contents,
            )
            return Question(
                purpose="requirements",
                text=text,
                attempts=_ATTEMPTS,
                reply_tokens=_REPLY_TOKENS + _REPLY_TOKENS_PER_REQUIREMENT * len(requirements),
                shorter="name one file and one test for each requirement",
            )

        return make

    def _note(self, problem: str) -> None:
        self._rounds += 1
        table = json.dumps([asdict(row) for row in self.rows], sort_keys=True, ensure_ascii=True)
        note = RequirementsVerified(
            round=self._rounds,
            verified=sum(row.shown for row in self.rows),
            total=len(self.rows),
            table_object=self._notes.put_text(table),
            unseen_characters=self._unseen,
            problem=problem,
        )
        self._notes.note(note)


class _ClaimCheck:
    """A check of claims against the verified store and its report."""

    def __init__(
        self, entries: Sequence[FileEntry], jobs_for: JobMaker, report: CheckReport
    ) -> None:
        self._files = {entry.path: entry for entry in entries}
        self._jobs_for = jobs_for
        self._passed = passed_tests(report)

    def row(self, requirement: str, claims: Iterable[Evidence]) -> RequirementRow:
        """Return a requirement with the claimed files and tests that hold."""
        files: set[str] = set()
        tests: set[str] = set()
        refused: set[str] = set()
        for claim in claims:
            files |= self._files.keys() & set(claim.files)
            refused |= set(claim.files) - self._files.keys()
            meant = {name: self._test(name) for name in claim.tests}
            tests |= set(meant.values()) - {""}
            refused |= {name for name, test in meant.items() if not test}
        shown = bool(files) and (bool(tests) or not self._is_testable(files))
        return RequirementRow(
            requirement=requirement,
            shown=shown,
            files=tuple(sorted(files)),
            tests=tuple(sorted(tests)),
            refused=tuple(name[:_NAME_CHARACTERS] for name in sorted(refused)[:_MOST_NAMES]),
        )

    def _is_testable(self, files: set[str]) -> bool:
        if not self._passed:
            return False
        return bool(self._jobs_for([self._files[path] for path in sorted(files)]))

    def _test(self, name: str) -> str:
        """Return the passed test with this id, or the only one of this name."""
        name = base_id(name)
        if name in self._passed:
            return name
        alike = [test for test in self._passed if test.rpartition("::")[2] == name]
        return alike[0] if len(alike) == 1 else ""
