"""A sandbox on a Docker Engine: create, verify, use and remove a container."""

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Self, TypeVar

from sandbox.engine import replies
from sandbox.engine.channel import GuestChannel
from sandbox.engine.connection import Engine, engine_errors
from sandbox.engine.hardening import (
    CHECKER_COMMAND,
    ENVIRONMENT,
    MASKED_PATHS,
    READONLY_PATHS,
    Packages,
    create_request,
    fresh_uid,
)
from sandbox.engine.image import SandboxImage
from sandbox.engine.reaper import end_container, remove_container, sandbox_labels
from sandbox.engine.receipt import Views, make_receipt
from sandbox.errors import (
    IsolationMismatch,
    Refused,
    SandboxCompromised,
    SandboxDied,
    SandboxError,
    SandboxLost,
)
from sandbox.policy import PACKAGES, WORKSPACE, SandboxPolicy
from sandbox.protocol import KEY_BYTES, MAX_BODY_BYTES, MAX_MATCHES, VERSION, ProtocolError
from sandbox.proxy import Proxy
from sandbox.results import FileEntry, Job, Match, Receipt, RunResult
from sandbox.seccomp import profile

_START_S = 60
_ANSWER_S = 60
_DIAGNOSTIC_CHARACTERS = 300
T = TypeVar("T")


