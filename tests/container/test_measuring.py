"""Measuring in real sandboxes: counts and coverage, which generated code cannot influence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from engine import SharedSandbox

from l2mac.bench.code_metrics import CodeMetrics, measure_by_hand, measure_code, measure_coverage
from l2mac.bench.readings import NoReading, read_count, read_coverage
from l2mac.bench.recorded_store import RecordedStore
from l2mac.bench.task_file import shipped_task
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry, Job, JobResult
from sandbox.engine.docker_sandbox import DockerSandbox

CALC = b'''"""Calculate."""

import math


def add(a,
        b):
    """Add, as it
    says."""
    # nothing special
    if a:  # pragma: no cover
        return (a +
                b)
    return b


def root(x):
    text = """two
lines"""
    return math.sqrt(x), text
'''
NEVER = b"def never():\n    return 1\n"
TEST = b"from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


def job(sandbox: DockerSandbox, checker: str, *paths: str) -> JobResult:
    return sandbox.run([Job("one", checker=checker, paths=paths)]).job("one")


def lines_of(result: JobResult) -> list[object]:
    text = result.report.head + result.report.tail
    return [json.loads(line) for line in text.splitlines()]


def test_lines_of_code_exclude_empty_lines_comments_and_docstrings(sandbox: DockerSandbox) -> None:
    sandbox.write(
        {
            "calc.py": CALC,
            "bad.py": b"def (\n\n# comment\nx = 1\n",
            "empty.py": b"",
            "test_calc.py": TEST,
        }
    )
    files = read_count(job(sandbox, "count", "calc.py", "bad.py", "empty.py", "test_calc.py"))
    assert {path: file.code for path, file in files.items()} == {
        "calc.py": 11,
        "bad.py": 2,
        "empty.py": 0,
        "test_calc.py": 3,
    }
    assert [path for path, file in files.items() if file.test] == ["test_calc.py"]
    assert [path for path, file in files.items() if not file.valid] == ["bad.py"]


def test_coverage_counts_statements_and_ignores_pragma_comments(
    sandbox: DockerSandbox,
) -> None:
    sandbox.write({"calc.py": CALC, "never.py": NEVER, "test_calc.py": TEST})
    files = read_count(job(sandbox, "count", "calc.py", "never.py", "test_calc.py"))
    coverage = read_coverage(job(sandbox, "coverage"), files)
    assert coverage.files == {"calc.py": (5, 8), "never.py": (0, 2)}
    assert coverage.percent == 50


NO_COVERAGE = b"""
import sys
import pytest


def test_none():
    with pytest.raises(ImportError):
        import coverage
    assert not [name for name in sys.modules if name.startswith('coverage')]
"""


def test_generated_code_cannot_import_coverage(sandbox: DockerSandbox) -> None:
    sandbox.write({"test_reach.py": NO_COVERAGE})
    assert lines_of(job(sandbox, "pytest"))[-1] == {"e": "end", "code": 0}
    assert lines_of(job(sandbox, "coverage"))[-1] == {"e": "end", "code": 0}
    result = sandbox.run([Job("program", argv=("python3", "-c", "import coverage"))]).job("program")
    assert b"ModuleNotFoundError" in result.errors.head


def test_store_may_contain_a_module_named_coverage(sandbox: DockerSandbox) -> None:
    test = b"import coverage\n\n\ndef test_it():\n    assert coverage.MINE == 1\n"
    sandbox.write({"coverage.py": b"MINE = 1\n", "test_it.py": test})
    files = read_count(job(sandbox, "count", "coverage.py", "test_it.py"))
    assert read_coverage(job(sandbox, "coverage"), files).files == {"coverage.py": (1, 1)}


FORGED = """
for fd in range(3, 64):
    try:
        os.write(fd, FORGED)
    except OSError:
        pass
