"""Call what a box has no business to call, with arguments that can do no harm, and print the error numbers."""

import ctypes
import json
import os
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NOWHERE = 1  # an address that is never mapped: the kernel answers EFAULT where it gets that far
NO_FD = 999_999
CALLS = {
    # 24: mounts
    "mount": (165, NOWHERE, NOWHERE, NOWHERE, 0, 0),
    "umount2": (166, NOWHERE, 0),
    "pivot_root": (155, NOWHERE, NOWHERE),
    "fsopen": (430, NOWHERE, 0),
    "open_tree": (428, NO_FD, NOWHERE, 0),
    "move_mount": (429, NO_FD, NOWHERE, NO_FD, 0, 0),
    "mount_setattr": (442, NO_FD, NOWHERE, 0, 0, 0),
    "fsmount": (432, NO_FD, 0, 0),
    "fspick": (433, NO_FD, NOWHERE, 0),
    # 25: namespaces
    "unshare": (272, 0x10000000 | 1),
    "unshare newuser": (272, 0x10000000),
    "setns": (308, NO_FD, 0),
    "clone newuser": (56, 0x10000000 | 0x800, 0, 0, 0, 0),
    "clone newnet": (56, 0x40000000 | 0x800, 0, 0, 0, 0),
    "clone3": (435, NOWHERE, 8),
    # 26: keys
    "keyctl": (250, 9999, 0, 0, 0, 0),
    "add_key": (248, NOWHERE, NOWHERE, 0, 0, 0),
    "request_key": (249, NOWHERE, 0, 0, 0),
    # 27 to 30: bpf, perf, io_uring, userfaultfd
    "bpf": (321, 9999, NOWHERE, 0),
    "perf_event_open": (298, NOWHERE, 0, -1, -1, 0),
    "io_uring_setup": (425, 1, NOWHERE),
    "io_uring_enter": (426, NO_FD, 0, 0, 0, 0),
    "io_uring_register": (427, NO_FD, 0, 0, 0),
    "io_setup": (206, 1, NOWHERE),
    "userfaultfd": (323, 0xFFFFFF),
    # 32: other processes
    "ptrace": (101, 0, 0, 0, 0),
    "process_vm_readv": (310, 0, 0, 0, 0, 0, 9),
    "process_vm_writev": (311, 0, 0, 0, 0, 0, 9),
    "kcmp": (312, 0, 0, 99, 0, 0),
    "pidfd_getfd": (438, NO_FD, 0, 0),
    "process_madvise": (440, NO_FD, NOWHERE, 1, 0, 0),
    "prlimit of 1": (302, 1, 7, NOWHERE, 0),
    "sched_setaffinity of 1": (203, 1, 8, NOWHERE),
    "setpriority of 1": (141, 0, 1, 0),
    "sched_setscheduler of 1": (144, 1, 0, NOWHERE),
    # 33: devices
    "mknod": (133, NOWHERE, 0o20666, 0x103),
    "mknodat": (259, NO_FD, NOWHERE, 0o10666, 0),
    # 35 to 38: chroot, personality, machine, file handles
    "chroot": (161, NOWHERE),
    "personality": (135, 0x0040000),
    "modify_ldt": (154, 1, NOWHERE, 1),
    "kexec_load": (246, 0, 99_999, NOWHERE, 0xFFFF),
    "init_module": (175, NOWHERE, 0, NOWHERE),
    "finit_module": (313, NO_FD, NOWHERE, 0),
    "delete_module": (176, NOWHERE, 0),
    "reboot": (169, 0, 0, 0, 0),
    "swapon": (167, NOWHERE, 0),
    "swapoff": (168, NOWHERE),
    "settimeofday": (164, NOWHERE, 0),
    "clock_settime": (227, 0, NOWHERE),
    "clock_adjtime": (305, 0, NOWHERE),
    "adjtimex": (159, NOWHERE),
    "sethostname": (170, NOWHERE, 1),
    "setdomainname": (171, NOWHERE, 1),
    "acct": (163, NOWHERE),
    "syslog": (103, 99, 0, 0),
    "iopl": (172, 9),
    "ioperm": (173, 0, -1, 0),
    "quotactl": (179, 0, NOWHERE, 0, NOWHERE),
    "open_by_handle_at": (304, NO_FD, NOWHERE, 0),
    "name_to_handle_at": (303, NO_FD, NOWHERE, NOWHERE, NOWHERE, 0),
    "fanotify_init": (300, 0xFFFFFF, 0),
    "lookup_dcookie": (212, 0, NOWHERE, 1),
    "vmsplice": (278, NO_FD, NOWHERE, 1, 0),
    "memfd_secret": (447, 0xFFFFFF),
    "remap_file_pages": (216, NOWHERE, 1, 1, 0, 0),
    "move_pages": (279, 1, 1, NOWHERE, 0, 0, 0),
    "mbind": (237, NOWHERE, 1, 99, 0, 0, 0),
    "set_mempolicy": (238, 99, 0, 0),
    "get_mempolicy": (239, NOWHERE, 0, 0, 0, 99),
    "statmount": (457, NOWHERE, NOWHERE, 0, 0),
    "listmount": (458, NOWHERE, NOWHERE, 0, 0),
    # system V and message queues
    "shmget": (29, 0, 0, 0),
    "msgget": (68, 0, 0),
    "semget": (64, 0, -1, 0),
    "mq_open": (240, NOWHERE, 0, 0, 0),
    # 41 and 42: terminals, other ways in
    "ioctl TIOCSTI": (16, 0, 0x5412, NOWHERE),
    "ioctl TIOCLINUX": (16, 0, 0x541C, NOWHERE),
    "x32 getpid": (0x40000000 | 39,),
}


def errno_of(number: int, *arguments: int) -> int:
    """Call in a child, as some calls change or end their caller; gives the error number, 0 for success."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.set_errno(0)
        longs = [ctypes.c_long(argument) for argument in arguments]
        failed = LIBC.syscall(ctypes.c_long(number), *longs) == -1
        os.write(write_fd, bytes([ctypes.get_errno() if failed else 0]))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write_fd)
    answer = os.read(read_fd, 1)
    os.close(read_fd)
    return answer[0] if answer else -1


def family_errno(family: int) -> int:
    """Try every kind of socket of a family; gives 0 when one can be made, else the last error number."""
    for kind in (1, 2, 5, 3):
        if LIBC.socket(family, kind, 0) >= 0:
            return 0
    return ctypes.get_errno()


sys.stdout.write(
    json.dumps(
        {
            "calls": {name: errno_of(*call) for name, call in CALLS.items()},
            "families": {family: family_errno(family) for family in range(46)},
            "raw": [LIBC.socket(family, 3, 1) >= 0 for family in (2, 10)],
        }
    )
)
