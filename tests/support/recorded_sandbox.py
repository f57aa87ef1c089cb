"""One real sandbox as seen from outside and inside, and an engine that replays it."""

import copy
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sandbox import SandboxPolicy
from sandbox.engine.connection import Engine, JsonObject
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import BaseImage, SandboxImage
from sandbox.engine.receipt import Views
from sandbox.scripted_guest import Conversation, ScriptedGuest, Step, replies

if TYPE_CHECKING:
    from docker import APIClient

RECORDED: JsonObject = json.loads(
    Path(__file__).with_name("recorded_sandbox.json").read_text(encoding="utf-8")
)
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
    """The result of the engine's attach call: a socket and its holder."""

    def __init__(self, connection: socket.socket) -> None:
        self._sock, self._response = connection, self

    def close(self) -> None:
        self._sock.close()


class ReplayingApi:
    """The part of the engine's API that a sandbox uses, with one container as requested."""

    def __init__(self, guest: ScriptedGuest) -> None:
        self._guest = guest
        self._request: JsonObject = {}
        self.removed: list[str] = []

    def create_container_from_config(self, request: JsonObject) -> dict[str, str]:
        self._request = request
        return {"Id": "c" * 64}

    def attach_socket(self, *_: object, **__: object) -> Attached:
        return Attached(self._guest.host_end)

    def start(self, _: str) -> None:
        pass

    def inspect_container(self, _: str) -> JsonObject:
        outside: JsonObject = copy.deepcopy(RECORDED["outside"])
        outside["Config"] |= {"User": self._request["User"]}
        outside["HostConfig"] |= self._request["HostConfig"] | {"Runtime": "runc"}
        return outside

    def info(self) -> JsonObject:
        return cast("JsonObject", RECORDED["info"])

    def wait(self, *_: object, **__: object) -> dict[str, int]:
        return {"StatusCode": 0}

    def remove_container(self, container: str, **_: object) -> None:
        self.removed.append(container)

    def events(self, **_: object) -> list[JsonObject]:
        return [{"Action": "die", "Actor": {"Attributes": {"exitCode": "65"}}}]


def scripted_sandbox(*steps: Step) -> tuple[DockerSandbox, ScriptedGuest, ReplayingApi]:
    """Return a sandbox, not open yet, whose guest greets as it should and follows the steps."""
    posture: JsonObject = {}

    def greet(conversation: Conversation) -> None:
        replies({"posture": posture})(conversation)

    guest = ScriptedGuest(greet, *steps)
    api = ReplayingApi(guest)
    engine = Engine(cast("APIClient", api), RECORDED["version"])
    sandbox = DockerSandbox(engine, recorded_image(), SandboxPolicy(), run="unit")
    uid = sandbox._request["User"].partition(":")[0]
    posture |= json.loads(json.dumps(RECORDED["posture"]).replace(RECORDED_UID, uid))
    return sandbox, guest, api
