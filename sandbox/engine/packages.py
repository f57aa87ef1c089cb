"""Packages for boxes: fetched as wheels by pip in a box of its own, unpacked by another into a volume.

Three kinds of box, never two things in one:

1. The fetching box runs pip and nothing that was generated. It has no network either: a forwarder on its loopback
   interface carries connections over the channel to the host's proxy, which knows a few hosts (`sandbox.proxy`).
2. The filling box gets the wheels over the channel and unpacks them into a volume of its own, which it then holds
   open: the volume is in memory, has hard caps, and is gone with the box.
3. Working boxes mount that volume read-only, and say by its hash that it is what was unpacked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sandbox.engine.connection import Engine, engine_errors
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.hardening import GUEST_COMMAND, Packages
from sandbox.engine.image import SandboxImage
from sandbox.errors import Refused, SandboxDied
from sandbox.policy import GIB, MIB, PACKAGES, WORKSPACE, PackageIndex, SandboxPolicy
from sandbox.protocol import TUNNEL_PORT
from sandbox.proxy import Proxy
from sandbox.results import Fetched, FileEntry, Job

MAX_WHEELS = 200
MAX_WHEELS_BYTES = 256 * MIB
MAX_UNPACKED_BYTES = 768 * MIB
MAX_UNPACKED_FILES = 60_000
_FETCH_S = 300.0
_UNPACK_S = 120.0
_PART_BYTES = 16 * MIB
_WHEEL = re.compile(r"[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(?:-[A-Za-z0-9_.]+){3,4}\.whl")
_TEXT_CHARACTERS = 20_000


def fetch(
    engine: Engine,
    image: SandboxImage,
    policy: SandboxPolicy,
    *,
    run: str,
    requirements: str,
    hashed: bool,
    index: PackageIndex,
    proxy: Proxy,
) -> Fetched:
    """Have pip choose and download the wheels for some requirements, in a box of its own.

    Args:
        engine: Where the box runs.
        image: What it starts from; the wheels fit its Python.
        policy: Its limits; those on memory and scratch are raised to what wheels need.
        run: Name of the run, for labels.
        requirements: The text for pip: names, versions and hashes, no options.
        hashed: Whether each requirement has to have hashes, dependencies of dependencies included.
        index: Where from.
        proxy: The way there, under the index's `reach`.

    Raises:
        SandboxError: The box could not be made or was lost.
    """
    policy = replace(
        policy,
        memory_bytes=max(policy.memory_bytes, GIB),
        disk_bytes=MAX_WHEELS_BYTES,
        tmp_bytes=MAX_WHEELS_BYTES,
        file_bytes=MAX_WHEELS_BYTES,
        timeout_s=_FETCH_S,
        volume="tmpfs",
    )
    with DockerSandbox(engine, image, policy, run=run, proxy=proxy) as box:
        box.write(
            {"requirements.txt": requirements.encode(), "authorities.pem": index.certificates}
        )
        result = box.run([Job("pip", argv=_pip(index, hashed=hashed))])
        output = result.jobs[0].output.text(_TEXT_CHARACTERS)
        if not result.jobs[0].succeeded:
            ended = f"{output}\n(pip: {result.jobs[0].cause})"
            return Fetched(output=ended, connections=tuple(proxy.report()), receipt=box.receipt)
        found = [entry for entry in box.files() if entry.path.startswith("wheels/")]
        problem = _problem(found)
        wheels = (
            {} if problem else {entry.path.partition("/")[2]: _read(box, entry) for entry in found}
        )
        return Fetched(
            wheels=wheels,
            output=problem or output,
            connections=tuple(proxy.report()),
            receipt=box.receipt,
        )


class PackageLayer:
    """A volume of unpacked wheels, and the idle box that holds it; use as a context manager.

    Raises:
        Refused: From `open`; a wheel cannot be unpacked; the message says which and why.
        SandboxError: From `open`.
    """

    def __init__(
        self,
        engine: Engine,
        image: SandboxImage,
        policy: SandboxPolicy,
        *,
        run: str,
        wheels: Mapping[str, bytes],
    ) -> None:
        policy = replace(
            policy,
            memory_bytes=max(policy.memory_bytes, 2 * GIB),
            disk_bytes=MAX_WHEELS_BYTES + MIB,
            max_write_bytes=_PART_BYTES,
            timeout_s=_UNPACK_S,
            volume="tmpfs",
        )
        self._engine = engine
        self._wheels = wheels
        self._box = DockerSandbox(
            engine, image, policy, run=run, packages=Packages(size_bytes=MAX_UNPACKED_BYTES)
        )
        self.packages = Packages()

    def open(self) -> "PackageLayer":
        """Make the volume and fill it."""
        self._box.open()
        try:
            digest = self._unpack()
            self.packages = Packages(volume=self._volume(), digest=digest)
        except BaseException:
            self.close()
            raise
        return self

    @property
    def receipt(self) -> Mapping[str, Any]:
        """What was verified about the box that fills the volume."""
        return self._box.receipt

    def close(self) -> None:
        """Remove box and volume, which no box may use any more; closing twice is harmless."""
        self._box.close()

    def _unpack(self) -> str:
        for name, content in self._wheels.items():
            for number, part in enumerate(_parts(content)):
                self._box.write({f"wheels/{name}/{number:04}": part})
        command = (*GUEST_COMMAND, "unpack", f"{WORKSPACE}/wheels", PACKAGES)
        job = Job("unpack", argv=(*command, str(MAX_UNPACKED_BYTES), str(MAX_UNPACKED_FILES)))
        done = self._box.run([job]).jobs[0]
        text = done.output.text(_TEXT_CHARACTERS).strip()
        if not done.succeeded:
            raise Refused(
                text
                if done.code == 1 and text
                else f"the wheels could not be unpacked ({done.cause})"
            )
        self._box.delete([entry.path for entry in self._box.files()])
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise SandboxDied("the box that unpacks packages gave no hash of them")
        return text

    def _volume(self) -> str:
        with engine_errors("looking for the packages' volume"):
            mounts = self._engine.api.inspect_container(self._box.container)["Mounts"]
        return next(str(mount["Name"]) for mount in mounts if mount["Destination"] == PACKAGES)


def _pip(index: PackageIndex, *, hashed: bool) -> tuple[str, ...]:
    command = [
        "env",
        "PIP_CONFIG_FILE=/dev/null",
        "python",
        "-I",
        "-m",
        "pip",
        "download",
        "--isolated",
        "--no-input",
    ]
    command += [
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-color",
        "--progress-bar",
        "off",
    ]
    command += [
        "--only-binary",
        ":all:",
        "--index-url",
        index.url,
        "--proxy",
        f"http://127.0.0.1:{TUNNEL_PORT}",
    ]
    command += [
        "--retries",
        "1",
        "--timeout",
        "30",
        "--dest",
        "wheels",
        "--requirement",
        "requirements.txt",
    ]
    # The authorities of the base image are its own business, and a small image has none.
    command += ["--use-deprecated", "legacy-certs"]
    command += ["--cert", "authorities.pem"] if index.certificates else []
    command += ["--require-hashes"] if hashed else []
    return ("sh", "-c", 'exec "$@" 2>&1', "sh", *command)


def _problem(found: list[FileEntry]) -> str:
    """Say why what pip downloaded cannot be taken, if so."""
    if not found:
        return "pip downloaded nothing"
    if len(found) > MAX_WHEELS or sum(entry.size for entry in found) > MAX_WHEELS_BYTES:
        return f"these are more than {MAX_WHEELS} packages or {MAX_WHEELS_BYTES // MIB} MiB"
    odd = [entry.path for entry in found if not _WHEEL.fullmatch(entry.path.partition("/")[2])]
    return f"{odd[0]} is no wheel" if odd else ""


def _read(box: DockerSandbox, entry: FileEntry) -> bytes:
    content = b""
    while len(content) < entry.size:
        piece, _ = box.read(entry.path, offset=len(content), limit=_PART_BYTES)
        if not piece:
            raise SandboxDied(f"{entry.path!r} became shorter while it was read")
        content += piece
    return content


def _parts(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _PART_BYTES):
        yield content[start : start + _PART_BYTES]
