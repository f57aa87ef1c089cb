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
import shop
from pages import commands_of, environment

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
        variables = surroundings(self)
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


def surroundings(room: Room) -> dict[str, str]:
    model = {
        "L2MAC_BASE_URL": room.server.base_url,
        "L2MAC_MODEL": "scripted",
        "L2MAC_CONTEXT_TOKENS": "16384",
    }
    return environment(room.folder, L2MAC_IMAGE=IMAGE, **model)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ModelServer(shop.answer) as server:
        shop.write(tmp_path / "shop")
        yield Room(tmp_path, server)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Room, dict[str, Any], str]]:
    folder = tmp_path_factory.mktemp("existing")
    shop.write(folder / "shop")
    before = contents(folder / "shop")
    with ModelServer(shop.answer) as server:
        room = Room(folder, server)
        done = room.do("run", "--input-dir", "shop", "--json", TASK)
        assert done.returncode == exit_codes.OK, done.stdout + done.stderr
        assert contents(folder / "shop") == before, "the folder was written to"
        yield room, json.loads(done.stdout), done.stderr


def test_a_feature_is_added_and_what_was_wrong_before_is_said_and_no_obstacle(finished):
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


def test_what_is_left_out_is_named_and_the_model_never_sees_it(finished):
    room, _, progress = finished
    assert "version control: .git/" in progress
    assert "names that usually hold secrets: .env" in progress
    said = json.dumps([request.body for request in room.server.requests])
    assert "secret-of-the-shop" not in said
    assert "class Cart: add, total" in said


def test_a_new_failing_test_and_a_deleted_old_one_are_both_due(finished):
    room, _, _ = finished
    verdicts: list[tuple[str, str]] = [("the input", "")]
    for event in room.events():
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
    claims = [request.body["messages"] for request in room.server.requests]
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


def test_the_record_shows_what_changed_and_every_byte_of_it_is_accounted_for(finished):
    room, _, _ = finished
    diff = room.do("diff", "last")
    assert diff.returncode == exit_codes.FAILING
    assert [line for line in diff.stdout.splitlines() if line.startswith("+++ ")] == [
        "+++ b/src/shop/cart.py",
        "+++ b/tests/test_cart.py",
    ]
    assert room.do("diff", "last", "--steps", "0..0").stdout == ""
    assert "input    6 files, 2 left out" in room.do("show", "last").stdout
    assert room.do("audit", "verify", "last").returncode == exit_codes.OK


def test_a_replay_needs_no_folder_and_comes_to_the_same_files(finished, tmp_path: Path):
    room, _, _ = finished
    variables = environment(tmp_path, L2MAC_IMAGE=IMAGE)
    words = [
        sys.executable,
        "-m",
        "l2mac",
        "replay",
        str(next((room.folder / "runs").iterdir())),
        "--output",
        "out",
    ]
    done = subprocess.run(
        words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == exit_codes.OK, done.stderr
    assert "the files are those of the record, hash by hash" in done.stdout
    assert (tmp_path / "out/docs/notes.txt").read_text() == shop.FILES["docs/notes.txt"]


def test_only_changes_come_back_and_what_was_changed_meanwhile_stays(finished, tmp_path: Path):
    room, _, _ = finished
    mine = tmp_path / "mine"
    shutil.copytree(room.package, mine)
    (mine / "README.md").write_text("mine")
    (mine / "prices.csv").unlink()
    before = contents(mine)
    assert room.do("export", "last", "--into", str(mine), "--yes").returncode == exit_codes.OK
    after = contents(mine)
    assert {path for path in after if before.get(path) != after[path]} == {
        "src/shop/cart.py", "tests/test_cart.py", ".l2mac-manifest.json",
    }  # fmt: skip
    assert "prices.csv" not in after
    (mine / "src/shop/cart.py").write_text("mine")
    refused = room.do("export", "last", "--into", str(mine), "--yes")
    assert "'src/shop/cart.py' changed on the host" in refused.stderr
    assert (mine / "src/shop/cart.py").read_text() == "mine"


def test_a_run_that_is_killed_goes_on_without_the_folder(room: Room):
    process = room.start("run", "--input-dir", "shop", "--quiet", TASK)
    deadline = time.monotonic() + 120
    while not any(
        isinstance(event, ToolRan) for event in (room.events() if any_trace(room) else [])
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shutil.rmtree(room.package)
    done = room.do("resume", "last", "--json", "--quiet")
    assert done.returncode == exit_codes.OK, done.stderr
    result = json.loads(done.stdout)
    assert result["changes"]["changed"] == ["src/shop/cart.py", "tests/test_cart.py"]
    assert "1 test fails as it did before" in result["cause"]


def any_trace(room: Room) -> bool:
    return any(path.stat().st_size for path in room.folder.glob("runs/*/trace.jsonl"))


def test_nothing_may_be_exported_or_recorded_into_the_folder(room: Room):
    for words in (["--output", "shop/out"], ["--runs-dir", "shop/runs"]):
        done = room.do("run", "--input-dir", "shop", *words, TASK)
        assert (done.returncode, words[0] in done.stderr) == (exit_codes.USAGE, True)
    assert room.server.requests == []


def test_files_whose_tests_hang_are_refused_with_what_to_do(room: Room):
    (room.package / "tests/test_hangs.py").write_text(
        "import time\n\n\ndef test_hang():\n    time.sleep(600)\n"
    )
    done = room.do("run", "--input-dir", "shop", "--timeout", "6", TASK)
    assert done.returncode == exit_codes.USAGE
    assert "raise --timeout or --memory, or leave out with --exclude" in done.stderr
    done = room.do("run", "--input-dir", "shop", "--exclude", "test_hangs.py", TASK)
    assert done.returncode == exit_codes.OK, done.stderr


def test_the_python_api_takes_a_folder_too(room: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(room.folder)
    values: dict[str, Any] = {
        "base_url": room.server.base_url,
        "model": "scripted",
        "image": IMAGE,
        "context_tokens": 16384,
    }
    values |= {"runs_dir": room.folder / "runs", "debugging_level": "error"}
    files = l2mac.generate_codebase(TASK, input_dir="shop", exclude=["docs"], **values)
    assert set(files) == set(shop.FILES) - {"docs/notes.txt"}
    assert "def count" in files["src/shop/cart.py"]


def test_the_commands_of_the_page_work_in_their_order(room: Room):
    variables = surroundings(room)
    commands = commands_of("docs/existing-codebase.md")
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=room.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = exit_codes.FAILING if command.startswith("l2mac diff") else exit_codes.OK
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    assert "def count" in (room.package / "src/shop/cart.py").read_text()
    assert (room.folder / "whole/README.md").read_text() == shop.FILES["README.md"]
