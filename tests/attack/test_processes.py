"""Attacks of code in a sandbox on the guest, on the preloaded checkers and on the channel."""

import contextlib
import signal
import struct
import time

import pytest
from engine import RUN, SandboxMaker

from sandbox import (
    Cause,
    Job,
    JobResult,
    SandboxCompromised,
    SandboxDied,
    SandboxLost,
    SandboxPolicy,
    SandboxTimeout,
)
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage
from sandbox.protocol import Sealer

SIGNALS = [int(number) for number in signal.Signals] + [34, 64]
HARMFUL = (
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGSEGV,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGUSR1,
)
ECHO = [Job("echo", ("echo", "alive"))]
FORGE = """
import os, sys, time
frame = bytes.fromhex(sys.argv[1])
for pid in ('1', 'self'):
    for fd in (1, 2):
        try:
            with open(f'/proc/{pid}/fd/{fd}', 'wb', buffering=0) as channel: channel.write(frame)
        except OSError: pass
time.sleep(0.5)
print('done')
"""
STEAL = """
import os, select, time
try: fd = os.open('/proc/1/fd/0', os.O_RDONLY | os.O_NONBLOCK)
except OSError: raise SystemExit(3)
deadline = time.monotonic() + 4
while time.monotonic() < deadline:
    if select.select([fd], [], [], 0.2)[0]: os.read(fd, 1 << 16)
"""


def python(
    sandbox: DockerSandbox, source: str, *arguments: str, timeout_s: float = 10
) -> JobResult:
    job = Job("attack", ("python3", "-c", source, *arguments))
    return sandbox.run([job], timeout_s=timeout_s).jobs[0]


def frame_of(header: dict[str, object], key: bytes = bytes(32)) -> bytes:
    """Return a reply as the guest would send it as its second frame, but under another key."""
    sealer = Sealer(b"G", key)
    sealer.seal({})
    return sealer.seal(header)


def alive(sandbox: DockerSandbox) -> bool:
    return sandbox.run(ECHO).jobs[0].output.head == b"alive\n"


def test_no_signal_from_inside_ends_or_stops_the_guest(open_sandbox: SandboxMaker) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime="runc"))

    python(sandbox, f"import os\nfor n in {SIGNALS}:\n    os.kill(1, n)\n    os.kill(1, 18)")

    assert alive(sandbox)


def test_no_signal_from_a_test_harms_a_later_check(open_sandbox: SandboxMaker) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime="runc"))
    sandbox.write({"test_ok.py": b"def test_ok():\n    pass\n"})
    tests = [Job("tests", checker="pytest")]
    attack = b"import os\n\ndef test_ok():\n    os.kill(os.getppid(), %d)\n"
    for number in HARMFUL:
        sandbox.write({"test_ok.py": attack % number})
        result = sandbox.run(tests, timeout_s=2)
        assert result.survivors == 0
        sandbox.write({"test_ok.py": b"def test_ok():\n    pass\n"})

        assert sandbox.run(tests).jobs[0].succeeded, f"after signal {number}: {result}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_signal_under_gvisor_ends_at_most_the_sandbox(
    open_sandbox: SandboxMaker, gvisor: str, number: signal.Signals
) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime=gvisor))

    with contextlib.suppress(SandboxDied):
        python(sandbox, f"import os, time\nos.kill(1, {int(number)})\ntime.sleep(1)")
        assert alive(sandbox)


def test_stopped_guest_is_abandoned_in_time(
    engine: Engine, sandbox_image: SandboxImage, gvisor: str
) -> None:
    policy = SandboxPolicy(cpus=1.0, runtime=gvisor)
    with DockerSandbox(engine, sandbox_image, policy, run=RUN, grace_s=3) as sandbox:
        started_at = time.monotonic()

        with pytest.raises((SandboxTimeout, SandboxDied)):
            python(sandbox, "import os, time\nos.kill(1, 19)\ntime.sleep(60)", timeout_s=1)
    assert time.monotonic() - started_at < 40


@pytest.mark.parametrize(
    "frame",
    [
        frame_of({"ok": True, "jobs": [], "changes": []}),
        frame_of({"ok": False, "refused": "forged"}),
        b"garbage" * 100,
        struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF) + bytes(4096),
    ],
    ids=["a reply", "a refusal", "garbage", "an endless frame"],
)
def test_forged_frame_is_never_accepted(
    open_sandbox: SandboxMaker, runtime: str, frame: bytes
) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime=runtime))
    try:
        result = python(sandbox, FORGE, frame.hex())
    except (SandboxCompromised, SandboxDied):
        assert runtime == "runsc"
        with pytest.raises(SandboxDied):
            sandbox.files()
    else:
        assert (result.cause, result.output.head[-5:]) == (Cause.EXITED, b"done\n")
        assert alive(sandbox)


def test_forged_frame_ends_the_sandbox_under_gvisor(
    open_sandbox: SandboxMaker, gvisor: str
) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime=gvisor))

    with pytest.raises(SandboxCompromised):
        python(sandbox, FORGE, frame_of({"ok": True, "digests": []}).hex())


def test_stolen_requests_give_a_command_no_control(
    open_sandbox: SandboxMaker, runtime: str
) -> None:
    sandbox = open_sandbox(SandboxPolicy(cpus=1.0, runtime=runtime, lease_s=4))
    try:
        python(sandbox, STEAL)
    except SandboxLost:
        assert runtime == "runsc"
    else:
        assert alive(sandbox)
