"""The fetching sandbox's proxy: TLS connections to a few named hosts only.

The proxy runs in the host's process and speaks to the sandbox over the sandbox's channel. The proxy
serves only `CONNECT`, only port 443 and only an exact list of hosts. The host resolves the name,
checks every resolved address and connects to one of those, so that a second resolution cannot
return another address. The TLS hello must name the host of the `CONNECT`, so that an allowed host's
servers cannot be used to reach another host (domain fronting). Each decision is recorded.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from sandbox.client_hello import MAX_HELLO_BYTES, HelloError, server_name
from sandbox.policy import Reach

_PORT = 443
_HEAD_BYTES = 8 * 1024
_PIECE_BYTES = 64 * 1024
_REQUEST = re.compile(rb"CONNECT ([^\s:\[\]]+|\[[^\s\]]*\]):(\d{1,5}) HTTP/1\.[01]\r\n")
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Bytes(Protocol):
    """One connection from the sandbox."""

    def receive(self, patience_s: float) -> bytes:
        """Return the next bytes; empty at the end or after `patience_s` seconds."""
        ...

    def send(self, content: bytes, patience_s: float) -> bool:
        """Send bytes and return whether the peer took them."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The proxy's decision about one connection; `reason` is empty if it was allowed."""

    host: str
    port: int
    address: str = ""
    reason: str = ""
    unreachable: bool = False
    sent_bytes: int = 0
    received_bytes: int = 0


class _Refusal(Exception):
    """The proxy does not make a connection."""

    def __init__(self, reason: str, *, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class _Traffic:
    """The bytes that a connection carried, and why the proxy cut it, if it did."""

    sent: int = 0
    received: int = 0
    cut: str = ""


def resolve(host: str) -> list[str]:
    """Return a host's addresses as this machine resolves them.

    Raises:
        OSError: The host has no address.
    """
    found = socket.getaddrinfo(host, _PORT, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, patience_s: float) -> socket.socket:
    """Connect to an address on port 443.

    Raises:
        OSError: The address does not answer.
    """
    return socket.create_connection((address, _PORT), timeout=patience_s)


@dataclass(slots=True)
class Proxy:
    """Serve connections and record a decision for each.

    Attributes:
        reach: Hosts that may be connected to.
        resolver: Returns a host's addresses.
        connector: Connects to an address that was checked.
        decisions: One for each connection that has ended or was refused.
    """

    reach: Reach
    resolver: Callable[[str], list[str]] = resolve
    connector: Callable[[str, float], socket.socket] = connect
    decisions: list[Decision] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _connections: int = 0
    _received: int = 0

    def serve(self, client: Bytes) -> None:
        """Serve one connection to its end, then close it."""
        decision = Decision(host="", port=0)
        try:
            host, port = self._request(client)
            decision = replace(decision, host=host, port=port)
            with self._connected(host, port) as upstream:
                decision = replace(decision, address=str(upstream.getpeername()[0]))
                client.send(b"HTTP/1.1 200 Connection established\r\n\r\n", self.reach.idle_s)
                hello = self._hello(client, host)
                upstream.settimeout(self.reach.idle_s)
                traffic = self._relay(client, upstream, hello)
                decision = replace(
                    decision,
                    reason=traffic.cut,
                    sent_bytes=traffic.sent,
                    received_bytes=traffic.received,
                )
        except _Refusal as refusal:
            decision = replace(decision, reason=str(refusal), unreachable=refusal.status == 502)
            status = f"HTTP/1.1 {refusal.status} {refusal}\r\n"
            head = f"{status}Content-Length: 0\r\nConnection: close\r\n\r\n"
            client.send(head.encode("ascii", "replace"), self.reach.idle_s)
        except OSError as error:
            decision = replace(decision, reason=f"the connection broke: {error}", unreachable=True)
        finally:
            client.close()
            with self._lock:
                self.decisions.append(decision)

    def report(self) -> list[dict[str, object]]:
        """Return the decisions so far as plain JSON values."""
        with self._lock:
            return [asdict(decision) for decision in self.decisions]

    def _request(self, client: Bytes) -> tuple[str, int]:
        with self._lock:
            self._connections += 1
            if self._connections > self.reach.max_connections:
                raise _Refusal("too many connections")
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.receive(self.reach.idle_s)
            head += piece
            if not piece or len(head) > _HEAD_BYTES:
                raise _Refusal("the request is incomplete or too long", status=400)
        match = _REQUEST.match(head)
        if match is None or not head.endswith(b"\r\n\r\n"):
            raise _Refusal("only CONNECT to a host and port is served", status=405)
        return match[1].decode("ascii", "replace").lower(), int(match[2])

    def _connected(self, host: str, port: int) -> socket.socket:
        if host.startswith("[") or not _HOST.fullmatch(host):
            raise _Refusal(f"{host} is not a host name")
        if port != _PORT:
            raise _Refusal(f"port {port} is not allowed")
        if host not in self.reach.hosts:
            raise _Refusal(f"{host} is not an allowed host")
        try:
            addresses = self.resolver(host)
        except OSError as error:
            raise _Refusal(f"{host} cannot be resolved", status=502) from error
        for address in addresses:
            _check_address(host, address, private=host in self.reach.private_hosts)
        for address in addresses:
            try:
                return self.connector(address, self.reach.idle_s)
            except OSError:
                continue
        raise _Refusal(f"{host} does not answer", status=502)

    def _hello(self, client: Bytes, host: str) -> bytes:
        """Return the first bytes, checked to be TLS for this host."""
        content = b""
        try:
            while (name := server_name(content)) is None:
                piece = client.receive(self.reach.idle_s)
                content += piece
                if not piece or len(content) > 2 * MAX_HELLO_BYTES + _PIECE_BYTES:
                    raise HelloError("the connection has no complete TLS hello")
        except HelloError as error:
            raise _Refusal(str(error)) from error
        if name != host:
            raise _Refusal("the TLS hello and the CONNECT name different hosts")
        return content

    def _relay(self, client: Bytes, upstream: socket.socket, first: bytes) -> _Traffic:
        traffic = _Traffic()
        back = threading.Thread(target=self._return, args=(client, upstream, traffic), daemon=True)
        back.start()
        piece = first
        try:
            while piece:
                upstream.sendall(piece)
                traffic.sent += len(piece)
                piece = client.receive(self.reach.idle_s)
        except OSError as error:
            traffic.cut = f"the connection broke: {error}"
        finally:
            _shut(upstream)
            back.join()
        return traffic

    def _return(self, client: Bytes, upstream: socket.socket, traffic: _Traffic) -> None:
        try:
            while piece := upstream.recv(_PIECE_BYTES):
                with self._lock:
                    self._received += len(piece)
                    if self._received > self.reach.max_bytes:
                        traffic.cut = f"more than {self.reach.max_bytes} bytes were received"
                        return
                traffic.received += len(piece)
                if not client.send(piece, self.reach.idle_s):
                    return
        except OSError:  # a timeout, or the shutdown of the other direction
            return
        finally:
            _shut(upstream)
            client.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _check_address(host: str, text: str, *, private: bool) -> None:
    """Raise `_Refusal` unless the host may have this address.

    A public host needs a global address. A private host may have any address that a server can
    have.
    """
    address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    never_a_server = (
        address.is_multicast
        or address.is_unspecified
        or address.is_link_local
        or address.is_reserved
    )
    if never_a_server:
        raise _Refusal(f"{host} resolves to {address}, which no server has")
    if not (private or address.is_global):
        raise _Refusal(f"{host} resolves to {address}, which is not a public address")


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    carried = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if carried is None and address in _NAT64:
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return carried or address
