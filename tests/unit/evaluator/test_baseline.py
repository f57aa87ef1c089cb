"""The baseline excuses the findings of the input and nothing else."""

import pytest

from l2mac.evaluator.baseline import Baseline, named
from l2mac.evaluator.test_ledger import TestLedger
from l2mac.evaluator.verdict import CheckReport, CheckResult, Finding, TestCounts, Verdict

ORIGIN = {"test_a.py": "1", "a.py": "1", "b.py": "1"}
EDITED = {**ORIGIN, "test_a.py": "2", "a.py": "2"}


def suite(
    outcomes: dict[str, str],
    *,
    fingerprints: dict[str, str] | None = None,
    unread: tuple[str, ...] = (),
) -> CheckReport:
    """Return a report on tests: id → outcome, and id → fingerprint of its source."""
    failing = [test for test, outcome in outcomes.items() if outcome in ("failed", "error")]
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    findings = tuple(Finding(where, "wrong") for where in (*failing, *unread))
    verdict = Verdict.FAILED if findings else Verdict.PASSED if passed else Verdict.NOTHING
    said = (
        {test.partition("[")[0]: "p" for test in outcomes} if fingerprints is None else fingerprints
    )
    result = CheckResult(
        name="tests",
        verdict=verdict,
        summary=f"{passed} passed, {len(failing)} failed",
        findings=findings,
        counts=TestCounts(passed=passed, failed=len(failing)),
        outcomes=tuple(outcomes.items()),
        declared=tuple(said),
        fingerprints=tuple(said.values()),
    )
    return CheckReport((result,))


def lint(*findings: tuple[str, str], name: str = "lint") -> CheckReport:
    verdict = Verdict.FAILED if findings else Verdict.PASSED
    listed = tuple(Finding(*one) for one in findings)
    return CheckReport(
        (CheckResult(name=name, verdict=verdict, summary=f"{len(listed)} errors", findings=listed),)
    )


def began_with(report: CheckReport) -> Baseline:
    baseline = Baseline(ORIGIN)
    baseline.start_from(report)
    return baseline


def due(report: CheckReport) -> list[str]:
    return [finding.where for result in report.results for finding in result.findings]


BEFORE = {"test_a.py::test_x": "failed", "test_a.py::test_y": "passed"}


def test_a_test_that_failed_before_and_still_does_is_excused_and_named() -> None:
    judged = began_with(suite(BEFORE)).judge(suite(BEFORE), ORIGIN)
    assert judged.accepts_completion
    assert judged.summary == "tests: 1 passed, 1 failed (1 test fails as it did before)"
    assert [one.where for one in judged.results[0].excused] == ["test_a.py::test_x"]


def test_failing_test_stays_excused_when_others_join_its_file() -> None:
    after = {**BEFORE, "test_a.py::test_new": "passed"}
    assert began_with(suite(BEFORE)).judge(suite(after), EDITED).accepts_completion


@pytest.mark.parametrize(
    "test", ["test_a.py::test_new", "test_b.py::test_x", "test_a.py::TestX::test_x"]
)
def test_a_failing_test_of_another_name_or_place_is_due(test: str) -> None:
    judged = began_with(suite(BEFORE)).judge(suite({**BEFORE, test: "failed"}), EDITED)
    assert (judged.verdict, due(judged)) == (Verdict.FAILED, [test])
    assert "1 test fails as it did before" in judged.summary


def test_a_test_that_passed_before_and_fails_now_is_due() -> None:
    after = {"test_a.py::test_x": "failed", "test_a.py::test_y": "failed"}
    assert due(began_with(suite(BEFORE)).judge(suite(after), ORIGIN)) == ["test_a.py::test_y"]


def test_other_parameter_of_an_excused_test_is_due() -> None:
    before = {"test_a.py::test_x[1]": "failed", "test_a.py::test_x[2]": "passed"}
    after = dict.fromkeys(before, "failed")
    assert due(began_with(suite(before)).judge(suite(after), ORIGIN)) == ["test_a.py::test_x[2]"]


