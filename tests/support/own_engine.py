"""A Docker Engine for tests alone, which may restart, starve and misconfigure it.

The engine has its own namespaces, data, state and socket, and holds the images that a test gives
it. In the machine's network namespace a second engine would remove the bridge of the first one.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from engine import missing, wait_until

from sandbox.engine.connection import Engine
from sandbox.engine.image import BaseImage, SandboxImage

_START_S = 60


def loaded_image(engine: Engine, image_id: str) -> SandboxImage:
    """Return the image of a sandbox whose base image the engine does not have."""
    facts = engine.api.inspect_image(image_id)  # type: ignore[no-untyped-call] # no stub
    base = BaseImage("base", "", "", facts["Architecture"], tuple(facts["Config"]["Env"]))
    return SandboxImage(base, facts["RepoTags"][0], image_id)


class OwnEngine:
    """An engine in a folder; use as a context manager."""

    def __init__(self, folder: Path, configuration: Mapping[str, object]) -> None:
        if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("unshare")):
            missing("an engine of the tests' own needs root, dockerd and unshare")
        self._folder = folder
        self.address = f"unix://{folder}/socket"
        own = {
            "data-root": f"{folder}/data",
            "exec-root": f"{folder}/exec",
            "pidfile": f"{folder}/pid",
            "hosts": [self.address],
            "bridge": "none",
            "iptables": False,
            "ip-forward": False,
        }
        (folder / "daemon.json").write_text(json.dumps({**own, **configuration}))
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGTERM)
        for folder in Path("/proc").glob(
            "[0-9]*"
        ):  # a crash in the middle of a start leaves the engine's own shim
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if f"{self._folder}/exec/containerd/containerd.sock".encode() in words:
                    os.kill(int(folder.name), signal.SIGKILL)
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def connect(self) -> Engine:
        return Engine.connect({"DOCKER_HOST": self.address})

    def start(self) -> None:
        # A killed engine's containerd dies with it. Without a parent that reaps it, it seems alive.
        (self._folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        command = [
            "unshare",
            "--net",
            "--mount",
            "dockerd",
            "--config-file",
            f"{self._folder}/daemon.json",
        ]
        with (self._folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        assert wait_until(self._answers, _START_S), (self._folder / "log").read_text()[-2000:]

    def stop(self, how: signal.Signals) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.send_signal(how)
            daemon.wait(timeout=_START_S)

    def take_image(self, other: Engine, image: SandboxImage) -> SandboxImage:
        """Copy a sandbox's image from another engine."""
        with self.connect() as engine:
            saved = other.api.get_image(image.tag)
            engine.api.load_image(saved)  # type: ignore[no-untyped-call] # no stub
            return loaded_image(engine, image.id)

    def processes(self) -> dict[str, set[int]]:
        """Return the processes in containers of this engine: the container's id → processes."""
        found: dict[str, set[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mounts = (folder / "mountinfo").read_text().splitlines()
                if any(
                    f"upperdir={self._folder}/data/" in line and line.split()[4] == "/"
                    for line in mounts
                ):
                    match = re.search(r"/docker/([0-9a-f]{64})", (folder / "cgroup").read_text())
                    found.setdefault(match[1] if match else "", set()).add(int(folder.name))
        return found

    def _answers(self) -> bool:
        """Return whether the engine listens.

        The engine's library is not used, because it leaks sockets that do not connect.
        """
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix://")) == 0
