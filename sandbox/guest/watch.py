"""Watch running processes: streams, input, ends; bounded in time and bytes."""

from __future__ import annotations

import os
import select
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.guest.channel import Channel

_CHUNK_BYTES = 1 << 16
_DRAIN_S = 1.0


class Capture:
    """Keep the first and the last bytes of a stream and count the rest."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head = bytearray()
        self._head_bytes = head_bytes
        self._tail: deque[bytes] = deque()
        self._tail_bytes = tail_bytes
        self._tail_length = 0
        self.total = 0

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes of the stream."""
        self.total += len(chunk)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk or not self._tail_bytes:
            return
        self._tail.append(chunk)
        self._tail_length += len(chunk)
        while self._tail_length - len(self._tail[0]) >= self._tail_bytes:
            self._tail_length -= len(self._tail.popleft())

    def kept(self) -> tuple[bytes, bytes]:
        """Return the kept head and tail, between which bytes may be missing."""
        tail = b"".join(self._tail)
        return bytes(self._head), tail[-self._tail_bytes :] if self._tail_bytes else b""


class Watch:
    """Watch streams and events, bounded in time and in the bytes of output.

    Args:
        channel: Polled as well: if the host is gone, the sandbox ends.
        wakeup_fd: Readable whenever a child has ended.
        deadline: Time to stop, on the monotonic clock.
        max_output_bytes: Output limit of all streams together.
    """

    def __init__(
        self, channel: Channel, wakeup_fd: int, *, deadline: float, max_output_bytes: int
    ) -> None:
        self._channel = channel
        self._wakeup_fd = wakeup_fd
        self._deadline = deadline
        self._left_bytes = max_output_bytes
        self._captures: dict[int, Capture] = {}
        self._feeds: dict[int, memoryview] = {}
        self._listeners: dict[int, Callable[[], None]] = {}
        self._poller = select.poll()
        self._poller.register(channel.poll_fd, select.POLLIN)
        self._poller.register(wakeup_fd, select.POLLIN)

    def capture(self, fd: int, capture: Capture) -> None:
        """Read `fd` into `capture` and close it at its end."""
        os.set_blocking(fd, False)
        self._captures[fd] = capture
        self._poller.register(fd, select.POLLIN)

    def feed(self, fd: int, content: bytes) -> None:
        """Write `content` to `fd`, then close it."""
        if not content:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._feeds[fd] = memoryview(content)
        self._poller.register(fd, select.POLLOUT)

    def listen(self, fd: int, react: Callable[[], None]) -> None:
        """Call `react` whenever `fd` is readable."""
        self._listeners[fd] = react
        self._poller.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Stop listening to `fd`."""
        if self._listeners.pop(fd, None):
            self._poller.unregister(fd)

    def step(self) -> str | None:
        """Wait for an event; return `"timeout"` or `"output"` at a limit."""
        left_ms = int((self._deadline - time.monotonic()) * 1000) + 1
        if left_ms <= 0:
            return "timeout"
        for fd, _ in self._poller.poll(min(left_ms, self._channel.lease_left_ms())):
            if fd == self._channel.poll_fd:
                self._channel.pump()
            elif fd == self._wakeup_fd:
                os.read(fd, 512)
            elif fd in self._captures:
                self._read(fd)
            elif fd in self._feeds:
                self._write(fd)
            elif fd in self._listeners:
                self._listeners[fd]()
        return "output" if self._left_bytes <= 0 else None

    def drain(self) -> None:
        """Read the rest of the pipes when every writer has ended, without waiting."""
        deadline = time.monotonic() + _DRAIN_S
        while self._captures and time.monotonic() < deadline:
            progress = [self._read(fd) for fd in list(self._captures)]
            if not any(progress):
                break
        for fd in [*self._captures, *self._feeds]:
            self._close(fd)

    def _read(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close(fd)
            return False
        self._captures[fd].feed(chunk)
        self._left_bytes -= len(chunk)
        return True

    def _write(self, fd: int) -> None:
        try:
            self._feeds[fd] = self._feeds[fd][os.write(fd, self._feeds[fd][:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._feeds[fd] = memoryview(b"")
        if not self._feeds[fd]:
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._poller.unregister(fd)
        self._captures.pop(fd, None)
        self._feeds.pop(fd, None)
        os.close(fd)
