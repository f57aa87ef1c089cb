"""Keep account of the tests over a run: one that was seen failing has to pass before work may be called done.

Deleting, emptying, skipping or renaming away a failing test turns a store green that is not. A test may move to
another file or class: one of the same name that was not there when it failed takes its place.
"""

from collections.abc import Iterable

from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import how_many

_NAME = "inventory"
_GONE = "gone"
_OUT_OF_SIGHT = frozenset({_GONE, "skipped", "xfailed"})
_FAILING = frozenset({"failed", "error"})
_WORST_FIRST = ("failed", "error", "xfailed", "skipped", "not run", "passed")
_MOST_NAMES = 5
_LOST = "was seen failing and is {state} now; bring it back under this name and make it pass, corrected if it was wrong"
_KEPT = "passed in the files as they came and is {state} now; bring it back under this name and keep it passing"
_NOT_AGAIN = "passed, and is {state} in a fresh box"
States = dict[str, str]


class TestLedger:
    """The tests of one run, from evaluation to evaluation."""

    __test__ = False

    def __init__(self) -> None:
        self._owed: dict[str, frozenset[str]] = {}
        self._kept: frozenset[str] = frozenset()
        self._first: frozenset[str] = frozenset()
        self._ever_passed: frozenset[str] = frozenset()
        self._last_passed: frozenset[str] = frozenset()

    def start_from(self, report: CheckReport) -> None:
        """Take in the evaluation of the input: its tests may be moved and changed, but may not go out of sight."""
        states = _states(report)
        self._first = frozenset(states)
        self._kept = self._ever_passed = self._last_passed = passed_tests(report)
        self._owed = {test: self._first for test, state in states.items() if state in _FAILING}

    def judge(self, report: CheckReport) -> CheckReport:
        """Take in an evaluation; gives it with a finding for every failing test that has gone out of sight."""
        states = _states(report)
        passed = passed_tests(report)
        for test, state in states.items():
            if state in _FAILING:
                self._owed.setdefault(test, frozenset(states))
        self._owed = {
            test: known
            for test, known in self._owed.items()
            if not _takes_its_place(test, passed, known)
        }
        self._ever_passed |= passed
        self._last_passed = passed
        if report.verdict in (Verdict.FAILED, Verdict.BROKEN):
            return report
        kept = {test for test in self._kept if not _takes_its_place(test, passed, self._first)}
        judged = _with_findings(report, self._owed, states, "that failed cannot be seen", _LOST)
        return _with_findings(judged, kept, states, "that passed before cannot be seen", _KEPT)

    def judge_fresh(self, report: CheckReport) -> CheckReport:
        """Compare with the fresh box's evaluation: what passed at last has to pass there, too.

        Tests that passed at some time of the run and are gone at its end are named.
        """
        states = _states(report)
        if report.verdict in (Verdict.FAILED, Verdict.BROKEN):
            return report
        judged = _with_findings(
            report, self._last_passed, states, "did not come up again in a fresh box", _NOT_AGAIN
        )
        missed = sorted(
            test for test in self._ever_passed if states.get(test, _GONE) in _OUT_OF_SIGHT
        )
        if not missed or judged is not report:
            return judged
        summary = (
            f"{how_many(missed, 'test')} of the run gone or skipped at its end: {_some(missed)}"
        )
        return _joined(report, CheckResult(name=_NAME, verdict=Verdict.PASSED, summary=summary))


def passed_tests(report: CheckReport) -> frozenset[str]:
    """Give the ids, without parameters, of the tests that were collected and passed with all their parameters."""
    return frozenset(test for test, state in _states(report).items() if state == "passed")


def _takes_its_place(test: str, passed: frozenset[str], known: frozenset[str]) -> bool:
    """Whether a failing test has passed itself, or one of its name that was not `known` when it failed."""
    name = test.rpartition("::")[2]
    return test in passed or any(other.rpartition("::")[2] == name for other in passed - known)


def _with_findings(
    report: CheckReport, tests: Iterable[str], states: States, what: str, text: str
) -> CheckReport:
    findings = tuple(
        Finding(test, text.format(state=states.get(test, _GONE)))
        for test in sorted(tests)
        if states.get(test, _GONE) in _OUT_OF_SIGHT
    )
    if not findings:
        return report
    summary = f"{how_many(findings, 'test')} {what}"
    return _joined(
        report, CheckResult(name=_NAME, verdict=Verdict.FAILED, summary=summary, findings=findings)
    )


def _joined(report: CheckReport, result: CheckResult) -> CheckReport:
    return CheckReport((*report.results, result))


def _states(report: CheckReport) -> States:
    """Give the worst state of every known test, all its parameters taken together."""
    states: States = {}
    for result in report.results:
        run = {base_id(test) for test, _ in result.outcomes}
        not_run = ((test, "not run") for test in result.declared if test not in run)
        for test, state in (*result.outcomes, *not_run):
            name = base_id(test)
            states[name] = min(state, states.get(name, "passed"), key=_WORST_FIRST.index)
    return states


def _some(names: list[str]) -> str:
    left = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {left} more" if left > 0 else "")
