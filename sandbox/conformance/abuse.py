"""Checks that badly behaved commands leave nothing behind."""

import json
import time

from sandbox.conformance.expect import holds, python, same, shell
from sandbox.interface import Sandbox
from sandbox.results import Cause, Job

_KEPT_BYTES = 512 * 1024
_MIB = 1024 * 1024
_SOON_S = 30  # far less than what would be waited for, far more than a busy machine needs
_DAEMONS = """
import os, signal, subprocess, time
def daemon(name):
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            with open(name, 'a') as file: file.write('x')
            time.sleep(0.01)
daemon('double-fork.txt')
loop = 'trap "" TERM INT HUP; while :; do date +%N > shell.txt; sleep 0.01; done'
subprocess.Popen(['sh', '-c', loop], start_new_session=True)
subprocess.Popen(['nohup', 'sleep', '1000'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
subprocess.Popen(['sleep', '1000'])
os.kill(subprocess.Popen(['sleep', '1000']).pid, signal.SIGSTOP)
while not (os.path.exists('double-fork.txt') and os.path.exists('shell.txt')):
    time.sleep(0.01)
time.sleep(0.1)
"""
_DEEP = """
import os
for name, depth in (('deep', 2000), ('ok', 40)):
    os.chdir('/workspace')
    for _ in range(depth):
        os.mkdir(name); os.chdir(name)
    with open('file', 'w') as file: file.write('x')
"""
_ENTRIES = r"""
import os, socket
os.symlink('/etc/passwd', 'link-to-file'); os.symlink('/', 'link-to-root')
os.symlink('nowhere', 'dangling'); os.symlink('loop', 'loop'); os.symlink('.', 'link-to-self')
socket.socket(socket.AF_UNIX).bind('socket')
for name in (b'new\nline', b'esc\x1b[31m', b'\xff\xfe', b'-rf', b'end.', b' space',
             b'.l2mac-0.part', b'e\xcc\x81', b'x' * 250):
    open(name, 'wb').close()
for name in (b'bad:dir', b'.l2mac-trash-1', b'-d'):
    os.makedirs(name + b'/in/side'); open(name + b'/in/side/file', 'wb').close()
made = 5 + 1 + 9 + 3
try:
    os.mkfifo('fifo'); made += 1
except PermissionError:
    pass
os.mkdir('good'); open('good/file.txt', 'w').close(); os.link('good/file.txt', 'good/link.txt')
print(made)
"""
_WRITABLE = """
import os, json
made, failed = [], 0
for folder, _, _ in os.walk('/'):
    if folder.startswith(('/proc', '/sys', '/workspace')): continue
    path = os.path.join(folder, 'left-behind')
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)); made.append(path)
    except OSError: failed += 1
print(json.dumps(made))
"""


def ends_all_processes_at_the_time_limit(sandbox: Sandbox) -> None:
    """End a command at its timeout with all its processes, hidden ones too."""
    started_at = time.monotonic()
    result = sandbox.run(
        [Job("daemons", ("python3", "-c", _DAEMONS + "time.sleep(1000)"))], timeout_s=5
    )
    holds(time.monotonic() - started_at < _SOON_S, "the command ends soon after its time")
    same((result.jobs[0].cause, result.survivors), (Cause.TIMEOUT, 0), "the command's end")
    holds(result.leftovers >= 6, f"all its processes are counted, not only {result.leftovers}")
    _nothing_moves(sandbox)


def ends_what_a_command_leaves_running(sandbox: Sandbox) -> None:
    """End the daemons of a command that exited normally."""
    result = sandbox.run([Job("daemons", ("python3", "-c", _DAEMONS))])
    same((result.jobs[0].succeeded, result.survivors), (True, 0), "the command's end")
    # Not each is seen: a runtime may list a process late that was just started, and it is ended all
    # the same.
    holds(result.leftovers >= 3, f"what it left is counted, not only {result.leftovers}")
    _nothing_moves(sandbox)


def waits_for_nobody_who_holds_an_output(sandbox: Sandbox) -> None:
    """Return when the command has ended, even if a child still holds its output open."""
    started_at = time.monotonic()
    result = shell(sandbox, "sleep 1000 & echo done")
    same((result.output.head, result.cause), (b"done\n", Cause.EXITED), "the command's end")
    holds(time.monotonic() - started_at < _SOON_S, "the child was not waited for")


def keeps_both_ends_of_long_output(sandbox: Sandbox) -> None:
    """Keep head and tail of an output and count the bytes between them."""
    source = """
import sys
for n in range(600_000): sys.stdout.write(f'{n:07d}\\n')
sys.stderr.write('e' * 3)"""
    result = python(sandbox, source)
    output, whole = result.output, b"".join(b"%07d\n" % n for n in range(600_000))
    same((output.head, output.tail), (whole[:_KEPT_BYTES], whole[-_KEPT_BYTES:]), "what is kept")
    same(
        (output.total, output.elided), (len(whole), len(whole) - 2 * _KEPT_BYTES), "what is counted"
    )
    same(result.errors.head, b"eee", "the standard error")


