"""Ordinary programs, the checkers and common packages work under the whole confinement."""

import json

from battery_image import with_batteries
from engine import RUN, cache_folder

from sandbox import Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage

ORDINARY = r"""
import asyncio, ctypes, fcntl, glob, json, mmap, multiprocessing, os, pty, resource, select, signal
import socket, sqlite3, subprocess, sys, tempfile, threading, time
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
    queue = multiprocessing.Queue(); lock = multiprocessing.Lock()
    queue.put(1); assert queue.get() == 1
    with lock: pass
def subprocesses():
    words = ['sh', '-c', 'echo $((1+1)) | cat']
    assert subprocess.run(words, capture_output=True, check=True).stdout == b'2\n'
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
        answer = lambda r, w: w.write(b'hi') or w.close()
        server = await asyncio.start_server(answer, '127.0.0.1', 0)
        reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b'hi'
        done = await asyncio.create_subprocess_exec('true'); assert await done.wait() == 0
    asyncio.run(main())
def sockets():
    a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
    with socket.create_server(('127.0.0.1', 0)) as server:
        socket.create_connection(server.getsockname()).close()
def signals():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
    assert os.sched_getaffinity(0); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1024))
    os.getrandom(8); time.process_time(); os.getloadavg()
def numbers():
    import numpy
    left = numpy.random.default_rng(1).random((200, 200))
    assert numpy.allclose(left @ numpy.linalg.inv(left), numpy.eye(200))
    with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-3]) == [3]
def tools():
    with open('test_wide.py', 'w') as file:
        for n in range(8): file.write(f'def test_{n}():\n    assert len(str({n})) < 8\n')
    run = lambda *words: subprocess.run(words, capture_output=True, text=True)
    pytest = (sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-p', 'xdist')
    xdist = run(*pytest, '-n2', 'test_wide.py')
    assert '8 passed' in xdist.stdout, xdist
    (ruff,) = glob.glob('/opt/batteries/ruff-*.data/scripts/ruff')
    clean = run(ruff, 'check', '--isolated', '--no-cache', 'test_wide.py')
    assert clean.returncode == 0, clean
    pylint = (sys.executable, '-m', 'pylint', '--disable=all', '--enable=E')
    lint = run(*pylint, '-j', '2', 'test_wide.py', 'ordinary.py')
    assert lint.returncode == 0, lint
def libraries(): ctypes.CDLL(None).getpid(); ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)()
if __name__ == '__main__':
    parallel = (threads, processes, queues, subprocesses)
    things = (files, database, loops, sockets, numbers, tools)
    for thing in (*parallel, *things, signals, libraries):
        works(thing)
    print(json.dumps(ran))
"""


def test_ordinary_programs_work_under_the_seccomp_profile(
    engine: Engine, sandbox_image: SandboxImage, runtime: str
) -> None:
    image = with_batteries(engine, sandbox_image, cache_folder())
    policy = SandboxPolicy(cpus=2.0, runtime=runtime, timeout_s=300)
    with DockerSandbox(engine, image, policy, run=RUN) as sandbox:
        sandbox.write({"ordinary.py": ORDINARY.encode()})
        command = (
            "/usr/bin/env",
            "PYTHONPATH=/opt/batteries",
            "LD_LIBRARY_PATH=/opt/batteries/lib",
            "/opt/l2mac/venv/bin/python",
            "ordinary.py",
        )

        result = sandbox.run([Job("ordinary", command)]).jobs[0]

    assert result.succeeded, result.errors.text(3000)
    assert len(json.loads(result.output.head)) == 12
