"""inspect-ai's own battery for sandbox providers, run on a real sandbox: `make audit`.

Our sandboxes differ from the battery on purpose in places. Each difference is listed with its
reason and has to fail, so a difference that is gone is an error, too.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from engine import BASE_IMAGE, cache_folder
from inspect_adapter import AdaptedSandbox
from inspect_ai.util._sandbox.self_check import *  # noqa: F403 - how the battery says it is to be used

from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import prepare_image

_EMPTIED = "/tmp is emptied after every command, so nothing is left there for the next one"
_ATOMIC = "the store holds names and contents, no modes: a write replaces the file as a whole"
_FRAME = "one write and standard input are limited to the size of a frame: 32 MiB"
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
    "test_exec_as_user": "a sandbox has one user",
}


@pytest.fixture(scope="module", params=["runc", "runsc"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[DockerSandbox]:
    policy = SandboxPolicy(cpus=1.0, runtime=request.param, max_write_bytes=32 << 20)
    with Engine.connect() as engine:
        image = prepare_image(engine, BASE_IMAGE, cache_folder(), print)
        with DockerSandbox(engine, image, policy, run=f"audit-{os.getpid()}") as sandbox:
            yield sandbox


@pytest.fixture
async def sandbox_env(
    sandbox: DockerSandbox, request: pytest.FixtureRequest
) -> AsyncIterator[AdaptedSandbox]:
    reason = DIFFERENCES.get(request.node.originalname)
    if reason is not None:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    yield AdaptedSandbox(sandbox)
    sandbox.delete([entry.path for entry in sandbox.files()])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio
