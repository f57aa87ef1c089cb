"""The walls of a box: what cannot be written, run as another, reached or read; and a receipt that sees each gap."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from engine_room import RUN
from weak_container import WeakContainers, Weakening, almighty, with_host, without

from sandbox import EngineUnavailable, IsolationMismatch, Job, SandboxPolicy
from sandbox.engine.box import DockerSandbox, seccomp_profile
from sandbox.engine.connection import Engine

SCRATCH = {"/tmp", "/dev/shm", "/dev/mqueue", "/workspace"}
WRITABLE = """
import json, os
made = []
for folder, _, _ in os.walk('/'):
    if folder.count('/') > 5 and folder.startswith(('/proc/', '/sys/fs/cgroup/')): continue
    path = os.path.join(folder, 'probe')
    try: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)); os.unlink(path); made.append(folder)
    except OSError: pass
print(json.dumps(made))
"""
KERNEL_FILES = """
import json, os
written = []
paths = ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/kernel/hostname',
         '/proc/sys/vm/drop_caches', '/sys/kernel/uevent_helper', '/sys/kernel/mm/transparent_hugepage/enabled',
         '/proc/irq/default_smp_affinity']
paths += [f'/sys/fs/cgroup/{name}' for name in ('release_agent', 'memory/release_agent', 'cgroup.procs',
          'memory/memory.limit_in_bytes', 'pids/pids.max', 'devices/devices.allow', 'memory.max', 'pids.max')]
for path in paths:
    try: os.close(os.open(path, os.O_WRONLY)); written.append(path)
    except OSError: pass
print(json.dumps(written))
"""
SET_ID_FILES = """
import json, os, stat
found = []
for folder, _, names in os.walk('/'):
    if folder.startswith(('/proc', '/sys')): continue
    for name in names:
        with_id = os.lstat(os.path.join(folder, name)).st_mode & (stat.S_ISUID | stat.S_ISGID)
        if with_id and not os.path.islink(os.path.join(folder, name)): found.append(os.path.join(folder, name))
print(json.dumps(found))
"""
BECOME = """
import ctypes, json, os
became = []
for call in (os.setuid, os.setgid, os.setresuid, os.setgroups):
    try: call(*{os.setresuid: (0, 0, 0), os.setgroups: ([0],)}.get(call, (0,))); became.append(call.__name__)
    except OSError: pass
libc = ctypes.CDLL(None)
if libc.prctl(47, 2, 7, 0, 0) == 0: became.append('ambient capability')
if libc.prctl(38, 0, 0, 0, 0) == 0: became.append('no_new_privs taken back')
print(json.dumps(became))
"""
NETWORK = """
import json, os, socket, sys
reached = []
host, port, abstract = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def attempt(name, action):
    try: action(); reached.append(name)
    except OSError: pass
