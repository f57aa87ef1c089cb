"""The receipt sees every gap in the walls of a box, and then nothing runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from engine import RUN

from sandbox import EngineUnavailable, IsolationMismatch, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox, seccomp_profile
from sandbox.engine.image import SandboxImage

Weakening = Callable[[dict[str, Any]], None]


def without(name: str) -> Weakening:
    """Return the weakening that takes a field of the host configuration away."""
    return lambda request: request["HostConfig"].pop(name)


def with_host(**fields: object) -> Weakening:
    """Return the weakening that sets fields of the host configuration."""
    return lambda request: request["HostConfig"].update(fields)


def bridged(request: dict[str, Any]) -> None:
    request["NetworkDisabled"] = False
    request["HostConfig"]["NetworkMode"] = "bridge"


def on_the_hosts_network(request: dict[str, Any]) -> None:
    bridged(request)
    request["HostConfig"]["NetworkMode"] = "host"


class WeakeningApi:
    """The engine's API, but for what it makes of a create request."""

    def __init__(self, api: Any, weaken: Weakening) -> None:
        self._api, self._weaken = api, weaken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def create_container_from_config(self, request: dict[str, Any]) -> dict[str, str]:
        request = json.loads(json.dumps(request))
        self._weaken(request)
        return self._api.create_container_from_config(request)


def another_volume(request: dict[str, Any]) -> None:
    request["HostConfig"]["Mounts"].append(
        {"Type": "volume", "Target": "/more", "VolumeOptions": {"NoCopy": True}}
    )


def uncapped_volume(request: dict[str, Any]) -> None:
    del request["HostConfig"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]
    request["HostConfig"]["Mounts"][0]["VolumeOptions"]["NoCopy"] = False


def looser_tmp(request: dict[str, Any]) -> None:
    request["HostConfig"]["Tmpfs"]["/tmp"] = "rw,exec,suid,dev,mode=1777"


def looser_profile(request: dict[str, Any]) -> None:
    profile = json.loads(seccomp_profile())
    profile["syscalls"].append({"names": ["ptrace"], "action": "SCMP_ACT_ALLOW"})
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges", f"seccomp={json.dumps(profile)}"]


def one_more_variable(request: dict[str, Any]) -> None:
    request["Env"].append("TOKEN=x")


def as_root(request: dict[str, Any]) -> None:
    request["User"] = "0:0"
    request["HostConfig"]["CapAdd"] = ["DAC_OVERRIDE"]


def the_hosts_name(request: dict[str, Any]) -> None:
    del request["Hostname"]
    request["HostConfig"]["UTSMode"] = "host"


WEAKENINGS: dict[str, tuple[Weakening, str]] = {
    "root": (as_root, "inside.uid"),
    "privileged": (with_host(Privileged=True), "outside.Privileged"),
    "a capability": (with_host(CapAdd=["SYS_PTRACE"]), "outside.CapAdd"),
    "default capabilities": (with_host(CapDrop=None), "inside.CapBnd"),
    "no seccomp": (with_host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]), "inside.seccomp"),
    "the engine's seccomp": (with_host(SecurityOpt=["no-new-privileges"]), "outside.SecurityOpt"),
    "one more system call": (looser_profile, "outside.SecurityOpt"),
    "new privileges": (with_host(SecurityOpt=["seccomp=unconfined"]), "inside.no_new_privileges"),
    "writable root": (with_host(ReadonlyRootfs=False), "inside.root"),
    "a host path": (with_host(Binds=["/usr/share:/usr/share:ro"]), "inside.mounts"),
    "another volume": (another_volume, "inside.mounts"),
    "no cap on the disk": (uncapped_volume, "inside.disk"),
    "a looser /tmp": (looser_tmp, "inside./tmp.noexec"),
    "a network": (bridged, "inside.interfaces"),
    "the host's network": (on_the_hosts_network, "outside.NetworkMode"),
    "the host's processes": (with_host(PidMode="host"), "inside.pid"),
    "the host's memory segments": (with_host(IpcMode="host"), "inside.namespaces"),
    "the host's name": (the_hosts_name, "inside.namespaces"),
    "the host's control groups": (with_host(CgroupnsMode="host"), "outside.CgroupnsMode"),
    "no process limit": (with_host(PidsLimit=0), "inside.pids"),
    "more memory": (with_host(Memory=1 << 32, MemorySwap=1 << 32), "inside.memory"),
    "no processor limit": (without("NanoCpus"), "outside.NanoCpus"),
    "no resource limits": (with_host(Ulimits=[]), "inside.core"),
    "a device": (
        with_host(Devices=[{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/extra", "CgroupPermissions": "rwm"}]),
        "inside.devices",
    ),
    "unmasked paths": (with_host(MaskedPaths=[], ReadonlyPaths=[]), "outside.MaskedPaths"),
    "a variable": (one_more_variable, "inside.environment"),
    "a group": (with_host(GroupAdd=["0"]), "inside.groups"),
    "a log": (with_host(LogConfig={"Type": "json-file", "Config": {}}), "outside.LogConfig"),
    "a system setting": (with_host(Sysctls={"net.ipv4.ip_forward": "1"}), "outside.Sysctls"),
    "an unasked option": (with_host(OomScoreAdj=500), "outside.unasked"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEAKENINGS)
def test_receipt_detects_every_weakened_protection(
    engine: Engine, box_image: SandboxImage, name
) -> None:
    weaken, row = WEAKENINGS[name]
    weak_engine = Engine(WeakeningApi(engine.api, weaken), engine.version)
    box = DockerSandbox(weak_engine, box_image, SandboxPolicy(cpus=1.0), run=RUN)

    try:
        with pytest.raises(IsolationMismatch) as mismatch:
            box.open()
    finally:
        box.close()
    assert row in mismatch.value.rows


def test_lost_engine_raises_a_typed_error(engine: Engine, box_image: SandboxImage) -> None:
    class GoneApi(WeakeningApi):
        def start(self, *_: object) -> None:
            raise requests.exceptions.ConnectionError("gone")

    box = DockerSandbox(
        Engine(GoneApi(engine.api, lambda _: None), engine.version),
        box_image,
        SandboxPolicy(),
        run=RUN,
    )
    with pytest.raises(EngineUnavailable):
        box.open()
    assert box.container == ""
