"""The host's end of a tunnel: numbered streams, one thread for each.

The sandbox is hostile: a frame that no intact guest sends is a `ValueError`, which ends the
sandbox. Each stream has at most one unacknowledged piece in each direction.
"""

import queue
import threading
from collections.abc import Callable, Mapping

from sandbox.errors import SandboxError
from sandbox.protocol import MAX_PIECE_BYTES, MAX_STREAMS

Post = Callable[[dict[str, object], bytes], None]


class AttachedStream:
    """One connection of a program in the sandbox; implements `sandbox.proxy.Bytes`.

    Args:
        number: The stream's number.
        post: Sends a frame to the guest.
    """

    def __init__(self, number: int, post: Post) -> None:
        self._number = number
        self._post = post
        self._pieces: queue.Queue[bytes] = queue.Queue(MAX_STREAMS)
        self._unacknowledged = 0
        self._acknowledged = threading.Semaphore(0)
        self._sending = threading.Lock()
        self.ended = threading.Event()

    def receive(self, patience_s: float) -> bytes:
        """Return the next bytes; empty at the end or after `patience_s` seconds."""
        if self.ended.is_set() and self._pieces.empty():
            return b""
        try:
            piece = self._pieces.get(timeout=patience_s)
        except queue.Empty:
            return b""
        if piece and not self.ended.is_set():
            self._post_frame("ack")
        return piece

    def send(self, content: bytes, patience_s: float) -> bool:
        """Send bytes by acknowledged pieces; return whether all were taken."""
        with self._sending:
            for start in range(0, len(content), MAX_PIECE_BYTES):
                if self.ended.is_set():
                    return False
                self._unacknowledged += 1
                self._post_frame("data", content[start : start + MAX_PIECE_BYTES])
                if not self._acknowledged.acquire(timeout=patience_s) or self.ended.is_set():
                    return False
        return True

    def close(self) -> None:
        """End the stream on both sides; closing twice is harmless."""
        if not self.ended.is_set():
            self._post_frame("end")
        self.end()

    def end(self) -> None:
        """Mark the stream as ended by the other side, and wake waiting threads."""
        self.ended.set()
        self._acknowledged.release()
        try:
            self._pieces.put_nowait(b"")
        except queue.Full:
            pass

    def take(self, action: str, body: bytes) -> None:
        """Process a frame of the guest.

        Raises:
            ValueError: No intact guest sends this frame.
        """
        if action == "end":
            self.end()
        elif self.ended.is_set() and action in ("ack", "data"):
            return  # the frame was on its way when the host ended the stream
        elif action == "ack" and self._unacknowledged:
            self._unacknowledged -= 1
            self._acknowledged.release()
        elif action == "data" and 0 < len(body) <= MAX_PIECE_BYTES and self._pieces.empty():
            self._pieces.put_nowait(body)
        else:
            raise ValueError("a stream's frame is out of order")

    def _post_frame(self, action: str, body: bytes = b"") -> None:
        try:
            self._post({"op": "stream", "stream": self._number, "do": action}, body)
        except SandboxError:  # the sandbox is gone; the request in progress reports that
            self.ended.set()


class Streams:
    """The streams of one request.

    Args:
        serve: Function for each new stream, called in a separate thread; closes the stream.
        post: Sends a frame to the guest.
    """

    def __init__(self, serve: Callable[[AttachedStream], None], post: Post) -> None:
        self._serve = serve
        self._post = post
        self._streams: dict[int, AttachedStream] = {}
        self._last = 0

    def take(self, header: Mapping[str, object], body: bytes) -> None:
        """Process a frame of the guest.

        Raises:
            ValueError, TypeError, KeyError: No intact guest sends this frame.
        """
        number, action = header["stream"], header["do"]
        if not isinstance(number, int) or not isinstance(action, str):
            raise TypeError("a stream's frame is malformed")
        if action == "open" and number == self._last + 1:
            self._open(number)
        elif number in self._streams:
            self._streams[number].take(action, body)
        elif not 0 < number <= self._last:
            raise ValueError("there is no such stream")

    def close(self) -> None:
        """End every stream; nothing is sent after that."""
        for stream in self._streams.values():
            stream.end()

    def _open(self, number: int) -> None:
        self._streams = {
            key: stream for key, stream in self._streams.items() if not stream.ended.is_set()
        }
        if len(self._streams) > MAX_STREAMS:
            raise ValueError("there are more streams than may be open")
        self._last = number
        stream = self._streams[number] = AttachedStream(number, self._post)
        threading.Thread(
            target=self._serve, args=(stream,), name=f"l2mac-stream-{number}", daemon=True
        ).start()
