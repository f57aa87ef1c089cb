"""Measure the code: lint, lines, tests, coverage, hand-written tests."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from l2mac.bench.readings import NoReading, SourceFile, read_count, read_coverage, read_lint
from l2mac.bench.recorded_store import RecordedStore
from l2mac.bench.task import HAND_WRITTEN_FILE, HandWritten
from l2mac.errors import SettingsError
from l2mac.evaluator.pytest_report import base_id, judge_tests
from l2mac.evaluator.test_ledger import passed_tests
from l2mac.evaluator.verdict import CheckReport, CheckResult, Verdict
from sandbox import Job, JobResult, Sandbox

_MOST_LISTED = 100
_CONFTEST = "conftest.py"
_TESTS = ("tests_passed", "tests_failed", "tests_errors", "tests_skipped", "tests_total")
_COUNTED = ("passed", "failed", "errors", "skipped")


@dataclass(slots=True)
class CodeMetrics:
    """The measurements so far: numbers, reasons for gaps, and evidence."""

    metrics: dict[str, float | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)

    def fail(self, keys: Iterable[str], problem: object) -> None:
        """Record that metrics could not be measured, with the reason."""
        for key in keys:
            self.metrics[key] = None
            self.problems[key] = str(problem)


def measure_code(
    store: RecordedStore, numbers: CodeMetrics
) -> tuple[dict[str, SourceFile], frozenset[str]]:
    """Count, lint and test in one sandbox.

    Jobs that run no code of the store come first. Without Python files there is nothing to run: no
    lines, no errors, no tests.

    Returns:
        The counted files, and the tests that passed.
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
    """Run the store's tests again and record which statements of other code they run."""
    numbers.metrics["coverage_percent"] = 0.0
    if not any(entry.path.endswith(".py") for entry in store.files):
        return
    if not files:
        numbers.fail(("coverage_percent",), "the statements could not be counted")
        return
    try:
        job = store.in_fresh_sandbox("coverage", _run_coverage)
        coverage = read_coverage(job, files)
    except NoReading as problem:
        numbers.fail(("coverage_percent",), problem)
        return
    numbers.metrics["coverage_percent"] = round(coverage.percent, 4)
    counts = sorted(coverage.files.items())
    numbers.details["coverage"] = {path: list(pair) for path, pair in counts}


def measure_by_hand(store: RecordedStore, by_hand: HandWritten, numbers: CodeMetrics) -> None:
    """Run the task's hand-written tests, without the store's conftest.py.

    A test that cannot import what it needs has failed. If the tests are aborted, none has passed.

    Raises:
        SettingsError: The number of tests is not the one that the task states.
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
        unfit = (
            f"The file has {len(declared)} tests, not {by_hand.tests}. Correct handwritten.tests."
        )
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


def _run_coverage(sandbox: Sandbox) -> JobResult:
    return sandbox.run([Job("coverage", checker="coverage")]).job("coverage")


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
    """Count pylint's errors.

    A file that is not valid Python is an error itself and does not hide the errors of other files.
    """
    try:
        errors, invalid = read_lint(_run_lint(sandbox, sources))
        rest = tuple(path for path in sources if path not in invalid)
        if invalid and rest:
            further, _ = read_lint(_run_lint(sandbox, rest))
            errors = tuple(dict.fromkeys((*errors, *further)))
    except NoReading as problem:
        numbers.fail(("lint_errors",), problem)
        return
    numbers.metrics["lint_errors"] = len(errors)
    numbers.details["lint"] = list(errors[:_MOST_LISTED])


def _run_lint(sandbox: Sandbox, sources: tuple[str, ...]) -> JobResult:
    return sandbox.run([Job("lint", checker="pylint", paths=sources)]).job("lint")


def _note_tests(result: CheckResult, numbers: CodeMetrics) -> None:
    """Record the tests' outcomes; in an aborted suite every test counts as an error."""
    seen = {base_id(test) for test, _ in result.outcomes}
    not_run = sum(test not in seen for test in result.declared)
    counts = asdict(result.counts) if result.counts is not None else {}
    known = sum(counts.get(name, 0) for name in (*_COUNTED, "xfailed"))
    total, xfailed = known + not_run, counts.get("xfailed", 0)
    if result.verdict is Verdict.BROKEN:
        total = max(total, 1)
        counts = {"errors": total}
        numbers.problems["tests_passed"] = result.summary
    numbers.metrics |= {f"tests_{name}": counts.get(name, 0) for name in _COUNTED}
    numbers.metrics["tests_total"] = total
    numbers.details["tests"] = {
        "summary": result.summary,
        "not_run": not_run,
        "xfailed": xfailed,
        "outcomes": dict(result.outcomes[:1000]),
    }
