"""Boxes for tests: real ones, on the engine that the `docker` command would use.

Environment:

- `L2MAC_TEST_IMAGE` is the base image (`l2mac-base:latest`).
- `L2MAC_TEST_TIER` is the amount of tests (`tests/support/tiers.py`).

A missing engine or runtime skips a test on a developer's machine, and fails it where `CI` is
`true`.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiers
from cli import Cli
from engine import (
    BASE_IMAGE,
    RUN,
    SandboxMaker,
    SharedSandbox,
    cache_folder,
    known_runtime,
    leftovers,
    missing,
    wait_until,
)

from sandbox import EngineUnavailable, ImageUnavailable, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage, prepare_image

pytest.register_assert_rewrite("sandbox.conformance")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return the command line in an empty folder, without a model until it is served one."""
    return Cli(tmp_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of the tier `soak` in other tiers; gVisor is one of its runtimes."""
    long = [
        one
        for one in items
        if one.get_closest_marker("soak") or "gvisor" in getattr(one, "fixturenames", ())
    ]
    if long and not tiers.SOAK:
        config.hook.pytest_deselected(items=long)
        items[:] = [one for one in items if one not in long]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt`; a script's background job inherits it as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """Set the umask that most systems have, for tests of files' modes; the caller's may be any."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Yield the engine, and check at the end that this session has left nothing on it."""
    try:
        engine = Engine.connect()
    except EngineUnavailable as error:
        missing(str(error))
    with engine:
        yield engine
        assert wait_until(lambda: not leftovers(engine)), f"left on the engine: {leftovers(engine)}"


@pytest.fixture(scope="session")
def sandbox_image(engine: Engine) -> SandboxImage:
    try:
        return prepare_image(engine, BASE_IMAGE, cache_folder(), lambda _: None)
    except ImageUnavailable as error:
        missing(str(error))


@pytest.fixture(params=tiers.runtimes(), scope="session")
def runtime(request: pytest.FixtureRequest, engine: Engine) -> str:
    return known_runtime(engine, request.param)


@pytest.fixture(scope="session")
def gvisor(engine: Engine) -> str:
    return known_runtime(engine, "runsc")


@pytest.fixture
def open_sandbox(engine: Engine, sandbox_image: SandboxImage) -> Iterator[SandboxMaker]:
    """Return a function that opens a sandbox under a policy; all are closed at the end."""
    sandboxes: list[DockerSandbox] = []

    def make(policy: SandboxPolicy) -> DockerSandbox:
        sandbox = DockerSandbox(engine, sandbox_image, policy, run=RUN)
        sandboxes.append(sandbox)
        return sandbox.open()

    yield make
    for sandbox in sandboxes:
        sandbox.close()


@pytest.fixture(scope="module")
def shared_sandbox(
    engine: Engine, sandbox_image: SandboxImage, runtime: str
) -> Iterator[SharedSandbox]:
    shared_sandbox = SharedSandbox(engine, sandbox_image, SandboxPolicy(cpus=1.0, runtime=runtime))
    yield shared_sandbox
    shared_sandbox.close()


@pytest.fixture
def sandbox(shared_sandbox: SharedSandbox) -> DockerSandbox:
    """Return the module's sandbox of this runtime with an empty store."""
    return shared_sandbox.fresh()
