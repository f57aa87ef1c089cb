"""Kill every process in the container but the guest."""

from __future__ import annotations

import os
import signal
import time

from sandbox.guest.processes import reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.guest.checker import Checker

_SWEEP_S = 5.0


def others(keep: int) -> list[int]:
    """Return the pids of all processes in the container but the guest and `keep`."""
    kept = (os.getpid(), keep)
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid not in kept]


def sweep(checker: Checker) -> tuple[int, int]:
    """Kill every process but the guest and, if that is enough, the preloaded checker.

    Only one signal to all processes at once is faster than a fork bomb, but it also kills the
    checker, so it is the second attempt. The checker is notified of every collected child, because
    the kernel may give the pid of a collected process to a new one.

    Returns:
        The number of processes found at first, and the number left, which is 0 unless the kernel
        cannot keep up for seconds.
    """
    checker.notice(reap())
    found = others(checker.pid)
    if not found:
        return 0, 0
    for pid in found:
        _kill(pid)
    deadline = time.monotonic() + _SWEEP_S
    polite = time.monotonic() + 0.05
    while time.monotonic() < deadline:
        checker.notice(reap())
        if not others(checker.pid):
            return len(found), 0
        if time.monotonic() > polite:
            _kill(-1)
        time.sleep(0.0005)
    return len(found), len(others(checker.pid))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
