"""One short run with a real box: its record is verified, taken back, forked, compared, merged and repeated."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripted_models import one_module

from l2mac.testing.model_server import ModelServer

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")


@dataclass(frozen=True)
class Desk:
    """A folder with one finished run, and the command line in it."""

    folder: Path
    server: ModelServer
    result: dict[str, Any]

    @property
    def run(self) -> Path:
        return Path(self.result["run_folder"])

    def l2mac(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "l2mac", *words],
            cwd=self.folder,
            env=environment(self.folder, self.server),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def verdict(self, run: str, *words: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self.l2mac("audit", "verify", run, "--json", *words, code=code))


def environment(folder: Path, server: ModelServer) -> dict[str, str]:
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
    return {**kept, **own, "L2MAC_BASE_URL": server.base_url, "L2MAC_MODEL": "scripted"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("evidence")
    with ModelServer(one_module.answer) as server:
        result = json.loads(
            Desk(folder, server, {}).l2mac("run", "a list", "--json", "--output", "out")
        )
        yield Desk(folder, server, result)


def test_finished_run_verifies_with_its_seal_receipts_and_export(desk: Desk):
    found = desk.verdict("last", "--seal", desk.result["seal"], "--export", "out")
    assert (found["verdict"], found["findings"], found["receipts"]) == ("intact", [], 2)
    receipt = json.loads((desk.run / "receipts/001.json").read_text())
    assert {row["verdict"] for row in receipt["rows"]} <= {"match", "not available"}
    assert len(receipt["rows"]) > 50


def test_a_changed_export_and_a_changed_record_are_found(desk: Desk, tmp_path: Path):
    out = shutil.copytree(desk.folder / "out", tmp_path / "out")
    (out / "todo.py").write_text("evil")
    assert desk.verdict("last", "--export", str(out), code=7)["verdict"] == "altered"
    run = shutil.copytree(desk.run, tmp_path / "run")
    trace = (run / "trace.jsonl").read_bytes()
    (run / "trace.jsonl").write_bytes(trace[: trace.rstrip(b"\n").rfind(b"\n") + 1])
    assert "missing" in desk.l2mac("audit", "verify", str(run), code=7)


def test_a_run_that_is_killed_is_incomplete_and_not_altered(desk: Desk, tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "l2mac",
        "run",
        "a list",
        "--quiet",
        "--runs-dir",
        str(tmp_path / "runs"),
    ]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path, desk.server))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/receipts/001.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    (run,) = (tmp_path / "runs").iterdir()
    found = desk.verdict(str(run), code=1)
    assert (found["verdict"], found["state"]) == ("incomplete", "at work or killed")


def test_rewound_fork_resumes_and_replays_to_the_same_bytes(desk: Desk, tmp_path: Path):
    before = {
        path.name: path.read_bytes()
        for path in desk.run.iterdir()
        if path.name != "lock" and path.is_file()
    }
    fork = json.loads(desk.l2mac("fork", desk.result["run"], "--name", "another way", "--json"))[
        "run"
    ]
    steps = json.loads(desk.l2mac("show", fork, "--steps", "--json"))["steps"]
    assert [step["what"] for step in steps] == ["start", "write_files", "completed"]
    desk.l2mac("rewind", fork, "--to", "1")
    resumed = json.loads(
        desk.l2mac("resume", fork, "--json", "--output", str(tmp_path / "resumed"))
    )
    assert resumed["files"] == desk.result["files"]
    assert (
        desk.verdict(fork, "--seal", resumed["seal"], "--export", str(tmp_path / "resumed"))[
            "verdict"
        ]
        == "intact"
    )
    repeated = json.loads(
        desk.l2mac("replay", fork, "--json", "--output", str(tmp_path / "repeated"))
    )
    assert (repeated["files"], repeated["difference"]) == (desk.result["files"], "")
    assert desk.verdict(str(desk.run))["verdict"] == "intact"
    assert before == {name: (desk.run / name).read_bytes() for name in before}


def test_the_history_of_files_is_shown_as_data_and_as_a_map(desk: Desk):
    run = desk.result["run"]
    accesses = json.loads(desk.l2mac("show", run, "--files", "--json"))["accesses"]
    assert {(one["path"], one["how"], one["instruction"]) for one in accesses} == {
        (path, "created", 1) for path in one_module.FILES
    }
    assert "todo.py" in desk.l2mac("show", run, "--files")


def test_a_run_is_compared_with_a_folder_and_merged_into_it(desk: Desk, tmp_path: Path):
    run, project = desk.result["run"], tmp_path / "project"
    project.mkdir()
    (project / "todo.py").write_text("mine\n")
    assert "-mine" in desk.l2mac("diff", run, "--against", str(project), code=1)
    assert desk.l2mac("diff", run, "--steps", "1..2") == ""
    desk.l2mac("export", run, "--into", str(project), "--yes", code=2)
    assert [path.name for path in project.iterdir()] == ["todo.py"]
    desk.l2mac("export", run, "--into", str(project), "--yes", "--overwrite")
    assert {path: (project / path).read_text() for path in one_module.FILES} == one_module.FILES
    assert desk.verdict(run, "--export", str(project))["verdict"] == "intact"


def test_pinned_runs_are_listed_and_not_cleaned(desk: Desk):
    run = desk.result["run"]
    desk.l2mac("pin", run)
    rows = {row["run"]: row for row in json.loads(desk.l2mac("runs", "--json"))}
    assert rows[run]["pinned"]
    assert rows[run]["bytes"] > 1000
    kept = json.loads(desk.l2mac("clean", "--older-than", "0s", "--dry-run", "--json"))["runs"]
    assert {row["run"]: row["kept"] for row in kept}[run] == "pinned"
    desk.l2mac("unpin", run)
    assert desk.verdict(run)["verdict"] == "intact"
