"""The receipt: a sandbox's confinement compared with the request.

A row matches only if the observed value is the requested one. A value that a runtime or kernel
cannot show is listed as not available, never as a match. The receipt fails closed: a mismatch
raises before anything runs in the sandbox.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sandbox.engine.connection import JsonObject
from sandbox.engine.fitness import loosening, shortcomings
from sandbox.engine.hardening import FIRST_UID, SCRATCH_INODES, Packages, user_processes
from sandbox.engine.image import SandboxImage
from sandbox.errors import IsolationMismatch
from sandbox.policy import PACKAGES, WORKSPACE, SandboxPolicy
from sandbox.results import Receipt

MATCH, MISMATCH, UNAVAILABLE = "match", "mismatch", "not available"

_NO_CAPABILITIES = "0000000000000000"
_DEVICES = frozenset(
    (
        "console core fd full fuse mqueue net null ptmx pts random shm stderr stdin stdout tty"
        " urandom zero"
    ).split()
)
_NAME_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
_MOUNT_POINTS = {"/", "/tmp", WORKSPACE, *_NAME_FILES}  # noqa: S108 - inside
_ENGINES_OWN = ("/proc", "/sys", "/dev")
_SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108 - mount points inside the sandbox
_HIDEABLE = (".nosuid", ".nodev", "_inodes")
# The kernel's initial namespaces (include/uapi/linux/nsfs.h); their numbers never change.
_MACHINES_NAMESPACES = {
    "ipc:[4026531839]",
    "uts:[4026531838]",
    "pid:[4026531836]",
    "cgroup:[4026531835]",
}
_CONFIG = (
    "User",
    "Tty",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "Healthcheck",
    "NetworkDisabled",
    "Volumes",
)


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One property: the requested value, the observed value, and the verdict."""

    name: str
    wanted: object
    seen: object
    verdict: str


@dataclass(frozen=True, slots=True)
class Views:
    """The sources of a receipt.

    Attributes:
        request: The create request of the sandbox, as it was sent.
        outside: The engine's inspect of the running container.
        hello: The guest's first reply, with its `posture`.
        version: The engine's versions.
        info: The engine's description of itself.
        packages: The packages that the sandbox should have.
    """

    request: JsonObject
    outside: JsonObject
    hello: JsonObject
    version: JsonObject
    info: JsonObject
    packages: Packages | None = None


def make_receipt(policy: SandboxPolicy, image: SandboxImage, views: Views) -> Receipt:
    """Compare both views with the request; return the receipt as JSON values.

    Raises:
        IsolationMismatch: A row does not match.
    """
    posture, base = views.hello["posture"], image.base
    own_kernel = bool(policy.runtime) and posture["kernel"][2] != views.version.get("KernelVersion")
    inside = [*_inside_rows(image, views), *_mount_rows(policy, views), *_packages_rows(views)]
    inside += _limit_rows(policy, posture)
    if own_kernel:
        inside = [_unless_hidden(row) for row in inside]
    rows = [*_outside_rows(policy, image, views), *inside]
    wrong = [row for row in rows if row.verdict == MISMATCH]
    if wrong:
        details = "; ".join(
            f"{row.name} is {row.seen!r} instead of {row.wanted!r}" for row in wrong
        )
        raise IsolationMismatch(tuple(row.name for row in wrong), f"{details}.")
    parts = {part["Name"]: part.get("Version") for part in views.version.get("Components") or []}
    return {
        "image": {
            "reference": base.reference,
            "base": base.id,
            "digest": base.digest,
            "sandbox": image.id,
        },
        "engine": {
            "version": views.version.get("Version"),
            "api": views.version.get("ApiVersion"),
            "parts": parts,
        },
        "runtime": views.outside["HostConfig"].get("Runtime"),
        "own_kernel": own_kernel,
        "rows": [
            {"name": row.name, "wanted": row.wanted, "seen": row.seen, "verdict": row.verdict}
            for row in rows
        ],
        "posture": posture,
    }


def _outside_rows(policy: SandboxPolicy, image: SandboxImage, views: Views) -> list[ReceiptRow]:
    request, outside = views.request, views.outside
    wanted, seen = _normalised(request["HostConfig"]), _normalised(outside["HostConfig"])
    runtime = seen.pop("Runtime", None)
    wanted.pop("Runtime", None)
    not_requested = sorted(set(seen) - set(wanted))
    unasked = {name: seen[name] for name in not_requested if _without_empty(seen[name])}
    config = outside["Config"]
    variables = set(config["Env"] or ())
    foreign_variables = variables ^ set(_merged(image.base.environment, request["Env"]))
    mounts = [[mount["Type"], mount["Destination"], mount["RW"]] for mount in outside["Mounts"]]
    volumes = [["volume", WORKSPACE, True]]
    if views.packages is not None:
        volumes.insert(0, ["volume", PACKAGES, not views.packages.volume])
    networks = outside["NetworkSettings"]
    return [
        *[_row(f"outside.{name}", value, seen.get(name)) for name, value in wanted.items()],
        _row("outside.unasked", {}, unasked),
        _row("outside.Runtime", policy.runtime or runtime, runtime),
        _row("outside.runtime_arguments", [], loosening(views.info, str(runtime))),
        _row("outside.engine", [], shortcomings(views.info, views.version)),
        *[_row(f"outside.{name}", request.get(name), config.get(name)) for name in _CONFIG],
        _row("outside.Env", [], sorted(foreign_variables)),
        _row("outside.mounted", volumes, sorted(mount for mount in mounts if mount[0] != "tmpfs")),
        _row("outside.networks", [], sorted(set(networks.get("Networks") or ()) - {"none"})),
        _row("outside.ports", [], sorted(networks.get("Ports") or ())),
        _row("outside.Image", image.id, outside["Image"]),
        _apparmor(views),
    ]


