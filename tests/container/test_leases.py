"""No box outlives the process that opened it, however that ends, and none is taken from a process that lives."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Never

import pytest
from engine import RUN, SandboxMaker, leftovers, wait_until, wait_until_none

from sandbox import Job, SandboxDied, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import LABEL, reap, sandbox_labels

HOLDER = Path(__file__).parents[1] / "support" / "sandbox_owner.py"
LEASE_S = 3
Holder = subprocess.Popen[str]


@pytest.fixture
def hold(box_image: SandboxImage) -> Iterator[Callable[..., Holder]]:
    """Give a function that starts a process which opens boxes for this run; each is ended at the end."""
    with contextlib.ExitStack() as stack:

        def start(boxes: int = 1, *seconds: str, run: str = RUN) -> Holder:
            command = [
                sys.executable,
                str(HOLDER),
                box_image.base.reference,
                run,
                str(boxes),
                *seconds,
            ]
            holder = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(holder.kill)
            return holder

        yield start


def line_of(holder: Holder, word: str) -> list[str]:
    assert holder.stdout is not None
    for line in holder.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise AssertionError("the holder ended")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs_a_command(engine, container: str) -> bool:
    return any("sleep" in words[-1] for words in engine.api.top(container)["Processes"])


@pytest.mark.parametrize("seconds", [(), ("600",)], ids=["idle", "in the middle of a command"])
def test_killed_owner_leaves_nothing(engine: Engine, hold: Callable[..., Holder], seconds) -> None:
    holder = hold(1, *seconds)
    (container,) = line_of(holder, "open ")
    assert len(leftovers(engine)) == 2  # a container and a volume
    assert not seconds or wait_until(lambda: runs_a_command(engine, container))

    holder.kill()

    assert wait_until_none(lambda: leftovers(engine)) == []


def test_eight_sandboxes_of_a_killed_owner_leave_nothing(
    engine: Engine, hold: Callable[..., Holder]
) -> None:
    holder = hold(8)
    line_of(holder, "open ")
    assert len(leftovers(engine)) == 16

    holder.kill()

    assert wait_until_none(lambda: leftovers(engine)) == []


@pytest.mark.parametrize("delay_s", [0.02, 0.08, 0.15, 0.25])
def test_reaper_removes_all_leftovers_of_an_owner_killed_while_opening(
    engine: Engine, hold: Callable[..., Holder], delay_s: float
) -> None:
    holder = hold(1)
    line_of(holder, "opening")
    time.sleep(delay_s)

    holder.kill()
    holder.wait()
    ended = wait_until(lambda: not engine.api.containers(filters={"label": f"org.l2mac.run={RUN}"}))

    def left_by_a_start() -> list[str]:
        reap(
            engine
        )  # an engine that was still making the box when its owner died may have it ready only later
        return leftovers(engine)

    assert ended, "a box still runs"
    assert wait_until_none(left_by_a_start) == []


def test_silent_owner_loses_its_sandbox_when_the_lease_ends(
    engine: Engine, hold: Callable[..., Holder]
) -> None:
    holder = hold(1)
    line_of(holder, "open ")
    started_at = time.monotonic()

    holder.send_signal(signal.SIGSTOP)

    assert wait_until(lambda: not leftovers(engine)), leftovers(engine)
    assert time.monotonic() - started_at > LEASE_S - 1
    holder.send_signal(signal.SIGCONT)


def test_idle_owner_keeps_its_sandbox(open_sandbox: SandboxMaker) -> None:
    box = open_sandbox(lease_s=4)
    time.sleep(5)  # longer than the lease; a beat is sent several times in one
    assert box.run([Job("after", ("true",))]).jobs[0].succeeded


def test_reaper_removes_only_sandboxes_of_dead_owners(
    engine: Engine, box_image: SandboxImage, hold: Callable[..., Holder]
) -> None:
    living = hold(1)
    (mine,) = line_of(living, "open ")
    labels = {**sandbox_labels(RUN), "org.l2mac.owner": f"{dead_pid()}@123"}
    request = {"Image": box_image.id, "Entrypoint": ["sleep", "300"], "Labels": labels}
    volume = {"Type": "volume", "Target": "/v", "VolumeOptions": {"Labels": labels}}
    abandoned = engine.api.create_container_from_config(
        {**request, "HostConfig": {"Mounts": [volume]}}
    )["Id"]
    engine.api.start(abandoned)
    engine.api.create_volume(name=f"{RUN}-abandoned", labels=labels)

    removed = reap(engine)

    assert removed >= 2
    assert {container["Id"] for container in engine.api.containers(filters={"label": LABEL})} >= {
        mine
    }
    assert is_alive(living.pid)
    assert len(leftovers(engine)) == 2
    living.kill()
    assert wait_until_none(lambda: leftovers(engine)) == []


def dead_pid() -> int:
    """Give the number of a process that has ended."""
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def test_engine_events_show_no_access_beside_the_channel(
    engine: Engine, box_image: SandboxImage, runtime: str
) -> None:
    """An event of exec, archive, copy or extract would be a way into the box beside its channel."""
    since = int(time.time()) - 1
    box = DockerSandbox(
        engine, box_image, SandboxPolicy(cpus=1.0, runtime=runtime, memory_bytes=512 << 20), run=RUN
    )
    with box:
        container = box.container
        box.write({"a.py": b"print(1)\n", "test_a.py": b"def test_a():\n    pass\n"})
        box.run(
            [
                Job("program", ("python3", "a.py")),
                Job("tests", checker="pytest"),
                Job("lint", checker="pylint"),
            ]
        )
        box.read("a.py")
        box.search("print")
        box.delete(["a.py"])
    time.sleep(1.1)

    events = list(engine.api.events(since=since, until=int(time.time()), decode=True))
    own = [
        event["Action"]
        for event in events
        if event["Type"] == "container" and event["Actor"]["ID"] == container
    ]
    volumes = [
        event["Action"]
        for event in events
        if event["Type"] == "volume" and event["Actor"]["Attributes"].get("container") == container
    ]

    assert own == ["create", "attach", "start", "die", "destroy"]
    assert set(volumes) <= {"mount", "unmount"}


def test_closing_twice_is_harmless_and_a_closed_sandbox_raises(open_sandbox: SandboxMaker) -> None:
    box = open_sandbox()
    box.close()
    box.close()

    with pytest.raises(SandboxDied, match="closed"):
        box.files()


def test_closing_never_hides_the_first_error(engine: Engine, box_image: SandboxImage) -> Never:
    with (
        pytest.raises(ZeroDivisionError),
        DockerSandbox(engine, box_image, SandboxPolicy(cpus=1.0), run=RUN) as box,
    ):
        engine.api.remove_container(box.container, force=True, v=True)
        raise ZeroDivisionError


def test_interrupted_request_closes_the_sandbox(
    engine: Engine, open_sandbox: SandboxMaker, interruptible: None
) -> None:
    box = open_sandbox()

    def interrupt() -> None:
        if wait_until(lambda: runs_a_command(engine, box.container)):
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        box.run([Job("wait", ("sleep", "600"))])

    with pytest.raises(SandboxDied):
        box.files()
