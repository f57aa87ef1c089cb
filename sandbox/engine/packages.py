"""Packages for sandboxes, fetched by pip in one and unpacked in another.

Three kinds of sandbox, each with one purpose:

1. The fetching sandbox runs pip and no generated code. This sandbox has no network either: a
   forwarder on its loopback interface carries connections over the channel to the host's proxy,
   which connects to a few hosts (`sandbox.proxy`).
2. The filling sandbox gets the wheels over the channel and unpacks them into a volume of its own,
   which it keeps open: the volume is in memory, has hard caps, and disappears with the sandbox.
3. Working sandboxes mount that volume read-only and prove by its hash that it holds the unpacked
   wheels.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sandbox.engine.connection import Engine, engine_errors
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.hardening import GUEST_COMMAND, Packages
from sandbox.engine.image import SandboxImage
from sandbox.errors import Refused, SandboxDied
from sandbox.policy import GIB, MIB, PACKAGES, WORKSPACE, PackageIndex, SandboxPolicy
from sandbox.protocol import TUNNEL_PORT
from sandbox.proxy import Proxy
from sandbox.results import Fetched, FileEntry, Job, Receipt

MAX_WHEELS = 200
MAX_WHEELS_BYTES = 256 * MIB
MAX_UNPACKED_BYTES = 768 * MIB
MAX_UNPACKED_FILES = 60_000
_FETCH_S = 300.0
_UNPACK_S = 120.0
_PART_BYTES = 16 * MIB
_WHEEL = re.compile(r"[A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+(?:-[A-Za-z0-9_.]+){3,4}\.whl")
_TEXT_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest:
    """The packages that pip fetches.

    Attributes:
        requirements: Names, versions and hashes for pip, no options.
        hashed: Whether every requirement must have hashes, indirect dependencies included.
        index: The index to download from.
    """

    requirements: str
    hashed: bool
    index: PackageIndex


def fetch(
    engine: Engine,
    image: SandboxImage,
    policy: SandboxPolicy,
    request: PackageRequest,
    *,
    run: str,
    proxy: Proxy,
) -> Fetched:
    """Download the wheels that pip chooses, in a separate sandbox.

    Args:
        engine: The engine that runs the sandbox.
        image: The image that the sandbox starts from; the wheels fit its Python.
        policy: The sandbox's limits; memory and scratch space are raised to what wheels need.
        request: The packages and their index.
        run: Name of the run, for labels.
        proxy: The connection to the index, under the index's `reach`.

    Raises:
        SandboxError: The sandbox could not be made or was lost.
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
    with DockerSandbox(engine, image, policy, run=run, proxy=proxy) as sandbox:
        requirements, authorities = request.requirements.encode(), request.index.certificates
        sandbox.write({"requirements.txt": requirements, "authorities.pem": authorities})
        done = sandbox.run([Job("pip", argv=_pip(request.index, hashed=request.hashed))]).jobs[0]
        output = done.output.text(_TEXT_CHARACTERS)
        wheels: dict[str, bytes] = {}
        if done.succeeded:
            found = [entry for entry in sandbox.files() if entry.path.startswith("wheels/")]
            problem = _problem(found)
            output = problem or output
            if not problem:
                wheels = {entry.path.partition("/")[2]: _read(sandbox, entry) for entry in found}
        else:
            output = f"{output}\n(pip: {done.cause})"
        return Fetched(
            wheels=wheels,
            output=output,
            connections=tuple(proxy.report()),
            receipt=sandbox.receipt,
        )


class PackageLayer:
    """A volume of unpacked wheels, and the idle sandbox that holds it.

    Use the layer as a context manager.

    Raises:
        Refused: From `open`; a wheel cannot be unpacked; the message names it and the reason.
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
        self._sandbox = DockerSandbox(
            engine, image, policy, run=run, packages=Packages(size_bytes=MAX_UNPACKED_BYTES)
        )
        self.packages = Packages()

    def open(self) -> "PackageLayer":
        """Create and fill the volume."""
        self._sandbox.open()
        try:
            digest = self._unpack()
            self.packages = Packages(volume=self._volume(), digest=digest)
        except BaseException:
            self.close()
            raise
        return self

    @property
    def receipt(self) -> Receipt:
        """The verified confinement of the sandbox that fills the volume."""
        return self._sandbox.receipt

    def close(self) -> None:
        """Remove sandbox and volume, which no other sandbox may use any more.

        Closing twice is harmless.
        """
        self._sandbox.close()

    def _unpack(self) -> str:
        for name, content in self._wheels.items():
            for number, part in enumerate(_parts(content)):
                self._sandbox.write({f"wheels/{name}/{number:04}": part})
        command = (*GUEST_COMMAND, "unpack", f"{WORKSPACE}/wheels", PACKAGES)
        job = Job("unpack", argv=(*command, str(MAX_UNPACKED_BYTES), str(MAX_UNPACKED_FILES)))
        done = self._sandbox.run([job]).jobs[0]
        text = done.output.text(_TEXT_CHARACTERS).strip()
        if not done.succeeded:
            failure = f"the wheels could not be unpacked ({done.cause})"
            raise Refused(text if done.code == 1 and text else failure)
        self._sandbox.delete([entry.path for entry in self._sandbox.files()])
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise SandboxDied("The sandbox that unpacks packages returned no hash of them.")
        return text

    def _volume(self) -> str:
        with engine_errors("looking for the packages' volume"):
            mounts = self._engine.api.inspect_container(self._sandbox.container)["Mounts"]
        return next(str(mount["Name"]) for mount in mounts if mount["Destination"] == PACKAGES)


def _pip(index: PackageIndex, *, hashed: bool) -> tuple[str, ...]:
    command = ["env", "PIP_CONFIG_FILE=/dev/null", "python", "-I", "-m", "pip", "download"]
    command += ["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--no-color", "--progress-bar", "off", "--only-binary", ":all:"]
    command += ["--index-url", index.url, "--proxy", f"http://127.0.0.1:{TUNNEL_PORT}"]
    command += ["--retries", "1", "--timeout", "30"]
    command += ["--dest", "wheels", "--requirement", "requirements.txt"]
    # Not the base image's certificate store: its content is unknown, and a small image has none.
    command += ["--use-deprecated", "legacy-certs"]
    if index.certificates:
        command += ["--cert", "authorities.pem"]
    if hashed:
        command += ["--require-hashes"]
    return ("sh", "-c", 'exec "$@" 2>&1', "sh", *command)


def _problem(found: list[FileEntry]) -> str:
    """Return why the downloaded files are refused, or '' if accepted."""
    if not found:
        return "pip downloaded nothing"
    total_bytes = sum(entry.size for entry in found)
    if len(found) > MAX_WHEELS or total_bytes > MAX_WHEELS_BYTES:
        return f"these are more than {MAX_WHEELS} packages or {MAX_WHEELS_BYTES // MIB} MiB"
    names = [entry.path.partition("/")[2] for entry in found]
    odd = [f"wheels/{name} is not a wheel" for name in names if not _WHEEL.fullmatch(name)]
    return odd[0] if odd else ""


def _read(sandbox: DockerSandbox, entry: FileEntry) -> bytes:
    content = b""
    while len(content) < entry.size:
        piece, _ = sandbox.read(entry.path, offset=len(content), limit=_PART_BYTES)
        if not piece:
            raise SandboxDied(f"The file {entry.path!r} became shorter while it was read.")
        content += piece
    return content


def _parts(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _PART_BYTES):
        yield content[start : start + _PART_BYTES]