def _inside_rows(image: SandboxImage, views: Views) -> list[ReceiptRow]:
    posture = views.hello["posture"]
    status, uid = posture["status"], str(views.request["User"]).partition(":")[0]
    variables = {f"{name}={value}" for name, value in posture["environment"].items()}
    differing = variables ^ set(_merged(image.base.environment, views.request["Env"]))
    foreign = {entry.partition("=")[0] for entry in differing} - {"HOSTNAME", "LC_CTYPE"}
    namespaces, files = posture["namespaces"].values(), posture["privileged_files"]
    capabilities = [name for name in status if name.startswith("Cap")]
    unprivileged = uid.isdigit() and int(uid) >= FIRST_UID
    return [
        _row("inside.uid", [uid] * 4, (status["Uid"] or "").split()),
        _row("inside.gid", [uid] * 4, (status["Gid"] or "").split()),
        _row("inside.unprivileged_uid", expected=True, seen=unprivileged),
        _row("inside.groups", [], sorted(set((status["Groups"] or "").split()) - {uid})),
        *[_row(f"inside.{name}", _NO_CAPABILITIES, status[name]) for name in capabilities],
        _optional("inside.no_new_privileges", "1", status["NoNewPrivs"]),
        _row("inside.seccomp", "2", status["Seccomp"]),
        _row("inside.pid", 1, posture["pid"]),
        _row("inside.namespaces", [], sorted(_MACHINES_NAMESPACES & set(namespaces))),
        _row("inside.interfaces", [], sorted(set(posture["interfaces"]) - {"lo"})),
        _row("inside.routes", 0, posture["routes"]),
        _row("inside.devices", [], sorted(set(posture["devices"]) - _DEVICES)),
        _row("inside.unmasked", [], posture["unmasked"]),
        _row("inside.unprotected", [], posture["unprotected"]),
        ReceiptRow("inside.privileged_files", [], files, MATCH if files == [] else MISMATCH),
        _row("inside.tty", expected=False, seen=posture["tty"]),
        _row("inside.environment", [], sorted(foreign)),
    ]


def _mount_rows(policy: SandboxPolicy, views: Views) -> list[ReceiptRow]:
    posture = views.hello["posture"]
    mounts, spaces = {mount[4]: mount for mount in posture["mounts"]}, posture["spaces"]
    known = set(_MOUNT_POINTS)
    if views.packages is not None:
        known.add(PACKAGES)
    foreign = [path for path in mounts if path not in known and not path.startswith(_ENGINES_OWN)]
    capped = policy.volume == "tmpfs"
    flags = [(path, flag) for path in _SCRATCH for flag in ("nosuid", "nodev", "noexec")]
    flags += [(WORKSPACE, "nosuid"), (WORKSPACE, "nodev")] if capped else []
    disk, tmp, shm = spaces[WORKSPACE], spaces["/tmp"], spaces["/dev/shm"]  # noqa: S108 - inside
    return [
        _row("inside.mounts", [], sorted(foreign)),
        _row("inside.root", expected=True, seen=_has_option(mounts, "/", "ro")),
        *[
            _row(f"inside.{path}.{flag}", expected=True, seen=_has_option(mounts, path, flag))
            for path, flag in flags
        ],
        _space("inside.disk", policy.disk_bytes if capped else None, disk, 0),
        _space("inside.disk_inodes", policy.disk_inodes if capped else None, disk, 1),
        _space("inside.tmp", policy.tmp_bytes, tmp, 0),
        _space("inside.tmp_inodes", SCRATCH_INODES, tmp, 1),
        _space("inside.shm", policy.shm_bytes, shm, 0),
        _space("inside.shm_inodes", SCRATCH_INODES, shm, 1),
    ]


def _packages_rows(views: Views) -> list[ReceiptRow]:
    """Return the rows of the packages' volume: its content and protection.

    The sandbox that fills the volume may write to it.
    """
    packages, posture = views.packages, views.hello["posture"]
    if packages is None:
        return []
    mounts = {mount[4]: mount for mount in posture["mounts"]}
    flags = ("nosuid", "nodev")
    rows = [
        _row(f"inside.{PACKAGES}.{flag}", expected=True, seen=_has_option(mounts, PACKAGES, flag))
        for flag in flags
    ]
    if not packages.volume:
        return rows
    # runc before 1.2 drops a volume's own flags when it makes the mount read-only. The hash covers
    # types and modes, so no file with a set-id bit and no device can be there.
    rows = [_unless_dropped(row) for row in rows]
    read_only = _has_option(mounts, PACKAGES, "ro")
    return [
        *rows,
        _row(f"inside.{PACKAGES}.ro", expected=True, seen=read_only),
        _row("inside.packages", packages.digest, posture.get("packages")),
    ]


