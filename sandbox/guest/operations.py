"""The operations that the host can request, one method for each."""

from __future__ import annotations

import itertools
import os
import time

from sandbox.guest.channel import Channel
from sandbox.guest.checker import Checker
from sandbox.guest.entries import StoreRefusal
from sandbox.guest.files import GuestFileStore
from sandbox.guest.folders import clear_folder
from sandbox.guest.processes import Counters, Spawner, end_of, pipe, reap
from sandbox.guest.sweep import sweep
from sandbox.guest.tunnel import Tunnel
from sandbox.guest.watch import Capture, Watch
from sandbox.protocol import MAX_BODY_BYTES, MAX_REPORT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    class Settings(TypedDict):
        """The guest's part of the host's policy, as far as it is used here."""

        root: str
        environment: dict[str, str]

    class JobSpec(TypedDict, total=False):
        """A job of a `run` request: a program with `argv`, or a checker with paths."""

        name: str
        kind: str
        argv: list[str]
        paths: list[str]
        others: list[str]

    class RunHeader(TypedDict, total=False):
        """The header of a `run` request."""

        jobs: list[JobSpec]
        timeout_s: float
        cpu_s: int
        max_output_bytes: int
        head_bytes: int
        tail_bytes: int
        tunnel: bool

    class WriteHeader(TypedDict):
        """The header of a `write` request: paths with the lengths of their contents."""

        files: list[tuple[str, int]]

    class ReadHeader(TypedDict):
        """The header of a `read` request."""

        path: str
        offset: int
        limit: int

    class DeleteHeader(TypedDict):
        """The header of a `delete` request."""

        paths: list[str]

    class SearchHeader(TypedDict):
        """The header of a `search` request."""

        ignore_case: bool
        max_matches: int

    Reply = tuple[dict[str, object], bytes]

_SCRATCH = ("/tmp", "/dev/shm", "/dev/mqueue")  # all writable places beside the store
_LOST = {"kind": "lost", "code": 0}


class RunningJob:
    """One process of a `run` request, and its output.

    Its number is unique in the sandbox, because the checker may report the end of an aborted job
    late.
    """

    def __init__(
        self, number: int, spec: JobSpec, head_bytes: int, tail_bytes: int, report_bytes: int
    ) -> None:
        self.number = number
        self.name = spec["name"]
        self.spec = spec
        self.output = Capture(head_bytes, tail_bytes)
        self.errors = Capture(head_bytes, tail_bytes)
        self.report = Capture(report_bytes, 0)
        self.pid = 0
        self.end: dict[str, object] | None = None
        self.ended_at = 0.0

    def ends(self, how: dict[str, object]) -> None:
        """Record the end of the job, now."""
        self.end, self.ended_at = how, time.monotonic()


