"""Attack the guest (PID 1) and the checker from their uid; print successes."""

import ctypes
import json
import os
import platform
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
IS_ARM = platform.machine() == "aarch64"
NUMBERS = {
    "process_vm_readv": (310, 270), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "kcmp": (312, 272), "prlimit64": (302, 261), "ioprio_set": (251, 30), "move_pages": (279, 239),
}  # fmt: skip
NOTHING = ctypes.create_string_buffer(64)


def checker() -> int:
    """Return the preloaded checker's process id, or 0."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, os.getpid()):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if file.read().endswith(b"\0zygote\0"):
                    return int(name)
    return 0


def succeeds(action) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


def answer(name: str, *arguments) -> int:
    longs = (
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments
    )
    return LIBC.syscall(ctypes.c_long(NUMBERS[name][IS_ARM]), *longs)


def calls(name: str, *arguments) -> bool:
    return answer(name, *arguments) != -1


def opens(path: str, flags: int) -> bool:
    return succeeds(lambda: os.close(os.open(path, flags | os.O_NONBLOCK)))


def reads_memory(pid: int) -> bool:
    local, remote = (
        (ctypes.c_size_t * 2)(ctypes.addressof(NOTHING), 8),
        (ctypes.c_size_t * 2)(0x400000, 8),
    )
    through = calls(
        "process_vm_readv", pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0
    )
    return through or ctypes.get_errno() == 14  # EFAULT: allowed, nothing at that address


def takes_descriptor(pid: int) -> bool:
    pidfd = answer("pidfd_open", pid, 0)
    return pidfd >= 0 and calls("pidfd_getfd", pidfd, 1, 0)


def attaches(pid: int) -> bool:
    if not calls("ptrace", 16, pid, 0, 0):
        return False
    os.waitpid(pid, 0x40000000)
    return calls("ptrace", 17, pid, 0, 0)


def reached(pid: int) -> dict[str, bool]:
    proc = f"/proc/{pid}"
    limit = (ctypes.c_ulonglong * 2)(64, 64)
    return {
        "mem": opens(f"{proc}/mem", os.O_RDWR),
        "environ": opens(f"{proc}/environ", os.O_RDONLY),
        "maps": opens(f"{proc}/maps", os.O_RDONLY),
        "list fd": succeeds(lambda: os.listdir(f"{proc}/fd")),
        "write fd 1": opens(f"{proc}/fd/1", os.O_WRONLY),
        "read fd 0": opens(f"{proc}/fd/0", os.O_RDONLY),
        "root": succeeds(lambda: os.listdir(f"{proc}/root")),
        "cwd": succeeds(lambda: os.readlink(f"{proc}/cwd")),
        "exe": succeeds(lambda: os.readlink(f"{proc}/exe")),
        "oom_score_adj": opens(f"{proc}/oom_score_adj", os.O_WRONLY),
        "coredump_filter": opens(f"{proc}/coredump_filter", os.O_WRONLY),
        "ptrace attach": attaches(pid),
        "process_vm_readv": reads_memory(pid),
        "pidfd_getfd": takes_descriptor(pid),
        "kcmp": calls("kcmp", pid, pid, 0, 0, 0),
        "prlimit": calls("prlimit64", pid, 7, ctypes.byref(limit), 0),
        "sched_setaffinity": succeeds(lambda: os.sched_setaffinity(pid, {0})),
        "sched_setscheduler": succeeds(
            lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
        ),
        "setpriority": succeeds(lambda: os.setpriority(os.PRIO_PROCESS, pid, 5)),
        "ioprio_set": calls("ioprio_set", 1, pid, 2 << 13 | 4),
        "move_pages": calls("move_pages", pid, 0, 0, 0, 0, 0),
    }


target = int(sys.argv[1]) if len(sys.argv) > 1 else checker()
sys.stdout.write(
    json.dumps(
        {name: True for name, through in reached(target).items() if through} if target else None
    )
)
