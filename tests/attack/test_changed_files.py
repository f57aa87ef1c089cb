"""Commands that hide the changes they make from the scan, on every runtime.

Each attack is its own control. A program reports that times, size and inode of the file are the old
ones, so that a scan by these values alone would miss the change. A hidden source shows that the
lint reported no finding, so that only the guest's own report fails the verdict.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator

import pytest
from engine import RUN

from l2mac.evaluator import python_checks
from l2mac.evaluator.checks import Checks, evaluate
from l2mac.evaluator.verdict import CheckReport, Verdict
from l2mac.file_store import FileStore
from l2mac.trace.objects import ObjectStore
from sandbox import Change, Job, SandboxPolicy
from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.image import SandboxImage

OLD, NEW = b"old content", b"NEW content"
# `write` changes the first bytes of a file through a mapping whose page has been read before.
WRITE = """
import array, ctypes, mmap, os, socket, sys, time
libc = ctypes.CDLL(None)
def write(path, content=b'NEW'):
    fd = os.open(path, os.O_RDWR)
    pages = mmap.mmap(fd, 0)
    os.close(fd)
    assert pages[0]
    pages[0:len(content)] = content
    return pages
def facts(path):
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
"""
# `hold` lets a descriptor outlive its process: it is part of a cycle of messages between sockets,
# which only the kernel's garbage collector ends, and the queues make the collector slow.
HOLD = """
def hold(fd):
    queues = [libc.inotify_init1(0) for n in range(100)]
    for queue in queues:
        open(f'/tmp/{queue}', 'w').close()
        libc.inotify_add_watch(queue, f'/tmp/{queue}'.encode(), 0xfff)
    ours, theirs = socket.socketpair()
    for fds in (queues, [fd], [theirs.fileno()]):
        message = array.array('i', fds)
        ours.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, message)])
"""
BEFORE = "before = facts('d/file.txt')\n"
UNSEEN = "print('unseen' if facts('d/file.txt') == before else 'seen', flush=True)\n"
WAYS = {
    "a mapping": "write('d/file.txt')\n" + UNSEEN,
    "a mapping at the death of its process": (
        "kept = write('d/file.txt')\n" + UNSEEN + "os.kill(os.getpid(), 9)\n"
    ),
    "a descriptor that outlives its process": (
        "fd = os.open('d/file.txt', os.O_RDWR)\nwrite('d/file.txt')\nhold(fd)\n" + UNSEEN
    ),
    "a mapping in a renamed folder": (
        "os.rename('d', 'e'); write('e/file.txt'); os.rename('e', 'd')\n" + UNSEEN
    ),
    "a descriptor without rights, opened again": (
        "fd = os.open('d/file.txt', os.O_PATH); write(f'/proc/self/fd/{fd}')\n" + UNSEEN
    ),
    "a flood of events": (
        "names = [f'x{n}' for n in range(2)]\nfor name in names: open(name, 'w').close()\n"
        "write('d/file.txt')\n"
        "for n in range(40_000): os.close(os.open(names[n % 2], os.O_RDONLY))\n"
        "for name in names: os.unlink(name)\n" + UNSEEN
    ),
    "all watches in use": (
        "queue = libc.inotify_init1(0)\n"
        "for n in range(3000):\n    open(f'/tmp/{n}', 'w').close()\n"
        "    libc.inotify_add_watch(queue, f'/tmp/{n}'.encode(), 0xfff)\n"
        "libc.inotify_add_watch(queue, b'd/file.txt', 0xfff); libc.inotify_rm_watch(queue, 1)\n"
        "write('d/file.txt')\n" + UNSEEN
    ),
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n"
        "    while True: write('d/file.txt'); time.sleep(0.001)\n"
        "time.sleep(0.2)\n" + UNSEEN
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_changes_that_leave_all_times_unchanged_are_reported(
    sandbox: DockerSandbox, way: str
) -> None:
    sandbox.write({"d/file.txt": OLD, "d/other.txt": b"other"})

    result = sandbox.run([Job("attack", ("python3", "-c", WRITE + HOLD + BEFORE + way))])

    assert result.jobs[0].output.head == b"unseen\n", result.jobs[0].errors.head
    assert result.changes == (Change("d/file.txt", len(NEW), hashlib.sha256(NEW).hexdigest()),)
    assert sandbox.read("d/file.txt")[0] == NEW
    assert sandbox.run([Job("nothing", ("true",))]).changes == ()


def test_changes_within_one_clock_tick_are_reported(sandbox: DockerSandbox) -> None:
    for turn in range(40):
        content = b"old %03d" % turn
        sandbox.write({"file.txt": content})
        result = sandbox.run([Job("at once", ("sh", "-c", "printf NEW 1<>file.txt"))])
        assert [change.digest for change in result.changes] == [
            hashlib.sha256(b"NEW" + content[3:]).hexdigest()
        ]


def test_files_made_by_a_command_are_watched_afterwards(sandbox: DockerSandbox) -> None:
    made = f"import os\nos.makedirs('d'); open('d/file.txt', 'wb').write({OLD!r})"
    assert len(sandbox.run([Job("make", ("python3", "-c", made))]).changes) == 1

    result = sandbox.run([Job("attack", ("python3", "-c", WRITE + BEFORE + WAYS["a mapping"]))])

    assert result.jobs[0].output.head == b"unseen\n"
    assert [change.digest for change in result.changes] == [hashlib.sha256(NEW).hexdigest()]


StoreMaker = Callable[[], FileStore]


@pytest.fixture(scope="module")
def open_store(
    engine: Engine, sandbox_image: SandboxImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreMaker]:
    """Return a function that opens a file store with a sandbox of its own."""
    made = contextlib.ExitStack()

    def new_sandbox(_: str) -> DockerSandbox:
        policy = SandboxPolicy(cpus=2.0, timeout_s=50)
        return DockerSandbox(engine, sandbox_image, policy, run=RUN).open()

    def new_store() -> FileStore:
        folder = tmp_path_factory.mktemp("objects")
        objects = made.enter_context(contextlib.closing(ObjectStore(folder / "objects.pack")))
        return made.enter_context(contextlib.closing(FileStore(new_sandbox, objects)))

    with made:
        yield new_store


@pytest.fixture(scope="module")
def store(open_store: StoreMaker) -> FileStore:
    return open_store()


def evaluated(store: FileStore, files: dict[str, str]) -> CheckReport:
    old = [entry.path for entry in store.files]
    if old:
        store.delete(old)
    store.write({path: text.encode() for path, text in files.items()})
    return evaluate(store, Checks(python_checks.jobs_for, python_checks.judge))


def findings(report: CheckReport) -> str:
    lines = []
    for result in report.results:
        lines += [f"{finding.where} {finding.text}" for finding in result.findings]
    return "\n".join(lines)


WRONG = "NAME = 1\ndef broken():\n    return undefined_name\n"
LARGE = "# pylint: skip-file\nA = [\n" + "    1,\n" * 60_000 + "]\n"
# The guest, the checker process, the test and the lint are four processes.
WAIT = """
def wait_for_the_lint():
    while sum(name.isdigit() for name in os.listdir('/proc')) > 3:
        time.sleep(0.05)