class DockerSandbox:
    """A `Sandbox` in a hardened container; use as a context manager.

    Args:
        engine: The engine that runs the container.
        image: The image that the container starts from.
        policy: The sandbox's limits.
        run: Name of the run, for the container's labels.
        packages: The volume of packages to mount; without a name, a volume to create and fill.
        proxy: Serves the connections of commands; only the fetching sandbox has one.
        known: Facts about engine and runtime that a trial found, for the receipt.
        grace_s: Time for the guest to end a command after its timeout and to answer; then it is
            killed.

    Raises:
        PolicyError, EngineUnavailable, SandboxError: From `open`.
        IsolationMismatch: From `open`; the confinement does not match the policy.
    """

    def __init__(
        self,
        engine: Engine,
        image: SandboxImage,
        policy: SandboxPolicy,
        *,
        run: str = "",
        packages: Packages | None = None,
        proxy: Proxy | None = None,
        grace_s: float = 20.0,
        known: Receipt | None = None,
    ) -> None:
        self._engine = engine
        self._image = image
        self._policy = policy
        self._grace_s = grace_s
        self._known = known or Receipt()
        self._request = create_request(
            policy, image.id, sandbox_labels(run), seccomp_profile(), fresh_uid(), packages
        )
        self._packages = packages
        self._proxy = proxy
        self._container = ""
        self._channel: GuestChannel | None = None
        self._opened_at = 0.0
        self._closing = threading.Event()
        self._receipt = Receipt()

    def open(self) -> Self:
        """Create, start and verify the sandbox."""
        try:
            self._start()
        except BaseException:
            self._abandon()
            raise
        return self

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    @property
    def receipt(self) -> Receipt:
        """The confinement that was verified before anything ran in the sandbox."""
        return self._receipt

    @property
    def container(self) -> str:
        """The container's id."""
        return self._container

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """See `Sandbox.write`."""
        sizes = [[path, len(content)] for path, content in files.items()]
        header: dict[str, object] = {"op": "write", "files": sizes}
        return self._ask(
            header, b"".join(files.values()), lambda reply, _: replies.written(reply, files)
        )

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `Sandbox.read`."""
        if offset < 0 or limit < 0:
            raise ValueError(f"offset and limit must be 0 or more, not {offset} and {limit}")
        part = min(limit, MAX_BODY_BYTES)
        header = {"op": "read", "path": path, "offset": offset, "limit": part}
        return self._ask(
            header, b"", lambda facts, got: replies.content_and_size(facts, got, offset, part)
        )

    def delete(self, paths: Sequence[str]) -> None:
        """See `Sandbox.delete`."""
        self._ask({"op": "delete", "paths": list(paths)}, b"", lambda *_: None)

    def files(self) -> tuple[FileEntry, ...]:
        """See `Sandbox.files`."""
        return self._ask({"op": "list"}, b"", lambda reply, _: replies.entries(reply))

    def search(
        self, text: str, *, ignore_case: bool = False, max_matches: int = 200
    ) -> tuple[tuple[Match, ...], bool]:
        """See `Sandbox.search`."""
        most = max(1, min(max_matches, MAX_MATCHES))
        header = {"op": "search", "ignore_case": ignore_case, "max_matches": most}
        return self._ask(
            header, text.encode("utf-8", "surrogatepass"), lambda reply, _: replies.matches(reply)
        )

    def run(
        self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None
    ) -> RunResult:
        """See `Sandbox.run`."""
        limit_s = self._policy.timeout_s
        if timeout_s is not None:
            limit_s = min(timeout_s, limit_s)
        if not limit_s > 0:
            raise ValueError(f"a timeout must be greater than 0, not {timeout_s}")
        tunnel = {} if self._proxy is None else {"tunnel": True}
        header = {"op": "run", "jobs": replies.job_specs(jobs), **self._bounds(limit_s), **tunnel}
        result = self._ask(
            header,
            stdin,
            lambda *reply: replies.run_result(jobs, *reply),
            timeout_s=limit_s + self._grace_s,
        )
        if result.survivors:
            self._abandon()
            raise SandboxDied(
                f"{result.survivors} processes of a command could not be ended, so the sandbox was"
                " killed."
            )
        return result

    def close(self) -> None:
        """See `Sandbox.close`."""
        end = end_container if self._receipt and not self._closing.is_set() else remove_container
        self._hang_up()
        container, self._container = self._container, ""
        if container:
            with engine_errors("removing the sandbox"):
                end(self._engine, container)

    def _bounds(self, limit_s: float) -> dict[str, object]:
        return {
            "timeout_s": limit_s,
            "cpu_s": int(limit_s * max(self._policy.cpus, 1)) + 1,
            "max_output_bytes": self._policy.max_output_bytes,
            "head_bytes": self._policy.kept_output_bytes,
            "tail_bytes": self._policy.kept_output_bytes,
        }

    def _start(self) -> None:
        api = self._engine.api
        with engine_errors("creating the sandbox"):
            created = api.create_container_from_config(self._request)  # type: ignore[no-untyped-call] # no stub
            self._container = created["Id"]
            attached = api.attach_socket(
                self._container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
        response = attached._response  # noqa: SLF001
        self._channel = GuestChannel(getattr(attached, "_sock", attached), response, attached)
        with engine_errors("starting the sandbox"):
            api.start(self._container)
        self._opened_at = time.time()
        with engine_errors("inspecting the sandbox"):  # while the guest starts up
            outside, info = api.inspect_container(self._container), self._engine.info()
        with self._watched():
            hello = self._channel.hello(self._greeting(), secrets.token_bytes(KEY_BYTES), _START_S)
            views = Views(self._request, outside, hello, self._engine.version, info, self._packages)
            self._receipt = make_receipt(self._policy, self._image, views) | self._known
        lease = threading.Thread(
            target=self._keep_lease, args=(self._channel,), name="l2mac-lease", daemon=True
        )
        lease.start()

    def _greeting(self) -> dict[str, object]:
        mounted = self._packages is not None and self._packages.volume != ""
        checks = self._proxy is None and (self._packages is None or mounted)
        settings = {
            "root": WORKSPACE,
            "environment": ENVIRONMENT,
            "checker": list(CHECKER_COMMAND) if checks else [],
            "packages": PACKAGES if mounted else "",
            "max_files": self._policy.max_files,
            "max_file_bytes": self._policy.max_write_bytes,
            "max_bytes": self._policy.disk_bytes,
            "masked": MASKED_PATHS,
            "protected": READONLY_PATHS,
        }
        return {
            "op": "hello",
            "version": VERSION,
            "lease_s": self._policy.lease_s,
            "settings": settings,
        }

    def _keep_lease(self, channel: GuestChannel) -> None:
        while not self._closing.wait(self._policy.lease_s / 5):
            try:
                channel.beat()
            except SandboxLost:
                return

    def _ask(
        self,
        header: dict[str, object],
        body: bytes,
        understand: Callable[[dict[str, object], bytes], T],
        *,
        timeout_s: float = _ANSWER_S,
    ) -> T:
        if self._channel is None or self._closing.is_set():
            raise SandboxDied("The sandbox is closed.")
        with self._watched():
            serve = self._proxy.serve if self._proxy is not None and "tunnel" in header else None
            reply, content = self._channel.request(header, body, timeout_s, serve)
            if reply.get("ok") is not True:
                raise Refused(str(reply["refused"]))
            return understand(reply, content)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Kill the sandbox on any failure but a refusal; report why it died."""
        try:
            yield
        except Refused:
            raise
        except ProtocolError as error:
            raise Refused(f"the request is too large for the sandbox: {error}") from error
        except SandboxDied as error:
            reason = self._death()
            self._abandon()
            raise SandboxDied(f"{error}{reason}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._abandon()
            raise SandboxCompromised(f"The sandbox sent a malformed reply ({error!r}).") from error
        except BaseException:
            # An interrupt between request and reply counts too: the next request would get this
            # reply.
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Kill and remove the sandbox; an error here must not hide the first one."""
        self._hang_up()
        container, self._container = self._container, ""
        if container:
            with contextlib.suppress(SandboxError), engine_errors("removing the sandbox"):
                remove_container(self._engine, container)

    def _hang_up(self) -> None:
        self._closing.set()
        if self._channel is not None:
            self._channel.close()

    def _death(self) -> str:
        """Return the last words of engine and guest as a sentence, or ''.

        The container itself is gone by then.
        """
        facts: list[str] = []
        with contextlib.suppress(SandboxError), engine_errors("reading the sandbox's last events"):
            facts += self._last_events()
        diagnostics = self._channel.diagnostics if self._channel else ""
        if diagnostics:
            facts.append(diagnostics.splitlines()[-1][:_DIAGNOSTIC_CHARACTERS])
        return f" Engine and guest report: {'; '.join(dict.fromkeys(facts))}." if facts else ""

    def _last_events(self) -> Iterator[str]:
        events = self._engine.api.events(
            since=int(self._opened_at) - 1,
            until=int(time.time()) + 1,
            filters={"container": [self._container], "type": ["container"]},
            decode=True,
        )
        for event in events:
            if event.get("Action") == "oom":
                yield "out of memory"
            elif event.get("Action") == "die":
                yield f"exit code {event['Actor']['Attributes'].get('exitCode')}"


def seccomp_profile() -> str:
    """Return the profile's JSON text, as the engine expects it.

    Raises:
        IsolationMismatch: The file differs from the profile in `sandbox.seccomp`.
    """
    text = (resources.files("sandbox") / "seccomp.json").read_text(encoding="utf-8")
    try:
        genuine = json.loads(text) == profile()
    except ValueError:
        genuine = False
    if not genuine:
        raise IsolationMismatch(
            ("seccomp.json",),
            "the file is not the profile that sandbox/seccomp.py writes. Reinstall l2mac.",
        )
    return text
