"""The host's end of the channel: frames over the container's stdin and stdout.

Every byte from the sandbox is hostile until its frame is authenticated; a bad frame ends the
sandbox.
"""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

from sandbox.engine.streams import AttachedStream, Streams
from sandbox.errors import SandboxCompromised, SandboxDied, SandboxTimeout
from sandbox.protocol import PREFIX_BYTES, ProtocolError, Sealer, frame_length

_STREAM_HEADER = struct.Struct(">BxxxL")
_STDOUT, _STDERR = 1, 2
_CHUNK_BYTES = 1 << 18
_DIAGNOSTIC_BYTES = 16 * 1024
_SEND_S = 30
_TWO_REPLIES = "The sandbox sent more than one reply to a request."


class Closable(Protocol):
    """An object that can be closed more than once."""

    def close(self) -> None:
        """Close the object."""
        ...


class GuestChannel:
    """Send requests to a guest and receive replies, one request at a time.

    Args:
        connection: The hijacked socket of the engine's attach call, made before the container
            starts.
        holders: Other objects that keep the socket open, such as the library's response; closed
            with it.
    """

    def __init__(self, connection: socket.socket, *holders: Closable) -> None:
        self._connection = connection
        self._holders = holders
        connection.setblocking(True)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
        self._outgoing = Sealer(b"H")
        self._incoming = Sealer(b"G")
        self._sending = threading.Lock()
        self._raw = bytearray()
        self._stream, self._stream_left = _STDOUT, 0
        self._frames = bytearray()
        self._diagnostics = bytearray()

    @property
    def diagnostics(self) -> str:
        """The last kilobytes of the guest's standard error, without control characters."""
        text = self._diagnostics.decode("utf-8", "backslashreplace").strip()
        return "".join(map(_printable, text))

    def hello(self, header: dict[str, object], key: bytes, timeout_s: float) -> dict[str, object]:
        """Send the key in the first frame and return the reply, sealed with it."""
        with self._sending:
            self._send(self._outgoing.seal(header, key))
            self._outgoing.rekey(key)
        self._incoming.rekey(key)
        return self._receive(time.monotonic() + timeout_s)[0]

    def request(
        self,
        header: dict[str, object],
        body: bytes,
        timeout_s: float,
        serve: Callable[[AttachedStream], None] | None = None,
    ) -> tuple[dict[str, object], bytes]:
        """Send a request and return the reply.

        Args:
            header: The request.
            body: The content that belongs to it.
            timeout_s: Time that the reply may take.
            serve: Serves connections that programs in the sandbox open during the request; without
                it no connection can be opened.

        Raises:
            ProtocolError: The request is larger than a frame may be; nothing has been sent.
            SandboxDied: The channel closed.
            SandboxTimeout: No reply arrived within `timeout_s` seconds.
            SandboxCompromised: The sandbox sent something else than an authentic reply.
        """
        deadline = time.monotonic() + timeout_s
        self._post(header, body)
        if serve is None:
            return self._receive(deadline)
        streams = Streams(serve, self._post)
        try:
            while "stream" in (reply := self._receive(deadline, more=True))[0]:
                streams.take(*reply)
            if self._frames:
                raise SandboxCompromised(_TWO_REPLIES)
            return reply
        finally:
            streams.close()

    def beat(self) -> None:
        """Send a heartbeat; needs no reply and may be called from another thread.

        Raises:
            SandboxDied: The channel closed.
        """
        self._post({"op": "beat"}, b"")

    def close(self) -> None:
        """Close the channel, which ends the guest; closing twice is harmless."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._connection.close()
        for holder in self._holders:
            holder.close()

    def _post(self, header: dict[str, object], body: bytes) -> None:
        with self._sending:
            self._send(self._outgoing.seal(header, body))

    def _send(self, frame: bytes) -> None:
        try:
            self._connection.sendall(frame)
        except (BlockingIOError, TimeoutError) as error:
            raise SandboxTimeout(
                "The sandbox did not accept a request in time and was killed."
            ) from error
        except OSError as error:
            raise SandboxDied(f"The sandbox's channel closed ({error}).") from error

    def _receive(self, deadline: float, *, more: bool = False) -> tuple[dict[str, object], bytes]:
        try:
            self._fill(PREFIX_BYTES, deadline)
            prefix = bytes(self._frames[:PREFIX_BYTES])
            end = PREFIX_BYTES + frame_length(prefix)
            self._fill(end, deadline)
            with memoryview(self._frames) as view, view[PREFIX_BYTES:end] as payload:
                reply = self._incoming.open(prefix, payload)
        except ProtocolError as error:
            raise SandboxCompromised(f"The sandbox sent a bad frame: {error}.") from error
        del self._frames[:end]
        if self._frames and not more:
            raise SandboxCompromised(_TWO_REPLIES)
        return reply

    def _fill(self, wanted: int, deadline: float) -> None:
        """Read until `wanted` bytes of frames are there, without stream headers."""
        while len(self._frames) < wanted:
            self._raw += self._read(deadline)
            while self._take_piece():
                pass

    def _take_piece(self) -> bool:
        """Sort the bytes that have arrived of a stream's piece.

        The piece's announced length is not trusted: no buffer is made for it.
        """
        if not self._stream_left and len(self._raw) >= _STREAM_HEADER.size:
            self._stream, self._stream_left = _STREAM_HEADER.unpack_from(self._raw)
            del self._raw[: _STREAM_HEADER.size]
        content = self._raw[: self._stream_left]
        del self._raw[: len(content)]
        self._stream_left -= len(content)
        self._sort(self._stream, content)
        return bool(self._raw) and (self._stream_left > 0 or len(self._raw) >= _STREAM_HEADER.size)

    def _sort(self, stream: int, content: bytearray) -> None:
        if stream == _STDOUT:
            self._frames += content
        elif stream == _STDERR:
            self._diagnostics += content
            del self._diagnostics[:-_DIAGNOSTIC_BYTES]
        else:
            raise SandboxCompromised(
                "The engine's stream is not a stream of a container without a terminal."
            )

    def _read(self, deadline: float) -> bytes:
        pending = getattr(self._connection, "pending", None)
        if not (pending and pending()):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not _readable(self._connection, left_s):
                raise SandboxTimeout("The sandbox did not answer in time and was killed.")
        try:
            chunk = self._connection.recv(_CHUNK_BYTES)
        except OSError as error:
            raise SandboxDied(f"The sandbox's channel broke ({error}).") from error
        if not chunk:
            raise SandboxDied("The sandbox ended.")
        return chunk


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\n" else "?"


def _readable(connection: socket.socket, patience_s: float) -> bool:
    poller = select.poll()  # unlike select(2) it takes descriptors over 1023
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(patience_s * 1000))
