"""Negative controls: the box's own container with one protection taken away, to show that a probe can fail.

The engine is asked for by the tests themselves; nothing of `sandbox` can express such a container.
"""

import json
from collections.abc import Callable
from typing import Any

from engine import RUN

from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import seccomp_profile
from sandbox.engine.hardening import create_request
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import box_labels

UID = 10_001
CAPABILITIES = tuple(
    "DAC_READ_SEARCH MKNOD NET_ADMIN NET_RAW SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT"
    " SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG".split()
)
Weakening = Callable[[dict[str, Any]], None]


def unconfined(request: dict[str, Any]) -> None:
    """Take the seccomp profile away."""
    request["HostConfig"]["SecurityOpt"] = ["no-new-privileges", "seccomp=unconfined"]


def almighty(request: dict[str, Any]) -> None:
    """Take the seccomp profile away and give root the capabilities that matter, in an otherwise unchanged container."""
    request["User"] = "0:0"
    request["HostConfig"] |= {"SecurityOpt": ["seccomp=unconfined"], "CapAdd": list(CAPABILITIES)}


def without(*names: str) -> Weakening:
    """Take fields of the host configuration away."""

    def weaken(request: dict[str, Any]) -> None:
        for name in names:
            del request["HostConfig"][name]

    return weaken


def with_host(**fields: object) -> Weakening:
    """Set fields of the host configuration."""
    return lambda request: request["HostConfig"].update(fields)


class WeakContainers:
    """Run probes in containers that lack a protection; each is gone when the probe has ended."""

    def __init__(self, engine: Engine, image: SandboxImage) -> None:
        self._api, self._image = engine.api, image

    def run(
        self, probe: str, weaken: Weakening, *arguments: str, image: str = "", **policy: Any
    ) -> Any:
        """Give what the probe prints, as JSON."""
        request = create_request(
            SandboxPolicy(**{"cpus": 1.0, **policy}),
            image or self._image.id,
            box_labels(RUN),
            seccomp_profile(),
            UID,
        )
        weaken(request)
        request["Entrypoint"] = ["python3", "-I", "-c", probe, *arguments]
        request |= {
            "OpenStdin": False,
            "StdinOnce": False,
            "AttachStdin": False,
            "WorkingDir": "/workspace",
        }
        request["HostConfig"] |= {
            "AutoRemove": False,
            "LogConfig": {"Type": "json-file", "Config": {}},
        }
        container = self._api.create_container_from_config(request)["Id"]
        try:
            self._api.start(container)
            self._api.wait(container, timeout=60)
            output = self._api.logs(container, stdout=True, stderr=False)
            errors = self._api.logs(container, stdout=False, stderr=True)
        finally:
            self._api.remove_container(container, v=True, force=True)
        assert output, f"the control printed nothing: {errors.decode(errors='replace')[-500:]}"
        return json.loads(output)