"""
MAPPING = (
    WRITE
    + WAIT
    + """
fd = os.open('src/work.py', os.O_RDWR)
text = open('src/work.py', 'rb').read()
pages = mmap.mmap(fd, 0)
assert pages[0]
pages[:] = b'#' * (len(text) - 1) + b'\\n'
"""
)
HIDINGS = {
    "a mapping": MAPPING
    + """
def test_it() -> None:
    wait_for_the_lint()
    pages[:] = text
""",
    "a mapping and a flood of events": MAPPING
    + """
def test_it() -> None:
    wait_for_the_lint()
    pages[:] = text
    for n in range(40_000):
        os.close(os.open(('src/work.py', 'a.py')[n % 2], os.O_RDONLY))
""",
    "a mapping and a flood of writes": MAPPING
    + """
def test_it() -> None:
    wait_for_the_lint()
    for n in range(40_000):
        os.utime(('test_it.py', 'a.py')[n % 2])
    pages[:] = text
""",
    "a mapping and a descriptor that outlives its process": MAPPING
    + HOLD
    + """
def test_it() -> None:
    wait_for_the_lint()
    pages[:] = text
    held, holds = os.pipe()
    if os.fork() == 0:
        os.setsid()
        hold(fd)
        os.write(holds, b'x')
        time.sleep(100)
    os.read(held, 1)
    pages.close()
    os.close(fd)
""",
    "another folder": WRITE
    + WAIT
    + """
os.rename('src', 'away')
os.mkdir('src')
open('src/work.py', 'w').write('NAME = 1\\n')
def test_it() -> None:
    wait_for_the_lint()
    os.unlink('src/work.py')
    os.rmdir('src')
    os.rename('away', 'src')
""",
}
MESSAGE = "src/work.py was written to while the checks ran"


@pytest.mark.parametrize("hiding", HIDINGS.values(), ids=HIDINGS.keys())
def test_sources_hidden_from_the_lint_fail_the_verdict(store: FileStore, hiding: str) -> None:
    honest = {"src/work.py": WRONG, "test_it.py": "def test_it() -> None: pass\n"}
    assert "undefined_name" in findings(evaluated(store, honest))

    report = evaluated(store, {"a.py": LARGE, "src/work.py": WRONG, "test_it.py": hiding})

    assert "undefined_name" not in findings(report)
    assert MESSAGE in findings(report)
    assert report.verdict is Verdict.FAILED


@pytest.mark.parametrize("name", ["a mapping", "another folder"])
def test_sources_hidden_in_the_first_command_fail_the_verdict(
    open_store: StoreMaker, name: str
) -> None:
    hiding = HIDINGS[name]

    report = evaluated(open_store(), {"a.py": LARGE, "src/work.py": WRONG, "test_it.py": hiding})

    assert "undefined_name" not in findings(report)
    assert MESSAGE in findings(report)
    assert report.verdict is Verdict.FAILED
