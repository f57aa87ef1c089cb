"""Stand-ins for tests; they execute nothing and raise when their script runs out.

`ScriptedGuest` plays the far end of a channel, well-behaved or hostile. `MemorySandbox` is a `Sandbox` whose files
are a dictionary and whose runs are given beforehand.
"""

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from sandbox.errors import Refused, SandboxDied, SandboxLost
from sandbox.paths import PathError, check_path
from sandbox.protocol import PREFIX_BYTES, Sealer, frame_length
from sandbox.results import FileEntry, Job, Match, RunResult

STDOUT, STDERR = 1, 2
_PATIENCE_S = 20


class Conversation:
    """What a step of a `ScriptedGuest` can do: see the request, seal replies, send bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming, self._outgoing = Sealer(b"H"), Sealer(b"G")
        self.header: dict[str, Any] = {}
        self.body = b""
        self.key = b""

    def take(self) -> bool:
        """Take the next request that is no heartbeat; False when the host has hung up."""
        while (prefix := self._exactly(PREFIX_BYTES)) is not None:
            payload = self._exactly(frame_length(prefix))
            if payload is None:
                return False
            self.header, self.body = self._incoming.open(prefix, payload)
            if self.header["op"] == "hello":
                self.key = self.body
                self._incoming.rekey(self.key)
                self._outgoing.rekey(self.key)
            if self.header["op"] != "beat":
                return True
        return False

    def seal(self, header: dict[str, Any], body: bytes = b"") -> bytes:
        """Give the next frame as the guest would send it."""
        return self._outgoing.seal(header, body)

    def send(self, content: bytes, stream: int = STDOUT) -> None:
        """Send bytes as the engine passes on what a container writes."""
        try:
            self._connection.sendall(struct.pack(">BxxxL", stream, len(content)) + content)
        except OSError:  # the host has had enough
            self.hang_up()

    def send_raw(self, content: bytes) -> None:
        """Send bytes without the engine's stream header."""
        try:
            self._connection.sendall(content)
        except OSError:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection, as a box that dies does."""
        self._connection.close()

    def _exactly(self, count: int) -> bytes | None:
        content = b""
        while len(content) < count:
            try:
                chunk = self._connection.recv(count - len(content))
            except OSError:
                chunk = b""
            if not chunk:
                return None
            content += chunk
        return content


ScriptedStep = Callable[[Conversation], None]


class ScriptedGuest:
    """A guest that does one step of its script per request; use as a context manager.

    Args:
        steps: What it does upon each request, the first of which is the host's greeting.

    Raises:
        AssertionError: At the end of the context, when a request came after the last step.
    """

    def __init__(self, *steps: ScriptedStep) -> None:
        self._steps = steps
        self.host_end, self._guest_end = socket.socketpair()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._unscripted = ""
        self.requests: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.host_end.close()
        self._thread.join(_PATIENCE_S)
        self._guest_end.close()
        if self._unscripted:
            raise AssertionError(f"the guest has no step for {self._unscripted}")

    def _play(self) -> None:
        conversation = Conversation(self._guest_end)
        for step in self._steps:
            if not conversation.take():
                return
            self.requests.append(conversation.header)
            step(conversation)
        if self._guest_end.fileno() >= 0 and conversation.take():
            self._unscripted = json.dumps(conversation.header)[:200]
            conversation.hang_up()


def replies(header: dict[str, Any], body: bytes = b"") -> ScriptedStep:
    """Give the step of a guest that sends an authentic reply."""
    return lambda conversation: conversation.send(conversation.seal({"ok": True, **header}, body))


def refuses(reason: str) -> ScriptedStep:
    """Give the step of a guest that refuses a request."""
    return lambda conversation: conversation.send(
        conversation.seal({"ok": False, "refused": reason})
    )


def sends(content: bytes) -> ScriptedStep:
    """Give the step of a guest that sends these bytes in place of a reply."""
    return lambda conversation: conversation.send(content)


def stays_silent(_: Conversation) -> None:
    """Let the host wait."""


def hangs_up(conversation: Conversation) -> None:
    """End in place of a reply."""
    conversation.hang_up()


class MemorySandbox:
    """A `Sandbox` in memory: files are kept, nothing runs; runs give what is scripted.

    Args:
        runs: What each `run` gives, in order; a `SandboxLost` is raised and loses the box.
        max_files: How many files it holds.
        max_file_bytes: How large one of them may be.
    """

    def __init__(
        self,
        runs: Sequence[RunResult | SandboxLost] = (),
        *,
        max_files: int = 10_000,
        max_file_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        self._runs = list(runs)
        self._max_files, self._max_file_bytes = max_files, max_file_bytes
        self._files: dict[str, bytes] = {}
        self._lost = False
        self.asked: list[tuple[tuple[Job, ...], bytes, float | None]] = []

    @property
    def receipt(self) -> Mapping[str, Any]:
        """Nothing is verified, as there is nothing to confine."""
        return {"rows": [], "runtime": "none"}

    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """See `Sandbox.write`."""
        self._check()
        together = {*self._files, *files}
        folders = {
            path[:at] for path in together for at, character in enumerate(path) if character == "/"
        }
        for path in sorted(together & folders):
            raise Refused(f"{path!r} would be a file and a directory at once")
        for path, content in files.items():
            _check_name(path)
            if len(content) > self._max_file_bytes:
                raise Refused(f"{path!r} is too large")
        if len({**self._files, **files}) > self._max_files:
            raise Refused("too many files")
        self._files |= files
        return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `Sandbox.read`."""
        self._check()
        if path not in self._files:
            raise Refused(f"there is no file {path!r}")
        return self._files[path][offset : offset + limit], len(self._files[path])

    def delete(self, paths: Sequence[str]) -> None:
        """See `Sandbox.delete`."""
        self._check()
        for path in paths:
            if path not in self._files:
                raise Refused(f"there is no file {path!r}")
        for path in dict.fromkeys(paths):
            del self._files[path]

    def files(self) -> tuple[FileEntry, ...]:
        """See `Sandbox.files`."""
        self._check()
        return tuple(
            FileEntry(path, len(content), hashlib.sha256(content).hexdigest())
            for path, content in sorted(self._files.items())
        )

    def search(
        self, text: str, *, ignore_case: bool = False, max_matches: int = 200
    ) -> tuple[tuple[Match, ...], bool]:
        """See `Sandbox.search`."""
        self._check()
        wanted = text.encode().lower() if ignore_case else text.encode()
        found = [
            Match(path, number, line.decode(errors="replace"))
            for path, content in sorted(self._files.items())
            if b"\0" not in content[:4096]
            for number, line in enumerate(content.split(b"\n"), 1)
            if wanted in (line.lower() if ignore_case else line)
        ]
        return tuple(found[:max_matches]), len(found) > max_matches

    def run(
        self, jobs: Sequence[Job], *, stdin: bytes = b"", timeout_s: float | None = None
    ) -> RunResult:
        """Give the next scripted result."""
        self._check()
        self.asked.append((tuple(jobs), stdin, timeout_s))
        if not self._runs:
            raise AssertionError(f"no run is scripted for {[job.name for job in jobs]}")
        result = self._runs.pop(0)
        if isinstance(result, SandboxLost):
            self._lost = True
            raise result
        return result

    def close(self) -> None:
        """See `Sandbox.close`."""
        self._lost = True

    def _check(self) -> None:
        if self._lost:
            raise SandboxDied("the box is closed")


def _check_name(path: str) -> None:
    try:
        check_path(path)
    except PathError as error:
        raise Refused(str(error)) from error
