"""The programs of docs/python.md, run as they stand there in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_models import one_module

from l2mac.testing.model_server import ModelServer

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
PROGRAMS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL
)
SAID = ("completed", "['test_todo.py', 'todo.py']", "hello from the box")


@pytest.mark.parametrize(("program", "said"), list(zip(PROGRAMS, SAID, strict=True)))
def test_a_program_of_the_page_works_as_it_stands(tmp_path: Path, program: str, said: str):
    with ModelServer(one_module.answer) as server:
        own = {
            "L2MAC_BASE_URL": server.base_url,
            "L2MAC_MODEL": "scripted",
            "L2MAC_IMAGE": IMAGE,
            "L2MAC_RUNS_DIR": str(tmp_path / "runs"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
