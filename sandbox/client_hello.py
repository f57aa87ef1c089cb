"""Read the server name of a TLS hello (RFC 8446, 4.1.2; RFC 6066, 3)."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ENCRYPTED_HELLO = 0, 0xFE0D
MAX_HELLO_BYTES = 16 * 1024


class HelloError(ValueError):
    """The bytes are not a client hello that names exactly one host in clear text."""


class _Reader:
    """Take numbers and counted fields from bytes."""

    def __init__(self, content: bytes) -> None:
        self.left = content

    def take(self, count: int) -> bytes:
        if count > len(self.left):
            raise HelloError("the TLS hello ends too early")
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width))

    def field(self, width: int) -> "_Reader":
        """Return the field that follows a length of `width` bytes."""
        return _Reader(self.take(self.number(width)))


def server_name(content: bytes) -> str | None:
    """Return the host that the client wants to reach, in lower case.

    Returns:
        The name, or None while the hello is incomplete.

    Raises:
        HelloError: The bytes are not TLS, or the hello hides its server name or has not exactly
            one.
    """
    hello = _handshake(content)
    if hello is None:
        return None
    if hello[0] != _CLIENT_HELLO:
        raise HelloError("the connection does not begin with a TLS client hello")
    reader = _Reader(hello[4:])
    reader.take(2 + 32)
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.field(width)
    extensions = reader.field(2) if reader.left else _Reader(b"")
    names: list[str] = []
    while extensions.left:
        kind, body = extensions.number(2), extensions.field(2)
        if kind == _ENCRYPTED_HELLO:
            raise HelloError("the TLS hello hides its server name")
        if kind == _SERVER_NAME:
            names.append(_only_name(body))
    if len(names) != 1 or reader.left:
        raise HelloError(f"the TLS hello has {len(names)} server names instead of one")
    return names[0]


def _handshake(content: bytes) -> bytes | None:
    """Return the first handshake message, or None while incomplete."""
    if content[:1] not in (b"", bytes([_HANDSHAKE])) or content[1:2] not in (b"", b"\x03"):
        raise HelloError("the connection does not begin with TLS")
    message = b""
    while len(content) >= 5:
        length = int.from_bytes(content[3:5])
        if content[0] != _HANDSHAKE or not length:
            raise HelloError("another record interrupts the TLS hello")
        message += content[5 : 5 + length]
        content = content[5 + length :]
        wanted = 4 + int.from_bytes(message[1:4]) if len(message) >= 4 else MAX_HELLO_BYTES
        if wanted > MAX_HELLO_BYTES:
            raise HelloError("the TLS hello is too long")
        if len(message) >= wanted:
            return message[:wanted]
    return None


def _only_name(body: _Reader) -> str:
    names = body.field(2)
    if names.number(1) != 0:
        raise HelloError("the TLS hello's server name is not a host name")
    name = names.field(2).left
    if names.left or body.left or not name.isascii():
        raise HelloError("the TLS hello's server name is not a single host name")
    return name.decode("ascii").lower()
