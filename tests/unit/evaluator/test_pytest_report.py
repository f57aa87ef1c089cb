import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.evaluator.pytest_report import judge_tests
from l2mac.evaluator.verdict import CheckResult, Verdict
from sandbox import Cause, JobResult, OutputStream
from sandbox.testing import job_result

GUEST = """
import json, os, sys
import pytest
from sandbox.checkers import jobs
environment = {"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
started = {}
for folder, paths in json.loads(sys.argv[1]).items():
    pid = os.fork()
    if pid == 0:
        os.chdir(folder + "/work")
        os.dup2(os.open(folder + "/output", os.O_WRONLY | os.O_CREAT), 1)
        work = folder + "/work"
        request = {"kind": "pytest", "paths": paths, "cwd": work, "environment": environment}
        with open(folder + "/report", "w", encoding="utf-8") as report:
            code = jobs.perform(request, report)
        os._exit(code)
    started[folder] = pid
codes = {folder: os.waitpid(pid, 0)[1] for folder, pid in started.items()}
print(json.dumps({folder: os.waitstatus_to_exitcode(code) for folder, code in codes.items()}))
"""


Line = dict[str, object]


def phases(test: str, **outcomes: str | Line | None) -> list[Line]:
    """Return the lines of one test's phases, passed by default; None leaves one out."""
    lines: list[Line] = [{"e": "start", "id": test}]
    for when in ("setup", "call", "teardown"):
        outcome = outcomes.get(when, "passed")
        if isinstance(outcome, str):
            outcome = {"outcome": outcome}
        if outcome is not None:
            lines.append({"e": "phase", "id": test, "when": when, **outcome})
    return lines


def skipped(test: str) -> list[Line]:
    return phases(test, setup={"outcome": "skipped", "text": "not here"}, call=None)


def report(*tests: list[Line], code: int = 0, collected: list[str] | None = None) -> list[Line]:
    ids = [str(lines[0]["id"]) for lines in tests] if collected is None else collected
    lines = [line for lines in tests for line in lines]
    return [
        {"e": "declared", "ids": []},
        {"e": "collected", "ids": ids},
        *lines,
        {"e": "end", "code": code},
    ]


