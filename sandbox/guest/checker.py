"""The guest's side of the checkers: one preloaded process that forks for jobs.

The process is started by exec and never gets the channel's key: its children run tests, which are
code of a model, and all that they can read in their own memory is not secret.
"""

from __future__ import annotations

import json
import os
import signal
import socket

from sandbox.guest.processes import Spawner

_ANSWER_S = 5.0


class Checker:
    """Start the preloaded process, submit jobs and collect their ends.

    Args:
        spawner: Starts the process.
        argv: The command that runs `sandbox.checkers.process`; empty for an image without checkers.
        environment: The whole environment of the process.
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
        """The jobs that have been submitted and not started."""
        return frozenset(self._waiting)

    def ensure(self) -> None:
        """Start the process if it is missing; it imports the checkers by itself."""
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
        except OSError:  # no process is possible: until then jobs are lost, which is not a pass
            ours.close()
        finally:
            theirs.close()

    def settle(self) -> None:
        """Wait until the process, if it exists, is closed to inspection.

        A new process is open to all code of its uid, which could take it over before it closes
        itself. So it is started while nothing else runs in the sandbox, and nothing else is started
        before it has reported that it is closed.
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
        """Record collected children: their pids may now belong to other processes."""
        if self.pid in ended:
            self.pid = 0

    def submit(self, job: int, request: dict[str, object], fds: list[int]) -> bool:
        """Submit a job with the descriptors of its output and report.

        Returns:
            Whether the process took the job.
        """
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
        """Return the wait statuses of jobs that have ended since the last call.

        The result is None if the process is gone. Status -1 marks a job that has been started.
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
            heard = [(int(job), int(status)) for job, status in map(bytes.split, lines)]
        except ValueError:
            self.stop()
            return None
        self._waiting -= {job for job, _ in heard}
        return {job: status for job, status in heard if status >= 0}

    def forget_waiting(self) -> None:
        """Stop the process if a job is left that it has not started.

        Otherwise it would start the job later, when no request is in progress.
        """
        if self._waiting:
            self.stop()

    def stop(self) -> None:
        """End the process, if there is one, and with it all of its jobs."""
        self._buffer, self._waiting, self._settled = b"", set(), False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)  # not collected yet, so the pid is still its own


def _file_of(content: bytes) -> int:
    """Return a descriptor for reading `content`.

    A socket's buffer is too small for thousands of paths.
    """
    fd = os.memfd_create("job", os.MFD_CLOEXEC)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