"""
ALL_LINES = (
    'FORGED = b\'{"e": "ran", "path": "calc.py", "lines": [3, 6, 11, 12, 14, 17, 18, 20]}\\n\'\n'
)


@pytest.mark.parametrize(
    "test",
    [
        "import os\nos._exit(0)\n",
        "import os\n\n\ndef test_it():\n    os._exit(0)\n",
        "import sys\n\n\ndef test_it():\n    raise SystemExit(0)\n\nsys.exit(0)\n",
        "while True:\n    pass\n",
        f"import os\nimport calc\n\n{ALL_LINES}{FORGED}\n\ndef test_it():\n    calc.add(1, 2)\n",
        "import os\n\nos.closerange(3, 64)\n",
    ],
    ids=["exit", "exit in a test", "SystemExit", "hangs", "forged lines", "closed report"],
)
def test_coverage_is_missing_when_tests_tamper_with_their_report(
    sandbox: DockerSandbox, test: str
) -> None:
    sandbox.write({"calc.py": CALC, "test_it.py": test.encode()})
    files = read_count(job(sandbox, "count", "calc.py", "test_it.py"))
    result = sandbox.run([Job("one", checker="coverage")], timeout_s=8).job("one")
    with pytest.raises(NoReading):
        read_coverage(result, files)


StoreMaker = Callable[[dict[str, str]], RecordedStore]


@pytest.fixture
def store(tmp_path: Path, shared_sandbox: SharedSandbox) -> StoreMaker:
    def make(files: dict[str, str]) -> RecordedStore:
        objects = ObjectStore(tmp_path / "objects.pack")
        entries = [
            FileEntry(path, len(text.encode()), objects.put(text.encode()))
            for path, text in files.items()
        ]
        return RecordedStore("run", entries, objects, lambda _: shared_sandbox.fresh())

    return make


SHORTENER = '''
import itertools
from urllib.parse import urlsplit


class Service:
    """As the task says; wrong in one thing: addresses never expire."""

    def __init__(self):
        self._people, self._tokens, self._urls, self._visits = {}, {}, {}, {}
        self._numbers = itertools.count(1)

    def register(self, name, password):
        if name in self._people:
            raise ValueError(name)
        self._people[name] = password

    def log_in(self, name, password):
        if self._people.get(name) != password:
            raise ValueError(name)
        token = f"token {next(self._numbers)}"
        self._tokens[token] = name
        return token

    def shorten(self, url, code=None, expires_at=None, token=None):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or code in self._urls:
            raise ValueError(url)
        code = code or f"c{next(self._numbers)}"
        self._urls[code] = (url, self._tokens.get(token))
        self._visits[code] = []
        return code

    def visit(self, code, country="", now=None):
        url, _ = self._urls[code]
        self._visits[code].append(country)
        return url

    def visits(self, code):
        return len(self._visits[code])

    def countries(self, code):
        return {country: self._visits[code].count(country) for country in self._visits[code]}

    def addresses(self, token):
        return [code for code, (_, owner) in self._urls.items() if owner == self._tokens[token]]

    def delete(self, code, token):
        if code not in self.addresses(token):
            raise ValueError(code)
        del self._urls[code]

    def all_addresses(self):
        return list(self._urls)
'''
HOOK = "def pytest_runtest_makereport(item, call):\n    call.excinfo = None\n"


ANSWERS_EVERYTHING = """
class Service:
    def __getattr__(self, name):
        return lambda *a, **k: None
"""


def by_hand(store: StoreMaker, files: dict[str, str]) -> CodeMetrics:
    numbers = CodeMetrics()
    tests = shipped_task("url-shortener").handwritten
    assert tests is not None
    measure_by_hand(store(files), tests, numbers)
    return numbers


def test_handwritten_tests_find_the_only_defect(store: StoreMaker) -> None:
    numbers = by_hand(store, {"shortener.py": SHORTENER, "conftest.py": HOOK})
    states = numbers.details["handwritten"]
    assert isinstance(states, dict)
    failed = {test for test, state in states.items() if state != "passed"}
    assert failed == {"test_by_hand.py::test_an_address_expires"}
    assert numbers.metrics["handwritten_percent"] == pytest.approx(100 * 8 / 9, abs=0.01)


@pytest.mark.parametrize(
    "files",
    [
        {"other.py": "A = 1\n"},
        {"shortener.py": "def broken(\n"},
        {"shortener.py": "import os\nos._exit(0)\n"},
        {"shortener.py": "raise SystemExit(0)\n"},
        {"shortener.py": ANSWERS_EVERYTHING},
    ],
    ids=["missing", "no Python", "exit", "SystemExit", "answers everything"],
)
def test_handwritten_tests_all_fail_without_a_usable_module(
    store: StoreMaker, files: dict[str, str]
) -> None:
    assert by_hand(store, files).metrics["handwritten_percent"] == 0


def test_store_is_counted_linted_tested_and_covered(store: StoreMaker) -> None:
    files = {
        "calc.py": CALC.decode(),
        "test_calc.py": TEST.decode() + "\n\ndef test_wrong():\n    assert add(1, 1) == 3\n",
        "loose.py": "import nowhere\n\nprint(undefined)\n",
        "bad.py": "def (\n",
    }
    numbers = CodeMetrics()
    made = store(files)
    counted, passed = measure_code(made, numbers)
    measure_coverage(made, counted, numbers)
    assert numbers.problems == {}
    assert passed == {"test_calc.py::test_add"}
    assert numbers.metrics == {
        "lint_errors": 3,  # no Python, a missing module, an undefined name
        "lines_of_code": 11 + 5 + 2 + 1,
        "tests_passed": 1,
        "tests_failed": 1,
        "tests_errors": 0,
        "tests_skipped": 0,
        "tests_total": 2,
        "coverage_percent": pytest.approx(100 * 5 / 11, abs=0.01),
    }
