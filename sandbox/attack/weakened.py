"""Negative controls: the sandbox's own container with one protection taken away, to show that an attack can succeed.

Nothing but this package can express such a container: no policy field, no setting, no option. Each of them runs
programs of this package and nothing else, is bounded by what the programs themselves ask for, and is gone at the end.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Weakening = Callable[[dict[str, Any]], None]
CAPABILITIES = tuple(
    "DAC_OVERRIDE DAC_READ_SEARCH FOWNER MKNOD NET_ADMIN NET_RAW SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE"
    " SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG".split()
)
# What bounds the controls where the sandbox's own limit is taken away.
BOUND_PIDS, BOUND_MEMORY_BYTES = 2000, 1 << 30


@dataclass(frozen=True, slots=True)
class WeakenedOutcome:
    """What a program put out where a protection was missing: its JSON value, or None; `code` None when it hung."""

    value: Any
    code: int | None
    received: int
    errors: str = ""


def unconfined(request: dict[str, Any]) -> None:
    """Take the seccomp profile away."""
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges", "seccomp=unconfined"]


def engines_profile(request: dict[str, Any]) -> None:
    """Put the engine's own seccomp profile in the place of ours."""
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges"]


def almighty(request: dict[str, Any]) -> None:
    """Return root capabilities, a writable root file system and unmasked paths, without a seccomp profile."""
    request["User"] = "0:0"
    request["HostConfig"] |= {
        "SecurityOpt": ["seccomp=unconfined"],
        "CapAdd": list(CAPABILITIES),
        "ReadonlyRootfs": False,
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }


def unlimited(request: dict[str, Any]) -> None:
    """Take the limits away, and put bounds in their place that are far beyond them and harm no host."""
    host = request["HostConfig"]
    host |= {
        "PidsLimit": BOUND_PIDS,
        "Ulimits": [],
        "Memory": BOUND_MEMORY_BYTES,
        "MemorySwap": BOUND_MEMORY_BYTES,
    }
    del host["NanoCpus"]
    uid = request["User"].partition(":")[0]
    host["Tmpfs"] = dict.fromkeys(host["Tmpfs"], f"rw,size=128m,uid={uid},mode=0700")
    host["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"]["o"] = (
        f"size=256m,uid={uid},mode=0700"
    )


def with_variable(text: str) -> Weakening:
    """Hand a variable in, as an engine's client that passes its environment on would."""
    return lambda request: request["Env"].append(text)


def on_network(network: str) -> Weakening:
    """Connect to a network of the engine."""

    def weaken(request: dict[str, Any]) -> None:
        request["NetworkDisabled"] = False
        request["HostConfig"]["NetworkMode"] = network
        unconfined(request)

    return weaken


def beside(container: str) -> Weakening:
    """Share another container's network and its volumes."""

    def weaken(request: dict[str, Any]) -> None:
        on_network(f"container:{container}")(request)
        del request["Hostname"]
        request["HostConfig"] |= {"VolumesFrom": [container], "Mounts": []}

    return weaken


def driven(
    request: dict[str, Any], driver: str, tasks: Mapping[str, tuple[str, ...]], image: str = ""
) -> None:
    """Make the container run the driver with these programs, its output kept by the engine until it is read."""
    request["Entrypoint"] = ["python3", "-I", "-c", driver]
    for name, (source, *arguments) in tasks.items():
        request["Entrypoint"] += [name, source, json.dumps(arguments)]
    request |= {
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "WorkingDir": "/workspace",
    }
    request["HostConfig"] |= {
        "AutoRemove": False,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "16m"}},
    }
    if image:
        request["Image"] = image
