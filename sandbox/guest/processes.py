"""Start commands, watch them, end them and everything that they started, and say why they ended."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

from sandbox.guest.channel import Channel

_CHUNK_BYTES = 1 << 16
_SWEEP_S = 5.0
_DRAIN_S = 1.0


class Capture:
    """Keep the first and the last bytes of a stream and count the rest."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head = bytearray()
        self._head_bytes = head_bytes
        self._tail: deque[bytes] = deque()
        self._tail_bytes = tail_bytes
        self._tail_length = 0
        self.total = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(chunk)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk)
        self._tail_length += len(chunk)
        while self._tail_length - len(self._tail[0]) >= self._tail_bytes:
            self._tail_length -= len(self._tail.popleft())

    def kept(self) -> tuple[bytes, bytes]:
        """Give the kept head and tail; between them `total - len(head) - len(tail)` bytes are missing."""
        tail = b"".join(self._tail)
        return bytes(self._head), tail[-self._tail_bytes :] if self._tail_bytes else b""


class Counters:
    """The kernel's own counts of out-of-memory kills and refused forks; None where the runtime gives none."""

    _MEMORY = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
    _PIDS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")

    def __init__(self) -> None:
        self._start = self._read()

    def since(self) -> dict[str, object]:
        """Give the counts since this object was made."""
        now = self._read()
        names = ("oom_kills", "pids_denied")
        return {
            name: None if before is None or after is None else after - before
            for name, before, after in zip(names, self._start, now)
        }

    def _read(self) -> tuple[int | None, int | None]:
        return _counter(self._MEMORY, "oom_kill"), _counter(self._PIDS, "max")


