"""Boxes for tests: real ones, on the engine that the `docker` command would use.

Environment: `L2MAC_TEST_IMAGE` is the base image (`l2mac-base:latest`). What is missing skips a test on a developer's
machine and fails it where `CI` is `true`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine import RUN, RUNTIMES, SharedSandbox, known_runtime, leftovers, missing, wait_until

from sandbox import EngineUnavailable, ImageUnavailable, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage, prepare_image

pytest.register_assert_rewrite("sandbox.conformance")

SandboxMaker = Callable[..., DockerSandbox]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Give the engine; at the end nothing may be left on it of what this session made."""
    try:
        engine = Engine.connect()
    except EngineUnavailable as error:
        missing(str(error))
    with engine:
        yield engine
        assert wait_until(lambda: not leftovers(engine), 15), (
            f"left on the engine: {leftovers(engine)}"
        )


@pytest.fixture(scope="session")
def box_image(engine: Engine) -> SandboxImage:
    reference = os.environ.get("L2MAC_TEST_IMAGE", "l2mac-base:latest")
    try:
        return prepare_image(engine, reference, Path("~/.cache/l2mac").expanduser(), lambda _: None)
    except ImageUnavailable as error:
        missing(str(error))
        raise


@pytest.fixture(params=RUNTIMES, scope="session")
def runtime(request: pytest.FixtureRequest, engine: Engine) -> str:
    return known_runtime(engine, request.param)


@pytest.fixture(scope="session")
def gvisor(engine: Engine) -> str:
    return known_runtime(engine, "runsc")


@pytest.fixture
def open_sandbox(engine: Engine, box_image: SandboxImage) -> Iterator[SandboxMaker]:
    """Give a function that opens a box under the policy that its arguments make; all are closed at the end."""
    boxes: list[DockerSandbox] = []

    def make(**policy: object) -> DockerSandbox:
        box = DockerSandbox(engine, box_image, SandboxPolicy(**{"cpus": 1.0, **policy}), run=RUN)
        boxes.append(box)
        return box.open()

    yield make
    for box in boxes:
        box.close()


@pytest.fixture(scope="module")
def shared_sandbox(
    engine: Engine, box_image: SandboxImage, runtime: str
) -> Iterator[SharedSandbox]:
    shared_sandbox = SharedSandbox(engine, box_image, SandboxPolicy(cpus=1.0, runtime=runtime))
    yield shared_sandbox
    shared_sandbox.close()


@pytest.fixture
def box(shared_sandbox: SharedSandbox) -> DockerSandbox:
    """Give the module's box of this runtime, its store empty."""
    return shared_sandbox.fresh()
