"""The body of an HTTP response, bounded in time and in memory.

A module of its own, because only few modules may import `httpx2`.
"""

from collections.abc import Callable, Iterator

import httpx2

_MOST_BYTES_AT_ONCE = 32 * 1024 * 1024


class BoundedStream(httpx2.SyncByteStream):
    """A response body that ends at a deadline.

    The deadline holds even if the server keeps sending bytes that form no event.

    Args:
        response: The response whose body is bounded. The stream replaces the response's own.
        clock: A monotonic clock in seconds.
        deadline: The time of that clock at which the body must have ended.
    """

    def __init__(
        self, response: httpx2.Response, *, clock: Callable[[], float], deadline: float
    ) -> None:
        stream = response.stream
        if not isinstance(stream, httpx2.SyncByteStream):
            raise TypeError("only responses of a synchronous client can be bounded")
        content_type = response.headers.get("content-type", "")
        self._stream = stream
        self._clock = clock
        self._deadline = deadline
        self._is_event_stream = content_type.startswith("text/event-stream")

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in pieces.

        Raises:
            httpx2.ReadTimeout: The deadline has passed.
            httpx2.RemoteProtocolError: One line of an event stream, or the whole of another body,
                is larger than 32 MiB.
        """
        held = 0
        for piece in self._stream:
            if self._clock() > self._deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            line_end = piece.rfind(b"\n") if self._is_event_stream else -1
            held = held + len(piece) if line_end < 0 else len(piece) - line_end - 1
            if held > _MOST_BYTES_AT_ONCE:
                raise httpx2.RemoteProtocolError("the answer is too large")
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
