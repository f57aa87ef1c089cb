"""Every method from the command line to the export: a real engine, real boxes, real HTTP, one scripted model."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_models import baselines

import l2mac
from l2mac.control.outcome import Status
from l2mac.testing.model_server import ModelServer
from l2mac.trace.chain import read_trace
from l2mac.trace.events import SandboxOpened
from l2mac.trace.method_events import CandidateChosen, PartStarted

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
BOXES = {"one-shot": 2, "codet": 8, "self-refine": 2, "reflexion": 2}


class Desk:
    """A folder, a model's server, and the command line with both."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        self.folder = folder
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("L2MAC_", "OPENAI_"))
        }
        own = {
            "L2MAC_RUNS_DIR": str(folder / "runs"),
            "L2MAC_IMAGE": IMAGE,
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        self.environment = {
            **kept,
            **own,
            "L2MAC_BASE_URL": server.base_url,
            "L2MAC_MODEL": "scripted",
        }

    def l2mac(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "l2mac", *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def run(self, output: str, *words: str, code: int = 0) -> dict[str, Any]:
        return json.loads(
            self.l2mac("run", "a list", "--json", "--quiet", "--output", output, *words, code=code)
        )

    def events(self, result: dict[str, Any]) -> list[Any]:
        return [entry.event for entry in read_trace(Path(result["run_folder"]) / "trace.jsonl")[0]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with ModelServer(baselines.answer) as server:
        yield Desk(tmp_path_factory.mktemp("baselines"), server)


@pytest.fixture(scope="module")
def finished(desk: Desk) -> dict[str, dict[str, Any]]:
    """Give one run by each method; one shot is all that fails here, as nobody tells the model what is wrong."""
    codes = {"one-shot": 1, "codet": 0, "self-refine": 0, "reflexion": 0}
    return {
        method: desk.run(method, "--method", method, code=code) for method, code in codes.items()
    }


@pytest.mark.parametrize("method", ["codet", "self-refine", "reflexion"])
def test_the_file_that_was_wrong_at_first_is_right_in_the_end(finished, desk: Desk, method: str):
    assert (desk.folder / method / "todo.py").read_text() == baselines.FILES["todo.py"]
    assert set(finished[method]["files"]) == set(baselines.FILES)
    assert (finished[method]["status"], finished[method]["method"]) == ("completed", method)
    assert finished[method]["tests"]["passed"] == 1


def test_one_shot_returns_its_files_with_the_failing_test(finished, desk: Desk):
    assert (desk.folder / "one-shot" / "todo.py").read_text() == baselines.WRONG["todo.py"]
    assert finished["one-shot"]["tests"]["failed"] == 1
    assert "in a fresh box" in finished["one-shot"]["cause"]
    assert finished["one-shot"]["evaluator"] is False


def test_codet_runs_each_candidate_and_keeps_the_first_that_agrees(finished, desk: Desk):
    events = desk.events(finished["codet"])
    (chosen,) = [event for event in events if isinstance(event, CandidateChosen)]
    assert chosen == CandidateChosen(passed=(0, 1, 1), tests=1, chosen=2, agreeing=2)


@pytest.mark.parametrize("method", BOXES)
def test_traces_of_all_methods_have_a_receipt_for_every_sandbox(finished, desk: Desk, method: str):
    opened = [
        event.purpose for event in desk.events(finished[method]) if isinstance(event, SandboxOpened)
    ]
    assert (len(opened), opened[-1]) == (BOXES[method], "verify")
    verdict = json.loads(desk.l2mac("audit", "verify", finished[method]["run"], "--json"))
    assert (verdict["verdict"], verdict["receipts"]) == ("intact", BOXES[method])


def test_a_method_can_be_replayed_in_new_boxes(finished, desk: Desk):
    again = json.loads(
        desk.l2mac("replay", finished["codet"]["run"], "--json", "--quiet", "--output", "again")
    )
    assert (again["difference"], again["files"]) == ("", finished["codet"]["files"])


def test_a_method_killed_midway_is_resumed_to_the_same_files(finished, desk: Desk):
    runs = set((desk.folder / "runs").iterdir())
    words = [
        sys.executable,
        "-m",
        "l2mac",
        "run",
        "a list",
        "--quiet",
        "--method",
        "codet",
        "--output",
        "none",
    ]
    process = subprocess.Popen(words, cwd=desk.folder, env=desk.environment)
    deadline = time.monotonic() + 60
    while not (new := set((desk.folder / "runs").iterdir()) - runs) or not _has_begun(
        *new, "candidate 3 of 3"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = json.loads(
        desk.l2mac("resume", next(iter(new)).name, "--json", "--quiet", "--output", "resumed")
    )
    assert resumed["files"] == finished["codet"]["files"]
    assert resumed["cause"] == finished["codet"]["cause"]


def _has_begun(run: Path, part: str) -> bool:
    if not (run / "trace.jsonl").exists():
        return False
    events = [entry.event for entry in read_trace(run / "trace.jsonl")[0]]
    return any(isinstance(event, PartStarted) and event.name == part for event in events)


def test_run_without_evaluator_returns_failing_files_and_states_the_cause(desk: Desk):
    program = '["Write todo.py and its test."]'
    words = ("--no-evaluator", "--program", program, "--no-requirements")
    unchecked = desk.run("unchecked", *words, code=1)
    assert (unchecked["tests"]["failed"], unchecked["evaluator"]) == (1, False)
    assert "the work was done without checks (--no-evaluator)" in unchecked["cause"]
    checked = desk.run("checked", *words[1:], "--no-task-in-context")
    assert (checked["status"], checked["tests"]["passed"]) == ("completed", 1)


def test_a_method_is_a_setting_of_the_python_interface_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(desk.folder)
    settings = {
        name.removeprefix("L2MAC_").lower(): value
        for name, value in desk.environment.items()
        if "L2MAC" in name
    }
    settings["runs_dir"] = Path(settings["runs_dir"])
    with l2mac.Run("a list", method="reflexion", **settings) as run:
        names = [event.name for event in run if isinstance(event, PartStarted)]
    assert names == ["the draft", "further trial 1 of 3"]
    assert (run.result.status, run.result.method) == (Status.COMPLETED, "reflexion")
