"""Bombs: each ends with its cause, and the sandbox survives or is lost with a typed error.

One small sandbox per runtime takes all bombs in turn, so that each would meet the leftovers of the
one before.
"""

import json
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from engine import SandboxMaker, SharedSandbox

from sandbox import Cause, Job, JobResult, RunResult, SandboxLost, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage

MIB = 1 << 20
LIMITS = SandboxPolicy(
    cpus=1.0,
    pids=64,
    memory_bytes=384 * MIB,
    disk_bytes=128 * MIB,
    disk_inodes=2000,
    tmp_bytes=32 * MIB,
    shm_bytes=16 * MIB,
    file_bytes=96 * MIB,
    open_files=256,
    max_files=3000,
    max_output_bytes=64 * MIB,
)
COUNT_PROCESSES = """
import os, json, signal, sys
pids = []
try:
    for _ in range(200):
        pid = os.fork()
        if pid == 0: signal.pause()
        pids.append(pid)
except OSError: pass
print(json.dumps(len(pids)))
sys.stdout.flush()
for pid in pids: os.kill(pid, 9)
"""
FORK_BOMB = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError: pass"
SETSID_BOMB = FORK_BOMB.replace("os.fork()", "if os.fork() == 0: os.setsid()")
FORKS = """
import os
for _ in range(100):
    if os.fork() == 0: os.execlp('sleep', 'sleep', '9')
"""
HOARD = """
import json, sys
hoard = []
try:
    for _ in range(int(sys.argv[1])): hoard.append(bytearray(b'x') * (1 << 20))
except MemoryError: pass
print(json.dumps(len(hoard)))
"""
MANY_HOARDERS = """
import os, time
for _ in range(40):
    if os.fork() == 0:
        hoard = bytearray(b'x') * (20 << 20)
        time.sleep(30); os._exit(0)
for _ in range(40):
    pid, status = os.wait()
    if os.WIFSIGNALED(status): raise SystemExit(9)
"""
FILL = """
import json, os, sys
def fill(path, limit):
    total = 0
    for number in range(10):
        try:
            with open(f'{path}/fill{number}', 'wb', buffering=0) as file:
                while total < limit and file.tell() < 90 << 20:
                    total += file.write(b'x' * (1 << 20))
        except OSError as error:
            break
    return total >> 20
print(json.dumps([fill(path, int(sys.argv[1]) << 20) for path in sys.argv[2:]]))
"""
ENDLESS = "import sys\nwhile True: sys.stdout.write('line\\n' * 10000)"
ONE_LINE = "import sys\nfor _ in range(1024): sys.stdout.write('x' * (1 << 20))"


@pytest.fixture(scope="module")
def shared_sandbox(
    engine: Engine, sandbox_image: SandboxImage, runtime: str
) -> Iterator[SharedSandbox]:
    shared_sandbox = SharedSandbox(engine, sandbox_image, replace(LIMITS, runtime=runtime))
    yield shared_sandbox
    shared_sandbox.close()


def program(source: str, *arguments: str) -> list[Job]:
    return [Job("bomb", ("python3", "-c", source, *arguments))]


def measured(sandbox: DockerSandbox, source: str, *arguments: str) -> tuple[list[int], JobResult]:
    """Run a program that prints numbers as JSON and return them with the program's result."""
    job = sandbox.run(program(source, *arguments), timeout_s=30).jobs[0]
    numbers = json.loads(job.output.head)
    return (numbers if isinstance(numbers, list) else [numbers]), job


def survived(
    shared_sandbox: SharedSandbox, runtime: str, jobs: list[Job], timeout_s: float
) -> RunResult | None:
    """Run a bomb and check that the sandbox survives.

    Returns None if gVisor lost the sandbox, which it may.
    """
    sandbox = shared_sandbox.fresh()
    try:
        result = sandbox.run(jobs, timeout_s=timeout_s)
        assert sandbox.run([Job("after", ("echo", "alive"))]).jobs[0].output.head == b"alive\n"
    except SandboxLost:
        assert runtime == "runsc"
        return None
    assert result.survivors == 0
    return result