@pytest.mark.parametrize("now", ["q", ""])
def test_a_new_test_under_the_name_of_one_that_failed_is_due(now: str) -> None:
    rewritten = suite(BEFORE, fingerprints={"test_a.py::test_x": now, "test_a.py::test_y": "p"})
    assert due(began_with(suite(BEFORE)).judge(rewritten, EDITED)) == ["test_a.py::test_x"]


def test_changed_inherited_tests_are_counted_in_the_summary() -> None:
    weaker = suite(
        BEFORE,
        fingerprints={
            "test_a.py::test_x": "p",
            "test_a.py::test_y": "q",
            "test_a.py::test_new": "q",
        },
    )
    judged = began_with(suite(BEFORE)).judge(weaker, EDITED)
    assert judged.accepts_completion
    assert "1 test of before says something else now" in judged.summary


def test_tests_without_fingerprint_are_excused_only_in_unchanged_files() -> None:
    inherited = suite(BEFORE, fingerprints={})
    baseline = began_with(inherited)
    assert baseline.judge(inherited, ORIGIN).accepts_completion
    assert due(baseline.judge(inherited, EDITED)) == ["test_a.py::test_x"]
    assert due(baseline.judge(inherited, {})) == ["test_a.py::test_x"]


def test_a_file_that_could_not_be_imported_is_excused_only_unchanged() -> None:
    before = suite({"test_b.py::test_y": "passed"}, unread=("test_a.py",))
    baseline = began_with(before)
    assert baseline.judge(before, ORIGIN).accepts_completion
    assert due(baseline.judge(before, EDITED)) == ["test_a.py"]


def test_a_test_that_is_fixed_and_broken_again_is_due() -> None:
    baseline = began_with(suite(BEFORE))
    mended = suite(dict.fromkeys(BEFORE, "passed"))
    baseline.observe(baseline.judge(mended, EDITED), EDITED, whole=True)
    assert due(baseline.judge(suite(BEFORE), ORIGIN)) == ["test_a.py::test_x"]


def test_a_file_that_was_made_importable_and_broken_again_is_due() -> None:
    before = suite({"test_b.py::test_y": "passed"}, unread=("test_a.py",))
    baseline = began_with(before)
    baseline.observe(
        suite({"test_a.py::test_x": "failed", "test_b.py::test_y": "passed"}), EDITED, whole=True
    )
    assert due(baseline.judge(before, ORIGIN)) == ["test_a.py"]


def test_failing_test_stays_excused_until_it_is_fixed() -> None:
    baseline = began_with(suite(BEFORE))
    judged = CheckReport()
    for _ in range(3):
        judged = baseline.judge(suite(BEFORE), EDITED)
        baseline.observe(judged, EDITED, whole=True)
    assert judged.results
    assert judged.accepts_completion


def test_failing_tests_alone_are_no_reason_to_call_work_done() -> None:
    before = {"test_a.py::test_x": "failed"}
    assert began_with(suite(before)).judge(suite(before), ORIGIN).verdict is Verdict.NOTHING


def test_a_finding_that_belongs_to_no_test_is_never_excused() -> None:
    findings, counts = (Finding("", "x"),), TestCounts()
    odd = CheckResult(
        name="tests", verdict=Verdict.FAILED, summary="", findings=findings, counts=counts
    )
    report = CheckReport((odd,))
    assert not began_with(report).judge(report, ORIGIN).accepts_completion


def test_broken_checks_are_never_excused() -> None:
    broken = CheckReport(
        (CheckResult(name="tests", verdict=Verdict.BROKEN, summary="", counts=TestCounts()),)
    )
    assert began_with(suite(BEFORE)).judge(broken, ORIGIN).verdict is Verdict.BROKEN


UNDEFINED = "E0602 undefined-variable: Undefined variable 'x'"


