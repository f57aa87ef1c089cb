"""The reaper removes only objects of a process of this machine that has provably ended."""

import os
import subprocess
from pathlib import Path
from typing import cast

import docker.errors
import pytest
from docker import APIClient

from sandbox import EngineUnavailable
from sandbox.engine.connection import Engine
from sandbox.engine.reaper import owner_is_dead, reap, sandbox_labels

OWNER, MACHINE = "org.l2mac.owner", "org.l2mac.machine"
MINE = sandbox_labels("run")


def ended_process() -> int:
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def test_living_process_keeps_its_sandboxes() -> None:
    assert not owner_is_dead(MINE)


def test_ended_process_keeps_no_sandbox() -> None:
    assert owner_is_dead({**MINE, OWNER: f"{ended_process()}@12345"})


def test_process_with_a_reused_number_is_not_the_owner() -> None:
    assert owner_is_dead({**MINE, OWNER: f"{os.getpid()}@1"})


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {OWNER: "1@1"},
        {MACHINE: MINE[MACHINE]},
        {**MINE, MACHINE: ""},
        {**MINE, MACHINE: "another/pid:[1]"},
        {**MINE, OWNER: ""},
        {**MINE, OWNER: "x@1"},
        {**MINE, OWNER: "-1@1"},
        {**MINE, OWNER: "12"},
        {**MINE, OWNER: "²@1"},
        {**MINE, OWNER: f"{10**30}@1"},
    ],
)
def test_owners_that_cannot_be_identified_count_as_alive(labels: dict[str, str]) -> None:
    assert not owner_is_dead(labels)


def test_hidden_process_counts_as_alive() -> None:
    """PID 1 of another user answers EPERM; a hidden start time proves nothing."""
    start = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    assert not owner_is_dead({**MINE, OWNER: f"1@{start}"})


class ListingApi:
    """The engine's lists of containers and volumes; it records removals."""

    def __init__(
        self,
        containers: dict[str, dict[str, str]],
        volumes: dict[str, dict[str, str]],
        *,
        failing: Exception | None = None,
    ) -> None:
        self._containers, self._volumes, self._failing = containers, volumes, failing
        self.removed: list[str] = []

    def containers(self, **_: object) -> list[dict[str, object]]:
        return [{"Id": name, "Labels": labels} for name, labels in self._containers.items()]

    def volumes(self, **_: object) -> dict[str, object]:
        listed = [{"Name": name, "Labels": labels} for name, labels in self._volumes.items()]
        return {"Volumes": listed or None}

    def remove_container(self, name: str, **_: object) -> None:
        self._remove(name)

    def remove_volume(self, name: str) -> None:
        self._remove(name)

    def _remove(self, name: str) -> None:
        self.removed.append(name)
        if self._failing:
            raise self._failing


def engine_with(api: ListingApi) -> Engine:
    return Engine(cast("APIClient", api), {})


def test_reaper_removes_only_objects_of_dead_owners() -> None:
    dead = {**MINE, OWNER: f"{ended_process()}@1"}
    api = ListingApi({"a": MINE, "b": dead, "c": {}}, {"v": dead, "w": MINE})
    assert reap(engine_with(api)) == 2
    assert api.removed == ["b", "v"]


def test_objects_removed_concurrently_are_no_failure() -> None:
    dead = {**MINE, OWNER: f"{ended_process()}@1"}
    gone = docker.errors.NotFound("gone")
    assert reap(engine_with(ListingApi({"b": dead}, {"v": dead}, failing=gone))) == 1


def test_reaper_raises_when_the_engine_fails() -> None:
    dead = {**MINE, OWNER: f"{ended_process()}@1"}
    api = ListingApi({"b": dead}, {}, failing=docker.errors.DockerException("no answer"))
    with pytest.raises(EngineUnavailable):
        reap(engine_with(api))
