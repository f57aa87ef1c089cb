"""Errors of the engine's library: each becomes one of ours, with the failed action."""

import gc
import inspect
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
import requests

from sandbox import EngineUnavailable, SandboxError
from sandbox.engine.connection import Engine, engine_errors

DOCKERS = [
    error
    for _, error in inspect.getmembers(docker.errors, inspect.isclass)
    if issubclass(error, Exception) and error.__module__ == "docker.errors"
]
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "BuildError": ("reason", []),
    "ContainerError": ("container", 1, "command", "image", b"stderr"),
    "StreamParseError": ("reason",),
    "ContextAlreadyExists": ("name",),
    "ContextNotFound": ("name",),
    "MissingContextParameter": ("param",),
    "ContextException": ("message",),
    "create_unexpected_kwargs_error": (),
}
REQUESTS = [
    requests.exceptions.ConnectionError,
    requests.exceptions.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.InvalidURL,
]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True, scope="module")
def _collect_open_sockets() -> Iterator[None]:
    """Collect the sockets that the engine's library forgets when it cannot connect."""
    yield
    gc.collect()


@pytest.mark.parametrize("error", [*DOCKERS, *REQUESTS], ids=lambda error: error.__name__)
def test_library_errors_become_sandbox_errors(error: type[Exception]) -> None:
    with pytest.raises(SandboxError, match="Creating the sandbox failed") as ours:
        with engine_errors("creating the sandbox"):
            raise error(*ARGUMENTS.get(error.__name__, ("message",)))
    assert isinstance(ours.value.__cause__, error)


def test_engine_refusals_are_distinguished_from_a_missing_engine() -> None:
    with pytest.raises(SandboxError) as refused, engine_errors("x"):
        raise docker.errors.APIError("no", explanation="no such runtime")
    assert not isinstance(refused.value, EngineUnavailable)
    assert "no such runtime" in str(refused.value)
    with pytest.raises(EngineUnavailable), engine_errors("x"):
        raise requests.exceptions.ConnectionError


def test_our_own_errors_and_mistakes_pass_through() -> None:
    for error in (KeyError("x"), EngineUnavailable("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)), engine_errors("x"):
            raise error


def test_missing_engine_is_one_sentence_with_advice(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="DOCKER_HOST"):
        Engine.connect({"DOCKER_HOST": f"unix://{tmp_path}/missing.sock"})


@pytest.mark.parametrize(
    "address", ["ssh://user@build-machine", "nonsense", "tcp://", "npipe:////./pipe/docker"]
)
def test_unusable_address_is_a_typed_error(address: str) -> None:
    with pytest.raises(EngineUnavailable):
        Engine.connect({"DOCKER_HOST": address})


def test_server_other_than_an_engine_is_a_typed_error(tmp_path: Path) -> None:
    path = str(tmp_path / "noise.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-noise\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EngineUnavailable):
            Engine.connect({"DOCKER_HOST": f"unix://{path}"})
        thread.join()


@pytest.mark.parametrize("auth", ["not base64, and secret", 7, None, {"a": 1}, "c2VjcmV0"])
def test_damaged_registry_key_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: object
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {"registry.invalid": {"auth": auth}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(EngineUnavailable) as refusal:
        Engine.connect({"DOCKER_HOST": f"unix://{tmp_path}/missing.sock"})
    assert "secret" not in str(refusal.value)