def test_lint_finding_is_excused_at_any_line_of_its_file() -> None:
    judged = began_with(lint(("a.py:3", UNDEFINED))).judge(lint(("a.py:90", UNDEFINED)), EDITED)
    assert judged.accepts_completion
    assert judged.summary == "lint: 1 errors (as before the run)"


@pytest.mark.parametrize(
    "more", [("a.py:9", UNDEFINED), ("b.py:3", UNDEFINED), ("a.py:3", "E1101 no-member: y")]
)
def test_one_finding_more_of_a_kind_or_of_another_is_due(more: tuple[str, str]) -> None:
    judged = began_with(lint(("a.py:3", UNDEFINED))).judge(
        lint(("a.py:3", UNDEFINED), more), EDITED
    )
    assert (judged.verdict, due(judged)) == (Verdict.FAILED, [more[0]])


def test_two_findings_that_are_alike_in_every_word_are_two() -> None:
    judged = began_with(lint(("a.py:3", UNDEFINED))).judge(
        lint(*[("a.py:3", UNDEFINED)] * 2), EDITED
    )
    assert due(judged) == ["a.py:3"]


def test_a_line_that_a_finding_speaks_of_may_move() -> None:
    before, after = "E0102: method already defined line 4", "E0102: method already defined line 11"
    assert (
        began_with(lint(("a.py:9", before)))
        .judge(lint(("a.py:16", after)), EDITED)
        .accepts_completion
    )


def test_a_finding_that_was_fixed_in_a_file_is_due_when_it_returns() -> None:
    baseline = began_with(lint(("a.py:3", UNDEFINED)))
    baseline.observe(baseline.judge(lint(), EDITED), EDITED, whole=True)
    assert due(baseline.judge(lint(("a.py:3", UNDEFINED)), EDITED)) == ["a.py:3"]
    assert baseline.judge(
        lint(("a.py:3", UNDEFINED)), ORIGIN
    ).accepts_completion  # the file is as it came


def test_unchecked_unchanged_files_keep_their_baseline_findings() -> None:
    baseline = began_with(lint(("b.py:3", UNDEFINED)))
    baseline.observe(baseline.judge(lint(), EDITED), EDITED, whole=True)
    assert baseline.judge(lint(("b.py:3", UNDEFINED)), {**EDITED, "b.py": "2"}).accepts_completion


def test_a_command_that_failed_is_excused_as_long_as_it_says_the_same() -> None:
    baseline = began_with(lint(("", "make: exit code 2"), name="make"))
    assert baseline.judge(lint(("", "make: exit code 2"), name="make"), EDITED).accepts_completion
    assert not baseline.judge(
        lint(("", "make: exit code 2\nmore"), name="make"), EDITED
    ).accepts_completion
    baseline.observe(lint(name="make"), EDITED, whole=True)
    assert not baseline.judge(
        lint(("", "make: exit code 2"), name="make"), ORIGIN
    ).accepts_completion


def test_partial_checks_keep_the_baseline_findings() -> None:
    baseline = began_with(lint(("a.py:3", UNDEFINED)))
    baseline.observe(baseline.judge(lint(), EDITED), EDITED, whole=False)
    assert baseline.judge(lint(("a.py:3", UNDEFINED)), EDITED).accepts_completion


def test_old_invalid_files_do_not_close_the_gate_and_a_new_one_does() -> None:
    def syntax(*paths: str) -> CheckReport:
        one = lint(*((f"{path}:1", "bad") for path in paths), name="syntax").results[0]
        gate = CheckResult(
            name="syntax", verdict=one.verdict, summary="", findings=one.findings, gates=("tests",)
        )
        return CheckReport((gate, *suite({"test_a.py::test_y": "passed"}).results))

    baseline = began_with(syntax("b.py"))
    assert baseline.judge(syntax("b.py"), EDITED).accepts_completion
    judged = baseline.judge(syntax("b.py", "a.py"), EDITED)
    assert judged.results[1].summary == "not judged before the syntax is right"


