"""The receipt: what the box is confined to, seen from inside and from outside, compared with the policy.

A row counts only when both sides say what the policy says. What a runtime or kernel cannot show is listed as not
available, never as a pass. Fails closed: a mismatch raises before anything runs.
"""

from dataclasses import dataclass, replace
from typing import Any

from sandbox.engine.hardening import ENVIRONMENT, create_request
from sandbox.engine.image import BoxImage
from sandbox.errors import IsolationMismatch
from sandbox.policy import UID, WORKSPACE, SandboxPolicy

MATCH, MISMATCH, UNAVAILABLE = "match", "mismatch", "not available"

_NO_CAPABILITIES = "0000000000000000"
_DEVICES = {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
_DEVICES |= {"tty", "urandom", "zero", "console", "net", "fuse"}
_OUTSIDE = (
    "Privileged CapAdd CapDrop ReadonlyRootfs NetworkMode IpcMode PidMode UTSMode UsernsMode CgroupnsMode Memory"
    " MemorySwap PidsLimit NanoCpus OomKillDisable ShmSize MaskedPaths ReadonlyPaths Binds VolumesFrom Devices"
    " DeviceRequests DeviceCgroupRules Sysctls GroupAdd ExtraHosts PublishAllPorts Tmpfs SecurityOpt AutoRemove"
).split()
_EMPTY: tuple[object, ...] = (None, [], {}, "", False)


@dataclass(frozen=True, slots=True)
class Row:
    """One property: what the policy wants, what is seen, and the verdict."""

    name: str
    wanted: object
    seen: object
    verdict: str


def make_receipt(
    policy: SandboxPolicy, image: BoxImage, outside: dict[str, Any], hello: dict[str, Any], version: dict[str, Any]
) -> dict[str, Any]:
    """Compare both views with the policy and give the receipt as plain JSON values.

    Args:
        policy: What was asked for.
        image: What the box started from.
        outside: The engine's inspect of the running container.
        hello: The guest's first reply, with its `posture`.
        version: The engine's own versions.

    Raises:
        IsolationMismatch: A row does not match.
    """
    own_kernel = bool(policy.runtime) and hello["posture"]["kernel"][2] != version.get("KernelVersion")
    inside = _inside_rows(policy, hello["posture"])
    rows = [*_outside_rows(policy, image, outside), *(_unless_hidden(row) if own_kernel else row for row in inside)]
    wrong = [row for row in rows if row.verdict == MISMATCH]
    if wrong:
        details = "; ".join(f"{row.name} should be {row.wanted!r} but is {row.seen!r}" for row in wrong)
        raise IsolationMismatch(tuple(row.name for row in wrong), details)
    return {
        "image": {"reference": image.base.reference, "base": image.base.id, "digest": image.base.digest, "box": image.id},
        "engine": {"version": version.get("Version"), "api": version.get("ApiVersion")},
        "runtime": outside["HostConfig"].get("Runtime"),
        "own_kernel": own_kernel,
        "rows": [{"name": row.name, "wanted": row.wanted, "seen": row.seen, "verdict": row.verdict} for row in rows],
        "posture": hello["posture"],
    }


def _outside_rows(policy: SandboxPolicy, image: BoxImage, outside: dict[str, Any]) -> list[Row]:
    wanted = create_request(policy, image.id, {}, "")
    host, seen = wanted["HostConfig"], outside["HostConfig"]
    rows = []
    for name in _OUTSIDE:
        expected, found = host[name], seen.get(name)
        if name == "SecurityOpt":
            found = [option.split("=")[0] for option in found or []]
            expected = ["no-new-privileges", "seccomp"]
        same = found == expected or (expected in _EMPTY and found in _EMPTY)
        rows.append(Row(f"outside.{name}", expected, found, MATCH if same else MISMATCH))
    mounts = [(mount["Type"], mount["Destination"], mount["RW"]) for mount in outside["Mounts"]]
    volumes = [mount for mount in mounts if mount[0] != "tmpfs"]
    rows.append(_row("outside.Mounts", [("volume", WORKSPACE, True)], volumes))
    rows.append(_row("outside.User", f"{UID}:{UID}", outside["Config"]["User"]))
    rows.append(_row("outside.Tty", expected=False, seen=outside["Config"]["Tty"]))
    rows.append(_row("outside.Image", image.id, outside["Image"]))
    return rows


def _inside_rows(policy: SandboxPolicy, posture: dict[str, Any]) -> list[Row]:
    status, mounts = posture["status"], {mount[4]: mount for mount in posture["mounts"]}
    spaces, cgroup = posture["spaces"], posture["cgroup"]
    return [
        _row("inside.uid", " ".join([str(UID)] * 4), _words(status["Uid"])),
        _row("inside.gid", " ".join([str(UID)] * 4), _words(status["Gid"])),
        _row("inside.groups", True, _words(status["Groups"]) in ("", str(UID))),
        *[_row(f"inside.{name}", _NO_CAPABILITIES, status[name]) for name in status if name.startswith("Cap")],
        _optional("inside.no_new_privileges", "1", status["NoNewPrivs"]),
        _optional("inside.seccomp", "2", status["Seccomp"]),
        _row("inside.pid", 1, posture["pid"]),
        _row("inside.root", True, _has_option(mounts, "/", "ro")),
        *[_row(f"inside.{path}.{flag}", True, _has_option(mounts, path, flag)) for path, flag in _mount_flags(policy)],
        _space("inside.disk", policy.disk_bytes if policy.volume == "tmpfs" else None, spaces[WORKSPACE]),
        _space("inside.tmp", policy.tmp_bytes, spaces["/tmp"]),  # noqa: S108 - a mount point inside the box
        _row("inside.interfaces", True, set(posture["interfaces"]) <= {"lo"}),
        _row("inside.routes", 0, posture["routes"]),
        _row("inside.devices", [], sorted(set(posture["devices"]) - _DEVICES)),
        _row("inside.tty", expected=False, seen=posture["tty"]),
        _row("inside.environment", [], sorted(set(posture["environment"]) - set(ENVIRONMENT) - {"HOSTNAME", "LC_CTYPE"})),
        _optional("inside.memory", str(policy.memory_bytes), cgroup["memory_bytes"]),
        _optional("inside.pids", str(policy.pids), cgroup["pids"]),
        _row("inside.core", [0, 0], posture["limits"]["RLIMIT_CORE"]),
        _row("inside.open_files", [policy.open_files] * 2, posture["limits"]["RLIMIT_NOFILE"]),
        _row("inside.file_bytes", [policy.file_bytes] * 2, posture["limits"]["RLIMIT_FSIZE"]),
    ]


def _unless_hidden(row: Row) -> Row:
    """Under a runtime with a kernel of its own, as gVisor: what that kernel has no word for is not available.

    gVisor answers system calls itself, under a filter of its own around the whole sandbox, so that it shows neither
    the seccomp mode nor the ambient set, and it lists mounts without `nosuid` and `nodev`.
    """
    hidden = row.name in ("inside.CapAmb", "inside.seccomp") or row.name.endswith((".nosuid", ".nodev"))
    return replace(row, verdict=UNAVAILABLE) if hidden and row.seen in (None, "0", False) else row


def _mount_flags(policy: SandboxPolicy) -> list[tuple[str, str]]:
    flags = [("/tmp", flag) for flag in ("nosuid", "nodev", "noexec")]  # noqa: S108 - a mount point inside the box
    if policy.volume == "tmpfs":
        flags += [(WORKSPACE, "nosuid"), (WORKSPACE, "nodev")]
    return flags


def _row(name: str, expected: object, seen: object) -> Row:
    return Row(name, expected, seen, MATCH if expected == seen else MISMATCH)


def _optional(name: str, wanted: str, seen: str | None) -> Row:
    """A row that some runtimes cannot show; nothing seen is not available, something else is a mismatch."""
    return Row(name, wanted, seen, UNAVAILABLE) if seen is None else _row(name, wanted, seen)


def _space(name: str, wanted: int | None, seen: list[int] | None) -> Row:
    if wanted is None or seen is None:
        return Row(name, wanted, seen, UNAVAILABLE)
    return Row(name, wanted, seen[0], MATCH if 0 < seen[0] <= wanted + 4096 else MISMATCH)


def _has_option(mounts: dict[str, list[str]], path: str, option: str) -> bool:
    return path in mounts and option in mounts[path][5].split(",")


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
