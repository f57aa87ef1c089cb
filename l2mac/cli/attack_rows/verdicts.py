"""Rows 15 and 53 to 55: a file store that tries to pass without passing tests.

The control is a plain pytest on the same files, judged by its exit code.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from l2mac.evaluator import python_checks
from l2mac.evaluator.verdict import Verdict
from sandbox import Cause, Job, JobResult, OutputStream, RunResult, Sandbox
from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Site, program
from sandbox.attack.weakened import unconfined

_FAILING = {"test_it.py": "def test_it():\n    assert 1 + 1 == 3\n"}
_REPORT = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = 'passed'
"""
_HOOKS = {
    "hook": {"conftest.py": _REPORT},
    "nameless hook": {
        "conftest.py": _REPORT.replace("pytest_runtest_makereport", "report")
        + "globals()['pytest_' + 'runtest_makereport'] = report\n"
    },
    "plugin": {"conftest.py": "pytest_plugins = ['helper']\n", "helper.py": _REPORT},
    "session": {"conftest.py": "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"},
    "options": {"pytest.ini": "[pytest]\naddopts = --collect-only\n"},
    "start-up": {
        "sitecustomize.py": "import os\nos._exit(0)\n",
        "usercustomize.py": "import os\nos._exit(0)\n",
        "evil.pth": "import\tos;os._exit(0)\n",
    },
    "shadow": {
        "pytest.py": "def main(*a, **k):\n    return 0\n",
        "pluggy.py": "raise SystemExit(0)\n",
        "json.py": "def dumps(*a, **k):\n    return '{}'\n",
    },
}
_EXITS = {
    "exit in a test": {"test_a.py": "import os\ndef test_a():\n    os._exit(0)\n"},
    "exit when read": {"test_a.py": "import os\nos._exit(0)\n"},
    "exit at the end": {
        "test_a.py": "import atexit, os\natexit.register(os._exit, 0)\ndef test_a(): pass\n"
    },
}
_POISON = {
    "poison": {
        "helper.py": "def two():\n    return 2\n",
        "test_it.py": "import helper\n\n\ndef test_it():\n    assert helper.two() == 3\n",
        "poison.py": "import importlib.util, py_compile\n"
        "open('lie.py', 'w').write('def two():\\n    return 3\\n')\n"
        "unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
        "cached = importlib.util.cache_from_source('helper.py')\n"
        "py_compile.compile('lie.py', cfile=cached, invalidation_mode=unchecked)\n",
    }
}


def attack(site: Site) -> Iterator[AttackFinding]:
    """Yield the findings of every trick, each on an otherwise failing store."""
    with site.sandbox(policy=replace(site.policy, memory_bytes=1 << 30)) as arena:
        honest = _verdict(arena.fresh(), _FAILING)
        for number, tricks, limit in (
            (53, _HOOKS, ""),
            (
                54,
                _EXITS,
                "a test can forge its own report in memory: a pass is evidence, not proof",
            ),
            (55, _POISON, ""),
        ):
            stores = {name: {**_FAILING, **files} for name, files in tricks.items()}
            verdicts = {name: _verdict(arena.fresh(), files) for name, files in stores.items()}
            fooled = [name for name, verdict in verdicts.items() if verdict is Verdict.PASSED]
            plain = {"probe": (program("plain_tests"), json.dumps(stores))}
            green = site.control(unconfined, plain)["probe"].value or []
            yield AttackFinding(
                number=number,
                held=not fooled and honest is Verdict.FAILED,
                observed=f"{len(stores) - len(fooled)} of {len(stores)} tricks did not pass"
                + (f", passed: {', '.join(fooled)}" if fooled else ""),
                shown=bool(green),
                control=f"a plain pytest passes: {', '.join(green) or 'none'}",
                limit=limit,
            )


def bombs(_: Site) -> Iterator[AttackFinding]:
    """Yield the finding of reports that are made to crash a parser."""
    deep = b"[" * 200_000
    reports = (
        deep,
        b'{"e":' + deep,
        b"9" * 5000,
        b"\xff" * 100,
        b'{"e": "end", "code": 0}\n' * 2,
        b"",
    )
    verdicts = [_judged(report) for report in reports]
    try:
        json.loads(deep)
        control = "nothing"
    except RecursionError as error:
        control = type(error).__name__
    yield AttackFinding(
        number=15,
        held=Verdict.PASSED not in verdicts,
        observed=f"{len(reports)} reports judged: {', '.join(sorted(set(verdicts)))}",
        shown=control == "RecursionError",
        control=f"a plain JSON parser ends with {control}",
    )


def _verdict(sandbox: Sandbox, files: Mapping[str, str]) -> Verdict:
    """Return the verdict on these files; a program named poison.py runs first."""
    sandbox.write({path: text.encode() for path, text in files.items()})
    if "poison.py" in files:
        sandbox.run([Job("poison", ("python3", "-B", "poison.py"))])
    return python_checks.judge(sandbox.run(python_checks.jobs_for(sandbox.files()))).verdict


def _judged(report: bytes) -> Verdict:
    nothing = OutputStream(b"", b"", 0)
    jobs = tuple(
        JobResult(
            name, Cause.EXITED, 0, 1, nothing, nothing, OutputStream(report, b"", len(report))
        )
        for name in ("lint", "tests")
    )
    return python_checks.judge(RunResult(jobs, (), 0, 0, 0, 0, 0)).verdict