def encoded(lines: Sequence[object]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def judged(
    lines: Sequence[object],
    *,
    cause: Cause = Cause.EXITED,
    code: int = 0,
    output: bytes = b"",
) -> CheckResult:
    content = lines if isinstance(lines, bytes) else encoded(lines)
    return judge_tests(job_result("tests", report=content, cause=cause, code=code, output=output))


GOOD = report(phases("a"), phases("b"), skipped("c"))


def test_passed_tests_pass() -> None:
    result = judged(report(phases("a"), phases("b")))
    assert (result.verdict, result.summary) == (Verdict.PASSED, "2 passed")
    assert result.outcomes == (("a", "passed"), ("b", "passed"))
    assert result.findings == ()


def test_skipped_and_expected_failures_are_counted_beside_passes() -> None:
    xfailed = phases("x", call={"outcome": "skipped", "xfail": True, "text": "known"})
    result = judged(report(phases("a"), skipped("s"), xfailed))
    assert (result.verdict, result.summary) == (Verdict.PASSED, "1 passed, 1 skipped, 1 xfailed")
    assert result.counts is not None
    assert result.counts.collected == 3


@pytest.mark.parametrize(
    ("lines", "summary"),
    [
        (phases("a", call={"outcome": "failed", "text": "assert 1 == 2"}), "0 passed, 1 failed"),
        (
            phases("a", setup={"outcome": "failed", "text": "assert 1 == 2"}, call=None),
            "0 passed, 1 errors",
        ),
        (
            phases("a", teardown={"outcome": "failed", "text": "assert 1 == 2"}),
            "0 passed, 1 errors",
        ),
        (
            phases("a", call={"outcome": "failed", "text": "assert 1 == 2", "xfail": True}),
            "0 passed, 1 failed",
        ),
        (
            phases(
                "a",
                call={"outcome": "failed", "text": "assert 1 == 2"},
                teardown={"outcome": "skipped"},
            ),
            "0 passed, 1 failed",
        ),
    ],
)
def test_a_test_that_fails_in_any_phase_fails_all(lines: list[Line], summary: str) -> None:
    result = judged(report(lines, code=1), code=1)
    assert (result.verdict, result.summary) == (Verdict.FAILED, summary)
    assert [(finding.where, finding.text) for finding in result.findings] == [
        ("a", "assert 1 == 2")
    ]


def test_a_failure_counts_even_if_the_exit_code_says_otherwise() -> None:
    assert judged(report(phases("a", call="failed"))).verdict is Verdict.FAILED


def test_an_exit_code_counts_even_if_every_test_passed() -> None:
    result = judged(report(phases("a"), code=1), code=1, output=b"what pytest said")
    assert result.verdict is Verdict.FAILED
    assert "what pytest said" in result.findings[0].text


def test_outcome_hooks_of_the_store_fail_passing_tests() -> None:
    hook = {"e": "hook", "name": "pytest_runtest_makereport", "plugin": "conftest.py"}
    result = judged([*GOOD[:-1], hook, GOOD[-1]])
    assert result.verdict is Verdict.FAILED
    assert (
        result.summary
        == "2 passed, 1 skipped; how they are reported was decided by 1 hook of the store"
    )
    assert [(one.where, one.text.split()[0]) for one in result.findings] == [
        ("conftest.py", "pytest_runtest_makereport")
    ]


def test_suite_of_skipped_tests_has_not_passed() -> None:
    result = judged(report(skipped("a"), skipped("b")))
    assert (result.verdict, result.summary) == (
        Verdict.NOTHING,
        "no test has passed (0 passed, 2 skipped)",
    )


def test_suite_of_expected_failures_has_not_passed() -> None:
    assert (
        judged(report(phases("x", call={"outcome": "skipped", "xfail": True}))).verdict
        is Verdict.NOTHING
    )


def test_no_tests_are_nothing_to_check() -> None:
    assert judged(report(code=5), code=5).verdict is Verdict.NOTHING


@pytest.mark.parametrize("code", range(1, 7))
def test_no_exit_code_but_zero_is_a_pass(code: int) -> None:
    assert judged(report(phases("a"), code=code), code=code).verdict is Verdict.FAILED
    assert judged(report(code=code), code=code).verdict is not Verdict.PASSED
    assert judged([{"e": "end", "code": code}], code=code).verdict is not Verdict.PASSED


def test_deselected_tests_are_no_pass() -> None:
    lines = [{"e": "deselected", "ids": ["b"]}, *report(phases("a"))]
    result = judged(lines)
    assert (result.verdict, result.summary) == (
        Verdict.FAILED,
        "1 passed, 1 deselected; every test has to run, or has to go",
    )


def test_deselecting_all_tests_is_not_the_same_as_having_none() -> None:
    lines = [{"e": "deselected", "ids": ["a", "b"]}, *report(code=5)]
    assert judged(lines, code=5).verdict is Verdict.FAILED


UNREAD = {"e": "collect", "id": "test_b.py", "outcome": "failed", "text": "ImportError: x"}


def test_beside_a_file_that_cannot_be_imported_the_others_run() -> None:
    result = judged([UNREAD, *report(phases("a"), code=1)], code=1)
    assert (result.verdict, result.summary) == (Verdict.FAILED, "1 passed, 1 errors")
    assert [finding.where for finding in result.findings] == ["test_b.py"]


def test_unimportable_file_does_not_excuse_other_missing_tests() -> None:
    assert (
        judged([UNREAD, *report(collected=["test_a.py::test_a"], code=1)], code=1).verdict
        is Verdict.BROKEN
    )


def test_beside_a_failing_test_those_that_are_hidden_are_found_too() -> None:
    _, *lines = report(phases("a", call="failed"), code=1)
    result = judged([{"e": "declared", "ids": ["a", "b"]}, *lines], code=1)
    assert (result.verdict, result.summary) == (
        Verdict.FAILED,
        "0 passed, 1 failed, 1 test not collected",
    )
    assert [finding.where for finding in result.findings] == ["a", "b"]


@pytest.mark.parametrize("code", [2, 3])
def test_an_unusual_exit_code_is_a_finding_that_belongs_to_no_test(code: int) -> None:
    assert "" in {
        one.where
        for one in judged(report(phases("a", call="failed"), code=code), code=code).findings
    }


def test_a_collected_test_that_did_not_run_breaks_the_report() -> None:
    result = judged(report(phases("a"), collected=["a", "b", "c"]))
    assert (result.verdict, result.summary) == (
        Verdict.BROKEN,
        "2 of 3 collected tests have no result",
    )


@pytest.mark.parametrize("left_out", ["call", "teardown"])
def test_a_test_that_did_not_come_to_its_end_breaks_the_report(left_out: str) -> None:
    assert judged(report(phases("a"), phases("b", **{left_out: None}))).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    "lines",
    [
        [],
        GOOD[:-1],
        GOOD[1:],
        [*GOOD, GOOD[-1]],
        [*GOOD, {"e": "start", "id": "a"}],
        [GOOD[0], *GOOD],
        [*GOOD[:2], *GOOD[1:]],
        [GOOD[0], *GOOD[2:]],
        [GOOD[0], {"e": "collected", "ids": []}, *GOOD[2:]],
        [GOOD[0], {"e": "collected", "ids": "abc"}, *GOOD[2:]],
        [GOOD[0], {"e": "collected", "ids": {"a": 1}}, *GOOD[2:]],
        [*GOOD[:-1], {"e": "end", "code": 1}],
        [*GOOD[:-1], {"e": "end", "code": False}],
        [*GOOD[:-1], {"e": "end", "code": 0.5}],
        [*GOOD[:-1], {"e": "end", "code": "0"}],
        [*GOOD[:-1], {"e": "end", "code": float("inf")}],
        [*GOOD[:-1], {"e": "end", "code": 10**4000}],
        [*GOOD[:-1], {"e": "end"}],
        [*GOOD[:-1], {"e": "end", "code": 0, "more": 1}],
        [*GOOD[:-1], {"e": "phase", "id": "a", "when": "call", "outcome": "splendid"}, GOOD[-1]],
        [*GOOD[:-1], {"e": "phase", "id": "a", "when": "later", "outcome": "passed"}, GOOD[-1]],
        [
            *GOOD[:-1],
            {"e": "phase", "id": "never collected", "when": "call", "outcome": "passed"},
            GOOD[-1],
        ],
        [*GOOD[:-1], {"e": "surprise"}, GOOD[-1]],
        [*GOOD[:-1], {"e": "read"}, GOOD[-1]],
        [*GOOD[:-1], {}, GOOD[-1]],
        [*GOOD[:-1], [], GOOD[-1]],
        [*GOOD[:-1], None, GOOD[-1]],
        [*GOOD[:-1], "end", GOOD[-1]],
    ],
)
def test_a_report_that_is_incomplete_or_no_report_is_broken(lines: list[object]) -> None:
    assert judged(lines).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\n", b"[" * 100_000, b"9" * 100_000, b"NaN\n", b"\n"]
)
def test_report_with_invalid_json_is_broken(content: bytes) -> None:
    assert judged(content + encoded(GOOD)).verdict is Verdict.BROKEN
    assert judged(encoded(GOOD) + content).verdict is Verdict.BROKEN


