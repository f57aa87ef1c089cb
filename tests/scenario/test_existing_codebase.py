"""A run that begins with an existing package, in a real box: its result, its record, and the way back to the folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pages import commands_of, environment
from scripted_models import existing_project

import l2mac
from l2mac.cli import exit_codes
from l2mac.testing.model_server import ModelServer
from l2mac.trace.chain import read_trace
from l2mac.trace.events import Checked, ToolRan

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
TASK = "let a cart count its items"


@dataclass(frozen=True)
class Room:
    """A folder with the package and runs, and a server that plays the model."""

    folder: Path
    server: ModelServer

    @property
    def package(self) -> Path:
        return self.folder / "shop"

    def start(self, *words: str) -> subprocess.Popen[str]:
        variables = environment_of(self)
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "l2mac", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=variables, stdout=pipe, stderr=pipe, text=True
        )

    def do(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    def events(self) -> list[Any]:
        newest = max((self.folder / "runs").iterdir())
        return [entry.event for entry in read_trace(newest / "trace.jsonl")[0]]


def environment_of(sessions: Room) -> dict[str, str]:
    model = {
        "L2MAC_BASE_URL": sessions.server.base_url,
        "L2MAC_MODEL": "scripted",
        "L2MAC_CONTEXT_TOKENS": "16384",
    }
    return environment(sessions.folder, L2MAC_IMAGE=IMAGE, **model)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Room]:
    with ModelServer(existing_project.answer) as server:
        existing_project.write(tmp_path / "shop")
        yield Room(tmp_path, server)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Room, dict[str, Any], str]]:
    folder = tmp_path_factory.mktemp("existing")
    existing_project.write(folder / "shop")
    before = contents(folder / "shop")
    with ModelServer(existing_project.answer) as server:
        sessions = Room(folder, server)
        done = sessions.do("run", "--input-dir", "shop", "--json", TASK)
        assert done.returncode == exit_codes.OK, done.stdout + done.stderr
        assert contents(folder / "shop") == before, "the folder was written to"
        yield sessions, json.loads(done.stdout), done.stderr


def test_feature_is_added_despite_reported_failures_of_the_baseline(finished):
    _, result, progress = finished
    assert result["status"] == "completed"
    assert "lint: 1 error (as before the run)" in result["cause"]
    assert "2 passed, 1 failed (1 test fails as it did before)" in result["cause"]
    assert result["changes"] == {
        "added": [],
        "changed": ["src/shop/cart.py", "tests/test_cart.py"],
        "deleted": [],
    }
    assert result["output"] is None
    assert (
        "as it came: failed (syntax: clean; lint: 1 error; tests: 1 passed, 1 failed)" in progress
    )


def test_excluded_input_files_are_named_and_never_sent_to_the_model(finished):
    sessions, _, progress = finished
    assert "version control: .git/" in progress
    assert "names that usually hold secrets: .env" in progress
    said = json.dumps([request.body for request in sessions.server.requests])
    assert "secret-of-the-shop" not in said
    assert "class Cart: add, total" in said


def test_a_new_failing_test_and_a_deleted_old_one_are_both_due(finished):
    sessions, _, _ = finished
    verdicts: list[tuple[str, str]] = [("the input", "")]
    for event in sessions.events():
        if isinstance(event, ToolRan) and event.changes:
            verdicts.append((event.name, ""))
        elif isinstance(event, Checked) and not (event.baseline or event.final):
            verdicts[-1] = (verdicts[-1][0], event.verdict)
    assert [one for one in verdicts if one[1]] == [
        ("the input", "passed"),
        ("edit_file", "failed"),
        ("edit_file", "passed"),
        ("delete_files", "failed"),
        ("write_files", "passed"),
    ]
    claims = [request.body["messages"] for request in sessions.server.requests]
    refused = [
        m
        for messages in claims
        for m in messages
        if m["role"] == "tool" and "not accepted" in m["content"]
    ]
    assert refused
    assert any(
        "tests/test_cart.py::test_total" in m["content"] for messages in claims for m in messages
    )


def test_diff_and_audit_account_for_every_changed_byte(finished):
    sessions, _, _ = finished
    diff = sessions.do("diff", "last")
    assert diff.returncode == exit_codes.FAILING
    assert [line for line in diff.stdout.splitlines() if line.startswith("+++ ")] == [
        "+++ b/src/shop/cart.py",
        "+++ b/tests/test_cart.py",
    ]
    assert sessions.do("diff", "last", "--steps", "0..0").stdout == ""
    assert "input    6 files, 2 left out" in sessions.do("show", "last").stdout
    assert sessions.do("audit", "verify", "last").returncode == exit_codes.OK


def test_a_replay_needs_no_folder_and_comes_to_the_same_files(finished, tmp_path: Path):
    sessions, _, _ = finished
    variables = environment(tmp_path, L2MAC_IMAGE=IMAGE)
    words = [
        sys.executable,
        "-m",
        "l2mac",
        "replay",
        str(next((sessions.folder / "runs").iterdir())),
        "--output",
        "out",
    ]
    done = subprocess.run(
        words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == exit_codes.OK, done.stderr
    assert "the files are those of the record, hash by hash" in done.stdout
    assert (tmp_path / "out/docs/notes.txt").read_text() == existing_project.FILES["docs/notes.txt"]


def test_export_merges_only_changes_and_keeps_later_edits(finished, tmp_path: Path):
    sessions, _, _ = finished
    mine = tmp_path / "mine"
    shutil.copytree(sessions.package, mine)
    (mine / "README.md").write_text("mine")
    (mine / "prices.csv").unlink()
    before = contents(mine)
    assert sessions.do("export", "last", "--into", str(mine), "--yes").returncode == exit_codes.OK
    after = contents(mine)
    assert {path for path in after if before.get(path) != after[path]} == {
        "src/shop/cart.py", "tests/test_cart.py", ".l2mac-manifest.json",
    }  # fmt: skip
    assert "prices.csv" not in after
    (mine / "src/shop/cart.py").write_text("mine")
    refused = sessions.do("export", "last", "--into", str(mine), "--yes")
    assert "'src/shop/cart.py' changed on the host" in refused.stderr
    assert (mine / "src/shop/cart.py").read_text() == "mine"


def test_a_run_that_is_killed_goes_on_without_the_folder(sessions: Room):
    process = sessions.start("run", "--input-dir", "shop", "--quiet", TASK)
    deadline = time.monotonic() + 120
    while not any(
        isinstance(event, ToolRan) for event in (sessions.events() if any_trace(sessions) else [])
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shutil.rmtree(sessions.package)
    done = sessions.do("resume", "last", "--json", "--quiet")
    assert done.returncode == exit_codes.OK, done.stderr
    result = json.loads(done.stdout)
    assert result["changes"]["changed"] == ["src/shop/cart.py", "tests/test_cart.py"]
    assert "1 test fails as it did before" in result["cause"]


def any_trace(sessions: Room) -> bool:
    return any(path.stat().st_size for path in sessions.folder.glob("runs/*/trace.jsonl"))


def test_input_folder_accepts_neither_exports_nor_traces(sessions: Room):
    for words in (["--output", "shop/out"], ["--runs-dir", "shop/runs"]):
        done = sessions.do("run", "--input-dir", "shop", *words, TASK)
        assert (done.returncode, words[0] in done.stderr) == (exit_codes.USAGE, True)
    assert sessions.server.requests == []


def test_input_with_hanging_tests_is_refused_with_advice(sessions: Room):
    (sessions.package / "tests/test_hangs.py").write_text(
        "import time\n\n\ndef test_hang():\n    time.sleep(600)\n"
    )
    done = sessions.do("run", "--input-dir", "shop", "--timeout", "6", TASK)
    assert done.returncode == exit_codes.USAGE
    assert "raise --timeout or --memory, or leave out with --exclude" in done.stderr
    done = sessions.do("run", "--input-dir", "shop", "--exclude", "test_hangs.py", TASK)
    assert done.returncode == exit_codes.OK, done.stderr


def test_the_python_api_takes_a_folder_too(sessions: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(sessions.folder)
    values: dict[str, Any] = {
        "base_url": sessions.server.base_url,
        "model": "scripted",
        "image": IMAGE,
        "context_tokens": 16384,
    }
    values |= {"runs_dir": sessions.folder / "runs", "debugging_level": "error"}
    files = l2mac.generate_codebase(TASK, input_dir="shop", exclude=["docs"], **values)
    assert set(files) == set(existing_project.FILES) - {"docs/notes.txt"}
    assert "def count" in files["src/shop/cart.py"]


def test_the_commands_of_the_page_work_in_their_order(sessions: Room):
    variables = environment_of(sessions)
    commands = commands_of("docs/existing-codebase.md")
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=sessions.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = exit_codes.FAILING if command.startswith("l2mac diff") else exit_codes.OK
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    assert "def count" in (sessions.package / "src/shop/cart.py").read_text()
    assert (sessions.folder / "whole/README.md").read_text() == existing_project.FILES["README.md"]
