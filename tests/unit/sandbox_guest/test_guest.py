"""Parts of the guest on pipes: its channel to a hostile host, its capture and its checker."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.guest.channel import Channel, HostGone
from sandbox.guest.checker import Checker
from sandbox.guest.processes import Spawner
from sandbox.guest.watch import Capture
from sandbox.protocol import ProtocolError, Sealer

KEY = bytes(range(32))
PATIENCE_S = 60


class Host:
    """The host's end of a guest's channel."""

    def __init__(self) -> None:
        control, self.write_end = os.pipe()
        self.read_end, reply = os.pipe()
        self._fds = [control, self.write_end, self.read_end, reply]
        self.channel = Channel(control, reply)
        self.sealer = Sealer(b"H")

    def say(self, header: dict[str, object], body: bytes = b"") -> None:
        self.say_raw(self.sealer.seal(header, body))

    def say_raw(self, content: bytes) -> None:
        """Write without waiting for the reader: a pipe holds less than a large frame."""
        threading.Thread(target=os.write, args=(self.write_end, content), daemon=True).start()

    def greet(self, lease_s: float = 10) -> None:
        self.say({"op": "hello"}, KEY)
        assert self.channel.receive(PATIENCE_S) == ({"op": "hello"}, KEY)
        self.channel.secure(KEY, lease_s)
        self.sealer.rekey(KEY)

    def hang_up(self) -> None:
        os.close(self.write_end)
        self._fds.remove(self.write_end)

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


def test_request_after_the_greeting_is_received(host: Host) -> None:
    host.greet()
    host.say({"op": "list"}, b"x" * 300_000)
    assert host.channel.receive(PATIENCE_S) == ({"op": "list"}, b"x" * 300_000)


def test_guest_receives_nothing_while_the_host_is_silent(host: Host) -> None:
    host.greet()
    assert host.channel.receive(0.05) is None


def test_a_frame_without_the_key_is_a_bad_frame(host: Host) -> None:
    host.greet()
    host.say_raw(Sealer(b"H").seal({"op": "run"}))
    with pytest.raises(ProtocolError):
        host.channel.receive(PATIENCE_S)


def test_a_second_request_before_the_reply_is_a_bad_frame(host: Host) -> None:
    host.greet()
    os.write(host.write_end, host.sealer.seal({"op": "list"}) + host.sealer.seal({"op": "list"}))
    with pytest.raises(ProtocolError, match="second"):
        host.channel.receive(PATIENCE_S)


def test_closed_channel_means_the_host_is_gone(host: Host) -> None:
    host.greet()
    host.hang_up()
    with pytest.raises(HostGone):
        host.channel.receive(PATIENCE_S)


def test_heartbeat_renews_the_lease_and_silence_ends_it(host: Host) -> None:
    host.greet(lease_s=3600)
    renewed_at = host.channel._heard_at
    os.write(host.write_end, host.sealer.seal({"op": "beat"}))
    assert host.channel.receive(0.05) is None
    assert host.channel._heard_at > renewed_at
    host.channel.secure(KEY, 0.05)
    with pytest.raises(HostGone, match="lease"):
        host.channel.receive(PATIENCE_S)


@given(st.binary(min_size=1, max_size=300))
def test_noise_is_never_a_request(noise: bytes) -> None:
    host = Host()
    try:
        host.greet()
        os.write(host.write_end, noise)
        host.hang_up()
        with pytest.raises((ProtocolError, HostGone)):
            host.channel.receive(PATIENCE_S)
    finally:
        host.close()


@given(st.lists(st.binary(max_size=30), max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_a_capture_keeps_both_ends_and_counts_all(
    chunks: list[bytes], head_bytes: int, tail_bytes: int
) -> None:
    capture, whole = Capture(head_bytes, tail_bytes), b"".join(chunks)
    for chunk in chunks:
        capture.feed(chunk)

    head, tail = capture.kept()
    rest = whole[head_bytes:]

    assert head == whole[:head_bytes]
    assert tail == (rest[-tail_bytes:] if tail_bytes else b"")
    assert capture.total == len(whole)


class ScriptedSpawner(Spawner):
    """A spawner that starts nothing and returns scripted pids."""

    def __init__(self, *pids: int) -> None:
        super().__init__(score_fd=-1)
        self._pids = list(pids)

    def start(
        self,
        argv: list[str],
        environment: dict[str, str],
        streams: tuple[int, int, int],
        *,
        cwd: str,
        cpu_s: int | None,
    ) -> int:
        if not self._pids:
            raise BlockingIOError("no further process is possible")
        return self._pids.pop(0)


def test_collected_checker_is_forgotten_by_its_pid() -> None:
    """Another process can get the same number later, and would then be spared."""
    checker = Checker(ScriptedSpawner(999_999), ["checker"], {})
    checker.ensure()
    assert checker.pid == 999_999

    checker.notice({999_999: 9})

    assert checker.pid == 0
    checker.stop()


def test_guest_survives_a_checker_that_cannot_start() -> None:
    checker = Checker(ScriptedSpawner(), ["checker"], {})
    checker.ensure()
    checker.settle()
    assert (checker.pid, checker.fd) == (0, -1)
    assert not checker.submit(0, {}, [])


def test_image_without_checkers_starts_none() -> None:
    checker = Checker(ScriptedSpawner(999_999), [], {})
    checker.ensure()
    assert checker.pid == 0
