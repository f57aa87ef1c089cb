"""Start commands, end them and everything that they started, and say why they ended."""

from __future__ import annotations

import os
import resource
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    Streams = tuple[int, int, int]


class Counters:
    """The kernel's own counts of out-of-memory kills and refused forks; None where the runtime gives none."""

    _MEMORY = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
    _PIDS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")

    def __init__(self) -> None:
        self._start = self._read()

    def since(self) -> dict[str, object]:
        """Return the counts since this object was made."""
        now = self._read()
        names = ("oom_kills", "pids_denied")
        return {
            name: None if before is None or after is None else after - before
            for name, before, after in zip(names, self._start, now, strict=True)
        }

    def _read(self) -> tuple[int | None, int | None]:
        return _counter(self._MEMORY, "oom_kill"), _counter(self._PIDS, "max")


class Spawner:
    """Start processes as children of the guest, with limits and an out-of-memory score of their own.

    The score is the guest's own for the moment of the fork: the descriptor was opened before the guest became
    non-dumpable, after which the kernel would refuse to open it.
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
        """Start `argv` in a session of its own; gives its pid.

        An `argv` that cannot be started exits as in a shell: with 126 where it may not be executed, else with 127.

        Raises:
            OSError: There is no room for another process.
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
    """Return a child the default actions that it expects at its start."""
    for number in (
        signal.SIGCHLD,
        signal.SIGPIPE,
        signal.SIGXFSZ,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):
        signal.signal(number, signal.SIG_DFL)


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
