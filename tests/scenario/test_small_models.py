"""A model without tool calls of its own is led through a run: a real engine, a real box, real HTTP."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_models import guided

from l2mac.runs.audit import audit_run
from l2mac.testing.model_server import ModelServer
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Checked, ModelCalled

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")


def l2mac(runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "l2mac",
        words[0],
        "--image",
        IMAGE,
        "--runs-dir",
        str(runs),
        *words[1:],
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=runs.parent)


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory):
    """One run of a small model that forgets an import."""
    runs = tmp_path_factory.mktemp("small") / "runs"
    with ModelServer(guided.answer) as server:
        model = ("--base-url", server.base_url, "--model", "small", "--context-tokens", "8192")
        done = l2mac(runs, "run", *model, "--json", "--quiet", "a list of things to do")
    (folder,) = runs.iterdir()
    return runs, done, [entry.event for entry in read_trace(folder / "trace.jsonl")[0]]


def test_model_without_tool_calls_completes_in_guided_mode(led):
    _, done, _ = led
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"


def test_the_forgotten_import_is_found_and_added_by_a_change_of_one_line(led):
    _, _, events = led
    verdicts = [event.verdict for event in events if isinstance(event, Checked)]
    assert verdicts == ["nothing to check", "nothing to check", "failed", "passed", "passed"]
    assert [event.tool for event in events if isinstance(event, ModelCalled)].count(
        "edit_lines"
    ) == 1


def test_guided_run_replays_without_a_model_and_verifies(led):
    runs, _, _ = led
    (folder,) = runs.iterdir()
    assert audit_run(folder).verdict == "intact"
    replayed = l2mac(runs, "replay", folder.name)
    assert replayed.returncode == 0, replayed.stderr
