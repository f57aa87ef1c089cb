"""The guest's side of the preloaded checkers: one process that has imported them and forks for every job.

It is a process of its own, started by exec and never given the channel's key: its children run tests, that is
code that a model wrote, and whatever they can read in their own memory is not secret.
"""

from __future__ import annotations

import json
import os
import signal
import socket

from sandbox.guest.processes import Spawner

_ANSWER_S = 5.0


class Checker:
    """Start the preloaded process, give it jobs, hear of their ends.

    Args:
        spawner: Starts it.
        argv: The command that runs `sandbox.guest.zygote`; empty when the image has none.
        environment: Its whole environment.
    """

    def __init__(self, spawner: Spawner, argv: list[str], environment: dict[str, str]) -> None:
        self._spawner = spawner
        self._argv = argv
        self._environment = environment
        self._socket: socket.socket | None = None
        self._buffer = b""
        self.pid = 0

    @property
    def fd(self) -> int:
        """The descriptor that is readable when a job has ended."""
        return -1 if self._socket is None else self._socket.fileno()

    def ensure(self) -> None:
        """Start the process when it is not there; it imports the checkers while others go on."""
        if not self._argv or (self.pid and _alive(self.pid)):
            return
        self._close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(_ANSWER_S)
        self._socket, self._buffer = ours, b""
        streams = (theirs.fileno(), 2, 2)
        self.pid = self._spawner.start(self._argv, self._environment, streams, cwd="/", cpu_s=None)
        theirs.close()

    def submit(self, job: int, request: dict[str, object], fds: list[int]) -> bool:
        """Hand over a job and the descriptors of its output and report; False when nobody took it."""
        if self._socket is None:
            return False
        payload = json.dumps({"job": job, **request}).encode()
        try:
            os.kill(self.pid, signal.SIGCONT)
            socket.send_fds(self._socket, [len(payload).to_bytes(4, "big")], fds)
            self._socket.sendall(payload)
        except OSError:
            self._close()
            return False
        return True

    def collect(self) -> dict[int, int] | None:
        """Give the wait statuses of the jobs that have ended since the last call; None when the process is gone."""
        if self._socket is None:
            return None
        try:
            chunk = self._socket.recv(4096)
        except OSError:
            chunk = b""
        if not chunk:
            self._close()
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        try:
            return {int(job): int(status) for job, status in (line.split() for line in lines)}
        except ValueError:
            self._close()
            return None

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.pid = 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