attempt('tcp', lambda: socket.create_connection((host, port), 3).close())
attempt('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (host, port)))
attempt('metadata', lambda: socket.create_connection(('169.254.169.254', 80), 1).close())
attempt('udp6', lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2001:db8::1', 9)))
attempt('name', lambda: socket.getaddrinfo('localhost.example', 80))
attempt('abstract socket', lambda: socket.socket(socket.AF_UNIX).connect('\\0' + abstract))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
links = sorted(set(os.listdir('/sys/class/net'))) if os.path.isdir('/sys/class/net') else []
names = [(folder, name) for folder, _, names in os.walk('/') if not folder.startswith('/proc') for name in names]
sockets = ['/'.join(pair) for pair in names if pair[1].endswith('.sock')]
print(json.dumps([reached, links, sockets]))
"""
SECRETS = """
import json, os, sys
found = []
needle = bytes.fromhex(sys.argv[1])[::-1]
for name in os.listdir('/proc'):
    for kind in ('environ', 'cmdline'):
        try:
            with open(f'/proc/{name}/{kind}', 'rb') as file:
                if needle in file.read(): found.append(f'{name}/{kind}')
        except OSError: pass
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def controls(engine, box_image) -> WeakContainers:
    return WeakContainers(engine, box_image)


@pytest.fixture
def listener(engine) -> Iterator[tuple[str, str, str]]:
    """Listen on the engine's own bridge and on an abstract socket; gives address, port and name, as texts."""
    gateway = engine.api.inspect_network("bridge")["IPAM"]["Config"][0].get("Gateway")
    name = f"l2mac-{RUN}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((gateway, 0)))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind("\0" + name)
        local.listen()
        yield gateway, str(server.getsockname()[1]), name


def answer(box: DockerSandbox, probe: str, *arguments: str) -> Any:
    result = box.run([Job("probe", ("python3", "-c", probe, *arguments))]).jobs[0]
    assert result.succeeded, result.errors.text(2000)
    return json.loads(result.output.head)


def test_only_store_and_scratch_can_be_written(box, controls):
    assert set(answer(box, WRITABLE)) <= SCRATCH
    assert answer(box, KERNEL_FILES) == []

    def weaken(request):
        almighty(request)
        request["HostConfig"]["ReadonlyRootfs"] = False

    assert set(controls.run(WRITABLE, weaken)) >= {"/", "/etc", "/usr", "/opt", "/opt/l2mac/lib"}


def test_a_command_cannot_become_anybody_else(box, controls):
    assert answer(box, BECOME) == []
    assert answer(box, SET_ID_FILES) == []

    assert set(controls.run(BECOME, almighty)) >= {"setuid", "setgid"}
    make = "import os\nopen('/workspace/made', 'w').close(); os.chmod('/workspace/made', 0o4755)"
    assert controls.run(make + SET_ID_FILES, with_host()) == ["/workspace/made"]


def test_there_is_no_network_and_no_way_to_the_host(box, runtime, controls, listener):
    reached, links, sockets = answer(box, NETWORK, *listener)

    assert (reached, sockets) == ([], [])
    assert set(links) <= {"lo"}
    assert "tcp" in controls.run(NETWORK, bridged, *listener)[0]
    assert "abstract socket" in controls.run(NETWORK, on_the_hosts_network, *listener)[0]


def bridged(request: dict[str, Any]) -> None:
    request["NetworkDisabled"] = False
    request["HostConfig"]["NetworkMode"] = "bridge"


def on_the_hosts_network(request: dict[str, Any]) -> None:
    bridged(request)
    request["HostConfig"]["NetworkMode"] = "host"


def test_no_secret_of_the_host_reaches_the_box(engine, box_image, controls):
    """Open a box from a process whose environment has a secret, and look for it in the box and in what is recorded."""
    secret = f"canary-{RUN}"
    program = """
import json, sys
from pathlib import Path
from sandbox import Job, SandboxPolicy
from sandbox.engine.box import DockerSandbox
from sandbox.engine.connection import Engine
from sandbox.engine.image import prepare_image
with Engine.connect() as engine:
    image = prepare_image(engine, sys.argv[1], Path('unused'), print)
    with DockerSandbox(engine, image, SandboxPolicy(cpus=1.0), run=sys.argv[2]) as box:
        found = box.run([Job('probe', ('python3', '-c', sys.argv[3], sys.argv[4]))]).jobs[0].output.text(1000)
        print(json.dumps([found, json.dumps(box.receipt), json.dumps(engine.api.inspect_container(box.container))]))
"""
    needle = secret.encode()[::-1].hex()
    environment = {**os.environ, "OPENAI_API_KEY": secret}
    done = subprocess.run(
        [sys.executable, "-c", program, box_image.base.reference, RUN, SECRETS, needle],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    found, receipt, inspected = json.loads(done.stdout)
    assert found == "[]\n"
    assert secret not in receipt
    assert secret not in inspected
    assert controls.run(SECRETS, lambda request: request["Env"].append(f"OPENAI_API_KEY={secret}"), needle)


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
    request["HostConfig"]["Mounts"].append({"Type": "volume", "Target": "/more", "VolumeOptions": {"NoCopy": True}})


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
def test_the_receipt_sees_every_weakening(engine, box_image, name):
    weaken, row = WEAKENINGS[name]
    weak_engine = Engine(WeakeningApi(engine.api, weaken), engine.version)
    box = DockerSandbox(weak_engine, box_image, SandboxPolicy(cpus=1.0), run=RUN)

    try:
        with pytest.raises(IsolationMismatch) as mismatch:
            box.open()
    finally:
        box.close()
    assert row in mismatch.value.rows


def test_an_engine_that_goes_away_is_a_typed_error(engine, box_image):
    class GoneApi(WeakeningApi):
        def start(self, *_: object) -> None:
            raise requests.exceptions.ConnectionError("gone")

    box = DockerSandbox(
        Engine(GoneApi(engine.api, lambda _: None), engine.version), box_image, SandboxPolicy(), run=RUN
    )
    with pytest.raises(EngineUnavailable):
        box.open()
    assert box.container == ""