def test_a_report_that_did_not_fit_is_broken() -> None:
    head = encoded(GOOD)
    job = JobResult(
        "tests",
        Cause.EXITED,
        0,
        1,
        OutputStream(b"", b"", 0),
        OutputStream(b"", b"", 0),
        OutputStream(head, b"", len(head) + 1),
    )
    assert judge_tests(job).verdict is Verdict.BROKEN


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.EXITED])
def test_a_process_that_did_not_end_by_itself_has_no_result(cause: Cause) -> None:
    result = judged(GOOD, cause=cause, code=0)
    assert result.verdict is Verdict.BROKEN
    assert result.summary.startswith("the tests have no result: it ")


def test_the_test_that_was_running_is_named() -> None:
    result = judged(
        [*GOOD[:2], *phases("a"), {"e": "start", "id": "b"}],
        cause=Cause.TIMEOUT,
        output=b"last words",
    )
    assert "while running b" in result.summary
    assert result.findings[0].where == "b"
    assert "last words" in result.findings[0].text


def test_an_exit_in_the_middle_of_a_test_is_named() -> None:
    result = judged([GOOD[0], {"e": "start", "id": "a"}], code=0)
    assert (result.verdict, result.summary) == (
        Verdict.BROKEN,
        "the tests ended before their report was complete in a (exit code 0)",
    )


