"""Frames between the host and the guest; one definition, used on both sides.

A frame is `header length (u32) | body length (u32) | MAC (32 bytes) | header (JSON) | body (raw
bytes)`, all big-endian. The MAC is HMAC-SHA256 over direction, sequence number, both lengths,
header and body, under a key that the host sends in its first frame. The MAC is needed because some
runtimes (gVisor) let any code of the guest's uid open the guest's descriptors, so a private pipe
does not prove who wrote into it. Sequence numbers make a dropped, repeated or reordered frame a bad
frame.

This module runs inside the sandbox as well: standard library only, cheap to import.
"""

from __future__ import annotations

import hmac
import json
import struct

VERSION = 1
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
KEY_BYTES = 32
PREFIX_BYTES = 40

# One frame has to carry a listing of the whole store in its header, and all outputs of a run in its
# body.
MAX_STORED_FILES = 25_000
MAX_NAME_BYTES = 1024 * 1024
MAX_JOBS = 8
MAX_REPORT_BYTES = 8 * 1024 * 1024
MAX_MATCHES = 1000

# A tunnel: streams beside the one request in flight, for the sandbox that fetches packages.
MAX_STREAMS = 8
MAX_PIECE_BYTES = 64 * 1024
TUNNEL_PORT = 3128

_LENGTHS = struct.Struct(">II")
_SEALED = struct.Struct(">cQII")
_FIRST_KEY = b"\0" * KEY_BYTES


class ProtocolError(Exception):
    """A frame that a well-behaved peer cannot have sent."""


class Sealer:
    """Turn messages of one direction into frames, and frames back into messages.

    Args:
        direction: `b"H"` for frames of the host, `b"G"` for frames of the guest.
        key: The MAC key; the default protects nothing and serves until the peer knows the real key.
    """

    def __init__(self, direction: bytes, key: bytes = _FIRST_KEY) -> None:
        self._direction = direction
        self._key = key
        self._sequence = 0

    def rekey(self, key: bytes) -> None:
        """Seal and open every later frame under `key`."""
        self._key = key

    def seal(self, header: dict[str, object], body: bytes = b"") -> bytes:
        """Return the bytes of the next frame.

        Raises:
            ProtocolError: Header or body is larger than a frame may carry.
        """
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
        encoded = text.encode("utf-8", "surrogatepass")
        _check_lengths(len(encoded), len(body))
        mac = self._mac(encoded, body)
        self._sequence += 1
        return b"".join((_LENGTHS.pack(len(encoded), len(body)), mac, encoded, body))

    def open(self, prefix: bytes, payload: bytes | memoryview) -> tuple[dict[str, object], bytes]:
        """Check the next frame and return its (header, body).

        Args:
            prefix: The frame's first `PREFIX_BYTES` bytes.
            payload: Header and body, of `frame_length(prefix)` bytes; only the body is copied.

        Raises:
            ProtocolError: The MAC is wrong or the header is not a JSON object.
        """
        header_bytes, _ = _LENGTHS.unpack_from(prefix)
        with memoryview(payload) as view:
            encoded, body = bytes(view[:header_bytes]), bytes(view[header_bytes:])
        if not hmac.compare_digest(self._mac(encoded, body), bytes(prefix[_LENGTHS.size :])):
            raise ProtocolError("a frame's authentication code is wrong")
        self._sequence += 1
        try:
            header = json.loads(encoded.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise ProtocolError("a frame's header is not JSON") from error
        if not isinstance(header, dict):
            raise ProtocolError("a frame's header is not an object")
        return header, body

    def _mac(self, encoded: bytes, body: bytes) -> bytes:
        lengths = _SEALED.pack(self._direction, self._sequence, len(encoded), len(body))
        mac = hmac.new(self._key, lengths, "sha256")
        mac.update(encoded)
        mac.update(body)
        return mac.digest()


def frame_length(prefix: bytes) -> int:
    """Return the number of bytes that follow a frame's prefix.

    Raises:
        ProtocolError: The announced lengths are over the limits.
    """
    lengths: tuple[int, int] = _LENGTHS.unpack_from(prefix)
    _check_lengths(*lengths)
    return sum(lengths)


def _check_lengths(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES:
        raise ProtocolError(
            f"a header of {header_bytes} bytes is over the limit of {MAX_HEADER_BYTES}"
        )
    if body_bytes > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of {body_bytes} bytes is over the limit of {MAX_BODY_BYTES}")
