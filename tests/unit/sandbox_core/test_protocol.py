"""Frames: authentic ones arrive once and in order; everything else is a bad frame."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.protocol import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    ProtocolError,
    Sealer,
    frame_length,
)

KEY = bytes(range(32))
Header = dict[str, object]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(st.text(), JSON, max_size=4)


def opened(sealer: Sealer, frame: bytes) -> tuple[Header, bytes]:
    prefix, payload = frame[:PREFIX_BYTES], frame[PREFIX_BYTES:]
    assert frame_length(prefix) == len(payload)
    return sealer.open(prefix, payload)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=200)), min_size=1, max_size=5))
def test_messages_arrive_whole_and_in_order(messages: list[tuple[Header, bytes]]) -> None:
    sender, receiver = Sealer(b"H", KEY), Sealer(b"H", KEY)
    assert [opened(receiver, sender.seal(header, body)) for header, body in messages] == messages


def test_lone_surrogates_survive_a_frame() -> None:
    header: Header = {"argv": ["\udcff", "\ud800"]}
    assert opened(Sealer(b"H", KEY), Sealer(b"H", KEY).seal(header)) == (header, b"")


@given(HEADERS, st.binary(max_size=100), st.data())
def test_one_changed_bit_anywhere_makes_a_bad_frame(
    header: Header, body: bytes, data: st.DataObject
) -> None:
    frame = bytearray(Sealer(b"G", KEY).seal(header, body))
    bit = data.draw(st.integers(min_value=64, max_value=8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        Sealer(b"G", KEY).open(bytes(frame[:PREFIX_BYTES]), bytes(frame[PREFIX_BYTES:]))


@given(st.binary(min_size=PREFIX_BYTES, max_size=300))
def test_random_bytes_are_never_a_frame(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        Sealer(b"G", KEY).open(noise[:PREFIX_BYTES], noise[PREFIX_BYTES:])


@given(st.binary(min_size=PREFIX_BYTES, max_size=PREFIX_BYTES))
def test_an_announced_length_is_within_the_limits_or_refused(prefix: bytes) -> None:
    header_bytes, body_bytes = struct.unpack_from(">II", prefix)
    if header_bytes <= MAX_HEADER_BYTES and body_bytes <= MAX_BODY_BYTES:
        assert frame_length(prefix) == header_bytes + body_bytes
    else:
        with pytest.raises(ProtocolError):
            frame_length(prefix)


def test_a_repeated_frame_is_a_bad_frame() -> None:
    frame, receiver = Sealer(b"G", KEY).seal({}), Sealer(b"G", KEY)
    opened(receiver, frame)
    with pytest.raises(ProtocolError):
        opened(receiver, frame)


def test_frame_after_a_missing_one_is_a_bad_frame() -> None:
    sender, receiver = Sealer(b"G", KEY), Sealer(b"G", KEY)
    sender.seal({"n": 1})
    with pytest.raises(ProtocolError):
        opened(receiver, sender.seal({"n": 2}))


def test_a_frame_sent_back_to_its_sender_is_a_bad_frame() -> None:
    frame = Sealer(b"H", KEY).seal({"op": "write"})
    with pytest.raises(ProtocolError):
        opened(Sealer(b"G", KEY), frame)


def test_a_frame_under_another_key_is_a_bad_frame() -> None:
    with pytest.raises(ProtocolError):
        opened(Sealer(b"G", KEY), Sealer(b"G").seal({}))


def test_bytes_moved_between_header_and_body_make_a_bad_frame() -> None:
    frame = bytearray(Sealer(b"G", KEY).seal({"a": 1}, b"{}"))
    struct.pack_into(">II", frame, 0, 9, 0)
    with pytest.raises(ProtocolError):
        Sealer(b"G", KEY).open(bytes(frame[:PREFIX_BYTES]), bytes(frame[PREFIX_BYTES:]))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"x"',
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"a": 1} x',
    ],
    ids=lambda header: repr(header[:10]),
)
def test_header_other_than_a_json_object_is_a_bad_frame(header: bytes) -> None:
    sealer = Sealer(b"G", KEY)
    prefix = struct.pack(">II", len(header), 0) + sealer._mac(header, b"")
    with pytest.raises(ProtocolError):
        Sealer(b"G", KEY).open(prefix, header)


@pytest.mark.parametrize(
    ("header", "body"), [({"a": "x" * MAX_HEADER_BYTES}, b""), ({}, bytes(MAX_BODY_BYTES + 1))]
)
def test_too_large_messages_are_refused_without_using_a_number(header: Header, body: bytes) -> None:
    sender, receiver = Sealer(b"H", KEY), Sealer(b"H", KEY)
    with pytest.raises(ProtocolError):
        sender.seal(header, body)
    assert opened(receiver, sender.seal({"n": 1})) == ({"n": 1}, b"")


def test_headers_are_compact_json() -> None:
    frame = Sealer(b"H", KEY).seal({"a": [1, 2]})
    assert json.loads(frame[PREFIX_BYTES:]) == {"a": [1, 2]}
    assert b" " not in frame[PREFIX_BYTES:]
