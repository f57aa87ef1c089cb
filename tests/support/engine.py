"""Real sandboxes for tests: the base image, one shared sandbox, waiting, and leftovers."""

import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from sandbox import SandboxLost, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import LABEL

PATIENCE_S = 120
"""Seconds after which a test that waits has failed; far more than any wait needs."""
BASE_IMAGE = os.environ.get("L2MAC_TEST_IMAGE") or "l2mac-base:latest"
RUN = f"test-{os.getpid()}-{secrets.token_hex(4)}"
SandboxMaker = Callable[[SandboxPolicy], DockerSandbox]
T = TypeVar("T")


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail on a build machine, where every security test has to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def known_runtime(engine: Engine, name: str) -> str:
    if name not in engine.info()["Runtimes"]:
        missing(f"the engine has no runtime {name!r}")
    return name


class SharedSandbox:
    """One sandbox for many tests, opened on first use and again after a loss."""

    def __init__(self, engine: Engine, image: SandboxImage, policy: SandboxPolicy) -> None:
        self._engine, self._image, self._policy = engine, image, policy
        self._sandbox: DockerSandbox | None = None

    def fresh(self) -> DockerSandbox:
        """Return the sandbox with an empty file store."""
        try:
            if self._sandbox is not None:
                self._sandbox.delete([entry.path for entry in self._sandbox.files()])
        except SandboxLost:
            self.close()
        if self._sandbox is None:
            self._sandbox = DockerSandbox(self._engine, self._image, self._policy, run=RUN).open()
        return self._sandbox

    def close(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()


def cache_folder() -> Path:
    """Return the user's cache for downloads, or a new folder if the cache is read-only."""
    usual = Path(os.path.expanduser("~/.cache/l2mac"))
    try:
        usual.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="l2mac-cache-"))
    return usual if os.access(usual, os.W_OK) else Path(tempfile.mkdtemp(prefix="l2mac-cache-"))


def leftovers(engine: Engine, run: str = RUN) -> list[str]:
    """Return the containers and volumes on the engine with our label and the run's name."""
    labels = {"label": [LABEL, f"org.l2mac.run={run}"]}
    containers = engine.api.containers(all=True, quiet=True, filters=labels)
    volumes = engine.api.volumes(filters=labels)["Volumes"] or []
    return [*(container["Id"] for container in containers), *(volume["Name"] for volume in volumes)]


def wait_until_none(left: Callable[[], list[T]], patience_s: float = PATIENCE_S) -> list[T]:
    """Wait until nothing is left, and return the items that stayed unchanged for so long.

    An engine on a busy machine removes its containers slowly, one after the other. A slow removal
    is no leak.
    """
    before, changed_at = left(), time.monotonic()
    while before and time.monotonic() - changed_at < patience_s:
        time.sleep(0.05)
        now = left()
        if now != before:
            before, changed_at = now, time.monotonic()
    return before


def wait_until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> bool:
    """Wait until a condition holds, and return whether it did in time."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
