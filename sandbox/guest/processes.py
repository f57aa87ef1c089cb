"""Start commands, end them with all their descendants, and report how they ended."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    Streams = tuple[int, int, int]

_PR_SET_DUMPABLE = 4
_DEFAULT_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
)


class Counters:
    """The kernel's counts of out-of-memory kills and refused forks, if any."""

    _MEMORY = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
    _PIDS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")

    def __init__(self) -> None:
        self._start = self._read()

    def since(self) -> dict[str, object]:
        """Return the counts since this object was made."""
        now = self._read()
        counts: dict[str, object] = {}
        names = ("oom_kills", "pids_denied")
        for name, before, after in zip(names, self._start, now, strict=True):
            counts[name] = None if before is None or after is None else after - before
        return counts

    def _read(self) -> tuple[int | None, int | None]:
        return _counter(self._MEMORY, "oom_kill"), _counter(self._PIDS, "max")


class Spawner:
    """Start processes with limits and their own out-of-memory score.

    The guest writes the score to its own entry for the moment of the fork, by a descriptor that it
    opened before it became non-dumpable: the kernel would refuse to open it later.
    """

    def __init__(self, score_fd: int) -> None:
        self._score_fd = score_fd

    def start(
        self,
        argv: list[str],
        environment: dict[str, str],
        streams: Streams,
        *,
        cwd: str,
        cpu_s: int | None,
    ) -> int:
        """Start `argv` in a new session and return its pid.

        A program that cannot be started exits as in a shell: with 126 if it may not be executed,
        otherwise with 127.

        Raises:
            OSError: No further process is possible.
        """
        os.write(self._score_fd, b"1000")
        try:
            pid = os.fork()
            if pid == 0:
                _become(argv, environment, streams, cwd, cpu_s)
        finally:
            os.write(self._score_fd, b"0")
        return pid


def pipe() -> tuple[int, int]:
    """Return a close-on-exec pipe: (read end, write end)."""
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


def end_of(status: int) -> dict[str, object]:
    """Return how a process ended, from its wait status."""
    if os.WIFSIGNALED(status):
        return {"kind": "signal", "code": os.WTERMSIG(status)}
    return {"kind": "exit", "code": os.WEXITSTATUS(status)}


def set_limits(cpu_s: int | None) -> None:
    """Set the limits of a command, in addition to those of the container."""
    if cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def restore_signals() -> None:
    """Restore the default signal actions, which a new program expects."""
    for number in _DEFAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def set_dumpable(*, value: bool) -> None:
    """Set whether code of the same uid may trace or inspect this process.

    See prctl(2), PR_SET_DUMPABLE.

    Raises:
        OSError: The kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, int(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) was refused")


def _become(
    argv: list[str], environment: dict[str, str], streams: Streams, cwd: str, cpu_s: int | None
) -> None:
    code = 127
    try:
        signal.set_wakeup_fd(-1)
        restore_signals()
        os.setsid()
        set_limits(cpu_s)
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        os.chdir(cwd)
        os.execvpe(argv[0], argv, environment)
    except BaseException as error:
        code = 126 if isinstance(error, PermissionError) else code
        os.write(2, f"cannot start {argv[:1]}: {error}\n".encode(errors="backslashreplace"))
    finally:  # the child must never return into the guest's loop
        os._exit(code)


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
