"""The ledger of a run's tests: a test that was seen failing has to pass.

Deleting, emptying, skipping or renaming away a failing test turns a store green that is not. A test
may move to another file or class: a test of the same name that was not there when it failed takes
its place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from l2mac.evaluator.pytest_report import base_id
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, Verdict
from l2mac.evaluator.wording import how_many

_NAME = "inventory"
_GONE = "gone"
_OUT_OF_SIGHT = frozenset({_GONE, "skipped", "xfailed"})
_FAILING = frozenset({"failed", "error"})
_WORST_FIRST = ("failed", "error", "xfailed", "skipped", "not run", "passed")
_MOST_NAMES = 5
_LOST = (
    "was seen failing and is {state} now; bring it back under this name and make it pass, corrected"
    " if it was wrong"
)
_KEPT = (
    "passed in the files as they came and is {state} now; bring it back under this name and keep it"
    " passing"
)
_NOT_AGAIN = "passed, and is {state} in a fresh sandbox"
States = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestLedger:
    """The tests of one run, after some evaluation of it.

    A value: what an evaluation adds is in the ledger that `after` returns. So the verdict on an
    evaluation can be computed before the evaluation is recorded, and the ledger is the same when a
    resumed run reads the recorded evaluations.

    Attributes:
        owed: Tests that failed and have not passed since, each with the tests known when it failed.
        input_passes: The tests that passed in the run's input.
        first: All tests of the run's input.
        ever_passed: Tests that passed at some time.
        last_passed: Tests that passed in the newest evaluation.
    """

    __test__ = False

    owed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    input_passes: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    ever_passed: frozenset[str] = frozenset()
    last_passed: frozenset[str] = frozenset()

    @classmethod
    def of_input(cls, report: CheckReport) -> "TestLedger":
        """Return the ledger of an input's tests, which may move but not disappear."""
        states = _states(report)
        first = frozenset(states)
        passed = passed_tests(report)
        owed = {test: first for test, state in states.items() if state in _FAILING}
        return cls(
            owed=owed,
            input_passes=passed,
            first=first,
            ever_passed=passed,
            last_passed=passed,
        )

    def after(self, report: CheckReport) -> "TestLedger":
        """Return the ledger after an evaluation, before or after `judge`."""
        states = _states(report)
        passed = passed_tests(report)
        owed = dict(self.owed)
        for test, state in states.items():
            if state in _FAILING:
                owed.setdefault(test, frozenset(states))
        still_owed = {
            test: known for test, known in owed.items() if not _takes_its_place(test, passed, known)
        }
        return replace(
            self, owed=still_owed, ever_passed=self.ever_passed | passed, last_passed=passed
        )

    def judge(self, report: CheckReport) -> CheckReport:
        """Return the report with a finding for every owed or kept test out of sight.

        Args:
            report: The newest evaluation, which this ledger has taken in.
        """
        if report.verdict in (Verdict.FAILED, Verdict.BROKEN):
            return report
        states = _states(report)
        passed = passed_tests(report)
        kept = {
            test for test in self.input_passes if not _takes_its_place(test, passed, self.first)
        }
        judged = _with_findings(report, self.owed, states, "that failed cannot be seen", _LOST)
        return _with_findings(judged, kept, states, "that passed before cannot be seen", _KEPT)

    def judge_fresh(self, report: CheckReport) -> CheckReport:
        """Return the final evaluation, with what the ledger holds against it.

        The tests that passed last have to pass there, too. Tests that passed at some time of the
        run and are gone at its end are named in a result that passes.
        """
        if report.verdict in (Verdict.FAILED, Verdict.BROKEN):
            return report
        states = _states(report)
        judged = _with_findings(
            report, self.last_passed, states, "did not come up again in a fresh sandbox", _NOT_AGAIN
        )
        if judged is not report:
            return judged
        return self.after(report).judge(self._with_missed(report, states))

    def _with_missed(self, report: CheckReport, states: States) -> CheckReport:
        missed = [
            test for test in sorted(self.ever_passed) if states.get(test, _GONE) in _OUT_OF_SIGHT
        ]
        if not missed:
            return report
        gone = how_many(missed, "test")
        summary = f"{gone} of the run gone or skipped at its end: {_some(missed)}"
        return _joined(report, CheckResult(name=_NAME, verdict=Verdict.PASSED, summary=summary))


def passed_tests(report: CheckReport) -> frozenset[str]:
    """Return the ids, without parameters, of tests that passed with all of them."""
    return frozenset(test for test, state in _states(report).items() if state == "passed")


def _takes_its_place(test: str, passed: frozenset[str], known: frozenset[str]) -> bool:
    """Return whether a failing test has passed, or a new test of its name."""
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
    """Return the worst state of every known test, all its parameters taken together."""
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
    more = f" and {left} more" if left > 0 else ""
    return ", ".join(names[:_MOST_NAMES]) + more
