"""The body of a response that neither goes on for ever nor fills the memory."""

from collections.abc import Iterator

import httpx2
import pytest

from l2mac.processor.bounded_stream import BoundedStream

MEBIBYTE = b"x" * (1 << 20)


class Body(httpx2.SyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    def close(self) -> None:
        self.closed = True


def bounded(
    body: Body, content_type: str = "text/event-stream", *, now: float = 0
) -> BoundedStream:
    response = httpx2.Response(200, headers={"content-type": content_type}, stream=body)
    return BoundedStream(response, clock=lambda: now, deadline=10)


def test_a_body_in_time_passes_unchanged() -> None:
    assert list(bounded(Body(b"a", b"b\n"))) == [b"a", b"b\n"]


def test_a_body_past_its_deadline_ends() -> None:
    with pytest.raises(httpx2.ReadTimeout):
        list(bounded(Body(b"a"), now=11))


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", ""])
def test_an_endless_line_ends(content_type: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="too large"):
        list(bounded(Body(*[MEBIBYTE] * 33), content_type))


def test_a_long_stream_of_short_lines_passes() -> None:
    assert len(list(bounded(Body(*[MEBIBYTE + b"\n"] * 40)))) == 40


def test_other_response_bodies_are_bounded_as_a_whole() -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="too large"):
        list(bounded(Body(*[MEBIBYTE + b"\n"] * 40), "application/json"))


def test_closing_closes_the_connection() -> None:
    body = Body()
    bounded(body).close()
    assert body.closed
