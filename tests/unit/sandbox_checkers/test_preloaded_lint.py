"""A lint by the preloaded process says what a lint by a new one says, in whatever folder the process was started."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import io, os, sys
from sandbox.checkers import jobs
folder, how = sys.argv[1:]
if how == "preloaded":
    for _ in jobs.preload(): pass
os.chdir(folder)
report = io.StringIO()
paths = sorted(name for name in os.listdir(".") if name.endswith(".py"))
jobs.perform({"kind": "pylint", "paths": paths, "cwd": folder, "environment": dict(os.environ)}, report)
sys.stderr.write(report.getvalue())
"""


def linted(folder: Path, how: str) -> list[dict[str, object]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    words = [sys.executable, "-c", PROGRAM, str(folder), how]
    done = subprocess.run(
        words, cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_preloaded_lint_says_what_a_new_one_says(tmp_path):
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
