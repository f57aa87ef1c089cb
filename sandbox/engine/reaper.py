"""Label sandboxes with their owner, and remove those of dead owners.

A sandbox normally leaves nothing behind: its guest ends when the channel closes, and the engine
then removes container and volume. Only a crash of the engine or the machine leaves something, which
is found by its label. A sandbox is removed only if its owner was a process of this machine and has
ended; any other sandbox may still be in use.
"""

import os
import time
from pathlib import Path

import docker.errors

from sandbox.engine.connection import Engine, JsonObject, engine_errors
from sandbox.errors import SandboxError

LABEL = "org.l2mac.sandbox"
_OWNER = "org.l2mac.owner"
_MACHINE = "org.l2mac.machine"
RUN_LABEL = "org.l2mac.run"
_CREATED = "org.l2mac.created"
_END_S = 3


def sandbox_labels(run: str) -> dict[str, str]:
    """Return the labels of this process's sandbox for the named run."""
    return {
        LABEL: "1",
        RUN_LABEL: run,
        _OWNER: f"{os.getpid()}@{_start_of(os.getpid())}",
        _MACHINE: machine(),
        _CREATED: str(int(time.time())),
    }


def machine() -> str:
    """Return an id of this machine's boot and pid namespace, or ''.

    Processes with different ids cannot see each other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def owner_is_dead(labels: dict[str, str]) -> bool:
    """Return whether the labels' owner has provably ended on this machine."""
    here = machine()
    if not here or labels.get(_MACHINE) != here:
        return False
    number, _, started = labels.get(_OWNER, "").partition("@")
    if not (number.isascii() and number.isdigit() and started):
        return False
    pid = int(number)
    return not _exists(pid) or _start_of(pid) not in ("", started) or _is_zombie(pid)


def reap(engine: Engine) -> int:
    """Remove the containers and volumes of dead owners and return their number."""
    removed = 0
    with engine_errors("looking for abandoned sandboxes"):
        for container in engine.api.containers(all=True, filters={"label": LABEL}):
            if owner_is_dead(container.get("Labels") or {}):
                remove_container(engine, container["Id"])
                removed += 1
        volumes: list[JsonObject] = engine.api.volumes(
            filters={"label": [LABEL], "dangling": ["true"]}
        )["Volumes"]
        for volume in volumes or []:
            if owner_is_dead(volume.get("Labels") or {}):
                removed += _remove_volume(engine, volume["Name"])
    return removed


def end_container(engine: Engine, container_id: str) -> None:
    """Wait until a container with an ending guest is removed, or kill it."""
    try:
        with engine_errors("waiting for the end of a sandbox"):
            engine.api.wait(container_id, timeout=_END_S, condition="removed")
    except SandboxError:  # the container is gone already, or it does not end
        remove_container(engine, container_id)


def remove_container(engine: Engine, container_id: str) -> None:
    """Kill and remove a container with its volumes, unless it is going."""
    try:
        engine.api.remove_container(container_id, v=True, force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:  # 409: the engine is removing it already
            raise


def _remove_volume(engine: Engine, name: str) -> int:
    try:
        engine.api.remove_volume(name)
    except docker.errors.APIError:  # the volume has just been removed, or is in use after all
        return 0
    return 1


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _is_zombie(pid: int) -> bool:
    """Return whether a process has ended but its parent has not collected it."""
    return _stat(pid)[:1] in (["Z"], ["X"])


def _start_of(pid: int) -> str:
    """Return a process's start time in ticks since boot; '' if unknown.

    A /proc that hides the processes of other users does not show whether they live.
    """
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
