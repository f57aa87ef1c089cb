"""Read the sandbox's confinement from inside, for the host to compare."""

from __future__ import annotations

import json
import os
import resource

_STATUS = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters")
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_LIMITS = ("RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_FSIZE")
_CGROUP = {
    "memory_bytes": ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "swap_bytes": (
        "/sys/fs/cgroup/memory.swap.max",
        "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
    ),
    "pids": ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
    "cpu": ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
}
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_SPACES = ("/workspace", "/tmp", "/dev/shm")  # the sandbox's own mounts


def posture() -> dict[str, object]:
    """Return the facts as plain JSON values; a fact that cannot be read is null."""
    lines = _read("/proc/self/status").splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    interfaces = _read("/proc/net/dev").splitlines()[2:]
    return {
        "status": {
            name: status.get(name, "").strip() or None for name in (*_STATUS, *_CAPABILITIES)
        },
        "mounts": [line.split() for line in _read("/proc/self/mountinfo").splitlines()],
        "limits": {name: list(resource.getrlimit(getattr(resource, name))) for name in _LIMITS},
        "cgroup": {name: _first(paths) for name, paths in _CGROUP.items()},
        "namespaces": {name: _link(f"/proc/self/ns/{name}") for name in _NAMESPACES},
        "interfaces": [line.split(":")[0].strip() for line in interfaces],
        "routes": len(_read("/proc/net/route").splitlines()[1:]) + len(_foreign_routes6()),
        "devices": sorted(os.listdir("/dev")),
        "environment": dict(os.environ),
        "tty": any(os.isatty(fd) for fd in (0, 1, 2)),
        "kernel": list(os.uname()),
        "pid": os.getpid(),
        "privileged_files": _privileged_files(),
        "spaces": {path: _space(path) for path in _SPACES},
    }


def protection(masked: list[str], protected: list[str]) -> dict[str, object]:
    """Return readable masked paths and writable protected paths."""
    present = [path for path in protected if os.path.exists(path)]
    return {
        "unmasked": [path for path in masked if not _is_masked(path)],
        "unprotected": [path for path in present if not _is_read_only(path)],
    }


def _privileged_files() -> list[str] | None:
    """Return the image's files with set-id bits or capabilities, if known."""
    try:
        return list(json.loads(_read("/opt/l2mac/stripped.json"))["left"])
    except (ValueError, KeyError, TypeError):
        return None


def _is_masked(path: str) -> bool:
    """Return whether a path is unreadable, missing or empty."""
    try:
        if os.path.isdir(path):
            return not os.listdir(path)
        with open(path, "rb", buffering=0) as file:
            return not file.read(1)
    except OSError:
        return True


def _is_read_only(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:  # gVisor does not support this call on /proc
        return not os.access(path, os.W_OK)


def _space(path: str) -> list[int] | None:
    try:
        facts = os.statvfs(path)
    except OSError:
        return None
    return [facts.f_blocks * facts.f_frsize, facts.f_files]


def _foreign_routes6() -> list[str]:
    return [line for line in _read("/proc/net/ipv6_route").splitlines() if line.split()[-1] != "lo"]


def _first(paths: tuple[str, ...]) -> str | None:
    for path in paths:
        text = _read(path).strip()
        if text:
            return text
    return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
