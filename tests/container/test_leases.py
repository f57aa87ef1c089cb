"""No sandbox outlives the process that opened it; no living process loses one."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Never, Protocol

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


class Hold(Protocol):
    """A function that starts a process which opens sandboxes for this run."""

    def __call__(self, sandboxes: int = 1, *seconds: str) -> Holder:
        """Start the process; with `seconds`, a command runs that long."""
        ...


@pytest.fixture
def hold(sandbox_image: SandboxImage) -> Iterator[Hold]:
    with contextlib.ExitStack() as stack:

        def start(sandboxes: int = 1, *seconds: str) -> Holder:
            reference = sandbox_image.base.reference
            command = [sys.executable, str(HOLDER), reference, RUN, str(sandboxes), *seconds]
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


def runs_a_command(engine: Engine, container: str) -> bool:
    return any("sleep" in words[-1] for words in engine.api.top(container)["Processes"])


@pytest.mark.parametrize("seconds", [(), ("600",)], ids=["idle", "in the middle of a command"])
def test_killed_owner_leaves_nothing(engine: Engine, hold: Hold, seconds: tuple[str, ...]) -> None:
    holder = hold(1, *seconds)
    (container,) = line_of(holder, "open ")
    assert len(leftovers(engine)) == 2  # a container and a volume
    assert not seconds or wait_until(lambda: runs_a_command(engine, container))

    holder.kill()

    assert wait_until_none(lambda: leftovers(engine)) == []


def test_eight_sandboxes_of_a_killed_owner_leave_nothing(engine: Engine, hold: Hold) -> None:
    holder = hold(8)
    line_of(holder, "open ")
    assert len(leftovers(engine)) == 16

    holder.kill()

    assert wait_until_none(lambda: leftovers(engine)) == []


@pytest.mark.parametrize("delay_s", [0.02, 0.08, 0.15, 0.25])
def test_reaper_removes_all_leftovers_of_an_owner_killed_while_opening(
    engine: Engine, hold: Hold, delay_s: float
) -> None:
    holder = hold(1)
    line_of(holder, "opening")
    time.sleep(delay_s)

    holder.kill()
    holder.wait()
    label = {"label": f"org.l2mac.run={RUN}"}
    ended = wait_until(lambda: not engine.api.containers(filters=label))

    def left_by_a_start() -> list[str]:
        reap(engine)  # the engine may finish a sandbox after its owner's death
        return leftovers(engine)

    assert ended, "a sandbox still runs"
    assert wait_until_none(left_by_a_start) == []


def test_silent_owner_loses_its_sandbox_when_the_lease_ends(engine: Engine, hold: Hold) -> None:
    holder = hold(1)
    line_of(holder, "open ")
    started_at = time.monotonic()

    holder.send_signal(signal.SIGSTOP)

    assert wait_until(lambda: not leftovers(engine)), leftovers(engine)
    assert time.monotonic() - started_at > LEASE_S - 1
    holder.send_signal(signal.SIGCONT)


def test_idle_owner_keeps_its_sandbox(open_sandbox: SandboxMaker) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, lease_s=4))
    time.sleep(5)  # longer than the lease; a beat is sent several times in one
    assert sandbox.run([Job("after", ("true",))]).jobs[0].succeeded


def test_reaper_removes_only_sandboxes_of_dead_owners(
    engine: Engine, sandbox_image: SandboxImage, hold: Hold
) -> None:
    living = hold(1)
    (mine,) = line_of(living, "open ")
    labels = {**sandbox_labels(RUN), "org.l2mac.owner": f"{dead_pid()}@123"}
    request: dict[str, object] = {
        "Image": sandbox_image.id,
        "Entrypoint": ["sleep", "300"],
        "Labels": labels,
    }
    volume = {"Type": "volume", "Target": "/v", "VolumeOptions": {"Labels": labels}}
    request["HostConfig"] = {"Mounts": [volume]}
    # types-docker has no types for this method.
    created = engine.api.create_container_from_config(request)  # type: ignore[no-untyped-call]
    engine.api.start(created["Id"])
    engine.api.create_volume(name=f"{RUN}-abandoned", labels=labels)

    removed = reap(engine)

    assert removed >= 2
    ours = engine.api.containers(filters={"label": LABEL})
    assert mine in {container["Id"] for container in ours}
    assert is_alive(living.pid)
    assert len(leftovers(engine)) == 2
    living.kill()
    assert wait_until_none(lambda: leftovers(engine)) == []


def dead_pid() -> int:
    """Return the number of a process that has ended."""
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def test_engine_events_show_no_access_beside_the_channel(
    engine: Engine, sandbox_image: SandboxImage, runtime: str
) -> None:
    """An event of exec, archive, copy or extract would be access beside the channel."""
    since = int(time.time()) - 1
    policy = SandboxPolicy(cpus=1.0, runtime=runtime, memory_bytes=512 << 20)
    jobs = [
        Job("program", ("python3", "a.py")),
        Job("tests", checker="pytest"),
        Job("lint", checker="pylint"),
    ]
    with DockerSandbox(engine, sandbox_image, policy, run=RUN) as sandbox:
        container = sandbox.container
        sandbox.write({"a.py": b"print(1)\n", "test_a.py": b"def test_a():\n    pass\n"})
        sandbox.run(jobs)
        sandbox.read("a.py")
        sandbox.search("print")
        sandbox.delete(["a.py"])
    time.sleep(1.1)

    own, volumes = [], []
    for event in engine.api.events(since=since, until=int(time.time()), decode=True):
        actor = event["Actor"]
        if event["Type"] == "container" and actor["ID"] == container:
            own.append(event["Action"])
        if event["Type"] == "volume" and actor["Attributes"].get("container") == container:
            volumes.append(event["Action"])

    assert own == ["create", "attach", "start", "die", "destroy"]
    assert set(volumes) <= {"mount", "unmount"}


def test_closing_twice_is_harmless_and_a_closed_sandbox_raises(open_sandbox: SandboxMaker) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0))
    sandbox.close()
    sandbox.close()

    with pytest.raises(SandboxDied, match="closed"):
        sandbox.files()


def test_closing_never_hides_the_first_error(engine: Engine, sandbox_image: SandboxImage) -> None:
    def fail_without_a_container() -> Never:
        with DockerSandbox(engine, sandbox_image, SandboxPolicy(cpus=1.0), run=RUN) as sandbox:
            engine.api.remove_container(sandbox.container, force=True, v=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_without_a_container()


def test_interrupted_request_closes_the_sandbox(
    engine: Engine, open_sandbox: SandboxMaker, interruptible: None
) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0))

    def interrupt() -> None:
        if wait_until(lambda: runs_a_command(engine, sandbox.container)):
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        sandbox.run([Job("wait", ("sleep", "600"))])

    with pytest.raises(SandboxDied):
        sandbox.files()