def _unless_dropped(row: ReceiptRow) -> ReceiptRow:
    return row if row.verdict == MATCH else replace(row, verdict=UNAVAILABLE)


def _limit_rows(policy: SandboxPolicy, posture: JsonObject) -> list[ReceiptRow]:
    cgroup, limits = posture["cgroup"], posture["limits"]
    quota = None if cgroup["cpu"] is None else cgroup["cpu"].split()[0]
    swap = cgroup["swap_bytes"]  # control groups v1 count memory and swap together, v2 swap alone
    return [
        _optional("inside.memory", str(policy.memory_bytes), cgroup["memory_bytes"]),
        _optional("inside.swap", "0" if swap == "0" else str(policy.memory_bytes), swap),
        _optional("inside.pids", str(policy.pids), cgroup["pids"]),
        _optional("inside.cpu_quota_us", str(int(policy.cpus * 100_000)), quota),
        _row("inside.core", [0, 0], limits["RLIMIT_CORE"]),
        _row("inside.open_files", [policy.open_files] * 2, limits["RLIMIT_NOFILE"]),
        _row("inside.processes", [user_processes(policy)] * 2, limits["RLIMIT_NPROC"]),
        _row("inside.file_bytes", [policy.file_bytes] * 2, limits["RLIMIT_FSIZE"]),
    ]


def _unless_hidden(row: ReceiptRow) -> ReceiptRow:
    """Return the row, as not available if the runtime's kernel hides it.

    gVisor handles system calls itself, under a filter of its own around the whole sandbox. So it
    shows neither the seccomp mode nor the ambient capabilities, lists mounts without `nosuid` and
    `nodev`, and counts no inodes in memory.
    """
    hideable = row.name in ("inside.CapAmb", "inside.seccomp") or row.name.endswith(_HIDEABLE)
    if hideable and row.seen in (None, "0", 0, False):
        return replace(row, verdict=UNAVAILABLE)
    return row


def _apparmor(views: Views) -> ReceiptRow:
    """Return the row of AppArmor's profile, if the kernel has AppArmor."""
    offered = any("apparmor" in option for option in views.info.get("SecurityOptions") or ())
    seen = views.outside.get("AppArmorProfile") if offered else None
    return _optional("outside.AppArmorProfile", "docker-default", seen)


def _normalised(host_config: JsonObject) -> JsonObject:
    """Return a host configuration with hashed profile and sorted lists."""
    options = sorted(_option(option) for option in host_config.get("SecurityOpt") or ())
    ulimits = host_config.get("Ulimits") or ()
    limits = sorted([limit["Name"], limit["Soft"], limit["Hard"]] for limit in ulimits)
    return {**host_config, "SecurityOpt": options, "Ulimits": limits}


def _option(option: str) -> str:
    """Return a security option; a seccomp profile becomes the hash of its rules."""
    name, separator, value = option.partition("=")
    if name != "seccomp":
        return option
    try:
        value = json.dumps(json.loads(value), sort_keys=True)
    except ValueError:
        return option
    return f"{name}{separator}sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def _without_empty(value: object) -> object:
    """Return a value without its empty parts.

    Engines report an unset option as null, as zero or not at all.
    """
    if isinstance(value, dict):
        inner = {name: _without_empty(one) for name, one in value.items() if one or one == {}}
        return inner or None
    if isinstance(value, list):
        kept = [_without_empty(inner) for inner in value]
        return kept if any(value) else None
    return value or None


def _merged(*environments: Iterable[str]) -> list[str]:
    """Return variables as `NAME=value`; later environments override earlier ones."""
    merged = {entry.partition("=")[0]: entry for entries in environments for entry in entries}
    return list(merged.values())


def _row(name: str, expected: object, seen: object) -> ReceiptRow:
    verdict = MATCH if _without_empty(expected) == _without_empty(seen) else MISMATCH
    return ReceiptRow(name, expected, seen, verdict)


def _optional(name: str, wanted: str, seen: str | None) -> ReceiptRow:
    """Return a row that is not available if the runtime cannot show it."""
    if seen is None:
        return ReceiptRow(name, wanted, seen, UNAVAILABLE)
    return _row(name, wanted, seen)


def _space(name: str, wanted: int | None, seen: list[int] | None, index: int) -> ReceiptRow:
    if wanted is None or seen is None:
        return ReceiptRow(name, wanted, seen, UNAVAILABLE)
    # The kernel rounds a size up to whole pages.
    verdict = MATCH if 0 < seen[index] <= wanted + 4096 else MISMATCH
    return ReceiptRow(name, wanted, seen[index], verdict)


def _has_option(mounts: dict[str, list[str]], path: str, option: str) -> bool:
    return path in mounts and option in mounts[path][5].split(",")
