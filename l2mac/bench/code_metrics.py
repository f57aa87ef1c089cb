"""What is measured of the code itself: lint, lines, its own tests, coverage, the task's hand-written tests."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from l2mac.bench.readings import NoReading, SourceFile, read_count, read_coverage, read_lint
from l2mac.bench.recorded_store import RecordedStore
from l2mac.bench.task import HAND_WRITTEN_FILE, HandWritten
from l2mac.errors import SettingsError
from l2mac.evaluator.pytest_report import base_id, judge_tests
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from sandbox import Job, Sandbox

_MOST_LISTED = 100
_CONFTEST = "conftest.py"
_TESTS = ("tests_passed", "tests_failed", "tests_errors", "tests_skipped", "tests_total")


@dataclass(slots=True)
class CodeMetrics:
    """What has been measured so far: numbers, why one is none, and the evidence."""

    metrics: dict[str, float | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def fail(self, keys: Iterable[str], problem: object) -> None:
        """Note that something could not be measured: it is no number, and the reason stands beside it."""
        for key in keys:
            self.metrics[key] = None
            self.problems[key] = str(problem)


def measure_code(
    store: RecordedStore, numbers: CodeMetrics
) -> tuple[dict[str, SourceFile], frozenset[str]]:
    """Count, lint and test in one sandbox; gives the files as counted, and the tests that passed.

    Whatever runs nothing of the store comes first. Without Python there is nothing to run: no line, no error, no test.
    """
    sources = tuple(entry.path for entry in store.files if entry.path.endswith(".py"))
    numbers.metrics |= {"lint_errors": 0, "lines_of_code": 0, **dict.fromkeys(_TESTS, 0)}
    if not sources:
        return {}, frozenset()

    def use(sandbox: Sandbox) -> tuple[dict[str, SourceFile], CheckResult]:
        files = _count(sandbox, sources, numbers)
        _lint(sandbox, sources, numbers)
        return files, judge_tests(sandbox.run([Job("tests", checker="pytest")]).job("tests"))

    try:
        files, tests = store.in_fresh_sandbox("tests", use)
    except NoReading as problem:
        numbers.fail(("lint_errors", "lines_of_code", *_TESTS), problem)
        return {}, frozenset()
    _note_tests(tests, numbers)
    passed = frozenset() if tests.verdict is Verdict.BROKEN else passed_tests(CheckReport((tests,)))
    return files, passed


def measure_coverage(
    store: RecordedStore, files: Mapping[str, SourceFile], numbers: CodeMetrics
) -> None:
    """Run the store's own tests once more, and see which statements of the other code they run."""
    numbers.metrics["coverage_percent"] = 0.0
    if not any(entry.path.endswith(".py") for entry in store.files):
        return
    if not files:
        numbers.fail(("coverage_percent",), "the statements could not be counted")
        return
    try:
        job = store.in_fresh_sandbox(
            "coverage",
            lambda sandbox: sandbox.run([Job("coverage", checker="coverage")]).job("coverage"),
        )
        coverage = read_coverage(job, files)
    except NoReading as problem:
        numbers.fail(("coverage_percent",), problem)
        return
    numbers.metrics["coverage_percent"] = round(coverage.percent, 4)
    numbers.details["coverage"] = {
        path: list(counts) for path, counts in sorted(coverage.files.items())
    }


