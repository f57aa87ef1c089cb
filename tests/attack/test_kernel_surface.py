"""What of the kernel a box can reach: a probe of system calls and sockets, beside controls that show it can fail."""

import errno
import json
import platform
from pathlib import Path

import pytest
from weak_container import WeakContainers, almighty, unconfined

from sandbox import Job
from sandbox.engine.box import DockerSandbox

PROBE = (Path(__file__).parent / "probes" / "syscalls.py").read_text(encoding="utf-8")
REFUSALS = {errno.EPERM, errno.ENOSYS}
KILLED = -1
FAMILIES = {"1", "2", "10"}  # AF_UNIX, AF_INET, AF_INET6
NETLINK, PACKET = "16", "17"
# What kernels leave out; there the control says no more than that.
NOT_IN_EVERY_KERNEL = {
    "delete_module", "finit_module", "init_module", "ioperm", "iopl", "kexec_load", "listmount", "lookup_dcookie",
    "memfd_secret", "statmount", "x32 getpid",
}  # fmt: skip
# gVisor has a kernel of its own, in which our seccomp profile does not apply; there these concern nothing but that.
GVISOR_HAS = {
    "unshare", "unshare newuser", "ptrace", "setpriority of 1", "prlimit of 1", "sched_setaffinity of 1",
    "sched_setscheduler of 1", "mknod", "mknodat", "io_setup", "io_uring_setup", "perf_event_open", "mbind",
    "set_mempolicy", "get_mempolicy", "shmget", "msgget", "semget", "mq_open", "ioctl TIOCSTI", "ioctl TIOCLINUX",
    "personality", "keyctl", "add_key", "request_key", "setns", "open_by_handle_at", "name_to_handle_at",
    "clone newuser", "clone newnet",
}  # fmt: skip
ORDINARY = """
import asyncio, ctypes, fcntl, json, mmap, multiprocessing, os, pty, resource, select, signal, socket, sqlite3
import subprocess, tempfile, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
ran = []
def works(thing): ran.append(thing.__name__); thing()
def threads():
    with ThreadPoolExecutor(8) as pool: assert sum(pool.map(abs, range(-9, 0))) == 45
def processes():
    for method in ('fork', 'spawn', 'forkserver'):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2], method
def queues():
    queue = multiprocessing.Queue(); lock = multiprocessing.Lock(); queue.put(1); assert queue.get() == 1
    with lock: pass
def subprocesses():
    assert subprocess.run(['sh', '-c', 'echo $((1+1)) | cat'], capture_output=True, check=True).stdout == b'2\\n'
def files():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'x' * 4096); file.flush(); fcntl.flock(file, fcntl.LOCK_EX)
        assert mmap.mmap(file.fileno(), 4096)[:1] == b'x'
        os.posix_fallocate(file.fileno(), 0, 8192); os.fsync(file.fileno()); os.sync()
    os.symlink('a', '/tmp/link'); os.utime('/tmp'); os.statvfs('/tmp'); os.listxattr('/tmp')
def database():
    with sqlite3.connect('data.db') as base:
        base.execute('create table t (x)'); base.execute('insert into t values (1)')
    assert base.execute('select * from t').fetchall() == [(1,)]
def loops():
    async def main():
        server = await asyncio.start_server(lambda r, w: w.write(b'hi') or w.close(), '127.0.0.1', 0)
        reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b'hi'
        done = await asyncio.create_subprocess_exec('true'); assert await done.wait() == 0
    asyncio.run(main())
def sockets():
    a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
    with socket.create_server(('127.0.0.1', 0)) as server:
        socket.create_connection(server.getsockname()).close()
def signals():
    signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
    assert os.sched_getaffinity(0); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1024)); os.getrandom(8); time.process_time(); os.getloadavg()
def libraries(): ctypes.CDLL(None).getpid(); ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)()
if __name__ == '__main__':
    for thing in (threads, processes, queues, subprocesses, files, database, loops, sockets, signals, libraries):
        works(thing)
    print(json.dumps(ran))
"""

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the probe has the numbers of x86_64")


@pytest.fixture(scope="module")
def controls(engine, box_image) -> WeakContainers:
    return WeakContainers(engine, box_image)


def probed(box: DockerSandbox) -> dict:
    result = box.run([Job("probe", ("python3", "-c", PROBE))]).jobs[0]
    assert result.succeeded, result.errors.text(2000)
    return json.loads(result.output.head)


def names(calls: dict, answers: set[int]) -> set[str]:
    return {name for name, answer in calls.items() if answer in answers}


def test_the_profile_refuses_every_call_that_a_box_has_no_business_with(open_box):
    seen = probed(open_box(runtime="runc"))

    assert set(seen["calls"]) - names(seen["calls"], {*REFUSALS, KILLED}) == set()
    assert {family for family, answer in seen["families"].items() if answer == 0} == FAMILIES
    assert names(seen["families"], REFUSALS) == set(seen["families"]) - FAMILIES
    assert seen["raw"] == [False, False]


def test_without_profile_and_with_capabilities_the_same_probe_gets_through(controls):
    seen = controls.run(PROBE, almighty)

    assert names(seen["calls"], {*REFUSALS, KILLED}) <= NOT_IN_EVERY_KERNEL
    assert seen["families"][NETLINK] == seen["families"][PACKET] == 0
    assert seen["raw"] == [True, True]


def test_without_profile_alone_most_of_the_probe_gets_through(controls):
    seen = controls.run(PROBE, unconfined)

    assert len(names(seen["calls"], REFUSALS)) < len(seen["calls"]) / 2
    assert seen["calls"]["unshare newuser"] == seen["calls"]["ptrace"] == seen["families"][NETLINK] == 0


def test_gvisor_refuses_the_same_but_for_what_only_its_own_kernel_sees(open_box, gvisor):
    seen = probed(open_box(runtime=gvisor))

    assert set(seen["calls"]) - names(seen["calls"], REFUSALS) <= GVISOR_HAS
    assert seen["families"][PACKET] in REFUSALS
    assert seen["raw"] == [False, False]


def test_what_ordinary_programs_do_works_under_the_profile(box):
    box.write({"ordinary.py": ORDINARY.encode()})

    result = box.run([Job("ordinary", ("python3", "ordinary.py"))]).jobs[0]

    assert result.succeeded, result.errors.text(3000)
    assert len(json.loads(result.output.head)) == 10
