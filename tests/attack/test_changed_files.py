"""Commands that change files and set out to hide it from the scan that follows; on every runtime.

The control of each is in the container itself: the program reports that the file's times, size and number are what
they were, so that a scan that went by these alone would have missed the change.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import RUN

from l2mac.evaluator import python_checks
from l2mac.evaluator.checks import Checks, evaluate
from l2mac.evaluator.verdict import CheckReport, Verdict
from l2mac.file_store import FileStore
from l2mac.trace.objects import ObjectStore
from sandbox import Change, Job, SandboxPolicy
from sandbox.engine.docker_sandbox import DockerSandbox

OLD, NEW = b"old content", b"NEW content"
# Each `write` changes the first bytes of the file at `path`, through a mapping whose page was read before.
WRITE = """
import mmap, os, sys
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
before = facts('d/file.txt')
"""
UNSEEN = "print('unseen' if facts('d/file.txt') == before else 'seen')\n"
WAYS = {
    "a mapping": "write('d/file.txt')\n" + UNSEEN,
    "a mapping that is never given up": "kept = write('d/file.txt')\n"
    + UNSEEN
    + "sys.stdout.flush(); os.kill(os.getpid(), 9)\n",
    "a mapping in a folder that is elsewhere meanwhile": (
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
    "all watches taken": (
        "import ctypes\nlibc = ctypes.CDLL(None)\nqueue = libc.inotify_init1(0)\n"
        "for n in range(3000):\n    open(f'/tmp/{n}', 'w').close()\n"
        "    libc.inotify_add_watch(queue, f'/tmp/{n}'.encode(), 0xfff)\n"
        "libc.inotify_add_watch(queue, b'd/file.txt', 0xfff); libc.inotify_rm_watch(queue, 1)\n"
        "write('d/file.txt')\n" + UNSEEN
    ),
    "a daemon": (
        "import time\nif os.fork() == 0:\n    os.setsid()\n    while True: write('d/file.txt'); time.sleep(0.001)\n"
        "time.sleep(0.2)\n" + UNSEEN
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_change_that_no_time_shows_is_seen(box, way):
    box.write({"d/file.txt": OLD, "d/other.txt": b"other"})

    result = box.run([Job("attack", ("python3", "-c", WRITE + way))])

    assert result.jobs[0].output.head == b"unseen\n", result.jobs[0].errors.head
    assert result.changes == (Change("d/file.txt", len(NEW), hashlib.sha256(NEW).hexdigest()),)
    assert box.read("d/file.txt")[0] == NEW
    assert box.run([Job("nothing", ("true",))]).changes == ()


def test_a_change_within_the_tick_of_the_write_before_it_is_seen(box):
    for turn in range(40):
        content = b"old %03d" % turn
        box.write({"file.txt": content})
        result = box.run([Job("at once", ("sh", "-c", "printf NEW 1<>file.txt"))])
        assert [change.digest for change in result.changes] == [
            hashlib.sha256(b"NEW" + content[3:]).hexdigest()
        ]


def test_a_file_that_a_command_made_is_watched_from_then_on(box):
    made = f"import os\nos.makedirs('d'); open('d/file.txt', 'wb').write({OLD!r})"
    assert len(box.run([Job("make", ("python3", "-c", made))]).changes) == 1

    result = box.run([Job("attack", ("python3", "-c", WRITE + WAYS["a mapping"]))])

    assert result.jobs[0].output.head == b"unseen\n"
    assert [change.digest for change in result.changes] == [hashlib.sha256(NEW).hexdigest()]


@pytest.fixture(scope="module")
def store(engine, box_image, tmp_path_factory) -> Iterator[FileStore]:
    def box(_: str) -> DockerSandbox:
        return DockerSandbox(
            engine, box_image, SandboxPolicy(cpus=1.0, timeout_s=20), run=RUN
        ).open()

    objects = ObjectStore(Path(tmp_path_factory.mktemp("objects")) / "objects.pack")
    store = FileStore(box, objects)
    yield store
    store.close()
    objects.close()


def evaluated(store: FileStore, files: dict[str, str]) -> CheckReport:
    old = [entry.path for entry in store.files]
    if old:
        store.delete(old)
    store.write({path: text.encode() for path, text in files.items()})
    return evaluate(store, Checks(python_checks.jobs_for, python_checks.judge))


WRONG = "NAME = 1\ndef broken():\n    return undefined_name\n"
LARGE = "# pylint: skip-file\nA = [\n" + "    1,\n" * 60_000 + "]\n"
HIDINGS = {
    "a mapping": """
import mmap, os, time
fd = os.open('src/work.py', os.O_RDWR)
text = open('src/work.py', 'rb').read()
pages = mmap.mmap(fd, 0)
assert pages[0]
pages[:] = b'#' * (len(text) - 1) + b'\\n'
def test_it():
    time.sleep(4)
    pages[:] = text
""",
    "another folder": """
import os, time
os.rename('src', 'away')
os.mkdir('src')
open('src/work.py', 'w').write('NAME = 1\\n')
def test_it():
    time.sleep(4)
    os.unlink('src/work.py')
    os.rmdir('src')
    os.rename('away', 'src')
""",
}


@pytest.mark.parametrize("hiding", HIDINGS.values(), ids=HIDINGS.keys())
def test_a_source_that_is_hidden_from_the_lint_without_being_touched_is_found_out(store, hiding):
    files = {"a.py": LARGE, "src/work.py": WRONG}
    assert "undefined_name" in str(
        evaluated(store, {"src/work.py": WRONG, "test_it.py": "def test_it(): pass\n"})
    )

    report = evaluated(store, files | {"test_it.py": hiding})

    assert report.verdict is Verdict.FAILED
    assert ("src/work.py", "was written to while the checks ran") in {
        (finding.where, finding.text[:35])
        for result in report.results
        for finding in result.findings
    }
