"""Sandboxes like the product's, weak containers, and a list of both."""

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources

from sandbox.attack.weakened import Printed, WeakenedOutcome, Weakening, driven
from sandbox.engine.connection import Engine, JsonObject, engine_errors
from sandbox.engine.docker_sandbox import DockerSandbox, seccomp_profile
from sandbox.engine.hardening import create_request, fresh_uid
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import RUN_LABEL, remove_container, sandbox_labels
from sandbox.errors import SandboxError, SandboxLost, SandboxTimeout
from sandbox.policy import MIB, SandboxPolicy
from sandbox.results import Cause, Job, JobResult, RunResult

# Far beyond the needs of a quiet machine: a deadline that a busy machine reaches proves nothing.
_CONTROL_S = 900
LIMITS = SandboxPolicy(
    cpus=1.0,
    pids=64,
    memory_bytes=256 * MIB,
    disk_bytes=32 * MIB,
    disk_inodes=2000,
    tmp_bytes=16 * MIB,
    shm_bytes=8 * MIB,
    file_bytes=24 * MIB,
    open_files=256,
    max_files=3000,
    max_output_bytes=8 * MIB,
    kept_output_bytes=64 * 1024,
    timeout_s=60.0,
)
_ENDING = "The attack suite is ending, so nothing new is started."


class Cancelled(SandboxError):
    """The suite is ending; nothing new may be made."""


class NothingShown(SandboxError):
    """A control failed to run or an attack timed out, which proves nothing."""


@dataclass(slots=True)
class Made:
    """The suite's objects so far: ids of containers, names of volumes, uids."""

    containers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    uids: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Site:
    """The user's engine, image and runtime, and the label of the suite."""

    engine: Engine
    image: SandboxImage
    runtime: str
    run: str
    made: Made = field(default_factory=Made)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def has_own_kernel(self) -> bool:
        """Whether the runtime has a kernel of its own, as gVisor does."""
        return self.runtime.startswith(("runsc", "gvisor"))

    def connected(self, engine: Engine) -> "Site":
        """Return the same site with another connection; one connection serves one thread."""
        return replace(self, engine=engine)

    @property
    def policy(self) -> SandboxPolicy:
        """A policy with small limits and the user's runtime."""
        return replace(LIMITS, runtime=self.runtime)

    @contextlib.contextmanager
    def sandbox(
        self,
        *,
        engine: Engine | None = None,
        image: SandboxImage | None = None,
        policy: SandboxPolicy | None = None,
    ) -> Iterator["Arena"]:
        """Yield a sandbox like the product's, reopened if an attack ended it."""
        arena = Arena(self, engine or self.engine, image or self.image, policy or self.policy)
        try:
            yield arena
        finally:
            arena.close()

    def note(self, container: str) -> JsonObject:
        """Record a container with its volumes and uid; return the engine's inspect of it."""
        with engine_errors("inspecting a container of the attack suite"):
            seen: JsonObject = self.engine.api.inspect_container(container)
        self.made.containers.add(container)
        self.made.volumes.update(mount["Name"] for mount in seen["Mounts"] if mount.get("Name"))
        uid = int(seen["Config"]["User"].partition(":")[0] or 0)
        self.made.uids.update({uid} - {0})
        return seen

    def request(
        self, weaken: Weakening, tasks: Mapping[str, tuple[str, ...]], image: str = ""
    ) -> JsonObject:
        """Return the create request of a weak container that runs these programs."""
        request = create_request(
            LIMITS, self.image.id, sandbox_labels(self.run), seccomp_profile(), fresh_uid()
        )
        weaken(request)
        driven(request, program("driver"), tasks, image)
        return request

    def start(self, request: JsonObject) -> str:
        """Create and start a weak container and return its id."""
        if self.cancelled.is_set():
            raise Cancelled(_ENDING)
        with _a_control(), engine_errors("starting a negative control"):
            api = self.engine.api
            created = api.create_container_from_config(request)  # type: ignore[no-untyped-call] # no stub
            container = str(created["Id"])
            self.made.containers.add(container)
            api.start(container)
        self.note(container)
        return container

    def control(
        self, weaken: Weakening, tasks: Mapping[str, tuple[str, ...]], image: str = ""
    ) -> dict[str, WeakenedOutcome]:
        """Run programs without a protection and return the output of each.

        Raises:
            NothingShown: The engine refuses such a container, or it wrote no output.
        """
        container = self.start(self.request(weaken, tasks, image))
        try:
            return self.outcomes(container)
        finally:
            with engine_errors("removing a negative control"):
                remove_container(self.engine, container)

    def outcomes(self, container: str) -> dict[str, WeakenedOutcome]:
        """Wait for a weak container's end and return the output of its programs."""
        with _a_control(), engine_errors("waiting for a negative control"):
            self.engine.api.wait(container, timeout=_CONTROL_S)
            output = self.engine.api.logs(container, stdout=True, stderr=False)
            errors = self.engine.api.logs(container, stdout=False, stderr=True)
        if not output:
            text = errors.decode(errors="replace")[-300:]
            raise NothingShown(f"A negative control wrote no output: {text}")
        return {name: WeakenedOutcome(**fields) for name, fields in json.loads(output).items()}


