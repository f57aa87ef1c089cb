"""A box on a Docker Engine: made, verified, driven over its channel, removed."""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from sandbox.engine.channel import GuestChannel
from sandbox.engine.connection import Engine, engine_errors
from sandbox.engine.hardening import CHECKER_COMMAND, ENVIRONMENT, create_request
from sandbox.engine.image import BoxImage
from sandbox.engine.reaper import box_labels, remove_container
from sandbox.engine.receipt import make_receipt
from sandbox.errors import Refused, SandboxCompromised, SandboxDied, SandboxError, SandboxLost
from sandbox.policy import WORKSPACE, SandboxPolicy
from sandbox.protocol import KEY_BYTES, VERSION
from sandbox.results import Cause, Change, FileEntry, Job, JobResult, Match, RunResult, Stream

_START_S = 60
_GRACE_S = 20
_ANSWER_S = 60
_TAIL_SHARE = 2


class DockerSandbox:
    """A `Sandbox` in a hardened container; use as a context manager.

    Args:
        engine: Where the container runs.
        image: What it starts from.
        policy: Its limits.
        run: Name of the run, for the container's labels.

    Raises:
        PolicyError, EngineUnavailable, SandboxError: From `open`.
        IsolationMismatch: From `open`; the box is not what the policy says.
    """

    def __init__(self, engine: Engine, image: BoxImage, policy: SandboxPolicy, *, run: str = "") -> None:
        self._engine = engine
        self._image = image
        self._policy = policy
        self._labels = box_labels(run)
        self._container = ""
        self._channel: GuestChannel | None = None
        self._opened_at = 0.0
        self._closing = threading.Event()
        self._receipt: Mapping[str, Any] = {}

    def open(self) -> "DockerSandbox":
        """Create, start and verify the box."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> "DockerSandbox":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def receipt(self) -> Mapping[str, Any]:
        """What was verified before anything ran in the box."""
        return self._receipt

    @property
    def container(self) -> str:
        """The container's id."""
        return self._container

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """See `Sandbox.write`."""
        header = {"op": "write", "files": [[path, len(content)] for path, content in files.items()]}
        reply, _ = self._ask(header, b"".join(files.values()))
        return dict(zip(files, _list_of(reply["digests"], str), strict=True))

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `Sandbox.read`."""
        reply, content = self._ask({"op": "read", "path": path, "offset": offset, "limit": limit})
        return content, int(reply["size"])

    def delete(self, paths: Sequence[str]) -> None:
        """See `Sandbox.delete`."""
        self._ask({"op": "delete", "paths": list(paths)})

    def files(self) -> tuple[FileEntry, ...]:
        """See `Sandbox.files`."""
        reply, _ = self._ask({"op": "list"})
        return tuple(FileEntry(str(path), int(size), str(digest)) for path, size, digest in reply["files"])

    def search(self, text: str, *, ignore_case: bool = False, max_matches: int = 200) -> tuple[tuple[Match, ...], bool]:
        """See `Sandbox.search`."""
        header = {"op": "search", "ignore_case": ignore_case, "max_matches": max_matches}
        reply, _ = self._ask(header, text.encode())
        return tuple(Match(str(path), int(line), str(found)) for path, line, found in reply["matches"]), reply["more"]

    def run(self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None) -> RunResult:
        """See `Sandbox.run`."""
        limit_s = self._policy.timeout_s if timeout_s is None else timeout_s
        kept = self._policy.kept_output_bytes
        header = {
            "op": "run",
            "jobs": [_job_spec(job) for job in jobs],
            "timeout_s": limit_s,
            "cpu_s": int(limit_s * max(self._policy.cpus, 1)) + 1,
            "max_output_bytes": self._policy.max_output_bytes,
            "head_bytes": kept,
            "tail_bytes": kept,
        }
        result = _run_result(*self._ask(header, stdin, timeout_s=limit_s + _GRACE_S))
        if result.survivors:
            self.close()
            raise SandboxDied(f"{result.survivors} processes of a command could not be ended; the box was killed")
        return result

    def close(self) -> None:
        """See `Sandbox.close`."""
        self._closing.set()
        if self._channel is not None:
            self._channel.close()
        container, self._container = self._container, ""
        if container:
            with engine_errors("removing the box"):
                remove_container(self._engine, container)

    def _start(self) -> None:
        api = self._engine.api
        request = create_request(self._policy, self._image.id, self._labels, seccomp_profile())
        with engine_errors("creating the box"):
            self._container = api.create_container_from_config(request)["Id"]  # type: ignore[no-untyped-call]
            attached = api.attach_socket(
                self._container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
        self._channel = GuestChannel(getattr(attached, "_sock", attached))
        with engine_errors("starting the box"):
            api.start(self._container)
        self._opened_at = time.time()
        settings = {
            "root": WORKSPACE,
            "environment": ENVIRONMENT,
            "checker": list(CHECKER_COMMAND),
            "max_files": self._policy.max_files,
            "max_file_bytes": self._policy.max_write_bytes,
        }
        header = {"op": "hello", "version": VERSION, "lease_s": self._policy.lease_s, "settings": settings}
        with self._watched():
            hello = self._channel.hello(header, secrets.token_bytes(KEY_BYTES), _START_S)
        with engine_errors("inspecting the box"):
            seen_outside = api.inspect_container(self._container)
        self._receipt = make_receipt(self._policy, self._image, seen_outside, hello, self._engine.version)
        threading.Thread(target=self._keep_lease, name="l2mac-lease", daemon=True).start()

    def _keep_lease(self) -> None:
        channel = self._channel
        assert channel is not None
        while not self._closing.wait(self._policy.lease_s / 5):
            try:
                channel.beat()
            except SandboxLost:
                return

    def _ask(
        self, header: dict[str, Any], body: bytes = b"", *, timeout_s: float = _ANSWER_S
    ) -> tuple[dict[str, Any], bytes]:
        if self._channel is None or self._closing.is_set():
            raise SandboxDied("the box is closed")
        with self._watched():
            reply, content = self._channel.request(header, body, timeout_s)
            if not reply.get("ok"):
                raise Refused(str(reply.get("refused", "the box refused without a reason")))
        return reply, content

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Kill the box on whatever cannot come from a well-behaved guest, and say why a dead one died."""
        try:
            yield
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self._abandon()
            raise SandboxCompromised(f"the box sent a malformed reply ({error!r})") from error
        except SandboxDied as error:
            reason = self._death()
            self._abandon()
            raise SandboxDied(f"{error}{reason}") from error
        except SandboxLost:
            self._abandon()
            raise

    def _abandon(self) -> None:
        with contextlib.suppress(SandboxError):
            self.close()

    def _death(self) -> str:
        """Say what the engine knows of the box's end; the container itself is gone by then."""
        diagnostics = self._channel.diagnostics if self._channel else ""
        facts = []
        with contextlib.suppress(SandboxError), engine_errors("reading the box's last events"):
            filters = {"container": [self._container], "type": ["container"]}
            since, until = int(self._opened_at) - 1, int(time.time()) + 1
            for event in self._engine.api.events(since=since, until=until, filters=filters, decode=True):
                if event.get("Action") == "oom":
                    facts.append("it ran out of memory")
                elif event.get("Action") == "die":
                    facts.append(f"exit code {event['Actor']['Attributes'].get('exitCode')}")
        if diagnostics:
            facts.append(diagnostics.splitlines()[-1])
        return f": {'; '.join(dict.fromkeys(facts))}" if facts else ""


