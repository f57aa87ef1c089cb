"""The host's end of a tunnel against a guest that keeps the rules, and one that does not."""

import queue

import pytest

from sandbox.engine.streams import AttachedStream, Streams
from sandbox.protocol import MAX_PIECE_BYTES, MAX_STREAMS

PATIENCE_S = 10.0
Frames = queue.Queue[tuple[str, bytes]]


def tunnel() -> tuple[Streams, "queue.Queue[AttachedStream]", Frames]:
    """Return streams, the queue of opened ones, and the queue of frames to the guest."""
    opened: queue.Queue[AttachedStream] = queue.Queue()
    sent: Frames = queue.Queue()
    return (
        Streams(opened.put, lambda header, body: sent.put((str(header["do"]), body))),
        opened,
        sent,
    )


def frame(number: object, action: str) -> dict[str, object]:
    return {"stream": number, "do": action}


def test_bytes_flow_both_ways_in_acknowledged_pieces() -> None:
    streams, opened, sent = tunnel()
    streams.take(frame(1, "open"), b"")
    stream = opened.get(timeout=PATIENCE_S)
    streams.take(frame(1, "data"), b"hello")
    assert stream.receive(PATIENCE_S) == b"hello"
    assert sent.get(timeout=PATIENCE_S) == ("ack", b"")
    too_long = b"x" * (MAX_PIECE_BYTES + 1)
    assert not stream.send(too_long, 0.01)  # the guest does not acknowledge the first piece
    assert sent.get(timeout=PATIENCE_S) == ("data", b"x" * MAX_PIECE_BYTES)
    assert sent.empty()
    streams.take(frame(1, "ack"), b"")
    streams.take(frame(1, "end"), b"")
    assert stream.receive(PATIENCE_S) == b""


@pytest.mark.parametrize(
    "frames",
    [
        [(frame(2, "open"), b"")],
        [(frame(1, "open"), b""), (frame(1, "open"), b"")],
        [(frame(1, "data"), b"x")],
        [(frame(1, "open"), b""), (frame(1, "ack"), b"")],
        [(frame(1, "open"), b""), (frame(1, "data"), b"x"), (frame(1, "data"), b"y")],
        [(frame(1, "open"), b""), (frame(1, "data"), b"")],
        [(frame(1, "open"), b""), (frame(1, "data"), b"x" * (MAX_PIECE_BYTES + 1))],
        [(frame(1, "open"), b""), (frame(1, "surprise"), b"")],
        [(frame("1", "end"), b"")],
        [(frame(number, "open"), b"") for number in range(1, MAX_STREAMS + 3)],
    ],
)
def test_impossible_stream_frames_raise(frames: list[tuple[dict[str, object], bytes]]) -> None:
    streams, _, _ = tunnel()
    with pytest.raises((ValueError, TypeError)):
        for header, body in frames:
            streams.take(header, body)


def test_frames_arriving_after_a_stream_ended_are_no_error() -> None:
    streams, opened, _ = tunnel()
    streams.take(frame(1, "open"), b"")
    opened.get(timeout=PATIENCE_S).close()
    for action, body in (("data", b"late"), ("ack", b""), ("end", b""), ("end", b"")):
        streams.take(frame(1, action), body)
    assert opened.empty()