@contextlib.contextmanager
def _a_control() -> Iterator[None]:
    """Raise `NothingShown` for failures of the engine with a control."""
    try:
        yield
    except SandboxError as error:
        raise NothingShown(f"A negative control could not run. {error}") from error


class Arena:
    """One sandbox for several attacks in turn, reopened if one ended it."""

    def __init__(
        self, site: Site, engine: Engine, image: SandboxImage, policy: SandboxPolicy
    ) -> None:
        self._site, self._engine, self._image, self._policy = site, engine, image, policy
        self._sandbox: DockerSandbox | None = None

    @property
    def sandbox(self) -> DockerSandbox:
        """The sandbox; opened on first use."""
        if self._sandbox is None:
            if self._site.cancelled.is_set():
                raise Cancelled(_ENDING)
            try:
                self._sandbox = DockerSandbox(
                    self._engine, self._image, self._policy, run=self._site.run
                ).open()
            except SandboxTimeout as error:  # no attack has run yet
                raise NothingShown(f"A sandbox could not be opened. {error}") from error
            self._site.note(self._sandbox.container)
        return self._sandbox

    def fresh(self) -> DockerSandbox:
        """Return the sandbox with an empty store."""
        try:
            self.sandbox.delete([entry.path for entry in self.sandbox.files()])
        except SandboxLost:
            self.close()
        return self.sandbox

    def run(self, source: str, *arguments: str, timeout_s: float = 60) -> RunResult:
        """Run a program; drop the sandbox if it is lost."""
        try:
            return self.sandbox.run(
                [Job("attack", ("python3", "-c", source, *arguments))], timeout_s=timeout_s
            )
        except SandboxLost:
            self.close()
            raise

    def value(self, source: str, *arguments: str, timeout_s: float = 60) -> Printed:
        """Run a program and return the JSON value that it prints.

        Raises:
            SandboxError: The program printed no JSON value.
        """
        job = self.run(source, *arguments, timeout_s=timeout_s).jobs[0]
        return value_of(job)

    def works(self) -> bool:
        """Return whether the same sandbox still runs commands."""
        try:
            return self._sandbox is not None and self.run("print(7)").jobs[0].output.head == b"7\n"
        except SandboxLost:
            return False

    def close(self) -> None:
        """Close the sandbox."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()


def value_of(job: JobResult) -> Printed:
    """Return the JSON value that a program printed.

    Raises:
        NothingShown: The program timed out.
        SandboxError: The program printed no JSON value.
    """
    try:
        return json.loads(job.output.head)
    except ValueError:
        errors = job.errors.text(300)
        if job.cause is Cause.TIMEOUT:
            raise NothingShown(f"An attack timed out: {errors}") from None
        raise SandboxError(f"An attack wrote no output ({job.cause}): {errors}") from None


def program(name: str) -> str:
    """Return the source of a program of the suite, which runs only in containers."""
    file = resources.files("sandbox") / "attack" / "programs" / f"{name}.py"
    return file.read_text(encoding="utf-8")


def fresh_run() -> str:
    """Return a name for one pass of the suite."""
    return f"attack-{secrets.token_hex(6)}"


def made_of(run: str) -> dict[str, list[str]]:
    """Return the engine's filter for the objects of the pass with this name."""
    return {"label": [f"{RUN_LABEL}={run}"]}
