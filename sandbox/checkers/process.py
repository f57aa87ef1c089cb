"""The preloaded process: import the checkers once, then fork for every job.

Requests arrive on the socket at descriptor 0: one byte with three descriptors (for output, for the
report, and a file with JSON). The process answers with `job status` lines, status -1 for a start,
and with `ready` before all of them. The process is then non-dumpable, so that code of the same uid
can neither trace it nor open its memory or descriptors. Such code can kill it, after which the
guest starts another. Its children stay non-dumpable, too, unless they run code of the project:
otherwise a test could rewrite the memory of the lint beside it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import traceback

from sandbox.checkers import jobs
from sandbox.guest.processes import reap, restore_signals, set_dumpable, set_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.checkers.jobs import Request

_RUN_PROJECT_CODE = frozenset({"pytest", "coverage"})


def serve() -> None:
    """Preload, then serve jobs until the socket closes."""
    set_dumpable(value=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    wake_r, wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    control.sendall(b"ready\n")
    gc.disable()  # the checkers' trees are never freed: collecting while they are built costs time
    steps = jobs.preload()
    running: dict[int, int] = {}
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake_r, select.POLLIN)
    warming = True
    while True:
        patience_ms = 0 if warming else None
        ready = {fd for fd, _ in poller.poll(patience_ms)}
        if wake_r in ready:
            os.read(wake_r, 512)
        for pid, status in reap().items():
            control.sendall(b"%d %d\n" % (running.pop(pid, -1), status))
        if control.fileno() in ready and not _take(control, running, (wake_r, wake_w)):
            return
        if warming and not running:
            warming = next(steps, "done") != "done"


def _take(control: socket.socket, running: dict[int, int], wakeup: tuple[int, int]) -> bool:
    mark, fds, _, _ = socket.recv_fds(control, 1, 3)
    if not mark:
        return False
    *streams, details = fds
    with os.fdopen(details, encoding="utf-8", errors="surrogatepass") as file:
        request: Request = json.load(file)
    gc.freeze()  # otherwise a job's first collection would copy all pages of loaded modules
    pid = os.fork()
    if pid == 0:
        for fd in wakeup:
            os.close(fd)
        _run(control, request, streams)
    running[pid] = request["job"]
    control.sendall(b"%d -1\n" % request["job"])
    for fd in streams:
        os.close(fd)
    return True


def _run(control: socket.socket, request: Request, streams: list[int]) -> None:
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        restore_signals()
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        control.close()
        output, report = streams
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.setsid()
        set_limits(request["cpu_s"])
        if request["kind"] in _RUN_PROJECT_CODE:
            set_dumpable(value=True)
        os.chdir(request["cwd"])
        gc.enable()
        with os.fdopen(report, "w", encoding="utf-8", closefd=False) as stream:
            code = jobs.perform(request, stream)
    except BaseException:  # a child must never return into the loop; its exit code tells the guest
        traceback.print_exc()
    finally:
        os._exit(code)
