"""Compare host and engine before and after: the suite must leave nothing.

Other programs use the machine and the engine at the same time, so only objects of the suite
count: containers, volumes, networks and image tags by its label or name; processes by the uids of
its sandboxes; mounts by the ids of its containers and volumes; files by the owners and names that
only its sandboxes and programs have.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.attack.site import Site, made_of
from sandbox.engine.connection import engine_errors
from sandbox.engine.reaper import remove_container

MARK = "l2mac-attack-"
_FOLDERS = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/", "/etc")))  # noqa: S108 - only read
_PATIENCE_S = 10


def differences(site: Site, *, patience_s: float = _PATIENCE_S) -> tuple[str, ...]:
    """Return the remains of the suite as text.

    Remains that are going away get some time.
    """
    deadline = time.monotonic() + patience_s
    while (left := tuple(_left(site))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def marked_files() -> frozenset[str]:
    """Return the files in working and temporary folders that bear the programs' mark."""
    return frozenset(str(path) for path in _entries() if path.name.startswith(MARK))


def sweep(site: Site) -> None:
    """Remove every object of the suite from the engine, also after an interrupt."""
    api = site.engine.api
    with engine_errors("removing the attack suite's objects"):
        for container in api.containers(all=True, filters=made_of(site.run)):
            remove_container(site.engine, container["Id"])
        for network in api.networks(filters=made_of(site.run)):
            with contextlib.suppress(Exception):  # a container that is going still uses the network
                api.remove_network(network["Id"])
        for volume in api.volumes(filters=made_of(site.run))["Volumes"] or []:
            with contextlib.suppress(Exception):
                api.remove_volume(volume["Name"])
        for image in api.images(name=f"l2mac-{site.run}"):
            for tag in image["RepoTags"]:
                if tag.startswith(f"l2mac-{site.run}:"):
                    api.remove_image(tag, noprune=True)


def _left(site: Site) -> Iterator[str]:
    api, mine = site.engine.api, made_of(site.run)
    with engine_errors("looking for objects of the attack suite"):
        containers = api.containers(all=True, filters=mine)
        volumes = api.volumes(filters=mine)["Volumes"] or []
        networks = api.networks(filters=mine)
        images = api.images(name=f"l2mac-{site.run}")
    yield from (f"container {one['Id'][:12]}" for one in containers)
    yield from (f"volume {one['Name'][:12]}" for one in volumes)
    yield from (f"network {one['Name']}" for one in networks)
    yield from (f"image tag l2mac-{site.run}" for _ in images)
    yield from _processes(site.made.uids)
    yield from _mounts(site.made.containers | site.made.volumes)
    for path in _entries():
        if _owner(path) in site.made.uids:
            yield f"file {path}, owned by a sandbox's uid"


def _processes(uids: Iterable[int]) -> Iterator[str]:
    for name in os.listdir("/proc"):
        if name.isdigit() and _owner(Path("/proc", name)) in uids:
            yield f"process {name} of a sandbox's uid"


def _mounts(ids: Iterable[str]) -> Iterator[str]:
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    lines = text.splitlines()
    for line in lines:
        yield from (f"mount of {one[:12]}" for one in ids if one in line)


def _entries() -> Iterator[Path]:
    for folder in {Path.cwd(), *_FOLDERS}:
        with contextlib.suppress(OSError):
            yield from folder.iterdir()


def _owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except OSError:
        return -1
