"""Cancel a model call in progress, at its deadline or by the user's request."""

import contextlib
import math
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

_LEAST_S = 0.001
_CONNECTED = ("connect_tcp.complete", "start_tls.complete")


class _Stream(Protocol):
    """A connection of httpcore."""

    def get_extra_info(self, info: str, /) -> object:
        """Return the connection's socket for `socket`."""
        ...


class CancelScope:
    """The connections of a session's calls, which any thread can shut down.

    *Interrupted* means that the current call must end, because its time limit has passed or because
    the session was cancelled. *Cancelled* means that no further call may begin either.

    A thread that reads from a silent server returns when its connection is shut down. Otherwise it
    would wait for the timeout of the read. Shutting down a connection that is still being opened is
    not possible: `cancel` then takes effect when it is open, at most after the time that is left.

    Args:
        stop: Raises the exception that ends the session. `CancelScope` calls it after `cancel`, in
            the thread of the call.
    """

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._interrupted = threading.Event()
        self._cancelled = False
        self._deadline = math.inf
        self._streams: weakref.WeakSet[_Stream] = weakref.WeakSet()

    @property
    def is_interrupted(self) -> bool:
        """Whether the current call must end."""
        return self._interrupted.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether no further call may begin."""
        return self._cancelled

    def cancel(self) -> None:
        """End the current call, if any, and prevent all later ones."""
        self._interrupt(for_good=True)

    def raise_if_cancelled(self) -> None:
        """Call `stop`, which raises, if the scope is cancelled."""
        if self._cancelled:
            self._stop()

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, or until the current call is interrupted."""
        self._interrupted.wait(seconds)
        self.raise_if_cancelled()

    @contextlib.contextmanager
    def time_limit(self, seconds: float | None) -> Iterator[None]:
        """Interrupt the calls of the `with` block after `seconds`. None sets no limit."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self._interrupt)
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
                    self._interrupted.clear()

    def attach(self, extensions: dict[str, object]) -> None:
        """Track a request's connection, by httpcore's extensions `trace` and `timeout`."""
        left_s = max(self._deadline - time.monotonic(), _LEAST_S)
        timeout = extensions["timeout"]
        extensions["trace"] = self._track_connection
        if isinstance(timeout, dict):
            extensions["timeout"] = {**timeout, "connect": min(timeout["connect"], left_s)}

    def _track_connection(self, event: str, info: Mapping[str, _Stream]) -> None:
        if event.endswith(_CONNECTED):
            with self._lock:
                self._streams.add(info["return_value"])
                if self.is_interrupted:
                    _shut_down(info["return_value"])

    def _interrupt(self, *, for_good: bool = False) -> None:
        with self._lock:
            self._cancelled = self._cancelled or for_good
            self._interrupted.set()
            for stream in self._streams:
                _shut_down(stream)


def _shut_down(stream: _Stream) -> None:
    """Shut down a connection below TLS.

    An SSLSocket's own `shutdown` would send later data unencrypted.
    """
    connection = stream.get_extra_info("socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