def test_long_texts_are_cut_with_a_mark() -> None:
    result = judged(
        report(phases("a", call={"outcome": "failed", "text": "x" * 100_000}), code=1), code=1
    )
    assert len(result.findings[0].text) < 3000
    assert result.findings[0].text.endswith("[... cut ...]")


def test_text_that_is_no_valid_unicode_is_made_so() -> None:
    result = judged(
        report(phases("a", call={"outcome": "failed", "text": "\ud800"}), code=1), code=1
    )
    assert result.findings[0].text == "\\ud800"


@given(cut=st.integers(0, len(encoded(GOOD)) - 2))
def test_a_report_cut_anywhere_is_no_pass(cut: int) -> None:
    assert judged(encoded(GOOD)[:cut]).verdict is not Verdict.PASSED


@given(dropped=st.sets(st.integers(0, len(GOOD) - 1), min_size=1))
def test_a_report_that_lacks_lines_is_no_pass_unless_they_say_nothing(dropped: set[int]) -> None:
    lines = [line for number, line in enumerate(GOOD) if number not in dropped]
    telling = [
        GOOD[number]
        for number in dropped
        if GOOD[number]["e"] != "start" and GOOD[number].get("when") != "setup"
    ]
    skipping = [GOOD[number] for number in dropped if GOOD[number].get("outcome") == "skipped"]
    assert judged(lines).verdict is (Verdict.BROKEN if telling or skipping else Verdict.PASSED)


@given(order=st.permutations(range(len(GOOD))))
def test_reordered_report_without_its_end_is_broken(order: list[int]) -> None:
    result = judged([GOOD[number] for number in order])
    if order[-1] != len(GOOD) - 1:
        assert result.verdict is Verdict.BROKEN


ANY_LINE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["e", "ids", "id", "code", "text"]), inner)
    ),
    max_leaves=6,
)
FAILING = report(phases("a"), phases("b", call={"outcome": "failed", "text": "x"}), code=1)


@given(position=st.integers(0, len(FAILING)), line=ANY_LINE, replaced=st.booleans())
def test_no_line_turns_failing_tests_into_a_pass(
    position: int, line: object, replaced: bool
) -> None:
    lines = [*FAILING[:position], line, *FAILING[position + replaced :]]
    assert judged(lines, code=1).verdict is not Verdict.PASSED


@given(content=st.binary())
def test_arbitrary_report_bytes_never_pass(content: bytes) -> None:
    assert judged(content).verdict is Verdict.BROKEN
    assert judged(encoded(GOOD[:2]) + content).verdict is not Verdict.PASSED


