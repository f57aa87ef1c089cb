"""The receipt: every flipped row is a mismatch; an invisible fact is no match."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from recorded_sandbox import recorded_image, recorded_views

from sandbox import IsolationMismatch, Receipt, SandboxPolicy
from sandbox.engine.receipt import Views, make_receipt

POLICY = SandboxPolicy()
UID = "10001"
Flip = Callable[[Views], object]


def receipt_of(views: Views, policy: SandboxPolicy = POLICY) -> Receipt:
    return make_receipt(policy, recorded_image(), views)


def rows_of(views: Views, policy: SandboxPolicy = POLICY) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in receipt_of(views, policy)["rows"]}


def host(**fields: object) -> Flip:
    return lambda views: views.outside["HostConfig"].update(fields)


def config(**fields: object) -> Flip:
    return lambda views: views.outside["Config"].update(fields)


def networks(**fields: object) -> Flip:
    return lambda views: views.outside["NetworkSettings"].update(fields)


def status(name: str, value: object) -> Flip:
    return part("status", name, value)


def seen(name: str, value: object) -> Flip:
    return lambda views: views.hello["posture"].update({name: value})


def part(group: str, name: str, value: object) -> Flip:
    return lambda views: views.hello["posture"][group].update({name: value})


def mount(path: str, options: str) -> Flip:
    def flip(views: Views) -> None:
        (entry,) = (entry for entry in views.hello["posture"]["mounts"] if entry[4] == path)
        entry[5] = options

    return flip


def another_mount(views: Views) -> None:
    mounted = ["99", "1", "0:1", "/", "/etc/secrets", "ro", "-", "ext4", "/dev/x", "rw"]
    views.hello["posture"]["mounts"].append(mounted)


def bind_mount(views: Views) -> None:
    views.outside["Mounts"].append({"Type": "bind", "Destination": "/h", "RW": True})


HOST_CONFIG = {
    "AutoRemove": False,
    "Privileged": True,
    "CapAdd": ["SYS_ADMIN"],
    "CapDrop": [],
    "SecurityOpt": ["no-new-privileges"],
    "MaskedPaths": [],
    "ReadonlyPaths": ["/proc/sys"],
    "ReadonlyRootfs": False,
    "NetworkMode": "bridge",
    "IpcMode": "host",
    "PidMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
    "CgroupnsMode": "host",
    "Memory": 0,
    "MemorySwap": -1,
    "MemorySwappiness": 60,
    "OomKillDisable": True,
    "PidsLimit": None,
    "NanoCpus": 0,
    "ShmSize": 1 << 30,
    "Ulimits": [],
    "Tmpfs": {"/tmp": "rw"},
    "Mounts": [],
    "Binds": ["/:/host"],
    "VolumesFrom": ["other"],
    "Devices": [{"PathOnHost": "/dev/kvm"}],
    "DeviceRequests": [{"Count": -1}],
    "DeviceCgroupRules": ["a *:* rwm"],
    "Sysctls": {"net.ipv4.ip_forward": "1"},
    "GroupAdd": ["docker"],
    "ExtraHosts": ["a:1.2.3.4"],
    "PublishAllPorts": True,
    "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
    "RestartPolicy": {"Name": "always"},
    "Init": True,
    "LogConfig": {"Type": "json-file", "Config": {}},
}
CONFIG = {
    "User": "0:0",
    "Tty": True,
    "Entrypoint": ["/bin/sh"],
    "Cmd": ["-c"],
    "WorkingDir": "/workspace",
    "Healthcheck": {"Test": ["CMD", "true"]},
    "NetworkDisabled": False,
    "Volumes": {"/data": {}},
    "Env": ["A=b"],
}
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FLIPS: dict[str, Flip] = {
    **{f"outside.{name}": host(**{name: value}) for name, value in HOST_CONFIG.items()},
    "outside.unasked": host(Links=["other"]),
    "outside.runtime_arguments": host(Runtime="loose"),
    **{f"outside.{name}": config(**{name: value}) for name, value in CONFIG.items()},
    "outside.mounted": bind_mount,
    "outside.networks": networks(Networks={"bridge": {}}),
    "outside.ports": networks(Ports={"80/tcp": None}),
    "outside.Image": lambda views: views.outside.update(Image="sha256:other"),
    "inside.uid": status("Uid", "10001 0 10001 10001"),
    "inside.gid": status("Gid", "0 0 0 0"),
    "inside.groups": status("Groups", "10001 999"),
    **{f"inside.{name}": status(name, "0000000000000400") for name in CAPABILITIES},
    "inside.no_new_privileges": status("NoNewPrivs", "0"),
    "inside.seccomp": status("Seccomp", "0"),
    "inside.pid": seen("pid", 7),
    "inside.namespaces": part("namespaces", "ipc", "ipc:[4026531839]"),
    "inside.interfaces": seen("interfaces", ["lo", "eth0"]),
    "inside.routes": seen("routes", 1),
    "inside.devices": seen("devices", ["null", "kvm"]),
    "inside.unmasked": seen("unmasked", ["/proc/kcore"]),
    "inside.unprotected": seen("unprotected", ["/proc/sys"]),
    "inside.privileged_files": seen("privileged_files", None),
    "inside.tty": seen("tty", True),
    "inside.environment": part("environment", "OPENAI_API_KEY", "x"),
    "inside.mounts": another_mount,
    "inside.root": mount("/", "rw"),
    "inside./tmp.nosuid": mount("/tmp", "rw,nodev,noexec"),
    "inside./tmp.nodev": mount("/tmp", "rw,nosuid,noexec"),
    "inside./tmp.noexec": mount("/tmp", "rw,nosuid,nodev"),
    "inside./dev/shm.nosuid": mount("/dev/shm", "rw,nodev,noexec"),
    "inside./dev/shm.nodev": mount("/dev/shm", "rw,nosuid,noexec"),
    "inside./dev/shm.noexec": mount("/dev/shm", "rw,nosuid,nodev"),
    "inside./workspace.nosuid": mount("/workspace", "rw,nodev"),
    "inside./workspace.nodev": mount("/workspace", "rw,nosuid"),
    "inside.disk": part("spaces", "/workspace", [1 << 40, 32768]),
    "inside.disk_inodes": part("spaces", "/workspace", [1 << 28, 0]),
    "inside.tmp": part("spaces", "/tmp", [0, 8192]),
    "inside.tmp_inodes": part("spaces", "/tmp", [1 << 26, 1 << 30]),
    "inside.shm": part("spaces", "/dev/shm", [1 << 40, 8192]),
    "inside.shm_inodes": part("spaces", "/dev/shm", [1 << 25, 1 << 30]),
    "inside.memory": part("cgroup", "memory_bytes", "max"),
    "inside.swap": part("cgroup", "swap_bytes", "max"),
    "inside.pids": part("cgroup", "pids", "max"),
    "inside.cpu_quota_us": part("cgroup", "cpu", "-1"),
    "inside.core": part("limits", "RLIMIT_CORE", [-1, -1]),
    "inside.open_files": part("limits", "RLIMIT_NOFILE", [1024, 1 << 20]),
    "inside.processes": part("limits", "RLIMIT_NPROC", [-1, -1]),
    "inside.file_bytes": part("limits", "RLIMIT_FSIZE", [-1, -1]),
}
# Rows without a flip: two repeat other rows, one depends on the machine, and test_fitness.py flips
# the engine's own shortcomings.
OTHERWISE_TESTED = {
    "outside.Runtime",
    "outside.AppArmorProfile",
    "outside.engine",
    "inside.unprivileged_uid",
}


def flipped(flip: Flip) -> Views:
    views = recorded_views()
    flip(views)
    views.info["Runtimes"]["loose"] = {"path": "runsc", "runtimeArgs": ["--ignore-cgroups"]}
    return views


@pytest.mark.parametrize("name", FLIPS)
def test_every_flipped_row_is_a_mismatch_with_its_name(name: str) -> None:
    with pytest.raises(IsolationMismatch) as mismatch:
        receipt_of(flipped(FLIPS[name]))

    assert name in mismatch.value.rows
    assert name in str(mismatch.value)


def test_every_row_has_a_flip() -> None:
    assert set(rows_of(recorded_views())) == set(FLIPS) | OTHERWISE_TESTED


def test_receipt_of_the_recorded_sandbox_matches_its_request() -> None:
    verdicts = rows_of(recorded_views())
    others = [name for name, verdict in verdicts.items() if verdict != "match"]
    assert others == ["outside.AppArmorProfile"]


def test_receipt_is_plain_json_with_the_hash_of_the_profile() -> None:
    text = json.dumps(make_receipt(POLICY, recorded_image(), recorded_views()))
    assert "seccomp=sha256:" in text
    assert json.loads(text)["engine"]["parts"] == {"runc": "1.1.5"}


def test_profile_comparison_ignores_json_layout() -> None:
    views = recorded_views()
    views.request["HostConfig"]["SecurityOpt"] = ["no-new-privileges", 'seccomp={"a": 1, "b": [2]}']
    views.outside["HostConfig"]["SecurityOpt"] = ['seccomp={"b":[2],"a":1}', "no-new-privileges"]
    assert rows_of(views)["outside.SecurityOpt"] == "match"


def test_receipt_with_another_runtime_is_a_mismatch() -> None:
    with pytest.raises(IsolationMismatch) as mismatch:
        receipt_of(recorded_views(), SandboxPolicy(runtime="runsc"))
    assert mismatch.value.rows == ("outside.Runtime",)


@pytest.mark.parametrize("user", ["0:0", "1000:1000", "root"])
def test_ordinary_uid_is_a_mismatch(user: str) -> None:
    views = recorded_views()
    views.request["User"] = user
    with pytest.raises(IsolationMismatch) as mismatch:
        receipt_of(views)
    assert "inside.unprivileged_uid" in mismatch.value.rows


@pytest.mark.parametrize(
    ("profile", "verdict"), [("docker-default", "match"), ("", None), ("unconfined", None)]
)
def test_apparmor_is_required_where_the_engine_has_it(profile: str, verdict: str | None) -> None:
    views = recorded_views()
    views.info["SecurityOptions"].append("name=apparmor")
    views.outside["AppArmorProfile"] = profile
    if verdict:
        assert rows_of(views)["outside.AppArmorProfile"] == verdict
    else:
        with pytest.raises(IsolationMismatch):
            receipt_of(views)


@pytest.mark.parametrize(
    ("row", "flip"),
    [
        ("inside.memory", part("cgroup", "memory_bytes", None)),
        ("inside.pids", part("cgroup", "pids", None)),
        ("inside.no_new_privileges", status("NoNewPrivs", None)),
        ("inside.disk", part("spaces", "/workspace", None)),
    ],
)
def test_invisible_facts_are_not_available_rather_than_a_match(row: str, flip: Flip) -> None:
    assert rows_of(flipped(flip))[row] == "not available"


def test_own_kernel_may_hide_the_seccomp_mode_but_no_capability() -> None:
    views = recorded_views()
    views.outside["HostConfig"]["Runtime"] = "runsc"
    posture = views.hello["posture"]
    posture["kernel"][2] = "4.4.0"
    posture["status"] |= {"Seccomp": "0", "CapAmb": None}
    policy = SandboxPolicy(runtime="runsc")
    assert receipt_of(views, policy)["own_kernel"]
    assert rows_of(views, policy)["inside.seccomp"] == "not available"

    posture["status"]["CapEff"] = "00000000a80425fb"
    with pytest.raises(IsolationMismatch):
        receipt_of(views, policy)


def test_seccomp_mode_is_required_on_the_host_kernel() -> None:
    views = recorded_views()
    views.outside["HostConfig"]["Runtime"] = "runsc"
    views.hello["posture"]["status"]["Seccomp"] = "0"
    with pytest.raises(IsolationMismatch) as mismatch:
        receipt_of(views, SandboxPolicy(runtime="runsc"))
    assert "inside.seccomp" in mismatch.value.rows


@pytest.mark.parametrize("argument", ["--ignore-cgroups", "-ignore-cgroups=true"])
def test_a_runtime_that_ignores_the_limits_is_a_mismatch(argument: str) -> None:
    views = recorded_views()
    views.info["Runtimes"]["runc"]["runtimeArgs"] = [argument]
    with pytest.raises(IsolationMismatch) as mismatch:
        receipt_of(views)
    assert mismatch.value.rows == ("outside.runtime_arguments",)


def test_variables_of_the_base_image_are_expected() -> None:
    views = recorded_views()
    recorded = recorded_image()
    more = {"GPG_KEY": "A035", "PYTHON_VERSION": "3.11.9", "EMPTY": ""}
    views.hello["posture"]["environment"] |= more
    views.outside["Config"]["Env"] += [f"{name}={value}" for name, value in more.items()]
    environment = (*recorded.base.environment, *(f"{name}={value}" for name, value in more.items()))
    base = replace(recorded.base, reference="python:3.11", environment=environment)
    receipt = make_receipt(POLICY, replace(recorded, base=base), views)
    assert receipt["image"]["reference"] == "python:3.11"
    with pytest.raises(IsolationMismatch):
        receipt_of(copy.deepcopy(views))
