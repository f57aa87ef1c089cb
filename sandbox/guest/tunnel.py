"""The sandbox's end of a tunnel: a forwarder on the loopback interface, whose bytes go to the host as frames.

For the one sandbox that fetches packages. There is still no route, no resolver and no socket of the host in the sandbox: a
connection to the forwarder is a numbered stream on the channel that is there anyway, and the host's proxy decides
what becomes of it. Of each stream at most one piece is under way in each direction until the other side has
acknowledged it, so that neither side ever holds more.
"""

from __future__ import annotations

import select
import socket

from sandbox.protocol import MAX_PIECE_BYTES, MAX_STREAMS, TUNNEL_PORT, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.guest.channel import Channel


class _Stream:
    """One connection: `waiting` for the host to acknowledge a piece, `pending` bytes for the program."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.waiting = False
        self.pending = b""


class Tunnel:
    """Forward what connects to the loopback port; use it for one command and close it.

    Args:
        channel: Where the streams go.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._listener = socket.create_server(("127.0.0.1", TUNNEL_PORT), backlog=MAX_STREAMS)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._streams: dict[int, _Stream] = {}
        self._by_fd: dict[int, _Stream] = {}
        self._opened = 0
        channel.on_stream = self.take

    @property
    def fd(self) -> int:
        """The descriptor that is readable when there is something to do."""
        return self._poll.fileno()

    def turn(self) -> None:
        """Do what there is to do."""
        for fd, events in self._poll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif (stream := self._by_fd.get(fd)) is not None:
                self._serve(stream, events)

    def take(self, header: dict[str, object], body: bytes) -> None:
        """Take a frame of the host's; one for a stream that has ended meanwhile is late and harmless.

        Raises:
            ProtocolError: It is none that the host sends.
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
        stream = self._streams[self._opened] = _Stream(self._opened, connection)
        self._by_fd[connection.fileno()] = stream
        self._poll.register(connection, select.EPOLLIN)
        self._say(stream, "open")

    def _serve(self, stream: _Stream, events: int) -> None:
        try:
            if events & select.EPOLLOUT and stream.pending:
                stream.pending = stream.pending[stream.connection.send(stream.pending) :]
                if not stream.pending:
                    self._say(stream, "ack")
            if events & select.EPOLLIN and not stream.waiting:
                self._read(stream)
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                raise ConnectionResetError
        except BlockingIOError:
            return
        except OSError:
            self._say(stream, "end")
            self._drop(stream)
            return
        self._watch(stream)

    def _read(self, stream: _Stream) -> None:
        piece = stream.connection.recv(MAX_PIECE_BYTES)
        if not piece:
            raise ConnectionResetError
        stream.waiting = True
        self._say(stream, "data", piece)

    def _watch(self, stream: _Stream) -> None:
        events = (0 if stream.waiting else select.EPOLLIN) | (
            select.EPOLLOUT if stream.pending else 0
        )
        self._poll.modify(stream.connection, events)

    def _say(self, stream: _Stream, what: str, body: bytes = b"") -> None:
        self._channel.send({"stream": stream.number, "do": what}, body)

    def _drop(self, stream: _Stream) -> None:
        self._poll.unregister(stream.connection)
        del self._streams[stream.number], self._by_fd[stream.connection.fileno()]
        stream.connection.close()
