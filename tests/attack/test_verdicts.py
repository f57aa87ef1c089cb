"""Failing stores that try to pass by a trick, evaluated in a real sandbox as a run evaluates them.

The controls are the same failing test without a trick, and the hooks of the tricks around tests
that pass. One trick cannot be excluded, because tests share a process with the code they test; a
test shows that it works.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import RUN

from l2mac.evaluator import python_checks
from l2mac.evaluator.checks import Checks, evaluate
from l2mac.evaluator.test_ledger import TestLedger
from l2mac.evaluator.verdict import CheckReport, Verdict
from l2mac.file_store import FileStore
from l2mac.trace.objects import ObjectStore
from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage

FAILING = "def test_it():\n    assert 1 + 1 == 3\n"
PASSING = "def test_other():\n    assert 1 + 1 == 2\n"
MAKEREPORT = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = 'passed'
"""
CHEATS = {
    "conftest empties the list": {
        "conftest.py": "def pytest_collection_modifyitems(items):\n    items[:] = items[1:]\n"
    },
    "conftest deselects": {
        "conftest.py": "def pytest_collection_modifyitems(config, items):\n"
        "    out = [i for i in items if i.name == 'test_it']\n"
        "    config.hook.pytest_deselected(items=out)\n"
        "    items[:] = [i for i in items if i.name != 'test_it']\n"
    },
    "conftest ignores the file": {"conftest.py": "collect_ignore = ['test_it.py']\n"},
    "conftest rewrites the outcome": {"conftest.py": MAKEREPORT},
    "conftest rewrites the outcome by a hook whose name stands nowhere": {
        "conftest.py": "import pytest\n"
        "@pytest.hookimpl(hookwrapper=True)\n"
        "def report(item, call):\n"
        "    outcome = yield\n    outcome.get_result().outcome = 'passed'\n"
        "globals()['pytest_' + 'runtest_makereport'] = report\n"
    },
    "a hook is registered by a test": {
        "test_a.py": "import pytest\nclass Late: pass\ndef report(self, item, call):\n"
        "    from _pytest.reports import TestReport\n"
        "    report = TestReport.from_item_and_call(item, call)\n"
        "    report.outcome = 'passed'\n    return report\n"
        "def test_a(request):\n    hook = pytest.hookimpl(tryfirst=True)(report)\n"
        "    setattr(Late, 'pytest_runtest_make' + 'report', hook)\n"
        "    request.config.pluginmanager.register(Late())\n"
    },
    "conftest runs nothing": {
        "conftest.py": "def pytest_runtest_protocol(item, nextitem):\n    return True\n"
    },
    "conftest ends the session well": {
        "conftest.py": "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    },
    "a plugin rewrites the outcome": {
        "conftest.py": "pytest_plugins = ['helper']\n",
        "helper.py": MAKEREPORT,
    },
    "options choose what runs": {
        "pytest.ini": "[pytest]\naddopts = -k other\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-k other'\n",
        "tox.ini": "[pytest]\naddopts = -k other\n",
        "setup.cfg": "[tool:pytest]\naddopts = -k other\n",
    },
    "start-up files": {
        "sitecustomize.py": "import os\nos._exit(0)\n",
        "usercustomize.py": "import os\nos._exit(0)\n",
        "evil.pth": "import os; os._exit(0)\n",
    },
    "a module named pytest": {
        "pytest.py": "def main(*a, **k):\n    return 0\n",
        "_pytest/__init__.py": "raise SystemExit(0)\n",
        "pluggy.py": "raise SystemExit(0)\n",
        "json.py": "def dumps(*a, **k):\n    return '{}'\n",
    },
    "exit at once": {"test_a.py": "import os\ndef test_a():\n    os._exit(0)\n"},
    "exit when the file is read": {"test_a.py": "import os\nos._exit(0)\n"},
    "exit at the end": {
        "test_a.py": "import atexit, os\natexit.register(os._exit, 0)\ndef test_a(): pass\n"
    },
    "an exception that is no error": {"test_a.py": "raise SystemExit(0)\n"},
    "the function is no test": {"test_it.py": FAILING + "test_it.__test__ = False\n"},
    "the folder is no folder of tests": {"build/test_it.py": FAILING, "test_it.py": ""},
    "the folder looks like an environment": {
        "env/pyvenv.cfg": "",
        "env/bin/activate": "",
        "env/test_it.py": FAILING,
    },
    "the tests are skipped as a file": {
        "test_it.py": "import pytest\npytest.skip('later', allow_module_level=True)\n" + FAILING
    },
    "only the failing one is skipped": {
        "test_it.py": "import pytest\n@pytest.mark.skip\n" + FAILING
    },
    "only the failing one is expected to fail": {
        "test_it.py": "import pytest\n@pytest.mark.xfail\n" + FAILING
    },
    "the failing test is emptied": {"test_it.py": ""},
    "the failing test is renamed": {"test_it.py": "def check_it():\n    assert 1 + 1 == 3\n"},
}


@pytest.fixture(scope="module")
def store(
    engine: Engine, sandbox_image: SandboxImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FileStore]:
    policy = SandboxPolicy(cpus=1.0, timeout_s=20)

    def open_sandbox(_: str) -> DockerSandbox:
        return DockerSandbox(engine, sandbox_image, policy, run=RUN).open()

    objects = ObjectStore(Path(tmp_path_factory.mktemp("objects")) / "objects.pack")
    store = FileStore(open_sandbox, objects)
    yield store
    store.close()
    objects.close()


def evaluated(store: FileStore, files: dict[str, str]) -> CheckReport:
    old = [entry.path for entry in store.files]
    if old:
        store.delete(old)
    store.write({path: text.encode() for path, text in files.items()})
    return evaluate(store, Checks(python_checks.jobs_for, python_checks.judge))


@pytest.mark.parametrize("trick", CHEATS.values(), ids=CHEATS.keys())
def test_tricks_never_make_a_failing_store_pass(store: FileStore, trick: dict[str, str]) -> None:
    honest = {"test_it.py": FAILING, "test_other.py": PASSING}
    failed = evaluated(store, honest)
    assert failed.verdict is Verdict.FAILED  # control: without a trick the failure is seen
    ledger = TestLedger().after(failed)

    report = evaluated(store, honest | trick)
    report = ledger.after(report).judge(report)

    assert report.verdict in (Verdict.FAILED, Verdict.BROKEN), report.summary


MEMORY = """
import os, signal, time
def can_change(pid):
    try:
        os.close(os.open(f'/proc/{pid}/mem', os.O_RDWR))
    except PermissionError:
        return False
    return True
def test_memory():
    others = {int(name) for name in os.listdir('/proc') if name.isdigit()} - {os.getpid()}
    assert len(others) == 3, 'the guest, the checker process and the lint'
    child = os.fork()
    if child == 0:
        time.sleep(100)
    control = can_change(child)
    os.kill(child, signal.SIGKILL)
    assert control
    assert not [pid for pid in others if can_change(pid)]
"""
LARGE = "# pylint: skip-file\nA = [\n" + "    1,\n" * 60_000 + "]\n"


def test_tests_cannot_change_the_memory_of_the_lint(store: FileStore) -> None:
    report = evaluated(store, {"a.py": LARGE, "test_memory.py": MEMORY})

    assert report.verdict is Verdict.PASSED, [result.findings for result in report.results]


def test_sound_store_passes_with_the_same_hooks_as_the_tricks(store: FileStore) -> None:
    honest = {
        "test_it.py": "def test_it(two):\n    assert 1 + 1 == two\n",
        "test_other.py": "import unittest\n"
        "class Other(unittest.TestCase):\n"
        "    def test_o(self): self.assertTrue(1)\n",
        "conftest.py": "import pytest\n@pytest.fixture\ndef two(): return 2\n"
        "def pytest_collection_modifyitems(items): items.reverse()\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-q'\n",
    }
    report = evaluated(store, honest)
    assert TestLedger().after(report).judge(report).verdict is Verdict.PASSED


def test_report_forged_within_the_test_process_cannot_be_excluded(store: FileStore) -> None:
    """A test can rewrite its own outcome in memory, as SECURITY.md states."""
    forging = """
import gc, os
def test_it():
    recorder = next(o for o in gc.get_objects() if type(o).__name__ == '_Recorder')
    honest, leave = type(recorder).line, os._exit
    forged = {'outcome': 'passed', 'code': 0}
    def line(self, **fields):
        fields.pop('text', None)
        honest(self, **{name: forged.get(name, value) for name, value in fields.items()})
    type(recorder).line = line
    os._exit = lambda code: leave(0)
    assert False
"""
    assert evaluated(store, {"test_it.py": forging}).verdict is Verdict.PASSED


def test_tests_hidden_during_the_checks_fail_the_verdict(store: FileStore) -> None:
    """The store empties its failing test, keeps a linter busy and restores the test."""
    hiding = """
import time
from pathlib import Path
test = Path('test_it.py')
text = test.read_text()
test.write_text('')
def pytest_unconfigure():
    time.sleep(5)
    test.write_text(text)
"""
    large = "# pylint: skip-file\nA = [\n" + "    1,\n" * 60_000 + "]\n"
    files = {"a.py": large, "conftest.py": hiding, "test_it.py": FAILING, "test_other.py": PASSING}
    report = evaluated(store, files)
    assert "1 test not collected" in report.summary
    assert report.verdict is Verdict.FAILED


def test_sources_modified_during_the_checks_fail_the_verdict(store: FileStore) -> None:
    """The store hides code that fails the lint, and restores it when all checks have ended."""
    swapping = """
import time
from pathlib import Path
import work
source = Path('work.py')
text = source.read_text()
source.write_text('NAME = 1\\n')
def test_it():
    time.sleep(4)
    source.write_text(text)
"""
    wrong = "NAME = 1\ndef broken():\n    return undefined_name\n"
    large = "A = [\n" + "    1,\n" * 60_000 + "]\n"
    control = evaluated(store, {"work.py": wrong, "test_it.py": PASSING})
    assert "undefined_name" in str(control)

    files = {"a.py": f"# pylint: skip-file\n{large}", "work.py": wrong, "test_it.py": swapping}
    report = evaluated(store, files)

    assert report.verdict is Verdict.FAILED
    findings = [one for result in report.results for one in result.findings]
    texts = [one.text for one in findings if one.where == "work.py"]
    assert any(text.startswith("was written to while the checks ran") for text in texts)


def test_tests_may_read_sources_and_write_other_files(store: FileStore) -> None:
    sound = """
from pathlib import Path
def test_it(tmp_path):
    assert Path(__file__).read_text()
    (tmp_path / 'made.py').write_text('x = 1')
    Path('made.py').write_text('x = 1')
    Path('data.json').write_text('{}')
"""
    assert evaluated(store, {"test_it.py": sound, "data.json": "[]"}).verdict is Verdict.PASSED