FAILS = "def test_fails():\n    assert 1 == 2\n"
PASSES = "def test_passes():\n    assert 1 == 1\n"
UNITTEST = "import unittest\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        self."
SUBTESTS = (
    "def test_a(subtests):\n    for one in range(3):\n        with subtests.test(str(one)):\n"
    "            assert one < "
)
DESELECTS = """
def pytest_collection_modifyitems(items, config):
    config.hook.pytest_deselected(items=items[1:])
    items[:] = items[:1]
"""
DROPS = "def pytest_collection_modifyitems(items):\n    items[:] = []\n"
CASES: dict[str, tuple[dict[str, str], Verdict, str]] = {
    "a pass": ({"test_a.py": PASSES}, Verdict.PASSED, "1 passed"),
    "a failure": ({"test_a.py": PASSES + FAILS}, Verdict.FAILED, "1 passed, 1 failed"),
    "a missing import": (
        {"test_a.py": PASSES, "b/test_b.py": "import nothing_like_this\n"},
        Verdict.FAILED,
        "1 passed, 1 errors",
    ),
    "a syntax error": ({"test_a.py": "x = (\n"}, Verdict.FAILED, "0 passed, 1 errors"),
    "no test file": ({"a.py": PASSES}, Verdict.NOTHING, "there are no tests yet"),
    "a file that skips itself": (
        {"test_a.py": "import pytest\npytest.skip('x', allow_module_level=True)\n"},
        Verdict.NOTHING,
        "there are no tests yet",
    ),
    "only skipped": (
        {"test_a.py": "import pytest\n@pytest.mark.skip\n" + PASSES},
        Verdict.NOTHING,
        "no test has",
    ),
    "an expected failure": (
        {"test_a.py": PASSES + "import pytest\n@pytest.mark.xfail\n" + FAILS},
        Verdict.PASSED,
        "1 passed, 1 xfailed",
    ),
    "an unexpected pass, strict": (
        {"test_a.py": "import pytest\n@pytest.mark.xfail(strict=True)\n" + PASSES},
        Verdict.FAILED,
        "0 passed, 1 failed",
    ),
    "an unexpected pass": (
        {"test_a.py": "import pytest\n@pytest.mark.xfail\n" + PASSES},
        Verdict.PASSED,
        "1 passed",
    ),
    "a missing fixture": (
        {"test_a.py": "def test_a(nothing):\n    pass\n"},
        Verdict.FAILED,
        "0 passed, 1 errors",
    ),
    "sys.exit": (
        {"test_a.py": "import sys\n\ndef test_a():\n    sys.exit(0)\n"},
        Verdict.FAILED,
        "0 passed, 1 failed",
    ),
    "os._exit": (
        {"test_a.py": "import os\n\ndef test_a():\n    os._exit(0)\n"},
        Verdict.BROKEN,
        "the tests ended",
    ),
    "pytest.exit": (
        {"test_a.py": PASSES + "import pytest\n\ndef test_b():\n    pytest.exit('x', 0)\n"},
        Verdict.BROKEN,
        "1 of 2",
    ),
    "an interrupt": (
        {"test_a.py": "def test_a():\n    raise KeyboardInterrupt\n"},
        Verdict.BROKEN,
        "1 of 1",
    ),
    "a broken conftest": (
        {"test_a.py": PASSES, "conftest.py": "import nothing_like_this"},
        Verdict.FAILED,
        "0 passed",
    ),
    "a conftest that drops tests": (
        {"test_a.py": PASSES + FAILS, "conftest.py": DROPS},
        Verdict.FAILED,
        "2 tests not collected",
    ),
    "a conftest that deselects tests": (
        {"test_a.py": PASSES + FAILS, "conftest.py": DESELECTS},
        Verdict.FAILED,
        "1 passed, 1 deselected",
    ),
    "unittest": ({"test_a.py": UNITTEST + "assertEqual(1, 1)\n"}, Verdict.PASSED, "1 passed"),
    "a failing unittest": (
        {"test_a.py": UNITTEST + "fail('x')\n"},
        Verdict.FAILED,
        "0 passed, 1 failed",
    ),
    "half a character": (
        {"test_a.py": "def test_a():\n    assert '\\ud800' == 'x'\n"},
        Verdict.FAILED,
        "0 passed, 1",
    ),
    "subtests": ({"test_a.py": SUBTESTS + "9\n"}, Verdict.PASSED, "1 passed"),
    "failing subtests": ({"test_a.py": SUBTESTS + "2\n"}, Verdict.FAILED, "0 passed, 1 failed"),
    "a path that is not there": ({"test_a.py": PASSES}, Verdict.FAILED, "0 passed"),
}


@pytest.fixture(scope="module")
def guest_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CheckResult]:
    """Return the verdicts on reports of the guest's own recorder, outside any sandbox."""
    folders = {name: tmp_path_factory.mktemp("case") for name in CASES}
    for name, folder in folders.items():
        for path, content in CASES[name][0].items():
            (folder / "work" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "work" / path).write_text(content, encoding="utf-8")
    asked = {
        str(folder): ["none.py"] if name == "a path that is not there" else []
        for name, folder in folders.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", GUEST, json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    codes = json.loads(done.stdout)
    return {
        name: judged(
            (folder / "report").read_bytes(),
            code=codes[str(folder)],
            output=(folder / "output").read_bytes(),
        )
        for name, folder in folders.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_guest_reports_get_the_expected_verdicts(
    guest_results: dict[str, CheckResult], name: str
) -> None:
    _, verdict, summary = CASES[name]
    result = guest_results[name]
    assert (result.verdict, result.summary[: len(summary)]) == (verdict, summary)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case[1] is Verdict.FAILED]
)
def test_guest_failures_have_findings_with_text(
    guest_results: dict[str, CheckResult], name: str
) -> None:
    assert (
        any(finding.text for finding in guest_results[name].findings)
        or "deselected" in guest_results[name].summary
    )
