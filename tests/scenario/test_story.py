"""The main job, from the command line to the exported files: a real engine, a real box, real HTTP."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted_models import forty_files

from l2mac.testing.model_server import ModelServer
from l2mac.trace.chain import read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    ToolRan,
)
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from sandbox.engine.connection import Engine

IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
KILLS = 30


def command(server: ModelServer, runs: Path, *words: str) -> list[str]:
    model = [
        "--base-url",
        server.base_url,
        "--model",
        "scripted",
        "--context-tokens",
        str(forty_files.CONTEXT_TOKENS),
    ]
    return [
        sys.executable,
        "-m",
        "l2mac",
        words[0],
        *model,
        "--image",
        IMAGE,
        "--runs-dir",
        str(runs),
        *words[1:],
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    manifest = folder / ".l2mac-manifest.json"
    files = (path for path in folder.rglob("*") if path.is_file() and path != manifest)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def events_of(runs: Path) -> list[Event]:
    (run,) = runs.iterdir()
    return [entry.event for entry in read_trace(run / "trace.jsonl")[0]]


def what_is_left(engine: Engine, run: str) -> int:
    containers = engine.api.containers(all=True, filters={"label": f"org.l2mac.run={run}"})
    volumes = engine.api.volumes(filters={"label": [f"org.l2mac.run={run}"]})["Volumes"] or []
    return len(containers) + len(volumes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> dict[str, object]:
    """One uninterrupted run of the story, with what the engine saw meanwhile."""
    folder = tmp_path_factory.mktemp("story")
    since = int(time.time())
    with ModelServer(forty_files.answer) as server:
        words = ("run", "--output", str(folder / "out"), "--json", "--quiet", "the story")
        done = subprocess.run(
            command(server, folder / "runs", *words), capture_output=True, text=True, check=False
        )
    run = next((folder / "runs").iterdir()).name
    seen = engine.api.events(
        since=since, until=int(time.time()) + 1, decode=True, filters={"type": "container"}
    )
    actions = [
        event["Action"]
        for event in seen
        if event["Actor"]["Attributes"].get("org.l2mac.run") == run
    ]
    return {"folder": folder, "done": done, "actions": actions, "run": run}


def test_run_ends_with_exact_bytes_despite_overflows_and_server_faults(
    finished,
):
    done, folder = finished["done"], finished["folder"]
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["tests"]["passed"]) == ("completed", forty_files.INSTRUCTIONS)
    assert files_of(folder / "out") == forty_files.expected_files()


def test_the_engine_saw_boxes_made_and_removed_and_no_other_door_into_them(finished):
    assert set(finished["actions"]) - {"kill"} == {"create", "attach", "start", "die", "destroy"}


def test_run_leaves_nothing_in_the_engine(finished, engine: Engine):
    assert what_is_left(engine, finished["run"]) == 0


def test_every_write_is_checked_before_its_instruction_is_done(finished):
    unchecked = False
    for event in events_of(finished["folder"] / "runs"):
        if isinstance(event, ToolRan) and event.changes:
            unchecked = True
        elif isinstance(event, Checked):
            unchecked = False
        elif isinstance(event, InstructionCompleted):
            assert not unchecked, f"instruction {event.number} was done with unchecked changes"


def test_every_tool_call_has_exactly_one_answer_right_behind_it(finished):
    folder = next((finished["folder"] / "runs").iterdir())
    objects = ObjectStore(folder / OBJECTS_FILE)
    calls = [
        event for event in events_of(finished["folder"] / "runs") if isinstance(event, ModelCalled)
    ]
    for call in calls:
        waiting: list[str] = []
        for message in (json.loads(objects.get(name)) for name in call.message_objects):
            if message["role"] == "tool":
                assert message["tool_call_id"] == waiting.pop(0)
            else:
                assert not waiting
                waiting = [one["id"] for one in message["tool_calls"]]
        assert not waiting


def test_no_request_is_larger_than_the_declared_window(finished):
    calls = [
        event for event in events_of(finished["folder"] / "runs") if isinstance(event, ModelCalled)
    ]
    assert (
        max(call.prompt_tokens + call.max_reply_tokens for call in calls)
        <= forty_files.CONTEXT_TOKENS
    )


def test_an_exhausted_context_restarts_the_same_instruction(finished):
    starts = [
        event
        for event in events_of(finished["folder"] / "runs")
        if isinstance(event, InstructionStarted)
    ]
    assert {event.number for event in starts if event.restart} == {4}
    assert [event.number for event in starts if not event.restart] == list(
        range(1, forty_files.INSTRUCTIONS + 1)
    )


def test_a_replay_without_a_model_lands_on_the_same_hashes(finished, tmp_path: Path):
    run = next((finished["folder"] / "runs").iterdir())
    words = [
        "replay",
        str(run),
        "--image",
        IMAGE,
        "--runs-dir",
        str(tmp_path / "runs"),
        "--output",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "l2mac", *words, "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == forty_files.expected_files()


def test_run_killed_many_times_ends_with_exact_bytes_and_no_leftovers(
    tmp_path: Path, engine: Engine
):
    chance = random.Random(20231)
    runs, words = (
        tmp_path / "runs",
        ("run", "--quiet", "--output", str(tmp_path / "out"), "the story"),
    )
    with ModelServer(forty_files.answer) as server:
        for _ in range(KILLS):
            process = subprocess.Popen(command(server, runs, *words), stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.8, 1.9))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if any(trace.stat().st_size for trace in runs.glob("*/trace.jsonl")):
                words = ("resume", "last", "--quiet", "--output", str(tmp_path / "out"))
        done = subprocess.run(
            command(server, runs, *words), capture_output=True, text=True, check=False
        )
    (run,) = runs.iterdir()
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == forty_files.expected_files()
    deadline = time.monotonic() + 15
    while what_is_left(engine, run.name) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert what_is_left(engine, run.name) == 0
