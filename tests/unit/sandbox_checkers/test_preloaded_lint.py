"""Lint by the preloaded process: the report is that of a new process, in every folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import io, os, sys
from sandbox.checkers import jobs
folder, process = sys.argv[1:]
if process == "preloaded":
    for _ in jobs.preload(): pass
os.chdir(folder)
report = io.StringIO()
paths = sorted(name for name in os.listdir(".") if name.endswith(".py"))
job = {"kind": "pylint", "paths": paths, "cwd": folder, "environment": dict(os.environ)}
jobs.perform(job, report)
sys.stderr.write(report.getvalue())
"""


def linted(folder: Path, process: str) -> list[dict[str, object]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    words = [sys.executable, "-c", PROGRAM, str(folder), process]
    done = subprocess.run(
        words, cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_preloaded_lint_reports_the_same_as_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "loose.py").write_text(
        "import nowhere\nfrom other import absent\n\nprint(undefined)\n"
    )
    (tmp_path / "other.py").write_text(
        "A = 1\n# pylint: disable=undefined-variable\nprint(hidden)\n"
    )
    (tmp_path / "third.py").write_text("print(seen)\n")

    preloaded = linted(tmp_path, "preloaded")

    found = [(line["path"], line["symbol"]) for line in preloaded if line["e"] == "message"]
    assert ("loose.py", "undefined-variable") in found
    assert ("third.py", "undefined-variable") in found
    assert preloaded == linted(tmp_path, "new")
