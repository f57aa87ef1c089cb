"""The receipt detects every weakened protection of a sandbox, and then nothing runs."""

import json
from collections.abc import Callable
from typing import cast

import pytest
import requests
from docker import APIClient
from engine import RUN

from sandbox import EngineUnavailable, IsolationMismatch, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox, seccomp_profile
from sandbox.engine.image import SandboxImage

Request = dict[str, object]
Weakening = Callable[[Request], object]


def host_of(request: Request) -> Request:
    """Return the host configuration of a create request."""
    host = request["HostConfig"]
    assert isinstance(host, dict)
    return host


def mounts_of(request: Request) -> list[Request]:
    mounts = host_of(request)["Mounts"]
    assert isinstance(mounts, list)
    return mounts


def without(name: str) -> Weakening:
    """Return the weakening that removes a field of the host configuration."""
    return lambda request: host_of(request).pop(name)


def with_host(**fields: object) -> Weakening:
    """Return the weakening that sets fields of the host configuration."""
    return lambda request: host_of(request).update(fields)


def bridged(request: Request) -> None:
    request["NetworkDisabled"] = False
    host_of(request)["NetworkMode"] = "bridge"


def on_the_hosts_network(request: Request) -> None:
    bridged(request)
    host_of(request)["NetworkMode"] = "host"


class WeakeningApi:
    """The engine's API, which weakens every create request."""

    def __init__(self, api: APIClient, weaken: Weakening) -> None:
        self._api, self._weaken = api, weaken

    def __getattr__(self, name: str) -> object:
        return getattr(self._api, name)

    def create_container_from_config(self, request: Request) -> object:
        weakened: Request = json.loads(json.dumps(request))
        self._weaken(weakened)
        # types-docker has no types for this method.
        return self._api.create_container_from_config(weakened)  # type: ignore[no-untyped-call]


def weak_engine(engine: Engine, api: WeakeningApi) -> Engine:
    return Engine(cast("APIClient", api), engine.version)


def another_volume(request: Request) -> None:
    options = {"NoCopy": True}
    mounts_of(request).append({"Type": "volume", "Target": "/more", "VolumeOptions": options})


def uncapped_volume(request: Request) -> None:
    options = mounts_of(request)[0]["VolumeOptions"]
    assert isinstance(options, dict)
    del options["DriverConfig"]
    options["NoCopy"] = False


def looser_tmp(request: Request) -> None:
    tmpfs = host_of(request)["Tmpfs"]
    assert isinstance(tmpfs, dict)
    tmpfs["/tmp"] = "rw,exec,suid,dev,mode=1777"


def looser_profile(request: Request) -> None:
    profile = json.loads(seccomp_profile())
    profile["syscalls"].append({"names": ["ptrace"], "action": "SCMP_ACT_ALLOW"})
    host_of(request)["SecurityOpt"] = ["no-new-privileges", f"seccomp={json.dumps(profile)}"]


def one_more_variable(request: Request) -> None:
    environment = request["Env"]
    assert isinstance(environment, list)
    environment.append("TOKEN=x")


def as_root(request: Request) -> None:
    request["User"] = "0:0"
    host_of(request)["CapAdd"] = ["DAC_OVERRIDE"]


def the_hosts_name(request: Request) -> None:
    del request["Hostname"]
    host_of(request)["UTSMode"] = "host"


EXTRA_DEVICE = {
    "PathOnHost": "/dev/zero",
    "PathInContainer": "/dev/extra",
    "CgroupPermissions": "rwm",
}
WEAKENINGS: dict[str, tuple[Weakening, str]] = {
    "root": (as_root, "inside.uid"),
    "privileged": (with_host(Privileged=True), "outside.Privileged"),
    "a capability": (with_host(CapAdd=["SYS_PTRACE"]), "outside.CapAdd"),
    "default capabilities": (with_host(CapDrop=None), "inside.CapBnd"),
    "no seccomp": (
        with_host(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
        "inside.seccomp",
    ),
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
    "a device": (with_host(Devices=[EXTRA_DEVICE]), "inside.devices"),
    "unmasked paths": (with_host(MaskedPaths=[], ReadonlyPaths=[]), "outside.MaskedPaths"),
    "a variable": (one_more_variable, "inside.environment"),
    "a group": (with_host(GroupAdd=["0"]), "inside.groups"),
    "a log": (with_host(LogConfig={"Type": "json-file", "Config": {}}), "outside.LogConfig"),
    "a system setting": (with_host(Sysctls={"net.ipv4.ip_forward": "1"}), "outside.Sysctls"),
    "an unasked option": (with_host(OomScoreAdj=500), "outside.unasked"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEAKENINGS)
def test_receipt_detects_every_weakened_protection(
    engine: Engine, sandbox_image: SandboxImage, name: str
) -> None:
    weaken, row = WEAKENINGS[name]
    weak = weak_engine(engine, WeakeningApi(engine.api, weaken))
    sandbox = DockerSandbox(weak, sandbox_image, SandboxPolicy(cpus=1.0), run=RUN)

    try:
        with pytest.raises(IsolationMismatch) as mismatch:
            sandbox.open()
    finally:
        sandbox.close()
    assert row in mismatch.value.rows


def test_lost_engine_raises_a_typed_error(engine: Engine, sandbox_image: SandboxImage) -> None:
    class GoneApi(WeakeningApi):
        def start(self, *_: object) -> None:
            raise requests.exceptions.ConnectionError("gone")

    gone = weak_engine(engine, GoneApi(engine.api, lambda _: None))
    sandbox = DockerSandbox(gone, sandbox_image, SandboxPolicy(), run=RUN)
    with pytest.raises(EngineUnavailable):
        sandbox.open()
    assert sandbox.container == ""
