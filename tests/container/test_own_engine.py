"""Tests on an engine of their own: runtimes that ignore limits, and a crash of the engine."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiers
from engine import RUN, wait_until, wait_until_none
from own_engine import OwnEngine

from sandbox import IsolationMismatch, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import LABEL, reap
from sandbox.engine.trial import RuntimeChoice, choose_runtime

HOLDER = Path(__file__).parents[1] / "support" / "busy_owner.py"
KILLS = tiers.kills(soak=100)
ALIVE = 8 if tiers.SOAK else 2
LONGEST_WAIT_S = 1.0
POLICY = SandboxPolicy(cpus=1.0)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    """Yield an engine with two runtimes that ignore limits, one in secret, and a missing one."""
    folder = tmp_path_factory.mktemp("engine")
    disguise = folder / "runsc"
    disguise.write_text('#!/bin/sh\nexec runsc --network=none --ignore-cgroups "$@"\n')
    disguise.chmod(0o755)
    runtimes = {
        "kata-runtime": {"path": "/nowhere/kata-runtime"},
        "runsc": {"path": str(disguise)},
        "runsc-open": {"path": "runsc", "runtimeArgs": ["--network=none", "--ignore-cgroups"]},
    }
    with OwnEngine(folder, {"runtimes": runtimes}) as own:
        yield own


@pytest.fixture(scope="module")
def image(own: OwnEngine, engine: Engine, sandbox_image: SandboxImage) -> SandboxImage:
    return own.take_image(engine, sandbox_image)


def test_runtime_with_unenforced_limits_is_passed_over(
    own: OwnEngine, image: SandboxImage, gvisor: str
) -> None:
    with own.connect() as engine:
        choice = choose_runtime(engine, image, POLICY, RUN)

    reasons = dict(choice.passed_over)
    assert choice.runtime == "runc"
    assert list(reasons) == ["kata-runtime", "runsc", "runsc-open"]
    assert "no such file" in reasons["kata-runtime"]
    assert "The limit on memory does not bind" in reasons["runsc"]
    assert "--ignore-cgroups" in reasons["runsc-open"]


def test_named_runtime_is_never_replaced_by_another(
    own: OwnEngine, image: SandboxImage, gvisor: str
) -> None:
    with own.connect() as engine, pytest.raises(IsolationMismatch, match="--ignore-cgroups"):
        DockerSandbox(engine, image, SandboxPolicy(cpus=1.0, runtime="runsc-open"), run=RUN).open()


def test_same_runtime_without_the_argument_is_chosen(
    engine: Engine, sandbox_image: SandboxImage, gvisor: str
) -> None:
    """The negative control: the argument is detected, not gVisor."""
    assert choose_runtime(engine, sandbox_image, POLICY, RUN) == RuntimeChoice(gvisor, ())


class Fire:
    """Owners of sandboxes that are started side by side and killed at random moments."""

    def __init__(self, own: OwnEngine, image_id: str) -> None:
        self._command = [sys.executable, str(HOLDER), own.address, image_id]
        self._dice = random.Random(KILLS)
        self._alive: list[subprocess.Popen[str]] = []
        self.killed = self.opened = 0

    def start(self, run: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._command, run], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def kill(self, count: int) -> None:
        """Kill `count` owners, by turns while they start and while their sandbox works."""
        for _ in range(count):
            while len(self._alive) < ALIVE:
                self._alive.append(self.start(f"{RUN}-fire"))
            owner = self._alive.pop(0)
            if self.killed % 2:
                self.opened += (owner.stdout.readline() if owner.stdout else "").startswith("open")
            time.sleep(self._dice.uniform(0, LONGEST_WAIT_S))
            self._end(owner)
            self.killed += 1

    def stop(self) -> None:
        while self._alive:
            self._end(self._alive.pop())

    def _end(self, owner: subprocess.Popen[str]) -> None:
        owner.kill()
        self.opened += owner.communicate()[0].startswith("open")


def test_killed_owners_and_an_engine_crash_leave_only_foreign_objects(
    own: OwnEngine, image: SandboxImage
) -> None:
    fire, living = Fire(own, image.id), None
    with own.connect() as engine:
        neighbour = engine.api.create_container(
            image.id, entrypoint=["sleep", "600"], network_disabled=True
        )["Id"]
        engine.api.create_volume("neighbour", labels={"owner": "another"})
        networks = {network["Id"] for network in engine.api.networks()}
    try:
        fire.kill(KILLS // 2)
        own.stop(signal.SIGKILL)
        fire.kill(1)
        own.start()
        with own.connect() as engine:
            engine.api.start(neighbour)
            living = fire.start(f"{RUN}-living")
            assert living.stdout is not None
            (_, mine) = living.stdout.readline().split()
            fire.kill(KILLS - KILLS // 2 - 1)
            fire.stop()

            def foreign() -> list[tuple[str, ...]]:
                reap(engine)
                every = engine.api.containers(all=True)
                rest = [one for one in every if one["Id"] not in (neighbour, mine)]
                return [(one["Id"], one["State"], str(one["Labels"])) for one in rest]

            assert wait_until_none(foreign) == []
            assert {one["Id"] for one in engine.api.containers()} == {neighbour, mine}
            assert wait_until_none(lambda: sorted(own.processes().keys() - {neighbour, mine})) == []
            assert set(own.processes()) == {neighbour, mine}
            volumes = engine.api.volumes()["Volumes"]
            others = [one["Name"] for one in volumes if LABEL not in (one["Labels"] or {})]
            assert others == ["neighbour"]
            assert len(volumes) == 2
            assert {network["Id"] for network in engine.api.networks()} == networks
            assert living.poll() is None
    finally:
        fire.stop()
        if living is not None:
            living.kill()
            living.communicate()
    sys.stdout.write(f"{fire.killed} owners killed, {fire.opened} of them with an open sandbox\n")
    assert fire.killed == KILLS
    assert fire.opened >= KILLS // 4
    with own.connect() as engine:

        def is_clean() -> bool:
            return {one["Id"] for one in engine.api.containers(all=True)} == {neighbour}

        assert wait_until(is_clean)
        engine.api.remove_container(neighbour, v=True, force=True)
