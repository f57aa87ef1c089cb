"""The proxy of the sandbox that fetches packages: which hosts it connects to.

No packet leaves the loopback.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sandbox.client_hello import HelloError, server_name
from sandbox.policy import Reach
from sandbox.proxy import Proxy

HOST, OTHER = "index.test", "elsewhere.test"
PUBLIC = "198.41.0.4"  # a name server of the root: no test connects to it
PATIENCE_S = 10.0
ALLOWED = Reach(hosts=frozenset({HOST}), idle_s=PATIENCE_S)


class Client:
    """A connection as the proxy gets it from a sandbox: the sent pieces and the reply."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.got = b""
        self.closed = threading.Event()
        self.answered = threading.Event()

    def receive(self, patience_s: float) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        self.answered.wait(min(patience_s, PATIENCE_S))
        return b""

    def send(self, content: bytes, _: float) -> bool:
        self.got += content
        if b"echo" in self.got:
            self.answered.set()
        return True

    def close(self) -> None:
        self.answered.set()
        self.closed.set()


@pytest.fixture
def upstream() -> Iterator[list[bytes]]:
    """Yield the port of a server that answers `echo`, followed by its received messages."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        got.append(connection.recv(65536))
                        connection.sendall(b"echo")

        threading.Thread(target=serve, daemon=True).start()
        got.append(str(server.getsockname()[1]).encode())
        yield got
        server.shutdown(socket.SHUT_RDWR)


class World:
    """A resolver and connector whose every address leads to the server on the loopback."""

    def __init__(self, port: bytes, *addresses: str) -> None:
        self.port, self.addresses = int(port), addresses
        self.resolved: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str) -> list[str]:
        self.resolved.append(host)
        return list(self.addresses)

    def connect(self, address: str, patience_s: float) -> socket.socket:
        self.connected.append(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout=patience_s)

    def proxy(self, reach: Reach = ALLOWED) -> Proxy:
        return Proxy(reach, self.resolve, self.connect)


def hello_for(name: str | None) -> bytes:
    """Return a client hello as Python's own TLS makes it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def request(host: str = HOST, port: int = 443) -> bytes:
    return f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def refused(proxy: Proxy, client: Client) -> str:
    proxy.serve(client)
    assert client.closed.is_set()
    assert b"echo" not in client.got
    return proxy.decisions[-1].reason


def test_allowed_host_is_connected_at_its_checked_address(upstream: list[bytes]) -> None:
    world = World(upstream[0], PUBLIC)
    proxy, client = world.proxy(), Client(request(), hello_for(HOST))
    proxy.serve(client)
    assert client.got == b"HTTP/1.1 200 Connection established\r\n\r\necho"
    assert (world.resolved, world.connected) == ([HOST], [PUBLIC])
    assert upstream[1] == hello_for(HOST)[: len(upstream[1])] or server_name(upstream[1]) == HOST
    decision = proxy.report()[0]
    assert (decision["host"], decision["reason"], decision["received_bytes"]) == (HOST, "", 4)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request(OTHER), 403),
        (request(HOST + "."), 403),
        (request("sub." + HOST), 403),
        (request(PUBLIC), 403),
        (request("[2606:4700::1]"), 403),
        (request("0x7f.1"), 403),
        (request("2130706433"), 403),
        (request(port=80), 403),
        (request(port=8443), 403),
        (b"GET http://index.test/ HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT index.test HTTP/1.1\r\n\r\n", 405),
        (request() + b"early", 405),
        (b"CONNECT " + b"x" * 9000, 400),
        (b"CONNECT index.test:443 HTTP/1.1\r\n", 400),
    ],
)
def test_proxy_refuses_every_other_host(upstream: list[bytes], head: bytes, status: int) -> None:
    world = World(upstream[0], PUBLIC)
    client = Client(head)
    client.answered.set()
    assert refused(world.proxy(), client)
    assert client.got.startswith(f"HTTP/1.1 {status} ".encode())
    assert world.connected == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::",
        "64:ff9b::7f00:1",
    ],
)
@pytest.mark.parametrize("beside", [(), (PUBLIC,)])
def test_host_that_resolves_to_an_inner_address_is_refused(
    upstream: list[bytes], address: str, beside: tuple[str, ...]
) -> None:
    world = World(upstream[0], *beside, address)
    assert "resolves to" in refused(world.proxy(), Client(request(), hello_for(HOST)))
    assert world.connected == []