class Operations:
    """Serve the operations on one store.

    Args:
        channel: Polled while commands run.
        store: The file store.
        spawner: Starts commands.
        checker: Runs the preloaded jobs.
        wakeup_fd: Readable whenever a child has ended.
        settings: The guest's part of the host's policy: `root`, `environment`.
    """

    def __init__(
        self,
        channel: Channel,
        store: GuestFileStore,
        spawner: Spawner,
        checker: Checker,
        wakeup_fd: int,
        settings: Settings,
    ) -> None:
        self._channel = channel
        self._store = store
        self._spawner = spawner
        self._checker = checker
        self._wakeup_fd = wakeup_fd
        self._root = settings["root"]
        self._environment = settings["environment"]
        self._statuses: dict[int, int] = {}
        self._numbers = itertools.count()

    def serve(self, header: dict[str, object], body: bytes) -> Reply:
        """Perform one request and return its reply, which may be a refusal."""
        operation = getattr(self, "do_" + str(header.get("op")), None)
        if operation is None:
            return {"ok": False, "refused": f"there is no operation {header.get('op')!r}"}, b""
        try:
            reply, content = operation(header, body)
        except StoreRefusal as refusal:
            return {"ok": False, "refused": str(refusal)}, b""
        return {"ok": True, **reply}, content

    def do_write(self, header: WriteHeader, body: bytes) -> Reply:
        """Write `files`, [[path, bytes]]; the body holds their contents in order."""
        files, start = [], 0
        for path, length in header["files"]:
            files.append((path, body[start : start + length]))
            start += length
        return {"digests": self._store.write(files)}, b""

    def do_read(self, header: ReadHeader, _: bytes) -> Reply:
        """Return content of `path` from `offset`, at most `limit` bytes, and its size."""
        content, size = self._store.read(
            header["path"], header["offset"], min(header["limit"], MAX_BODY_BYTES)
        )
        return {"size": size}, content

    def do_delete(self, header: DeleteHeader, _: bytes) -> Reply:
        """Delete `paths`."""
        self._store.delete(header["paths"])
        return {}, b""

    def do_list(self, _: dict[str, object], __: bytes) -> Reply:
        """Return `files`: [[path, size, SHA-256]]."""
        return {"files": self._store.listing()}, b""

    def do_search(self, header: SearchHeader, body: bytes) -> Reply:
        """Search for the text in the body.

        The header has `ignore_case` and `max_matches`, the reply `matches`, [[path, line, text]],
        and `more`.
        """
        found, more = self._store.search(
            body, ignore_case=header["ignore_case"], max_matches=header["max_matches"]
        )
        return {"matches": found, "more": more}, b""

    def do_run(self, header: RunHeader, body: bytes) -> Reply:
        """Run `jobs` side by side, end all their processes, and report changes.

        With `tunnel` the jobs can reach the host's proxy.
        """
        self._store.before_command()
        counters = Counters()
        started_at = time.monotonic()
        watch = Watch(
            self._channel,
            self._wakeup_fd,
            deadline=started_at + header["timeout_s"],
            max_output_bytes=header["max_output_bytes"],
        )
        tunnel = Tunnel(self._channel) if header.get("tunnel") else None
        if tunnel is not None:
            watch.listen(tunnel.fd, tunnel.turn)
        jobs = _jobs(header, self._numbers)
        self.warm()
        self._checker.settle()
        self._statuses.clear()
        cpu_s = header["cpu_s"]
        for job in jobs:
            if job.spec["kind"] == "exec":
                self._start(job, watch, body, cpu_s)
            else:
                self._submit(job, watch, cpu_s)
        bound = self._wait(jobs, watch, cpu_s)
        for job in jobs:
            if job.end is None:
                job.ends({"kind": bound or "lost", "code": 0})
        self._checker.forget_waiting()
        if tunnel is not None:
            watch.forget(tunnel.fd)
            tunnel.close()
        leftovers, survivors = sweep(self._checker)
        watch.drain()
        changes, restored, removed = self._clean(survivors)
        if not survivors:
            self.warm()
        asked = {path for job in jobs for path in job.spec.get("paths", ())}
        left = {
            "changes": changes,
            "removed": removed,
            "leftovers": leftovers,
            "survivors": survivors,
        }
        left["restored"] = [path for path in restored if path in asked]
        return _with_jobs({**left, **counters.since()}, jobs, started_at)

    def _clean(self, survivors: int) -> tuple[list[list[object]], list[str], int]:
        """Clean up store and scratch folders.

        Nothing is cleaned while a process survives, because the host then ends the sandbox.
        """
        if survivors:
            self._store.doubt()
            return [], [], 0
        for folder in _SCRATCH:
            clear_folder(folder)
        return self._store.scan()

    def warm(self) -> None:
        """Start the preloaded checkers, if they are not running."""
        self._collect()
        self._checker.ensure()

    def _collect(self) -> None:
        ended = reap()
        self._checker.notice(ended)
        self._statuses.update(ended)

    def _start(self, job: RunningJob, watch: Watch, stdin: bytes, cpu_s: int) -> None:
        in_r, in_w = pipe()
        out_r, out_w = pipe()
        err_r, err_w = pipe()
        streams = (in_r, out_w, err_w)
        try:
            job.pid = self._spawner.start(
                job.spec["argv"], self._environment, streams, cwd=self._root, cpu_s=cpu_s
            )
        except OSError as error:
            job.errors.feed(f"cannot start a process: {error}\n".encode())
            job.ends(dict(_LOST))
        for fd in streams:
            os.close(fd)
        watch.feed(in_w, stdin)
        watch.capture(out_r, job.output)
        watch.capture(err_r, job.errors)

    def _submit(self, job: RunningJob, watch: Watch, cpu_s: int) -> None:
        out_r, out_w = pipe()
        report_r, report_w = pipe()
        request = {
            "kind": job.spec["kind"],
            "paths": job.spec["paths"],
            "others": job.spec.get("others", []),
            "cwd": self._root,
            "environment": self._environment,
            "cpu_s": cpu_s,
        }
        taken = self._checker.submit(job.number, request, [out_w, report_w])
        os.close(out_w)
        os.close(report_w)
        watch.capture(out_r, job.output)
        watch.capture(report_r, job.report)
        if not taken:
            job.ends(dict(_LOST))

    def _wait(self, jobs: list[RunningJob], watch: Watch, cpu_s: int) -> str | None:
        self._listen(jobs, watch, cpu_s, retry=True)
        bound = None
        while bound is None:
            self._collect()
            for job in jobs:
                if job.end is None and job.pid in self._statuses:
                    job.ends(end_of(self._statuses[job.pid]))
            if all(job.end is not None for job in jobs):
                return None
            bound = watch.step()
        return bound

    def _listen(self, jobs: list[RunningJob], watch: Watch, cpu_s: int, *, retry: bool) -> None:
        """Collect the ends of preloaded jobs.

        Once, the jobs of a checker that died before it started any are handed to the next checker.
        """
        fd = self._checker.fd
        if fd < 0:
            return

        def heard() -> None:
            waiting = self._checker.waiting if retry else frozenset()
            ended = self._checker.collect()
            for job in jobs:
                if ended and job.number in ended:
                    job.ends(end_of(ended[job.number]))
            if ended is None:
                watch.forget(fd)
                self._hand_on(jobs, waiting, watch, cpu_s)

        watch.listen(fd, heard)

    def _hand_on(
        self, jobs: list[RunningJob], waiting: frozenset[int], watch: Watch, cpu_s: int
    ) -> None:
        """Submit jobs to another checker if not one has started.

        A started job could have taken over the process.
        """
        if len(waiting) < len(jobs):
            for job in jobs:
                if job.end is None and job.spec["kind"] != "exec":
                    job.ends(dict(_LOST))
            return
        self.warm()
        self._checker.settle()
        for job in jobs:
            self._submit(job, watch, cpu_s)
        self._listen(jobs, watch, cpu_s, retry=False)


def _jobs(header: RunHeader, numbers: Iterator[int]) -> list[RunningJob]:
    """Return the jobs, with bounds so that all their output fits into one reply."""
    specs, head, tail = header["jobs"], header["head_bytes"], header["tail_bytes"]
    room = MAX_BODY_BYTES // len(specs) - 2 * (head + tail)
    return [
        RunningJob(next(numbers), spec, head, tail, min(room, MAX_REPORT_BYTES)) for spec in specs
    ]


def _with_jobs(
    reply: dict[str, object], jobs: list[RunningJob], started_at: float
) -> tuple[dict[str, object], bytes]:
    parts: list[bytes] = []
    described: list[dict[str, object]] = []
    for job in jobs:
        streams = {}
        for name in ("output", "errors", "report"):
            capture: Capture = getattr(job, name)
            head, tail = capture.kept()
            parts += [head, tail]
            streams[name] = [len(head), len(tail), capture.total]
        duration_ms = int((job.ended_at - started_at) * 1000)
        described.append({"name": job.name, "end": job.end, "duration_ms": duration_ms, **streams})
    return {**reply, "jobs": described}, b"".join(parts)
