"""The guest's end of the channel: frames on descriptors 0 and 1; the lease."""

from __future__ import annotations

import os
import select
import time

from sandbox.protocol import PREFIX_BYTES, ProtocolError, Sealer, frame_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK_BYTES = 1 << 18


class HostGone(Exception):
    """The channel closed, or no frame of the host came for a whole lease."""


class Channel:
    """Receive requests and send replies; keep the lease.

    The loop that runs a command can poll `poll_fd`, so that the sandbox ends if the host dies
    during a command. `on_stream` takes the frames of a tunnel (`sandbox.guest.tunnel`).

    Args:
        control_fd: Descriptor of the host's frames.
        reply_fd: Descriptor of the guest's frames.
    """

    def __init__(self, control_fd: int = 0, reply_fd: int = 1) -> None:
        self._incoming = Sealer(b"H")
        self._outgoing = Sealer(b"G")
        self._buffer = bytearray()
        self._requests: list[tuple[dict[str, object], bytes]] = []
        self._heard_at = time.monotonic()
        self._lease_s = 60.0
        self._reply_fd = reply_fd
        self.poll_fd = control_fd
        self.on_stream: Callable[[dict[str, object], bytes], None] | None = None

    def secure(self, key: bytes, lease_s: float) -> None:
        """Authenticate later frames with `key`, and set the lease."""
        self._incoming.rekey(key)
        self._outgoing.rekey(key)
        self._lease_s = lease_s

    def receive(self, patience_s: float | None = None) -> tuple[dict[str, object], bytes] | None:
        """Wait for a request; return None after `patience_s` seconds.

        Raises:
            HostGone: The channel closed or the lease ran out.
            ProtocolError: A bad frame came in.
        """
        poller = select.poll()
        poller.register(self.poll_fd, select.POLLIN)
        patient_until = time.monotonic() + (float("inf") if patience_s is None else patience_s)
        while not self._requests:
            left_ms = min(self.lease_left_ms(), (patient_until - time.monotonic()) * 1000)
            if left_ms <= 0:
                return None
            if poller.poll(left_ms):
                self.pump()
        return self._requests.pop(0)

    def lease_left_ms(self) -> int:
        """Return the milliseconds until the lease runs out.

        Raises:
            HostGone: The lease has run out.
        """
        left_s = self._heard_at + self._lease_s - time.monotonic()
        if left_s <= 0:
            raise HostGone("the host has been silent for a whole lease")
        return int(left_s * 1000) + 1

    def pump(self) -> None:
        """Read the bytes that have arrived; call this when `poll_fd` is readable.

        Raises:
            HostGone: The channel closed.
            ProtocolError: A bad frame came in.
        """
        chunk = os.read(self.poll_fd, _CHUNK_BYTES)
        if not chunk:
            raise HostGone("the channel closed")
        self._heard_at = time.monotonic()
        self._buffer += chunk
        while (frame := self._next_frame()) is not None:
            if frame[0].get("op") == "stream":
                if self.on_stream is not None:  # otherwise the stream's command has ended
                    self.on_stream(*frame)
            elif frame[0].get("op") != "beat":
                self._requests.append(frame)
            if len(self._requests) > 1:
                raise ProtocolError("a second request came while one was in flight")

    def send(self, header: dict[str, object], body: bytes = b"") -> None:
        """Send one whole reply."""
        view = memoryview(self._outgoing.seal(header, body))
        while view:
            view = view[os.write(self._reply_fd, view) :]

    def _next_frame(self) -> tuple[dict[str, object], bytes] | None:
        if len(self._buffer) < PREFIX_BYTES:
            return None
        prefix = bytes(self._buffer[:PREFIX_BYTES])
        end = PREFIX_BYTES + frame_length(prefix)
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view, view[PREFIX_BYTES:end] as payload:
            frame = self._incoming.open(prefix, payload)
        del self._buffer[:end]
        return frame
