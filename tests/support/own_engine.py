"""A Docker Engine of the tests' own, which they may restart, starve and misconfigure: nobody else uses it.

It runs in namespaces of its own (a second engine in the machine's network namespace would take the first one's bridge
away), with its own data, state and socket, and holds the images that it is given.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from engine_room import missing, wait_until

from sandbox import EngineUnavailable
from sandbox.engine.connection import Engine

_START_S = 60


class OwnEngine:
    """An engine in a folder; use as a context manager."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
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

    def connect(self) -> Engine:
        return Engine.connect({"DOCKER_HOST": self.address})

    def start(self) -> None:
        command = ["unshare", "--net", "--mount", "dockerd", "--config-file", f"{self._folder}/daemon.json"]
        with (self._folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        assert wait_until(self._answers, _START_S), (self._folder / "log").read_text()[-2000:]

    def stop(self, how: signal.Signals) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.send_signal(how)
            daemon.wait(timeout=_START_S)

    def take_image(self, other: Engine, *names: str) -> None:
        """Copy images from another engine."""
        with self.connect() as engine:
            for name in names:
                engine.api.load_image(other.api.get_image(name))

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except EngineUnavailable:
            return False
        return True
