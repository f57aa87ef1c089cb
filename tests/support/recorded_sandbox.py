"""One real box as it was seen from outside and inside, and an engine that replays it: no Docker needed."""

import copy
import json
from pathlib import Path
from typing import Any

from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import BaseImage, SandboxImage
from sandbox.engine.receipt import Views
from sandbox.testing import ScriptedGuest, ScriptedStep, replies

RECORDED = json.loads(Path(__file__).with_name("recorded_box.json").read_text(encoding="utf-8"))
RECORDED_UID = "10001"


def recorded_image() -> SandboxImage:
    image = RECORDED["image"]
    base = {**image["base"], "environment": tuple(image["base"]["environment"])}
    return SandboxImage(BaseImage(**base), image["tag"], image["id"])


def recorded_views() -> Views:
    record = copy.deepcopy(RECORDED)
    hello = {"ok": True, "posture": record["posture"]}
    return Views(record["request"], record["outside"], hello, record["version"], record["info"])


class Attached:
    """What the engine's attach call gives: a socket, and what holds it."""

    def __init__(self, connection: Any) -> None:
        self._sock, self._response = connection, self

    def close(self) -> None:
        self._sock.close()


class ReplayingApi:
    """The engine's API as a box needs it, with one container that is what it was asked to be."""

    def __init__(self, guest: ScriptedGuest) -> None:
        self._guest = guest
        self._request: dict[str, Any] = {}
        self.removed: list[str] = []

    def create_container_from_config(self, request: dict[str, Any]) -> dict[str, str]:
        self._request = request
        return {"Id": "c" * 64}

    def attach_socket(self, *_: object, **__: object) -> Attached:
        return Attached(self._guest.host_end)

    def start(self, _: str) -> None:
        pass

    def inspect_container(self, _: str) -> dict[str, Any]:
        outside = copy.deepcopy(RECORDED["outside"])
        outside["Config"] |= {"User": self._request["User"]}
        outside["HostConfig"] |= self._request["HostConfig"] | {"Runtime": "runc"}
        return outside

    def info(self) -> dict[str, Any]:
        return RECORDED["info"]

    def wait(self, *_: object, **__: object) -> dict[str, int]:
        return {"StatusCode": 0}

    def remove_container(self, container: str, **_: object) -> None:
        self.removed.append(container)

    def events(self, **_: object) -> list[dict[str, Any]]:
        return [{"Action": "die", "Actor": {"Attributes": {"exitCode": "65"}}}]


def scripted_box(*steps: ScriptedStep) -> tuple[DockerSandbox, ScriptedGuest, ReplayingApi]:
    """Give a box, not open yet, whose guest greets as it should and then follows the steps."""
    posture: dict[str, Any] = {}

    def greet(conversation: Any) -> None:
        replies({"posture": posture})(conversation)

    guest = ScriptedGuest(greet, *steps)
    api = ReplayingApi(guest)
    box = DockerSandbox(
        Engine(api, RECORDED["version"]), recorded_image(), SandboxPolicy(), run="unit"
    )
    uid = box._request["User"].partition(":")[0]
    posture |= json.loads(json.dumps(RECORDED["posture"]).replace(RECORDED_UID, uid))
    return box, guest, api