def seccomp_profile() -> str:
    """Give the profile's JSON text, as the engine takes it."""
    return (resources.files("sandbox") / "seccomp.json").read_text(encoding="utf-8")


def _job_spec(job: Job) -> dict[str, Any]:
    if job.checker:
        return {"name": job.name, "kind": job.checker, "paths": list(job.paths)}
    return {"name": job.name, "kind": "exec", "argv": list(job.argv)}


def _run_result(reply: dict[str, Any], body: bytes) -> RunResult:
    jobs, start = [], 0
    for facts in reply["jobs"]:
        streams = []
        for name in ("output", "errors", "report"):
            head, tail, total = (int(number) for number in facts[name])
            streams.append(Stream(body[start : start + head], body[start + head : start + head + tail], total))
            start += head + tail
        cause = _cause(str(facts["end"]["kind"]), int(facts["end"]["code"]), reply)
        code, duration_ms = int(facts["end"]["code"]), int(facts["duration_ms"])
        jobs.append(JobResult(str(facts["name"]), cause, code, duration_ms, *streams))
    changes = tuple(Change(str(path), int(size), str(digest)) for path, size, digest in reply["changes"])
    return RunResult(
        tuple(jobs),
        changes,
        int(reply["removed"]),
        int(reply["leftovers"]),
        int(reply["survivors"]),
        _count(reply["oom_kills"]),
        _count(reply["pids_denied"]),
    )


def _cause(kind: str, code: int, reply: dict[str, Any]) -> Cause:
    """Name the cause; the kernel's counters decide between a crash and a limit of the box."""
    if kind == "timeout":
        return Cause.TIMEOUT
    if kind == "output":
        return Cause.OUTPUT
    failed = kind != "exit" or code != 0
    if failed and reply["oom_kills"]:
        return Cause.MEMORY
    if failed and reply["pids_denied"]:
        return Cause.PIDS
    return {"exit": Cause.EXITED, "signal": Cause.SIGNALLED}.get(kind, Cause.LOST)


def _count(value: object) -> int | None:
    return None if value is None else int(str(value))


def _list_of(values: object, kind: type) -> list[Any]:
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ValueError("a list of another kind was expected")
    return values