@pytest.mark.parametrize("bomb", [FORK_BOMB, SETSID_BOMB], ids=["fork bomb", "setsid fork bomb"])
def test_fork_bomb_is_ended_in_time_and_the_sandbox_survives(
    shared_sandbox: SharedSandbox, runtime: str, bomb: str
) -> None:
    started_at = time.monotonic()

    result = survived(shared_sandbox, runtime, program(bomb), 2)

    assert time.monotonic() - started_at < 30
    if result:
        assert result.jobs[0].cause in (Cause.TIMEOUT, Cause.PIDS)
        assert runtime == "runsc" or (result.pids_denied and result.leftovers > 30)


def test_process_limit_binds_and_is_the_reported_cause(
    open_sandbox: SandboxMaker,
) -> None:
    # Not gVisor: it bounds its own threads, so a bomb ends the sandbox, as the test above shows.
    sandbox = open_sandbox(replace(LIMITS, runtime="runc"))
    (count,), _ = measured(sandbox, COUNT_PROCESSES)
    result = sandbox.run(program(FORKS))

    assert 30 < count < LIMITS.pids
    assert (result.jobs[0].cause, result.jobs[0].code) == (Cause.PIDS, 1)


@pytest.mark.parametrize("source", [HOARD, MANY_HOARDERS], ids=["one process", "many small ones"])
def test_out_of_memory_is_the_reported_cause(
    shared_sandbox: SharedSandbox, runtime: str, source: str
) -> None:
    result = survived(shared_sandbox, runtime, program(source, "2000"), 30)

    if runtime == "runc":
        assert result is not None
        assert (result.jobs[0].cause, bool(result.oom_kills)) == (Cause.MEMORY, True)
    elif result:
        assert not result.jobs[0].succeeded


def test_filled_scratch_and_store_take_no_memory_from_the_guest(
    shared_sandbox: SharedSandbox, runtime: str
) -> None:
    paths = ("/tmp", "/dev/shm", "/workspace")

    filled, job = measured(shared_sandbox.fresh(), FILL, "1000", *paths)
    too_much = program(FILL + "x = bytearray(b'x') * (600 << 20)", "1000", *paths)
    result = survived(shared_sandbox, runtime, too_much, 30)

    assert job.succeeded
    assert all(got <= limit for got, limit in zip(filled, (32, 16, 128), strict=True)), filled
    assert sum(filled) > 140
    if runtime == "runc":
        assert result is not None
        assert result.jobs[0].cause is Cause.MEMORY


@pytest.mark.parametrize(
    "source", [ENDLESS, ONE_LINE], ids=["endless lines", "one line of a gigabyte"]
)
def test_output_is_bounded_and_the_host_keeps_little_of_it(
    shared_sandbox: SharedSandbox, runtime: str, source: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    result = survived(shared_sandbox, runtime, program(source), 30)

    assert result is not None
    job = result.jobs[0]
    assert job.cause is Cause.OUTPUT
    assert job.output.total < 2 * LIMITS.max_output_bytes
    assert len(job.output.head) == len(job.output.tail) == 512 * 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 32 * MIB


def test_full_sandbox_of_least_memory_handles_the_largest_request(
    open_sandbox: SandboxMaker, runtime: str
) -> None:
    least = LIMITS.needed_memory_bytes
    policy = replace(LIMITS, runtime=runtime, memory_bytes=least, max_write_bytes=32 * MIB)
    sandbox = open_sandbox(policy)
    sandbox.run([Job("tests", checker="pytest")])
    measured(sandbox, FILL, "1000", "/workspace")

    with pytest.raises(Exception, match="full"):
        sandbox.write({"large.bin": bytes(32 * MIB)})

    assert sandbox.run([Job("after", ("echo", "alive"))]).jobs[0].output.head == b"alive\n"
