"""What is left of a box when its owner is killed: nothing; and what is left alone: everybody else's."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_room import leftovers, wait_until

from sandbox.engine.box import DockerSandbox
from sandbox.engine.connection import Engine
from sandbox.engine.image import BoxImage
from sandbox.engine.reaper import LABEL, box_labels, machine, reap

HOLDER = Path(__file__).parents[1] / "support" / "lease_holder.py"
IMAGE = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
Start = Callable[..., tuple[str, subprocess.Popen[str]]]


@pytest.fixture
def start(box_image: BoxImage) -> Iterator[Start]:
    """Start processes that hold a box each; all are dead at the end."""
    processes: list[subprocess.Popen[str]] = []

    def holder(mode: str, *words: str) -> tuple[str, subprocess.Popen[str]]:
        run = f"lease-{secrets.token_hex(4)}"
        command = [sys.executable, str(HOLDER), IMAGE, run, mode, *words]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return run, processes[-1]

    yield holder
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def opened(process: subprocess.Popen[str]) -> bool:
    return process.stdout is not None and process.stdout.readline() == "open\n"


@pytest.mark.parametrize("mode", ["idle", "busy"])
def test_killing_the_owner_leaves_no_container_and_no_volume(engine: Engine, start: Start, mode: str):
    run, process = start(mode)
    assert opened(process)
    assert len(leftovers(engine, run)) == 2
    process.kill()
    assert wait_until(lambda: not leftovers(engine, run), 15)


def test_owners_killed_at_any_moment_of_opening_leave_nothing(engine: Engine, start: Start):
    chance = random.Random(7)
    held = [start("idle") for _ in range(8)]
    time.sleep(1.2)
    for _, process in held:
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
    assert wait_until(lambda: reap(engine) == 0 and not any(leftovers(engine, run) for run, _ in held), 30)


def test_an_owner_that_stops_beating_loses_its_box_within_the_lease(engine: Engine, start: Start):
    run, process = start("idle", "3")
    assert opened(process)
    process.send_signal(signal.SIGSTOP)
    try:
        assert wait_until(lambda: not leftovers(engine, run), 15)
    finally:
        process.send_signal(signal.SIGCONT)


def test_an_owner_that_beats_keeps_its_box_beyond_the_lease(engine: Engine, start: Start):
    run, process = start("idle", "3")
    assert opened(process)
    time.sleep(7)
    assert len(leftovers(engine, run)) == 2


def test_the_reaper_leaves_the_boxes_of_living_owners_alone(engine: Engine, open_box: Callable[..., DockerSandbox]):
    box = open_box()
    reap(engine)
    assert box.write({"a": b"still here"})


@pytest.mark.parametrize(
    ("owner", "where", "removed"),
    [("4194303@1", machine(), True), ("4194303@1", "another-machine", False), (f"{os.getpid()}@1", machine(), True)],
)
def test_the_reaper_removes_what_a_provably_dead_owner_left_and_nothing_else(
    engine: Engine, box_image: BoxImage, owner: str, where: str, *, removed: bool
):
    labels = {**box_labels("lease-dead"), "org.l2mac.owner": owner, "org.l2mac.machine": where, LABEL: "1"}
    container = engine.api.create_container(box_image.id, labels=labels)["Id"]
    try:
        reap(engine)
        here = [one["Id"] for one in engine.api.containers(all=True, quiet=True, filters={"label": LABEL})]
        assert (container not in here) is removed
    finally:
        if not removed:
            engine.api.remove_container(container, force=True, v=True)
