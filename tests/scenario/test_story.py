"""The main use, from the command line to the exported files, with a real engine."""

import dataclasses
import functools
import json
import random
import signal
import time
from pathlib import Path

import pytest
import tiers
from cli import Cli, Finished
from engine import wait_until
from scripted_models import forty_files

from l2mac.trace.events import (
    Checked,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    ToolRan,
)
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from sandbox.engine.connection import Engine

WINDOW = {"L2MAC_CONTEXT_TOKENS": str(forty_files.CONTEXT_TOKENS)}


def files_of(folder: Path) -> dict[str, bytes]:
    manifest = folder / ".l2mac-manifest.json"
    files = (path for path in folder.rglob("*") if path.is_file() and path != manifest)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def has_lines(cli: Cli, lines: int) -> bool:
    return cli.lines() >= lines


def leftovers_of(engine: Engine, run: str) -> int:
    containers = engine.api.containers(all=True, filters={"label": f"org.l2mac.run={run}"})
    volumes = engine.api.volumes(filters={"label": [f"org.l2mac.run={run}"]})["Volumes"] or []
    return len(containers) + len(volumes)


@dataclasses.dataclass(frozen=True)
class Story:
    """One uninterrupted run, and the actions that the engine recorded."""

    cli: Cli
    done: Finished
    run: Path
    actions: list[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Story:
    cli = Cli(tmp_path_factory.mktemp("story"), **WINDOW)
    since = int(time.time())
    with cli.serving(forty_files.answer):
        done = cli.run("run", "--output", "out", "--json", "--quiet", "the story")
    (run,) = cli.runs.iterdir()
    seen = engine.api.events(
        since=since, until=int(time.time()) + 1, decode=True, filters={"type": "container"}
    )
    actions = [
        event["Action"]
        for event in seen
        if event["Actor"]["Attributes"].get("org.l2mac.run") == run.name
    ]
    return Story(cli, done, run, actions)


def test_run_ends_with_exact_bytes_despite_overflows_and_server_faults(finished: Story) -> None:
    result = json.loads(finished.done.stdout)
    assert (result["status"], result["tests"]["passed"]) == ("completed", forty_files.INSTRUCTIONS)
    assert files_of(finished.cli.home / "out") == forty_files.expected_files()


def test_engine_events_show_no_other_access_to_the_sandboxes(finished: Story) -> None:
    assert set(finished.actions) - {"kill"} == {"create", "attach", "start", "die", "destroy"}


def test_run_leaves_nothing_in_the_engine(finished: Story, engine: Engine) -> None:
    assert leftovers_of(engine, finished.run.name) == 0


def test_every_write_is_checked_before_its_instruction_completes(finished: Story) -> None:
    unchecked = False
    for event in finished.cli.events():
        if isinstance(event, ToolRan) and event.changes:
            unchecked = True
        elif isinstance(event, Checked):
            unchecked = False
        elif isinstance(event, InstructionCompleted):
            assert not unchecked, f"instruction {event.number} was done with unchecked changes"


def test_every_tool_call_is_followed_by_exactly_one_answer(finished: Story) -> None:
    objects = ObjectStore(finished.run / OBJECTS_FILE)
    calls = [event for event in finished.cli.events() if isinstance(event, ModelCalled)]
    for call in calls:
        waiting: list[str] = []
        for message in (json.loads(objects.get(name)) for name in call.message_objects):
            if message["role"] == "tool":
                assert message["tool_call_id"] == waiting.pop(0)
            else:
                assert not waiting
                waiting = [one["id"] for one in message["tool_calls"]]
        assert not waiting


def test_no_request_exceeds_the_declared_window(finished: Story) -> None:
    calls = [event for event in finished.cli.events() if isinstance(event, ModelCalled)]
    assert (
        max(call.prompt_tokens + call.max_reply_tokens for call in calls)
        <= forty_files.CONTEXT_TOKENS
    )


def test_exhausted_context_restarts_the_same_instruction(finished: Story) -> None:
    starts = [event for event in finished.cli.events() if isinstance(event, InstructionStarted)]
    assert {event.number for event in starts if event.restart} == {4}
    assert [event.number for event in starts if not event.restart] == list(
        range(1, forty_files.INSTRUCTIONS + 1)
    )


def test_replay_without_a_model_writes_the_same_hashes(finished: Story, cli: Cli) -> None:
    cli.run("replay", str(finished.run), "--output", "out", "--quiet")
    assert files_of(cli.home / "out") == forty_files.expected_files()


def test_run_killed_many_times_ends_with_exact_bytes_and_no_leftovers(
    cli: Cli, engine: Engine
) -> None:
    chance = random.Random(20231)
    words = ("run", "--quiet", "--output", "out", "the story")
    with cli.serving(forty_files.answer):
        for _ in range(tiers.kills()):
            lines = cli.lines() + chance.randint(0, 6)
            process = cli.start(*words, **WINDOW)
            assert wait_until(functools.partial(has_lines, cli, lines))
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
            cli.finish(process, -signal.SIGKILL)
            if cli.lines():
                words = ("resume", "last", "--quiet", "--output", "out")
        cli.run(*words, code=0, **WINDOW)
    (run,) = cli.runs.iterdir()
    assert files_of(cli.home / "out") == forty_files.expected_files()
    assert wait_until(lambda: leftovers_of(engine, run.name) == 0)
