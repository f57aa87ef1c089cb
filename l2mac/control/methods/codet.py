"""CodeT (Chen et al. 2022): candidates, independent tests, dual agreement.

Candidates that pass exactly the same tests are a consensus set. Its score is their number times the
number of these tests: many candidates that behave alike and many tests that agree with them speak
for it.
"""

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from l2mac.control.effects import Notes, Tools
from l2mac.control.methods.single_window import SingleWindowAgent
from l2mac.control.outcome import Outcome
from l2mac.control.project_files import ProjectFiles
from l2mac.domains.prompt_set import PromptSet
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.evaluator.verdict import CheckReport
from l2mac.trace.events import CandidateChosen
from sandbox import FileEntry

CANDIDATES = 3
_TEMPERATURE = 0.8
_INTERFACE_TOKENS = 1200
CandidateFiles = tuple[FileEntry, ...]


class CodeT:
    """The method that keeps the candidate with the best agreement on the tests.

    Args:
        agent: Works in one window at a time.
        prompts: The prompts of the domain.
        files: The file store.
        tools: Sets the file store to a candidate.
        check_candidate: Evaluates the candidate in the file store.
        notes: Records the choice.
    """

    def __init__(
        self,
        agent: SingleWindowAgent,
        prompts: PromptSet,
        *,
        files: ProjectFiles,
        tools: Tools,
        check_candidate: Callable[[], CheckReport],
        notes: Notes,
    ) -> None:
        self._agent = agent
        self._prompts = prompts
        self._files = files
        self._tools = tools
        self._check_candidate = check_candidate
        self._notes = notes

    def run(self) -> Outcome:
        """Generate candidates and tests, choose one candidate, and verify it."""
        return self._agent.outcome_of(self._choose, by="codet, without checks before the choice")

    def _choose(self) -> None:
        # Candidates and tests, which do not see each other, have to agree on names; in the paper
        # the task states them.
        asked = self._agent.answer(
            "interface", "interface", _INTERFACE_TOKENS, task=self._agent.task
        )
        interface = asked or "(none)"
        candidates, unfinished = [], []
        for number in range(1, CANDIDATES + 1):
            text = self._prompts.render(
                "candidate", interface=interface, number=number, total=CANDIDATES
            )
            candidates.append(self._written(f"candidate {number} of {CANDIDATES}", text))
            unfinished.append(self._agent.unfinished)
        text = self._prompts.render("candidate_tests", interface=interface)
        written = self._written("the tests", text)
        tests = tuple(entry for entry in written if is_test_file(entry.path))
        passed, known = self._results(candidates, tests)
        kept = best_agreement(passed)
        self._agent.unfinished = unfinished[kept] or self._agent.unfinished
        self._tools.restore(with_tests(candidates[kept], tests), f"candidate {kept + 1} is kept")
        self._note(kept, passed, known)

    def _note(self, kept: int, passed: list[frozenset[str]], known: frozenset[str]) -> None:
        agreeing = passed.count(passed[kept])
        chosen = CandidateChosen(
            passed=tuple(map(len, passed)), tests=len(known), chosen=kept + 1, agreeing=agreeing
        )
        self._notes.note(chosen)
        self._agent.remarks.append(
            f"candidate {kept + 1} of {CANDIDATES} kept: {agreeing} passed the same"
            f" {len(passed[kept])} of {len(known)} tests"
        )

    def _written(self, part: str, instruction: str) -> CandidateFiles:
        """Generate files in an empty store, without sight of earlier parts."""
        if self._agent.has_begun:
            self._tools.restore((), f"no files and a new sandbox for {part}")
        self._agent.work(part, instruction, temperature=_TEMPERATURE)
        return self._files.entries

    def _results(
        self, candidates: Sequence[CandidateFiles], tests: CandidateFiles
    ) -> tuple[list[frozenset[str]], frozenset[str]]:
        """Run each candidate against the tests; return those passed, and all known."""
        paths = {entry.path for entry in tests}
        passed, known = [], frozenset[str]()
        for number, files in enumerate(candidates, 1):
            self._tools.restore(with_tests(files, tests), f"candidate {number} with the tests")
            report = self._check_candidate()
            declared = {test for result in report.results for test in result.declared}
            ours = {test for test in passed_tests(report) if test.partition("::")[0] in paths}
            known |= ours | {test for test in declared if test.partition("::")[0] in paths}
            passed.append(frozenset(ours))
        return passed, known


def is_test_file(path: str) -> bool:
    """Return whether pytest takes a file for tests by its name."""
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def with_tests(files: CandidateFiles, tests: CandidateFiles) -> CandidateFiles:
    """Return a candidate with the tests in it, without files that are in their way."""
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
    """Return the place of the candidate to keep: the first of the best consensus set.

    Args:
        passed: For each candidate, the tests that it passed; equal sets make a consensus set.
    """
    scores = [
        (passed.count(tests) * len(tests), len(tests), -place) for place, tests in enumerate(passed)
    ]
    return -max(scores)[2]
