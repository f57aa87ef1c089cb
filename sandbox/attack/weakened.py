"""Negative controls: the container without a protection.

Only this package can express such a container: there is no policy field, setting or option for it.
Each container runs only programs of this package, is bounded by the needs of these programs, and is
removed at the end.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sandbox.engine.connection import JsonObject

# A value that a program of the suite printed. The programs run beside attacks, so it can be any
# JSON. A wrong shape aborts the part of the suite, whose remaining rows then fail.
Printed: TypeAlias = Any  # type: ignore[explicit-any] # see above
Weakening = Callable[[JsonObject], None]
CAPABILITIES = tuple(
    (
        "DAC_OVERRIDE DAC_READ_SEARCH FOWNER MKNOD NET_ADMIN NET_RAW SYSLOG SYS_ADMIN SYS_BOOT"
        " SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG"
    ).split()
)
# Bounds of the controls in place of the sandbox's own limits.
BOUND_PIDS, BOUND_MEMORY_BYTES = 2000, 1 << 30


@dataclass(frozen=True, slots=True)
class WeakenedOutcome:
    """A program's output without a protection.

    `value` is its JSON value or None. `code` is None if the program hung.
    """

    value: Printed
    code: int | None
    received: int
    errors: str = ""


def unconfined(request: JsonObject) -> None:
    """Remove the seccomp profile."""
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges", "seccomp=unconfined"]


def engines_profile(request: JsonObject) -> None:
    """Use the engine's own seccomp profile instead of ours."""
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges"]


def almighty(request: JsonObject) -> None:
    """Run as root with capabilities, writable root, no masks, no profile."""
    request["User"] = "0:0"
    request["HostConfig"] |= {
        "SecurityOpt": ["seccomp=unconfined"],
        "CapAdd": list(CAPABILITIES),
        "ReadonlyRootfs": False,
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }


def unlimited(request: JsonObject) -> None:
    """Replace the limits by far larger bounds that harm no host."""
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
    """Add a variable, as a client that passes on its environment would."""
    return lambda request: request["Env"].append(text)


def on_network(network: str) -> Weakening:
    """Connect the container to a network of the engine."""

    def weaken(request: JsonObject) -> None:
        request["NetworkDisabled"] = False
        request["HostConfig"]["NetworkMode"] = network
        unconfined(request)

    return weaken


def beside(container: str) -> Weakening:
    """Share another container's network and its volumes."""

    def weaken(request: JsonObject) -> None:
        on_network(f"container:{container}")(request)
        del request["Hostname"]
        request["HostConfig"] |= {"VolumesFrom": [container], "Mounts": []}

    return weaken


def driven(
    request: JsonObject, driver: str, tasks: Mapping[str, tuple[str, ...]], image: str = ""
) -> None:
    """Make the container run the driver; the engine keeps its output."""
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
