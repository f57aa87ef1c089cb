"""Ending a call of the model that is under way, whatever it waits for: its time is up, or nobody wants it any more."""

import contextlib
import math
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

_LEAST_S = 0.001
_CONNECTED = ("connect_tcp.complete", "start_tls.complete")


class CancelScope:
    """What cuts the connections of a session's calls, from whatever thread.

    A thread that reads from a silent server comes back when its connection is shut down, and no sooner by itself than
    at its time-out. While a connection is being made, there is nothing yet to shut down: that takes no longer than the
    time that is left, and goes on for as long after `cancel`.

    Args:
        stop: Called in a call's own thread after `cancel`, to raise whatever ends the session.
    """

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._cut = threading.Event()
        self._cancelled = False
        self._deadline = math.inf
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def is_cut(self) -> bool:
        """Whether the call that is under way is to end."""
        return self._cut.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether no call is wanted any more."""
        return self._cancelled

    def cancel(self) -> None:
        """End the call that is under way, and each one after it; harmless when there is none."""
        self._blow(for_good=True)

    def check(self) -> None:
        """Call `stop` if no call is wanted any more."""
        if self._cancelled:
            self._stop()

    def sleep(self, seconds: float) -> None:
        """Wait, no longer than there is a point in it."""
        self._cut.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """End what is done meanwhile after that time; None for no end."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self._blow)
        timer.daemon = True
        self._deadline = time.monotonic() + seconds
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self._deadline = math.inf
            with self._lock:
                if not self._cancelled:
                    self._cut.clear()

    def attach(self, extensions: MutableMapping[str, Any]) -> None:
        """Get hold of a request, by the extensions that httpcore knows: `trace` and `timeout`."""
        extensions["trace"] = self._follow
        timeout, left_s = extensions["timeout"], max(self._deadline - time.monotonic(), _LEAST_S)
        extensions["timeout"] = {**timeout, "connect": min(timeout["connect"], left_s)}

    def _follow(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(_CONNECTED):
            with self._lock:
                self._streams.add(info["return_value"])
                if self.is_cut:
                    _shut_down(info["return_value"])

    def _blow(self, *, for_good: bool = False) -> None:
        with self._lock:
            self._cancelled = self._cancelled or for_good
            self._cut.set()
            for stream in self._streams:
                _shut_down(stream)


def _shut_down(stream: Any) -> None:
    """Shut a connection down below TLS: an SSLSocket's own `shutdown` would let what is sent after it pass in clear."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)
