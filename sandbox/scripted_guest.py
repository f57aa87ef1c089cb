"""A scripted guest, well-behaved or hostile, for tests of the host's side."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from sandbox.protocol import PREFIX_BYTES, Sealer, frame_length

STDOUT, STDERR = 1, 2
_PATIENCE_S = 20


class Conversation:
    """The far end of a channel, as a step of a `ScriptedGuest` uses it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming, self._outgoing = Sealer(b"H"), Sealer(b"G")
        self.header: dict[str, object] = {}
        self.body = b""
        self.key = b""

    def take(self) -> bool:
        """Receive the next request, not a heartbeat; return False when the host is gone."""
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

    def seal(self, header: dict[str, object], body: bytes = b"") -> bytes:
        """Return the next frame as the guest would send it."""
        return self._outgoing.seal(header, body)

    def send(self, content: bytes, stream: int = STDOUT) -> None:
        """Send bytes as the engine forwards the output of a container."""
        try:
            self._connection.sendall(struct.pack(">BxxxL", stream, len(content)) + content)
        except OSError:  # the host has closed the channel
            self.hang_up()

    def send_raw(self, content: bytes) -> None:
        """Send bytes without the engine's stream header."""
        try:
            self._connection.sendall(content)
        except OSError:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, as a sandbox does that ends."""
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


Step = Callable[[Conversation], None]


class ScriptedGuest:
    """A guest that does one step of its script per request; use as a context manager.

    Args:
        steps: The reaction to each request, the first of which is the host's greeting.

    Raises:
        AssertionError: At the end of the context, when a request came after the last step.
    """

    def __init__(self, *steps: Step) -> None:
        self._steps = steps
        self.host_end, self._guest_end = socket.socketpair()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._unscripted = ""
        self.requests: list[dict[str, object]] = []

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


def replies(header: dict[str, object], body: bytes = b"") -> Step:
    """Return the step of a guest that sends an authentic reply."""
    return lambda conversation: conversation.send(conversation.seal({"ok": True, **header}, body))


def refuses(reason: str) -> Step:
    """Return the step of a guest that refuses a request."""
    return lambda conversation: conversation.send(
        conversation.seal({"ok": False, "refused": reason})
    )


def sends(content: bytes) -> Step:
    """Return the step of a guest that sends these bytes in place of a reply."""
    return lambda conversation: conversation.send(content)


def stays_silent(_: Conversation) -> None:
    """Ignore the request, so that the host waits."""


def hangs_up(conversation: Conversation) -> None:
    """Close the connection in place of a reply."""
    conversation.hang_up()