def test_only_declared_private_hosts_may_resolve_to_private_addresses(
    upstream: list[bytes],
) -> None:
    world = World(upstream[0], "10.0.0.1")
    hosts = frozenset({HOST, OTHER})
    proxy = world.proxy(replace(ALLOWED, hosts=hosts, private_hosts=frozenset({HOST})))
    client = Client(request(), hello_for(HOST))
    proxy.serve(client)
    assert client.got.endswith(b"echo")
    assert "not a public address" in refused(proxy, Client(request(OTHER), hello_for(OTHER)))


def test_private_host_may_never_be_the_metadata_service(upstream: list[bytes]) -> None:
    world = World(upstream[0], "169.254.169.254")
    proxy = world.proxy(replace(ALLOWED, private_hosts=frozenset({HOST})))
    assert "no server has" in refused(proxy, Client(request(), hello_for(HOST)))


@pytest.mark.parametrize(
    "first",
    [
        hello_for(OTHER),
        hello_for(None),
        b"GET / HTTP/1.1\r\nHost: index.test\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01x",
        hello_for(HOST)[:60],
    ],
    ids=["another name", "no name", "http", "ssh", "no client hello", "half a hello"],
)
def test_connection_without_tls_for_the_host_forwards_no_byte(
    upstream: list[bytes], first: bytes
) -> None:
    client = Client(request(), first)
    client.answered.set()
    assert refused(World(upstream[0], PUBLIC).proxy(), client)
    assert upstream[1:] in ([], [b""])


def test_client_hello_in_single_bytes_is_parsed(upstream: list[bytes]) -> None:
    hello = hello_for(HOST)
    client = Client(request(), *(hello[place : place + 1] for place in range(len(hello))))
    World(upstream[0], PUBLIC).proxy().serve(client)
    assert client.got.endswith(b"echo")


def test_client_hello_with_a_hidden_name_is_refused() -> None:
    hello = bytearray(hello_for(HOST))
    hidden = b"\xfe\x0d\x00\x00"
    start = 43 + 1 + hello[43]
    start += 2 + int.from_bytes(hello[start : start + 2])
    start += 1 + hello[start]
    extensions = int.from_bytes(hello[start : start + 2]) + len(hidden)
    hello[start : start + 2] = extensions.to_bytes(2)
    hello[3:5], hello[6:9] = (len(hello) - 5 + 4).to_bytes(2), (len(hello) - 9 + 4).to_bytes(3)
    assert server_name(hello_for(HOST)) == HOST
    with pytest.raises(HelloError, match="hides"):
        server_name(bytes(hello + hidden))


@pytest.mark.parametrize(
    "reach", [replace(ALLOWED, max_bytes=3), replace(ALLOWED, max_connections=0)]
)
def test_bytes_and_connections_are_bounded(upstream: list[bytes], reach: Reach) -> None:
    assert refused(World(upstream[0], PUBLIC).proxy(reach), Client(request(), hello_for(HOST)))


def test_unreachable_hosts_are_distinguished_from_refused_ones(upstream: list[bytes]) -> None:
    def unresolvable(_: str) -> list[str]:
        raise OSError

    proxy = Proxy(Reach(hosts=frozenset({HOST})), unresolvable)
    assert "resolved" in refused(proxy, Client(request()))
    assert proxy.decisions[-1].unreachable
    assert not World(upstream[0], PUBLIC).proxy().decisions
