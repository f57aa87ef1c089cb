import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.evaluator.test_ledger import TestLedger
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict


def evaluation(*declared: str, **outcomes: str) -> CheckReport:
    """Return a report on tests of these names in one file; some are declared and did not run."""
    failing = {"failed", "error"} & set(outcomes.values())
    verdict = (
        Verdict.FAILED
        if failing
        else Verdict.PASSED
        if "passed" in outcomes.values()
        else Verdict.NOTHING
    )
    ids = tuple((f"test_a.py::{name}", outcome) for name, outcome in outcomes.items())
    return CheckReport(
        (
            CheckResult(
                name="tests",
                verdict=verdict,
                summary="",
                outcomes=ids,
                declared=tuple(f"b.py::{d}" for d in declared),
            ),
        )
    )


def after(*reports: CheckReport) -> tuple[TestLedger, CheckReport]:
    ledger, judged = TestLedger(), CheckReport()
    for report in reports:
        ledger = ledger.after(report)
        judged = ledger.judge(report)
    return ledger, judged


def lost(report: CheckReport) -> list[str]:
    return (
        [finding.where for finding in report.results[-1].findings]
        if report.results[-1].name == "inventory"
        else []
    )


@pytest.mark.parametrize("put_aside", [{}, {"test_x": "skipped"}, {"test_x": "xfailed"}])
def test_a_failing_test_that_is_gone_or_put_aside_stands_in_the_way(
    put_aside: dict[str, str],
) -> None:
    _, report = after(
        evaluation(test_x="failed", test_y="passed"), evaluation(test_y="passed", **put_aside)
    )
    assert report.verdict is Verdict.FAILED
    assert lost(report) == ["test_a.py::test_x"]


def test_deleting_every_file_does_not_get_rid_of_a_failing_test() -> None:
    _, report = after(evaluation(test_x="failed"), CheckReport())
    assert not report.accepts_completion


def test_failing_test_is_settled_when_it_passes_in_another_file() -> None:
    moved = CheckReport(
        (
            CheckResult(
                name="tests",
                verdict=Verdict.PASSED,
                summary="",
                outcomes=(("b.py::TestB::test_x[1]", "passed"),),
            ),
        )
    )
    _, report = after(evaluation(test_x="failed"), moved, evaluation(test_y="passed"))
    assert report.accepts_completion


def test_a_namesake_that_was_there_all_along_settles_nothing() -> None:
    def named(*passing: str, failing: str = "") -> CheckReport:
        outcomes = tuple((test, "passed") for test in passing) + (
            ((failing, "failed"),) if failing else ()
        )
        verdict = Verdict.FAILED if failing else Verdict.PASSED
        return CheckReport(
            (CheckResult(name="tests", verdict=verdict, summary="", outcomes=outcomes),)
        )

    _, report = after(named("a.py::test_x", failing="b.py::test_x"), named("a.py::test_x"))
    assert lost(report) == ["b.py::test_x"]


def test_passing_parameter_does_not_settle_a_failing_one() -> None:
    both = {"test_x[1]": "passed", "test_x[2]": "failed"}
    _, report = after(evaluation(**both), evaluation(**{**both, "test_x[2]": "skipped"}))
    assert lost(report) == ["test_a.py::test_x"]


def test_a_test_that_never_failed_may_go_and_is_named_at_the_end() -> None:
    ledger, report = after(
        evaluation(test_x="passed", test_y="passed"), evaluation(test_y="passed")
    )
    assert report.accepts_completion
    final = ledger.judge_fresh(evaluation(test_y="passed"))
    assert final.accepts_completion
    assert "1 test of the run gone or skipped at its end: test_a.py::test_x" in final.summary


@pytest.mark.parametrize("fresh", [{"test_y": "passed"}, {"test_x": "skipped", "test_y": "passed"}])
def test_final_verification_fails_if_a_test_no_longer_passes(fresh: dict[str, str]) -> None:
    ledger, _ = after(evaluation(test_x="passed", test_y="passed"))
    final = ledger.judge_fresh(evaluation(**fresh))
    assert final.verdict is Verdict.FAILED
    assert lost(final) == ["test_a.py::test_x"]


def test_ledger_adds_no_finding_to_a_failing_report() -> None:
    _, report = after(evaluation(test_x="failed"), evaluation(test_y="failed"))
    assert lost(report) == []


def test_a_test_that_never_ran_is_not_held_against_the_store() -> None:
    _, report = after(evaluation("test_new", test_x="failed"), evaluation(test_x="passed"))
    assert report.accepts_completion


OUTCOMES = st.dictionaries(
    st.sampled_from(["test_a", "test_b", "test_c"]),
    st.sampled_from(["passed", "failed", "error", "skipped", "xfailed"]),
)


@given(history=st.lists(OUTCOMES, min_size=1, max_size=6))
def test_completion_is_refused_while_any_test_failed_last(history: list[dict[str, str]]) -> None:
    _, report = after(*(evaluation(**outcomes) for outcomes in history))
    failing: set[str] = set()
    for outcomes in history:
        failing |= {name for name, outcome in outcomes.items() if outcome in ("failed", "error")}
        failing -= {name for name, outcome in outcomes.items() if outcome == "passed"}
    assert not (failing and report.accepts_completion)


@given(history=st.lists(OUTCOMES, min_size=1, max_size=6))
def test_ledger_is_the_same_after_recorded_verdicts_as_after_raw_reports(
    history: list[dict[str, str]],
) -> None:
    raw = recorded = TestLedger()
    for outcomes in history:
        report = evaluation(**outcomes)
        raw = raw.after(report)
        recorded = recorded.after(raw.judge(report))
    assert recorded == raw


def test_final_verdict_misses_a_failing_test_that_was_never_checked_again() -> None:
    ledger, _ = after(evaluation(test_x="failed", test_y="passed"))
    final = ledger.judge_fresh(evaluation(test_y="passed"))
    assert lost(final) == ["test_a.py::test_x"]
