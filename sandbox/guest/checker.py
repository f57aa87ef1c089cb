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
        argv: The command that runs `sandbox.checkers.process`; empty when the image has none.
        environment: Its whole environment.
    """

    def __init__(self, spawner: Spawner, argv: list[str], environment: dict[str, str]) -> None:
        self._spawner = spawner
        self._argv = argv
        self._environment = environment
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._waiting: set[int] = set()
        self._settled = False
        self.pid = 0

    @property
    def fd(self) -> int:
        """The descriptor that is readable when a job has ended."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def waiting(self) -> frozenset[int]:
        """The jobs that have been handed over and not begun."""
        return frozenset(self._waiting)

    def ensure(self) -> None:
        """Start the process when it is not there; it imports the checkers while others go on."""
        if not self._argv or (self.pid and self._socket is not None):
            return
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(_ANSWER_S)
        try:
            streams = (theirs.fileno(), 2, 2)
            self.pid = self._spawner.start(
                self._argv, self._environment, streams, cwd="/", cpu_s=None
            )
            self._socket = ours
        except OSError:  # no process to be had: jobs are lost, which is no pass, until there is one
            ours.close()
        finally:
            theirs.close()

    def settle(self) -> None:
        """Wait until the process, if there is one, cannot be looked into any more.

        A process starts open to all of its uid, who could make it their own while it closes itself. So it is started
        while nothing else runs in the box, and nothing else is started before it has said that it is done.
        """
        if self._settled or self._socket is None:
            return
        try:
            while b"\n" not in self._buffer:
                chunk = self._socket.recv(4096)
                if not chunk:
                    raise OSError("the process has ended")
                self._buffer += chunk
        except OSError:
            self.stop()
            return
        self._buffer = self._buffer.partition(b"\n")[2]
        self._settled = True

    def notice(self, ended: dict[int, int]) -> None:
        """Take in which children have been collected: from then on their numbers may be those of others."""
        if self.pid in ended:
            self.pid = 0

    def submit(self, job: int, request: dict[str, object], fds: list[int]) -> bool:
        """Hand over a job and the descriptors of its output and report; False when nobody took it."""
        if self._socket is None:
            return False
        details = _file_of(json.dumps({"job": job, **request}).encode("utf-8", "surrogatepass"))
        try:
            if self.pid:
                os.kill(self.pid, signal.SIGCONT)
            socket.send_fds(self._socket, [b"j"], [*fds, details])
        except OSError:
            self.stop()
            return False
        finally:
            os.close(details)
        self._waiting.add(job)
        return True

    def collect(self) -> dict[int, int] | None:
        """Give the wait statuses of the jobs that have ended since the last call; None when the process is gone.

        A job's status -1 says that it has been started.
        """
        if self._socket is None:
            return None
        try:
            chunk = self._socket.recv(4096)
        except OSError:
            chunk = b""
        if not chunk:
            self.stop()
            return None
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        try:
            heard = [(int(job), int(status)) for job, status in (line.split() for line in lines)]
        except ValueError:
            self.stop()
            return None
        self._waiting -= {job for job, _ in heard}
        return {job: status for job, status in heard if status >= 0}

    def forget_waiting(self) -> None:
        """Stop the process when it has not yet started a job that nobody waits for any more.

        It would start it as soon as it gets round to it, out of everybody's sight.
        """
        if self._waiting:
            self.stop()

    def stop(self) -> None:
        """End the process, if there is one, and with it all that it has been asked for."""
        self._buffer, self._waiting, self._settled = b"", set(), False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)  # not collected yet, so the number is still its own


def _file_of(content: bytes) -> int:
    """Give a descriptor to read `content` from: a socket's buffer is too small for thousands of paths."""
    fd = os.memfd_create("job", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
