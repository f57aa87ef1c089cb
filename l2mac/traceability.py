"""The final check of the result against the task's requirements: requirement → files and passed tests that show it.

It is the model's claim, and is labelled so wherever it appears. Checked mechanically is that the files are in the
verified store and that the tests were collected and passed in the fresh box; a claim of anything else does not count.
A requirement is shown when at least one file and one passed test hold, or the files alone where the domain has no
check for such files: no test can show what a README says. It can only make an outcome worse, never better.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

from l2mac.checks.inventory import passed_tests
from l2mac.checks.pytest_report import base_id
from l2mac.checks.report import CheckReport
from l2mac.effects import Effects
from l2mac.inquiry import Inquirer, NoAnswer, Question
from l2mac.job import Job
from l2mac.outcome import Outcome, RequirementRow, Status
from l2mac.registry import numbered_list
from l2mac.requirements import Requirements
from l2mac.tools.control import Evidence, evidence_form
from l2mac.trace.events import InstructionsAdded, RequirementsExamined

_ATTEMPTS = 2
_MOST_PAGES = 6
_LEAST_PAGE_CHARACTERS = 500
_MOST_TEST_CHARACTERS = 4000
_REPLY_TOKENS = 300
_REPLY_TOKENS_PER_REQUIREMENT = 80
_PER_INSTRUCTION = 3
_MOST_NAMES = 10
_NAME_CHARACTERS = 200


class Traceability:
    """Examines a verified store, and says what is to be carried out for what is not shown.

    Args:
        job: What is to be done.
        effects: For the store, prompts and the record.
        inquirer: Asks the model.
        requirements: What the task demands.

    Attributes:
        rows: The newest table, one row for each requirement.
    """

    def __init__(self, job: Job, effects: Effects, inquirer: Inquirer, requirements: Requirements) -> None:
        self._on = job.thinking.requirements
        self._rounds_left = job.thinking.requirement_rounds
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._inquirer = inquirer
        self._requirements = requirements
        self._rounds = 0
        self.rows: tuple[RequirementRow, ...] = ()

    def examine(self, outcome: Outcome) -> Outcome:
        """Give the outcome with the table, worse than before if a requirement is not shown."""
        if not self._on or outcome.status is not Status.COMPLETED:
            return outcome
        requirements = self._requirements.texts()
        problem = self._requirements.problem
        if requirements:
            claims, problem = self._claims(requirements, outcome.report)
            judge = _Judge(self._effects, outcome.report)
            self.rows = tuple(judge.row(text, claims.get(number, [])) for number, text in enumerate(requirements, 1))
        self._note(problem)
        return self._with_rows(outcome, problem)

    def further(self, outcome: Outcome) -> tuple[str, ...]:
        """Give the instructions for what is not shown; none when nothing is missing or no round is left."""
        missing = [row.requirement for row in outcome.requirements if not row.shown]
        if outcome.status is not Status.UNSHOWN or not missing or not self._rounds_left or outcome.unexamined:
            return ()
        self._rounds_left -= 1
        groups = (missing[start : start + _PER_INSTRUCTION] for start in range(0, len(missing), _PER_INSTRUCTION))
        texts = tuple(
            self._prompts.render("further", requirements="\n".join(f"- {text}" for text in group)) for group in groups
        )
        put = self._effects.journal.objects.put_text
        self._effects.journal.note(InstructionsAdded(instruction_objects=tuple(put(text) for text in texts)))
        return texts

    def _with_rows(self, outcome: Outcome, problem: str) -> Outcome:
        missing = sum(not row.shown for row in self.rows)
        if self.rows and not missing:
            return replace(outcome, requirements=self.rows)
        said = f"{missing} of {len(self.rows)} requirements are not shown" if self.rows else "no requirement is shown"
        reason = f" (the model gave no usable account: {problem})" if problem else ""
        return replace(
            outcome,
            status=Status.UNSHOWN,
            cause=f"{outcome.cause}; {said}{reason}",
            requirements=self.rows,
            unexamined=problem,
        )

    def _claims(self, requirements: tuple[str, ...], report: CheckReport) -> tuple[dict[int, list[Evidence]], str]:
        """Show the files page by page; gives what the model claims, and why not when it claims nothing."""
        form = evidence_form(len(requirements))
        room = self._inquirer.room(self._question(requirements, report, 0, 0, ""), form)
        characters = self._effects.estimator.characters(room)
        if characters < _LEAST_PAGE_CHARACTERS:
            return {}, "requirements, files and tests do not fit into the model's window"
        contents = tuple(pages(self._contents(), characters))[:_MOST_PAGES]
        claims: dict[int, list[Evidence]] = {}
        problem = ""
        answered = False
        for number, content in enumerate(contents, 1):
            question = self._question(requirements, report, number, len(contents), content)
            try:
                for entry in self._inquirer.ask(question, form, lambda claim: claim.evidence):
                    claims.setdefault(entry.requirement, []).append(entry)
                answered = True
            except NoAnswer as error:
                problem = str(error)
        return claims, "" if answered else problem or "there is no file"

    def _question(
        self, requirements: tuple[str, ...], report: CheckReport, page: int, page_count: int, contents: str
    ) -> Question:
        tool = evidence_form(len(requirements)).spec.name
        tests = "\n".join(sorted(passed_tests(report))) or "(none)"
        text = self._prompts.render(
            "evidence",
            requirements=numbered_list(requirements),
            files=self._effects.files(),
            tests=tests if len(tests) <= _MOST_TEST_CHARACTERS else f"{tests[:_MOST_TEST_CHARACTERS]}\n(more)",
            page=page,
            pages=page_count,
            contents=contents,
        )
        return Question(
            purpose="requirements",
            text=text,
            again=lambda problem: self._prompts.render("answer_again", problem=problem, tool=tool),
            attempts=_ATTEMPTS,
            reply_tokens=_REPLY_TOKENS + _REPLY_TOKENS_PER_REQUIREMENT * len(requirements),
            shorter="name one file and one test for each requirement",
        )

    def _contents(self) -> Iterator[tuple[str, str]]:
        for entry in self._effects.store.files:
            yield entry.path, self._effects.journal.objects.get(entry.digest).decode("utf-8", "replace")

    def _note(self, problem: str) -> None:
        self._rounds += 1
        table = json.dumps([asdict(row) for row in self.rows], sort_keys=True, ensure_ascii=True)
        note = RequirementsExamined(
            round=self._rounds,
            shown=sum(row.shown for row in self.rows),
            total=len(self.rows),
            table_object=self._effects.journal.objects.put_text(table),
            problem=problem,
        )
        self._effects.journal.note(note)


class _Judge:
    """Checks claims against the verified store and its report."""

    def __init__(self, effects: Effects, report: CheckReport) -> None:
        self._files = {entry.path: entry for entry in effects.store.files}
        self._jobs_for = effects.domain.checks.jobs_for
        self._passed = passed_tests(report)

    def row(self, requirement: str, claims: Iterable[Evidence]) -> RequirementRow:
        files: set[str] = set()
        tests: set[str] = set()
        refused: set[str] = set()
        for claim in claims:
            files |= self._files.keys() & set(claim.files)
            meant = {name: self._test(name) for name in claim.tests}
            tests |= set(meant.values()) - {""}
            refused |= set(claim.files) - self._files.keys() | {name for name, test in meant.items() if not test}
        checkable = bool(self._jobs_for([self._files[path] for path in sorted(files)]))
        shown = bool(files) and (bool(tests) or not checkable)
        return RequirementRow(
            requirement=requirement,
            shown=shown,
            files=tuple(sorted(files)),
            tests=tuple(sorted(tests)),
            refused=tuple(name[:_NAME_CHARACTERS] for name in sorted(refused)[:_MOST_NAMES]),
        )

    def _test(self, name: str) -> str:
        """Give the passed test that a name means: its id, or its last part where only one test has it."""
        name = base_id(name)
        if name in self._passed:
            return name
        alike = [test for test in self._passed if test.rpartition("::")[2] == name]
        return alike[0] if len(alike) == 1 else ""


def pages(contents: Iterable[tuple[str, str]], characters: int) -> Iterator[str]:
    """Give texts, each under its path, in pages of at most so many characters; a long text goes on on the next."""
    page = ""
    for path, text in contents:
        rest = text
        while rest:
            head = f"--- {path[:_NAME_CHARACTERS]}\n"
            room = characters - len(page) - len(head) - 1
            if room < min(len(rest), _LEAST_PAGE_CHARACTERS // 2) and page:
                yield page
                page = ""
                continue
            taken, rest = rest[: max(room, 1)], rest[max(room, 1) :]
            page += f"{head}{taken}\n"
    if page:
        yield page
