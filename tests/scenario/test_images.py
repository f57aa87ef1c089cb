"""Base images: an unfit one is refused before any model call, and none is built twice."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Cli
from engine import BASE_IMAGE

from sandbox.engine.connection import Engine
from sandbox.engine.image import prepare_image


@pytest.fixture
def without_python(engine: Engine) -> Iterator[str]:
    """Yield an image that has a shell and no Python."""
    tag = f"l2mac-test-{secrets.token_hex(4)}"
    remove = ["/bin/sh", "-c", "rm -f /usr/bin/python3* /usr/local/bin/python*"]
    container = engine.api.create_container(BASE_IMAGE, remove, user="0", network_disabled=True)[
        "Id"
    ]
    try:
        engine.api.start(container)
        engine.api.wait(container)
        engine.api.commit(container, repository=tag)
    finally:
        engine.api.remove_container(container, v=True, force=True)
    yield f"{tag}:latest"
    engine.api.remove_image(f"{tag}:latest", force=True)


def test_image_without_python_is_refused_before_any_model_call(
    without_python: str, cli: Cli
) -> None:
    words = (
        "run",
        "x",
        "--image",
        without_python,
        "--model",
        "m",
        "--base-url",
        "http://127.0.0.1:9/v1",
    )
    assert "cannot be a base image: the image has no python3" in cli.run(*words, code=4).stderr
    assert not cli.runs.exists()


def test_second_run_builds_nothing_and_needs_no_network(
    engine: Engine, sandbox_image: object
) -> None:
    steps: list[str] = []
    again = prepare_image(engine, BASE_IMAGE, Path("/nowhere"), steps.append)
    assert (again, steps) == (sandbox_image, [])


def test_no_image_of_a_build_stage_is_left(engine: Engine, sandbox_image: object) -> None:
    assert not engine.api.images(filters={"label": "org.l2mac.stage", "dangling": True})