def measure_by_hand(store: RecordedStore, by_hand: HandWritten, numbers: CodeMetrics) -> None:
    """Run the task's hand-written tests on the files; the store's conftest.py has no say about them.

    A test that cannot import what it needs has failed. When the tests do not come to their end, none has passed.

    Raises:
        SettingsError: The tests are not as many as the task says.
    """
    extra = {HAND_WRITTEN_FILE: by_hand.text.encode()}
    job = Job("by hand", checker="pytest", paths=(HAND_WRITTEN_FILE,))
    try:
        result = store.in_fresh_sandbox(
            "hand-written tests",
            lambda sandbox: judge_tests(sandbox.run([job]).job("by hand")),
            without=lambda path: path.rpartition("/")[2] == _CONFTEST,
            extra=extra,
        )
    except NoReading as problem:
        numbers.metrics["handwritten_percent"] = 0.0
        numbers.problems["handwritten_percent"] = str(problem)
        return
    declared = {test for test in result.declared if test.startswith(f"{HAND_WRITTEN_FILE}::")}
    if declared and len(declared) != by_hand.tests:
        unfit = f"the file has {len(declared)} tests, not {by_hand.tests}; correct the task"
        raise SettingsError("handwritten.tests", unfit)
    whole = result.verdict is not Verdict.BROKEN
    passed = passed_tests(CheckReport((result,))) & declared if whole else frozenset()
    if not whole:
        numbers.problems["handwritten_percent"] = result.summary
    numbers.metrics["handwritten_percent"] = round(100 * len(passed) / by_hand.tests, 4)
    states = {base_id(test): state for test, state in result.outcomes if base_id(test) in declared}
    numbers.details["handwritten"] = {
        test: "passed" if test in passed else states.get(test, "not run")
        for test in sorted(declared)
    }


def _count(
    sandbox: Sandbox, sources: tuple[str, ...], numbers: CodeMetrics
) -> dict[str, SourceFile]:
    try:
        files = read_count(sandbox.run([Job("count", checker="count", paths=sources)]).job("count"))
        if files.keys() != set(sources):
            raise NoReading("not every file was counted")
    except NoReading as problem:
        numbers.fail(("lines_of_code",), problem)
        return {}
    numbers.metrics["lines_of_code"] = sum(file.code for file in files.values())
    numbers.details["test_lines_of_code"] = sum(file.code for file in files.values() if file.test)
    return files


def _lint(sandbox: Sandbox, sources: tuple[str, ...], numbers: CodeMetrics) -> None:
    """Count pylint's errors; a file that is no valid Python is an error, and does not hide those of the others."""
    try:
        errors, invalid = read_lint(
            sandbox.run([Job("lint", checker="pylint", paths=sources)]).job("lint")
        )
        rest = tuple(path for path in sources if path not in invalid)
        if invalid and rest:
            further, _ = read_lint(
                sandbox.run([Job("lint", checker="pylint", paths=rest)]).job("lint")
            )
            errors = tuple(dict.fromkeys((*errors, *further)))
    except NoReading as problem:
        numbers.fail(("lint_errors",), problem)
        return
    numbers.metrics["lint_errors"] = len(errors)
    numbers.details["lint"] = list(errors[:_MOST_LISTED])


def _note_tests(result: CheckResult, numbers: CodeMetrics) -> None:
    """Note how the tests ended; those of a suite that did not come to its end have all broken."""
    seen = {base_id(test) for test, _ in result.outcomes}
    not_run = sum(test not in seen for test in result.declared)
    counts = asdict(result.counts) if result.counts is not None else {}
    known = sum(
        counts.get(name, 0) for name in ("passed", "failed", "errors", "skipped", "xfailed")
    )
    details: dict[str, Any] = {
        "summary": result.summary,
        "not_run": not_run,
        "xfailed": counts.get("xfailed", 0),
    }
    if result.verdict is Verdict.BROKEN:
        total = max(known + not_run, 1)
        numbers.metrics |= {
            "tests_passed": 0,
            "tests_failed": 0,
            "tests_errors": total,
            "tests_skipped": 0,
        }
        numbers.problems["tests_passed"] = result.summary
    else:
        numbers.metrics |= {
            f"tests_{name}": counts.get(name, 0)
            for name in ("passed", "failed", "errors", "skipped")
        }
        total = known + not_run
    numbers.metrics["tests_total"] = total
    numbers.details["tests"] = {**details, "outcomes": dict(result.outcomes[:1000])}
