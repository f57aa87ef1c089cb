"""Run the guest: answer the first frame, then serve until channel or lease end."""

from __future__ import annotations

import os
import signal
import sys

from sandbox.guest.channel import Channel, HostGone
from sandbox.guest.checker import Checker
from sandbox.guest.files import GuestFileStore
from sandbox.guest.layer import digest_of
from sandbox.guest.operations import Operations
from sandbox.guest.posture import posture, protection
from sandbox.guest.processes import Spawner, set_dumpable
from sandbox.protocol import VERSION, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.guest.operations import Settings

EXIT_HOST_GONE = 0
EXIT_BAD_FRAME = 65

# The checkers are imported only when no request is waiting: sandboxes that start together then do
# not slow each other's starts, and the first reply of a model takes longer than this anyway.
_IDLE_S = 0.75


def main() -> int:
    """Serve one host and return the exit code of the sandbox."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    score_fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    seen = posture()
    set_dumpable(value=False)
    wakeup_r, wakeup_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    channel = Channel()
    try:
        header, key = channel.receive() or ({}, b"")
        if header.get("op") != "hello" or header.get("version") != VERSION:
            raise ProtocolError("the first frame is not a hello of this version")
        channel.secure(key, float(str(header["lease_s"])))
        return _serve(channel, header["settings"], Spawner(score_fd), wakeup_r, seen)
    except HostGone as reason:
        print(f"guest: {reason}", file=sys.stderr)
        return EXIT_HOST_GONE
    except ProtocolError as error:
        print(f"guest: {error}", file=sys.stderr)
        return EXIT_BAD_FRAME


def _serve(
    channel: Channel, settings: object, spawner: Spawner, wakeup_fd: int, seen: dict[str, object]
) -> int:
    if not isinstance(settings, dict):
        raise ProtocolError("the first frame has no settings")
    limits = {name: settings[name] for name in ("max_files", "max_file_bytes", "max_bytes")}
    store = GuestFileStore(settings["root"], **limits)
    store.scan()
    checker = Checker(spawner, settings["checker"], settings["environment"])
    used: Settings = {"root": settings["root"], "environment": settings["environment"]}
    operations = Operations(channel, store, spawner, checker, wakeup_fd, used)
    seen |= protection(settings["masked"], settings["protected"])
    if settings.get("packages"):
        seen["packages"] = digest_of(settings["packages"])
    channel.send({"ok": True, "posture": seen, "python": sys.version.split()[0]})
    store.rely_on_events()  # while the host reads the receipt
    while True:
        request = channel.receive(_IDLE_S)
        if request is None:
            operations.warm()
            request = channel.receive()
        header, body = request or ({}, b"")
        if header.get("op") == "shutdown":
            return EXIT_HOST_GONE
        channel.send(*operations.serve(header, body))