class Watch:
    """Watch the streams of what runs until `done()`; bounded by time and by the bytes put out.

    Args:
        channel: Watched too: when the host goes, so does the box.
        wakeup_fd: Readable whenever a child has ended.
        deadline: When to stop, on the monotonic clock.
        max_output_bytes: What all streams together may put out.
    """

    def __init__(self, channel: Channel, wakeup_fd: int, *, deadline: float, max_output_bytes: int) -> None:
        self._channel = channel
        self._wakeup_fd = wakeup_fd
        self._deadline = deadline
        self._left_bytes = max_output_bytes
        self._captures: dict[int, Capture] = {}
        self._feeds: dict[int, memoryview] = {}
        self._listeners: dict[int, Callable[[], None]] = {}
        self._poller = select.poll()
        self._poller.register(channel.poll_fd, select.POLLIN)
        self._poller.register(wakeup_fd, select.POLLIN)

    def capture(self, fd: int, capture: Capture) -> None:
        """Read `fd` into `capture`; the descriptor is closed at its end."""
        os.set_blocking(fd, False)
        self._captures[fd] = capture
        self._poller.register(fd, select.POLLIN)

    def feed(self, fd: int, content: bytes) -> None:
        """Write `content` to `fd`, then close it."""
        if not content:
            os.close(fd)
            return
        os.set_blocking(fd, False)
        self._feeds[fd] = memoryview(content)
        self._poller.register(fd, select.POLLOUT)

    def listen(self, fd: int, react: Callable[[], None]) -> None:
        """Call `react` whenever `fd` is readable."""
        self._listeners[fd] = react
        self._poller.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Stop listening to `fd`."""
        if self._listeners.pop(fd, None):
            self._poller.unregister(fd)

    def step(self) -> str | None:
        """Wait for something to happen; gives `"timeout"` or `"output"` when a bound is reached."""
        left_ms = int((self._deadline - time.monotonic()) * 1000) + 1
        if left_ms <= 0:
            return "timeout"
        for fd, _ in self._poller.poll(min(left_ms, self._channel.lease_left_ms())):
            if fd == self._channel.poll_fd:
                self._channel.pump()
            elif fd == self._wakeup_fd:
                os.read(fd, 512)
            elif fd in self._captures:
                self._read(fd)
            elif fd in self._feeds:
                self._write(fd)
            elif fd in self._listeners:
                self._listeners[fd]()
        return "output" if self._left_bytes <= 0 else None

    def drain(self) -> None:
        """Read what is left in the pipes once every writer is gone; nobody is waited for."""
        deadline = time.monotonic() + _DRAIN_S
        while self._captures and time.monotonic() < deadline:
            if not any([self._read(fd) for fd in list(self._captures)]):
                break
        for fd in [*self._captures, *self._feeds]:
            self._close(fd)

    def _read(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close(fd)
            return False
        self._captures[fd].feed(chunk)
        self._left_bytes -= len(chunk)
        return True

    def _write(self, fd: int) -> None:
        try:
            self._feeds[fd] = self._feeds[fd][os.write(fd, self._feeds[fd][:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._feeds[fd] = memoryview(b"")
        if not self._feeds[fd]:
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._poller.unregister(fd)
        self._captures.pop(fd, None)
        self._feeds.pop(fd, None)
        os.close(fd)


class Spawner:
    """Start processes as children of the guest, with limits and an out-of-memory score of their own.

    The score is the guest's own for the moment of the fork: the descriptor was opened before the guest became
    non-dumpable, after which the kernel would refuse to open it.
    """

    def __init__(self, score_fd: int) -> None:
        self._score_fd = score_fd

    def start(
        self, argv: list[str], environment: dict[str, str], streams: tuple[int, int, int], *, cwd: str, cpu_s: int | None
    ) -> int:
        """Start `argv` in a session of its own; gives its pid. An `argv` that cannot be started exits with 127."""
        os.write(self._score_fd, b"1000")
        pid = os.fork()
        if pid == 0:
            _become(argv, environment, streams, cwd, cpu_s)
        os.write(self._score_fd, b"0")
        return pid


def pipe() -> tuple[int, int]:
    """Give a close-on-exec pipe: (read end, write end)."""
    return os.pipe2(os.O_CLOEXEC)


def reap() -> dict[int, int]:
    """Collect every child that has ended: pid → wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def others(keep: int) -> list[int]:
    """Give the pids of all processes in the box but the guest and `keep`."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (os.getpid(), keep)]


def sweep(keep: int) -> tuple[int, int]:
    """Kill everything in the box but the guest and, if that is enough, `keep`.

    One signal to all at once is the only one that a fork bomb cannot outrun, but it takes `keep` along, so it
    comes second. Gives how many were found at first and how many are left, which is 0 unless the kernel cannot
    keep up for seconds.
    """
    reap()
    found = others(keep)
    if not found:
        return 0, 0
    for pid in found:
        _kill(pid)
    deadline = time.monotonic() + _SWEEP_S
    polite = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        reap()
        left = others(keep)
        if not left:
            return len(found), 0
        if time.monotonic() > polite:
            _kill(-1)
        time.sleep(0.0005)
    return len(found), len(others(keep))


def end_of(status: int) -> dict[str, object]:
    """Say how a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        return {"kind": "signal", "code": os.WTERMSIG(status)}
    return {"kind": "exit", "code": os.WEXITSTATUS(status)}


def set_limits(cpu_s: int | None) -> None:
    """Set the limits of a command over those that the container has for all."""
    if cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def restore_signals() -> None:
    """Give a child the default actions that it expects at its start."""
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _become(argv: list[str], environment: dict[str, str], streams: tuple[int, int, int], cwd: str, cpu_s: int | None) -> None:
    try:
        signal.set_wakeup_fd(-1)
        restore_signals()
        os.setsid()
        set_limits(cpu_s)
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        os.chdir(cwd)
        os.execvpe(argv[0], argv, environment)
    except BaseException as error:  # the child must never return into the guest's loop
        os.write(2, f"cannot start {argv[0]!r}: {error}\n".encode(errors="backslashreplace"))
        os._exit(127)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _counter(paths: tuple[str, ...], name: str) -> int | None:
    for path in paths:
        try:
            with open(path, "rb") as file:
                rows = file.read(4096).decode().split("\n")
        except OSError:
            continue
        for row in rows:
            key, _, value = row.partition(" ")
            if key == name and value.isdigit():
                return int(value)
    return None