def test_run_without_input_excuses_no_failure() -> None:
    baseline = Baseline({})
    assert due(baseline.judge(suite(BEFORE), {})) == ["test_a.py::test_x"]


def after_input(before: dict[str, str], *later: dict[str, str]) -> CheckReport:
    """Return the report of ledger and baseline on the last of these states of the tests."""
    baseline, ledger = began_with(suite(before)), TestLedger.of_input(suite(before))
    report = CheckReport()
    for outcomes in later:
        judged = baseline.judge(suite(outcomes), EDITED)
        baseline.observe(judged, EDITED, whole=True)
        ledger = ledger.after(judged)
        report = ledger.judge(judged)
    return report


@pytest.mark.parametrize(
    "now", [{}, {"test_a.py::test_y": "skipped"}, {"test_a.py::test_y": "xfailed"}]
)
def test_a_test_that_passed_before_may_not_go_out_of_sight(now: dict[str, str]) -> None:
    report = after_input(
        BEFORE, {"test_a.py::test_x": "failed", "test_a.py::test_new": "passed", **now}
    )
    assert not report.accepts_completion
    assert due(report) == ["test_a.py::test_y"]


@pytest.mark.parametrize(
    "now", [{}, {"test_a.py::test_x": "skipped"}, {"test_a.py::test_x": "xfailed"}]
)
def test_a_test_that_failed_before_may_not_go_out_of_sight_either(now: dict[str, str]) -> None:
    report = after_input(BEFORE, {"test_a.py::test_y": "passed", **now})
    assert due(report) == ["test_a.py::test_x"]


def test_a_failing_test_that_is_renamed_is_missed_and_its_new_name_is_due() -> None:
    renamed = {"test_a.py::test_z": "failed", "test_a.py::test_y": "passed"}
    assert due(after_input(BEFORE, renamed)) == ["test_a.py::test_z"]
    assert due(after_input(BEFORE, renamed, {**renamed, "test_a.py::test_z": "passed"})) == [
        "test_a.py::test_x"
    ]


def test_a_test_may_move_to_another_file() -> None:
    report = after_input(BEFORE, {"test_a.py::test_x": "failed", "test_b.py::test_y": "passed"})
    assert report.accepts_completion


def test_inherited_skipped_tests_do_not_block_completion() -> None:
    before = {"test_a.py::test_s": "skipped", "test_a.py::test_y": "passed"}
    assert after_input(before, before).accepts_completion
    assert after_input(before, {"test_a.py::test_y": "passed"}).accepts_completion


def test_baseline_findings_learned_later_are_excused_once() -> None:
    baseline = began_with(lint(("a.py:1", "stub")))
    baseline.learn(lint(("a.py:1", "stub"), ("a.py:3", UNDEFINED)))
    judged = baseline.judge(
        lint(("a.py:1", "stub"), ("a.py:2", "stub"), ("a.py:3", UNDEFINED)), EDITED
    )
    assert due(judged) == ["a.py:2"]


def test_from_a_look_that_came_to_no_end_nothing_is_learned() -> None:
    baseline = began_with(lint())
    broken = CheckResult(
        name="lint", verdict=Verdict.BROKEN, summary="", findings=(Finding("a.py:3", UNDEFINED),)
    )
    baseline.learn(CheckReport((broken,)))
    assert due(baseline.judge(lint(("a.py:3", UNDEFINED)), EDITED)) == ["a.py:3"]


def test_baseline_failures_are_summarized_in_few_words() -> None:
    report = CheckReport(
        (
            *lint(*((f"a.py:{line}", "x\nlong") for line in range(20))).results,
            *suite(BEFORE).results,
        )
    )
    text = named(report)
    assert "a.py:0 x, a.py:1 x" in text
    assert "and 12 more" in text
    assert "tests: 1 passed, 1 failed: test_a.py::test_x" in text
