"""Surprises in a base image: removed, without effect, or refused before anything runs."""

import io
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from engine import RUN

from sandbox import ImageUnavailable, Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage, prepare_image

CACHE = Path("/nowhere")  # no image here gets as far as a download
SURPRISES = (
    'ENTRYPOINT ["/bin/false"]',
    'CMD ["-x"]',
    "USER nobody",
    "WORKDIR /root",
    "EXPOSE 80",
    "STOPSIGNAL SIGSTOP",
    "HEALTHCHECK CMD touch /workspace/health",
    "ENV PYTHONOPTIMIZE=2 PYTHONSTARTUP=/opt/start.py PYTHONPATH=/opt/planted",
    "ENV PYTEST_ADDOPTS=--collect-only",
)
# A set-id copy, and one with cap_setuid and cap_sys_admin effective and permitted
# (linux/capability.h, revision 2).
PLANT = """
import os, pathlib, shutil, struct
for name in ('set-id', 'capable'): shutil.copy('/bin/sh', f'/opt/{name}')
os.chmod('/opt/set-id', 0o6755)
bits = 1 << 7 | 1 << 21
os.setxattr('/opt/capable', 'security.capability', struct.pack('<5I', 0x02000001, bits, 0, 0, 0))
pathlib.Path('/opt/planted').mkdir()
for name in ('sitecustomize', 'pytest'):
    pathlib.Path(f'/opt/planted/{name}.py').write_text('raise SystemExit(0)')
pathlib.Path('/workspace').mkdir()
pathlib.Path('/workspace/planted').write_text('x')
"""
LOOK = """
import json, os, stat
found = {}
for name in ('set-id', 'capable'):
    path = f'/opt/{name}'
    set_id = bool(os.stat(path).st_mode & 0o6000)
    found[name] = [set_id, 'security.capability' in os.listxattr(path)]
print(json.dumps(found))
"""
OLD_PYTHON = (
    "#!/bin/sh\ncase $* in *version_info*) exit 1;; *--version*) echo 'Python 3.9.2';; esac\n"
)


class Deriver(Protocol):
    """A function that derives an image and returns its tag."""

    def __call__(self, *changes: str, program: str = "") -> str:
        """Run a program in the base as root, then change the image's description."""
        ...


@pytest.fixture(scope="module")
def derive(engine: Engine, sandbox_image: SandboxImage) -> Iterator[Deriver]:
    made: list[str] = []

    def make(*changes: str, program: str = "") -> str:
        made.append(f"l2mac-test-{secrets.token_hex(4)}:latest")
        run = [f"RUN {json.dumps(['python3', '-c', program])}"] if program else []
        recipe = "\n".join((f"FROM {sandbox_image.base.id}", "USER 0", *run, *changes))
        for event in engine.api.build(
            fileobj=io.BytesIO(recipe.encode()),
            tag=made[-1],
            network_mode="none",
            rm=True,
            forcerm=True,
            decode=True,
        ):
            assert "error" not in event, event
        return made[-1]

    yield make
    for tag in made:
        for image in engine.api.images(filters={"label": f"org.l2mac.base={tag}"}):
            engine.api.remove_image(image["Id"], force=True)
        engine.api.remove_image(tag, force=True)


def test_image_settings_and_privileged_files_have_no_effect(
    engine: Engine, derive: Deriver
) -> None:
    """Files lose their privilege; entry point, user, health check and variables do nothing."""
    image = prepare_image(engine, derive(*SURPRISES, program=PLANT), CACHE, lambda _: None)
    with DockerSandbox(engine, image, SandboxPolicy(cpus=1.0), run=RUN) as sandbox:
        verdicts = {row["name"]: row["verdict"] for row in sandbox.receipt["rows"]}
        assert verdicts["inside.privileged_files"] == "match"
        assert sandbox.files() == ()
        look = sandbox.run([Job("look", ("python3", "-c", LOOK))]).jobs[0]
        assert json.loads(look.output.head) == {"set-id": [False, False], "capable": [False, False]}
        stripped = sandbox.run([Job("record", ("cat", "/opt/l2mac/stripped.json"))]).jobs[0]
        record = json.loads(stripped.output.head)
        assert {"/opt/set-id", "/opt/capable"} <= set(record["stripped"])
        assert record["left"] == []
        sandbox.write({"test_a.py": b"def test_a():\n    assert 1 == 2\n"})
        tests = sandbox.run([Job("tests", checker="pytest")]).jobs[0]
        assert not tests.succeeded  # an assertion removed by PYTHONOPTIMIZE would pass
        variables = sandbox.run([Job("environment", ("env",))]).jobs[0].output.head
        assert b"PYTHONOPTIMIZE" not in variables
        assert b"PYTEST_ADDOPTS" not in variables


def test_planted_files_are_privileged_before_they_are_stripped(
    engine: Engine, derive: Deriver, sandbox_image: SandboxImage
) -> None:
    """The negative control: the same program sees the privileges in the derived image."""
    command = ["python3", "-c", LOOK]
    created = engine.api.create_container(derive(program=PLANT), command, network_disabled=True)
    container = created["Id"]
    try:
        engine.api.start(container)
        engine.api.wait(container)
        seen = json.loads(engine.api.logs(container))
        assert seen == {"set-id": [True, False], "capable": [False, True]}
    finally:
        engine.api.remove_container(container, v=True, force=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("VOLUME /workspace", r"declares volumes, .*\(/workspace\)"),
        ("VOLUME /tmp /data", r"declares volumes, .*\(/data, /tmp\)"),
        ("ENV LD_PRELOAD=/workspace/x.so", r"\(LD_PRELOAD\)"),
        ("ENV GLIBC_TUNABLES=glibc.malloc.check=3", r"\(GLIBC_TUNABLES\)"),
        ("ONBUILD RUN touch /planted", "has ONBUILD steps"),
    ],
)
def test_images_with_unremovable_settings_are_refused_before_a_build(
    engine: Engine, derive: Deriver, change: str, message: str
) -> None:
    steps: list[str] = []
    with pytest.raises(ImageUnavailable, match=message):
        prepare_image(engine, derive(change), CACHE, steps.append)
    assert steps == []


def test_image_with_an_old_python_is_refused_with_its_version(
    engine: Engine, derive: Deriver
) -> None:
    program = f"""
import os
os.unlink('/usr/bin/python3')
open('/usr/bin/python3', 'w').write({OLD_PYTHON!r})
os.chmod('/usr/bin/python3', 0o755)
"""
    tag = derive(program=program)
    with pytest.raises(ImageUnavailable, match=r"Python 3\.9\.2 is too old"):
        prepare_image(engine, tag, CACHE, lambda _: None)