def survives_a_hundred_megabytes(sandbox: Sandbox) -> None:
    """Handle a hundred megabytes of output in one line."""
    result = python(sandbox, "import sys\nfor _ in range(100): sys.stdout.write('x' * (1 << 20))")
    same((result.cause, result.output.total), (Cause.EXITED, 100 * _MIB), "the account")
    same(
        len(result.output.head) + len(result.output.tail),
        2 * _KEPT_BYTES,
        "the bytes that are kept",
    )


def removes_what_the_store_may_not_hold(sandbox: Sandbox) -> None:
    """Remove and count links, pipes, sockets and bad names; keep the rest."""
    result = sandbox.run([Job("entries", ("python3", "-c", _ENTRIES))])
    holds(result.jobs[0].succeeded, f"the program ends well: {result.jobs[0].errors.text(500)}")
    same(result.removed, int(result.jobs[0].output.head), "the number of removed entries")
    same(
        [change.path for change in result.changes],
        ["good/file.txt", "good/link.txt"],
        "what is kept",
    )
    same(
        shell(sandbox, "find . | sort").output.head.split(),
        [b".", b"./good", b"./good/file.txt", b"./good/link.txt"],
        "the tree",
    )
    sandbox.write({"good/file.txt": b"written"})
    same(sandbox.read("good/link.txt")[0], b"", "another name of a file that was written anew")


def removes_bottomless_directories(sandbox: Sandbox) -> None:
    """Remove directories that are too deep for any path, and keep their parents."""
    result = sandbox.run([Job("deep", ("python3", "-c", _DEEP))])
    same((result.jobs[0].code, result.removed), (0, 2), "the number of removed entries")
    same(result.changes, (), "the changes")
    same(shell(sandbox, "find . -type f").output.head, b"", "the files that are left")


def opens_closed_directories(sandbox: Sandbox) -> None:
    """Continue after a command has closed directories, even the root."""
    sandbox.write({"a/b/file.txt": b"content"})
    shell(sandbox, "chmod 0 a/b/file.txt a/b a . /tmp /dev/shm; mkdir /tmp/x; true")
    same(sandbox.read("a/b/file.txt")[0], b"content", "a file below closed directories")
    sandbox.write({"a/new.txt": b"new"})
    sandbox.delete(["a/b/file.txt"])
    same(
        shell(sandbox, "find . -type f; touch /tmp/t /dev/shm/t && echo open").output.head,
        b"./a/new.txt\nopen\n",
        "the rest",
    )


def leaves_nothing_outside_the_store(sandbox: Sandbox) -> None:
    """Empty every other writable place between commands."""
    made = json.loads(python(sandbox, _WRITABLE).output.head or b"null")
    holds(
        {path.rpartition("/")[0] for path in made} >= {"/tmp", "/dev/shm"},  # noqa: S108 - inside
        f"scratch is writable: {made}",
    )
    found = python(
        sandbox,
        "import os, sys; print([path for path in sys.argv[1:] if os.path.lexists(path)])",
        *made,
    )
    same(found.output.head, b"[]\n", "what the next command finds")


def bounds_what_files_claim(sandbox: Sandbox) -> None:
    """Remove sparse files that are larger than the store instead of reading them."""
    source = """
import os
for n in range(200):
    with open(f'holes{n:03d}', 'wb') as file: os.truncate(file.fileno(), 100 << 20)"""
    started_at = time.monotonic()
    result = sandbox.run([Job("holes", ("python3", "-c", source))])
    same((len(result.changes), result.removed), (2, 198), "kept and removed files")
    holds(time.monotonic() - started_at < _SOON_S, "they are not all read")


def bounds_names(sandbox: Sandbox) -> None:
    """Remove files whose names together exceed a listing, and list the rest."""
    source = """
import os
folder = '/'.join(['é' * 99] * 4)
os.makedirs(folder); os.chdir(folder)
for n in range(1500): open(f'{n:04d}' + 'é' * 98, 'w').close()"""
    result = sandbox.run([Job("names", ("python3", "-c", source))])
    holds(result.removed > 300, f"names over the bound are removed, not only {result.removed}")
    same(len(result.changes), 1500 - result.removed, "the others")
    same(len(sandbox.files()), len(result.changes), "the listing")


def _nothing_moves(sandbox: Sandbox) -> None:
    def contents() -> list[bytes]:
        return [sandbox.read(entry.path)[0] for entry in sandbox.files()]

    before = contents()
    time.sleep(0.3)
    same(contents(), before, "the files of daemons a moment later")


CHECKS = (
    ends_all_processes_at_the_time_limit,
    ends_what_a_command_leaves_running,
    waits_for_nobody_who_holds_an_output,
    keeps_both_ends_of_long_output,
    survives_a_hundred_megabytes,
    removes_what_the_store_may_not_hold,
    removes_bottomless_directories,
    opens_closed_directories,
    leaves_nothing_outside_the_store,
    bounds_what_files_claim,
    bounds_names,
)
