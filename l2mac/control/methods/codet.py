"""CodeT (Chen et al. 2022): several candidates, tests made apart from them, and the candidate by dual agreement.

Candidates that pass exactly the same tests are a consensus set; its score is their number times the number of these
tests, as both many candidates that behave alike and many tests that agree with them speak for it.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from l2mac.control.effects import Effects
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.run_spec import Job
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.trace.events import CandidateChosen
from sandbox import FileEntry

CANDIDATES = 3
_TEMPERATURE = 0.8
_INTERFACE_TOKENS = 1200
CandidateFiles = tuple[FileEntry, ...]


class CodeT:
    """Have the model write several candidates and, apart from them, tests; keep the candidate that most agrees.

    Args:
        job: What to do.
        effects: Model, tools and checks.
    """

    def __init__(self, job: Job, effects: Effects) -> None:
        self._task = job.task
        self._effects = effects
        self._prompts = effects.domain.prompts
        self._author = SingleWindowAgent("codet, without checks before the choice", job, effects)

    def run(self) -> Outcome:
        """Have all of them written and one chosen, then verify it with the tests in a fresh box."""
        return self._author.outcome_of(self._choose)

    def _choose(self) -> None:
        # Candidates and tests, which do not see each other, have to agree on names; in the paper the task says them.
        interface = (
            self._author.answer("interface", "interface", _INTERFACE_TOKENS, task=self._task)
            or "(none)"
        )
        candidates, unfinished = [], []
        for number in range(1, CANDIDATES + 1):
            text = self._prompts.render(
                "candidate", interface=interface, number=number, total=CANDIDATES
            )
            candidates.append(self._written(f"candidate {number} of {CANDIDATES}", text))
            unfinished.append(self._author.unfinished)
        written = self._written(
            "the tests", self._prompts.render("candidate_tests", interface=interface)
        )
        tests = tuple(entry for entry in written if is_test_file(entry.path))
        passed, known = self._results(candidates, tests)
        kept = best_agreement(passed)
        self._author.unfinished = unfinished[kept] or self._author.unfinished
        self._effects.restore(with_tests(candidates[kept], tests), f"candidate {kept + 1} is kept")
        agreeing = passed.count(passed[kept])
        chosen = CandidateChosen(
            passed=tuple(map(len, passed)), tests=len(known), chosen=kept + 1, agreeing=agreeing
        )
        self._effects.journal.note(chosen)
        self._author.remarks.append(
            f"candidate {kept + 1} of {CANDIDATES} kept: {agreeing} passed the same {len(passed[kept])} of {len(known)}"
            " tests"
        )

    def _written(self, part: str, instruction: str) -> CandidateFiles:
        """Have something written from nothing, so that nothing that was written before is seen."""
        if self._author.has_begun:
            self._effects.restore((), f"no files and a new box for {part}")
        self._author.work(part, instruction, temperature=_TEMPERATURE)
        return self._effects.store.files

    def _results(
        self, candidates: Sequence[CandidateFiles], tests: CandidateFiles
    ) -> tuple[list[frozenset[str]], frozenset[str]]:
        """Run each candidate against the tests; gives which each one passed, and all that are known."""
        paths = {entry.path for entry in tests}
        passed, known = [], frozenset[str]()
        for number, files in enumerate(candidates, 1):
            self._effects.restore(with_tests(files, tests), f"candidate {number} with the tests")
            report = self._effects.evaluator.check_candidate()
            declared = {test for result in report.results for test in result.declared}
            ours = {test for test in passed_tests(report) if test.partition("::")[0] in paths}
            known |= ours | {test for test in declared if test.partition("::")[0] in paths}
            passed.append(frozenset(ours))
        return passed, known


def is_test_file(path: str) -> bool:
    """Whether pytest takes a file for tests by its name."""
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def with_tests(files: CandidateFiles, tests: CandidateFiles) -> CandidateFiles:
    """Give a candidate with the tests in it, in the place of what stands in their way."""
    paths = {entry.path for entry in tests}
    folders = {folder for path in paths for folder in _folders(path)}
    fitting = [
        entry for entry in files if entry.path not in folders and not paths & _folders(entry.path)
    ]
    together = {entry.path: entry for entry in (*fitting, *tests)}
    return tuple(together[path] for path in sorted(together))


def _folders(path: str) -> set[str]:
    return {str(folder) for folder in PurePosixPath(path).parents}


def best_agreement(passed: Sequence[frozenset[str]]) -> int:
    """Give the place of the candidate to keep: the first of the best consensus set.

    Args:
        passed: For each candidate, the tests that it passed; equal sets make a consensus set.
    """
    scores = [
        (passed.count(tests) * len(tests), len(tests), -place) for place, tests in enumerate(passed)
    ]
    return -max(scores)[2]
