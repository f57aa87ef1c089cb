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
    """Return the pids of all processes in the sandbox but the guest and `keep`."""
    return [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and int(name) not in (os.getpid(), keep)
    ]


def sweep(checker: Checker) -> tuple[int, int]:
    """Kill everything in the sandbox but the guest and, if that is enough, the preloaded checker.

    One signal to all at once is the only one that a fork bomb cannot outrun, but it takes the checker along, so it
    comes second. Gives how many were found at first and how many are left, which is 0 unless the kernel cannot
    keep up for seconds. The checker hears of every child that is collected: the number of one that has been killed
    and collected can come back as that of a process which was after just this.
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
