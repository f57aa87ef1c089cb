"""Rows 65 and 66: a sandbox whose owner dies, and an image whose tag is moved."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Site, program
from sandbox.attack.weakened import unconfined
from sandbox.engine.connection import Engine, JsonObject, engine_errors
from sandbox.engine.reaper import remove_container

_PATIENCE_S = 90


def attack(site: Site) -> Iterator[AttackFinding]:
    """Separate a sandbox from its owner, and move the tag of its image."""
    yield _orphan(site)
    yield _moved_tag(site)


class _Attaching(Protocol):
    """The part of the engine's API that opens channels."""

    def attach_socket(self, container: str, params: Mapping[str, int]) -> object:
        """Return a socket, possibly inside an object of docker-py."""
        ...


class _WireTap:
    """The engine's API, which also records the sockets of the channels that it opens."""

    def __init__(self, api: _Attaching) -> None:
        self._api = api
        self.attached: list[socket.socket] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._api, name)

    def attach_socket(self, container: str, params: Mapping[str, int]) -> object:
        attached = self._api.attach_socket(container, params=params)
        channel = getattr(attached, "_sock", attached)
        if not isinstance(channel, socket.socket):
            raise TypeError("docker-py attached to the sandbox without a socket")
        self.attached.append(channel)
        return attached


def _orphan(site: Site) -> AttackFinding:
    """Close a sandbox's channel like the kernel after a kill; remove nothing."""
    idle = site.start(site.request(unconfined, {"idle": (program("idle"),)}))
    tap = _WireTap(site.engine.api)
    tapped = Engine(tap, site.engine.version)  # type: ignore[arg-type] # all of the API
    with site.sandbox(engine=tapped, policy=replace(site.policy, lease_s=4.0)) as arena:
        sandbox = arena.sandbox
        sandbox.write({"left-behind": b"x"})
        seen = site.note(sandbox.container)
        volumes = [mount["Name"] for mount in seen["Mounts"] if mount.get("Name")]
        started = time.monotonic()
        tap.attached[0].shutdown(socket.SHUT_RDWR)
        gone = _wait(
            lambda: not _containers(site, sandbox.container) and not _volumes(site, volumes)
        )
        took_s = time.monotonic() - started
    alive = bool(_containers(site, idle))
    with engine_errors("removing a negative control"):
        remove_container(site.engine, idle)
    if gone:
        observed = f"sandbox and volume removed after {took_s:.1f} s"
    else:
        observed = f"sandbox or volume still exists after {_PATIENCE_S} s"
    return AttackFinding(
        number=65,
        held=gone,
        observed=observed,
        shown=alive,
        control="a container without our guest stays" if alive else "the control has ended as well",
    )


def _moved_tag(site: Site) -> AttackFinding:
    """Tag the sandbox's image, move the tag to another one, start a sandbox."""
    api, name = site.engine.api, f"l2mac-{site.run}"
    reference, other = f"{name}:moved", site.image.base.id
    with engine_errors("tagging an image"):
        api.tag(site.image.id, name, "moved")
        api.tag(other, name, "moved")
    try:
        with site.sandbox(image=replace(site.image, tag=reference)) as arena:
            started = site.note(arena.sandbox.container)["Image"]
        weak = site.start(
            site.request(unconfined, {"idle": (program("many_commands"),)}, image=reference)
        )
        control = site.note(weak)["Image"]
        with engine_errors("removing a negative control"):
            remove_container(site.engine, weak)
    finally:
        with engine_errors("removing a tag"):
            api.remove_image(reference, noprune=True)
    verified = started == site.image.id
    return AttackFinding(
        number=66,
        held=verified,
        observed=f"the sandbox runs {'the verified image' if verified else started[:19]}",
        shown=control == other != site.image.id,
        control="a container that is started by the tag runs the other image",
    )


def _containers(site: Site, container: str) -> list[JsonObject]:
    with engine_errors("listing containers"):
        found: list[JsonObject] = site.engine.api.containers(all=True, filters={"id": container})
    return found


def _volumes(site: Site, names: list[str]) -> list[str]:
    if not names:
        return []
    with engine_errors("listing volumes"):
        there = site.engine.api.volumes(filters={"name": names})["Volumes"] or []
    return [volume["Name"] for volume in there if volume["Name"] in names]


def _wait(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
