"""The sandbox's end of a tunnel: a loopback forwarder over the channel.

Only the sandbox that fetches packages has a tunnel. This sandbox still has no route, no resolver
and no socket of the host: a connection to the forwarder is a numbered stream on the existing
channel, and the host's proxy decides about it. In each direction a stream has at most one
unacknowledged piece, so that neither side ever buffers more.
"""

from __future__ import annotations

import select
import socket

from sandbox.protocol import MAX_PIECE_BYTES, MAX_STREAMS, TUNNEL_PORT, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.guest.channel import Channel


class _TunnelStream:
    """One connection: `waiting` for an acknowledgement, `pending` bytes."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.waiting = False
        self.pending = b""


class Tunnel:
    """Forward connections to the loopback port; use it for one command and close it.

    Args:
        channel: The channel that carries the streams.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._listener = socket.create_server(("127.0.0.1", TUNNEL_PORT), backlog=MAX_STREAMS)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._streams: dict[int, _TunnelStream] = {}
        self._by_fd: dict[int, _TunnelStream] = {}
        self._opened = 0
        channel.on_stream = self.take

    @property
    def fd(self) -> int:
        """The descriptor that is readable while `turn` has work to do."""
        return self._poll.fileno()

    def turn(self) -> None:
        """Serve every connection that is ready."""
        for fd, events in self._poll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif (stream := self._by_fd.get(fd)) is not None:
                self._serve(stream, events)

    def take(self, header: dict[str, object], body: bytes) -> None:
        """Process a frame of the host; a late frame for an ended stream is ignored.

        Raises:
            ProtocolError: The host does not send such a frame.
        """
        stream = self._streams.get(int(str(header["stream"])))
        if stream is None:
            return
        if header["do"] == "ack":
            stream.waiting = False
        elif header["do"] == "end":
            self._drop(stream)
            return
        elif stream.pending or not 0 < len(body) <= MAX_PIECE_BYTES:
            raise ProtocolError("a piece of a stream came before the last one was acknowledged")
        else:
            stream.pending = body
        self._watch(stream)

    def close(self) -> None:
        """End every connection and the forwarder."""
        self._channel.on_stream = None
        for stream in self._streams.values():
            stream.connection.close()
        self._listener.close()
        self._poll.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if len(self._streams) == MAX_STREAMS:
            connection.close()
            return
        connection.setblocking(False)
        self._opened += 1
        stream = self._streams[self._opened] = _TunnelStream(self._opened, connection)
        self._by_fd[connection.fileno()] = stream
        self._poll.register(connection, select.EPOLLIN)
        self._post(stream, "open")

    def _serve(self, stream: _TunnelStream, events: int) -> None:
        try:
            if events & select.EPOLLOUT and stream.pending:
                stream.pending = stream.pending[stream.connection.send(stream.pending) :]
                if not stream.pending:
                    self._post(stream, "ack")
            if events & select.EPOLLIN and not stream.waiting:
                self._read(stream)
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                raise ConnectionResetError
        except BlockingIOError:
            return
        except OSError:
            self._post(stream, "end")
            self._drop(stream)
            return
        self._watch(stream)

    def _read(self, stream: _TunnelStream) -> None:
        piece = stream.connection.recv(MAX_PIECE_BYTES)
        if not piece:
            raise ConnectionResetError
        stream.waiting = True
        self._post(stream, "data", piece)

    def _watch(self, stream: _TunnelStream) -> None:
        events = 0
        if not stream.waiting:
            events |= select.EPOLLIN
        if stream.pending:
            events |= select.EPOLLOUT
        self._poll.modify(stream.connection, events)

    def _post(self, stream: _TunnelStream, action: str, body: bytes = b"") -> None:
        self._channel.send({"stream": stream.number, "do": action}, body)

    def _drop(self, stream: _TunnelStream) -> None:
        self._poll.unregister(stream.connection)
        del self._streams[stream.number], self._by_fd[stream.connection.fileno()]
        stream.connection.close()
