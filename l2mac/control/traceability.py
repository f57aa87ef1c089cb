"""The final check of the result against the task's requirements: requirement → files and passed tests that show it.

It is the model's claim, and is labelled so wherever it appears. Checked mechanically is that the files are in the
verified store and that the tests were collected and passed in the fresh box; a claim of anything else does not count.
A requirement is shown when at least one file and one passed test hold; or the files alone, where the domain checks no
such files or has no tests: no test can show what a README says. It can only make an outcome worse, never better.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace

from l2mac.control.effects import Effects
from l2mac.control.outcome import Outcome, RequirementRow, Status
from l2mac.control.registry import numbered_list
from l2mac.control.requirements import TaskRequirements
from l2mac.control.run_spec import Job
from l2mac.control.structured_output import NoAnswer, Question, StructuredOutput
from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.evaluator.verdict import CheckReport
from l2mac.tools.forms import Evidence, evidence_form
from l2mac.trace.events import InstructionsAdded, RequirementsVerified

_ATTEMPTS = 2
_MOST_PAGES = 6
_LEAST_PIECE = 200
_PAGE_FILL = 0.85
_NO_ROOM = "requirements, files and tests leave no room for contents in the model's window"
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

    def __init__(
        self, job: Job, effects: Effects, inquirer: StructuredOutput, requirements: TaskRequirements
    ) -> None:
        self._on = job.thinking.requirements
        self._rounds_left = job.thinking.requirement_rounds
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._inquirer = inquirer
        self._requirements = requirements
        self._rounds = 0
        self._unseen = 0
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
            self.rows = tuple(
                judge.row(text, claims.get(number, []))
                for number, text in enumerate(requirements, 1)
            )
        self._note(problem)
        return self._with_rows(outcome, problem)

    def further(self, outcome: Outcome) -> tuple[str, ...]:
        """Give the instructions for what is not shown; none when nothing is missing or no round is left."""
        missing = [row.requirement for row in outcome.requirements if not row.shown]
        if (
            outcome.status is not Status.REQUIREMENTS_UNVERIFIED
            or not missing
            or not self._rounds_left
            or outcome.unexamined
        ):
            return ()
        self._rounds_left -= 1
        groups = (
            missing[start : start + _PER_INSTRUCTION]
            for start in range(0, len(missing), _PER_INSTRUCTION)
        )
        texts = tuple(
            self._prompts.render("follow_up", requirements="\n".join(f"- {text}" for text in group))
            for group in groups
        )
        put = self._effects.journal.objects.put_text
        self._effects.journal.note(
            InstructionsAdded(instruction_objects=tuple(put(text) for text in texts))
        )
        return texts

    def _with_rows(self, outcome: Outcome, problem: str) -> Outcome:
        missing = sum(not row.shown for row in self.rows)
        if self.rows and not missing:
            return replace(outcome, requirements=self.rows)
        said = (
            f"{missing} of {len(self.rows)} requirements are not shown"
            if self.rows
            else "no requirement is shown"
        )
        reason = f" (the model gave no usable account: {problem})" if problem else ""
        return replace(
            outcome,
            status=Status.REQUIREMENTS_UNVERIFIED,
            cause=f"{outcome.cause}; {said}{reason}",
            requirements=self.rows,
            unexamined=problem,
        )

    def _claims(
        self, requirements: tuple[str, ...], report: CheckReport
    ) -> tuple[dict[int, list[Evidence]], str]:
        """Show the files page by page; gives what the model claims, and why not when it claims nothing.

        Without files nothing is asked: nothing can be shown.
        """
        form = evidence_form(len(requirements))

        def room() -> int:
            empty = self._question(requirements, report, 0, "")
            return int(
                self._effects.estimator.characters(self._inquirer.room(empty, form)) * _PAGE_FILL
            )

        contents = tuple(self._contents())
        claims: dict[int, list[Evidence]] = {}
        seen, problem = 0, _NO_ROOM
        for number, (page, taken) in enumerate(
            itertools.islice(pages(contents, room), _MOST_PAGES), 1
        ):
            try:
                answer = self._inquirer.ask(
                    self._question(requirements, report, number, page),
                    form,
                    lambda claim: claim.evidence,
                )
            except NoAnswer as error:
                problem = str(error)
                continue
            seen += taken
            for entry in answer:
                claims.setdefault(entry.requirement, []).append(entry)
        self._unseen = sum(len(text) for _, text in contents) - seen
        return claims, problem if contents and not seen else ""

    def _question(
        self, requirements: tuple[str, ...], report: CheckReport, page: int, contents: str
    ) -> Question:
        tool = evidence_form(len(requirements)).spec.name
        tests = "\n".join(sorted(passed_tests(report))) or "(none)"
        text = self._prompts.render(
            "evidence",
            requirements=numbered_list(requirements),
            files=self._effects.files(),
            tests=tests
            if len(tests) <= _MOST_TEST_CHARACTERS
            else f"{tests[:_MOST_TEST_CHARACTERS]}\n(more)",
            page=page,
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
        for entry in self._effects.own_files():
            yield (
                entry.path,
                self._effects.journal.objects.get(entry.digest).decode("utf-8", "replace"),
            )

    def _note(self, problem: str) -> None:
        self._rounds += 1
        table = json.dumps([asdict(row) for row in self.rows], sort_keys=True, ensure_ascii=True)
        note = RequirementsVerified(
            round=self._rounds,
            verified=sum(row.shown for row in self.rows),
            total=len(self.rows),
            table_object=self._effects.journal.objects.put_text(table),
            unseen_characters=self._unseen,
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
            refused |= set(claim.files) - self._files.keys() | {
                name for name, test in meant.items() if not test
            }
        testable = bool(self._passed) and bool(
            self._jobs_for([self._files[path] for path in sorted(files)])
        )
        shown = bool(files) and (bool(tests) or not testable)
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


def pages(
    contents: Iterable[tuple[str, str]], room: Callable[[], int]
) -> Iterator[tuple[str, int]]:
    """Give texts, each under its path, page by page, with how many characters of texts a page has.

    Args:
        contents: Path and text; a long text goes on on the next page.
        room: Gives how many characters a page may have, asked anew for each; with too few there is no page more.
    """
    page, taken, left = "", 0, room()
    for path, text in contents:
        rest = text
        while rest:
            head = f"--- {path[:_NAME_CHARACTERS]}\n"
            fits = left - len(page) - len(head) - 1
            if fits < min(len(rest), _LEAST_PIECE):
                if not page:
                    return
                yield page, taken
                page, taken, left = "", 0, room()
                continue
            page += f"{head}{rest[:fits]}\n"
            taken += len(rest[:fits])
            rest = rest[fits:]
    if page:
        yield page, taken
