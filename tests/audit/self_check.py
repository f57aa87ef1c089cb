"""inspect-ai's own battery for sandbox providers, run on a real box: `make audit`.

What our boxes answer otherwise, on purpose, is listed with its reason and has to fail: a difference that has gone is
an error as well.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from engine import BASE_IMAGE, cache_folder
from inspect_adapter import BoxEnvironment
from inspect_ai.util._sandbox.self_check import *  # noqa: F403 - how the battery says it is to be used

from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import prepare_image

_EMPTIED = "/tmp is emptied after every command, so nothing is left there for the next one"
_ATOMIC = "the store holds names and contents, no modes: a write replaces the file as a whole"
_FRAME = "one write, and standard input, are bounded by what a frame carries: 32 MiB"
DIFFERENCES = {
    "test_read_and_write_file_including_directory_absolute": _EMPTIED,
    "test_write_text_file_is_directory": _EMPTIED,
    "test_write_binary_file_is_directory": _EMPTIED,
    "test_cwd_absolute": _EMPTIED,
    "test_write_text_file_without_permissions": _ATOMIC,
    "test_write_binary_file_without_permissions": _ATOMIC,
    "test_read_file_not_allowed": _ATOMIC,
    "test_read_and_write_large_file_binary": _FRAME,
    "test_exec_input_large": _FRAME,
    "test_exec_as_user": "a box has one user",
}


@pytest.fixture(scope="module", params=["runc", "runsc"])
def box(request: pytest.FixtureRequest) -> Iterator[DockerSandbox]:
    policy = SandboxPolicy(cpus=1.0, runtime=request.param, max_write_bytes=32 << 20)
    with Engine.connect() as engine:
        image = prepare_image(engine, BASE_IMAGE, cache_folder(), print)
        with DockerSandbox(engine, image, policy, run=f"audit-{os.getpid()}") as box:
            yield box


@pytest.fixture
async def sandbox_env(
    box: DockerSandbox, request: pytest.FixtureRequest
) -> AsyncIterator[BoxEnvironment]:
    reason = DIFFERENCES.get(request.node.originalname)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    yield BoxEnvironment(box)
    box.delete([entry.path for entry in box.files()])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio
