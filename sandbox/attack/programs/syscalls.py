"""Make system calls that a sandbox must not make; print error numbers."""

import ctypes
import json
import mmap
import os
import platform
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NOWHERE = 1  # an address that is never mapped: the kernel answers EFAULT where it gets that far
NO_FD = 999_999
IS_ARM = platform.machine() == "aarch64"
# Number on x86_64, number on aarch64 (None where there is no such call), arguments.
CALLS = {
    # 24: mounts
    "mount": (165, 40, NOWHERE, NOWHERE, NOWHERE, 0, 0),
    "umount2": (166, 39, NOWHERE, 0),
    "pivot_root": (155, 41, NOWHERE, NOWHERE),
    "fsopen": (430, 430, NOWHERE, 0),
    "open_tree": (428, 428, NO_FD, NOWHERE, 0),
    "move_mount": (429, 429, NO_FD, NOWHERE, NO_FD, 0, 0),
    "mount_setattr": (442, 442, NO_FD, NOWHERE, 0, 0, 0),
    "fsmount": (432, 432, NO_FD, 0, 0),
    "fspick": (433, 433, NO_FD, NOWHERE, 0),
    # 25: namespaces
    "unshare": (272, 97, 0x10000000 | 1),
    "unshare newuser": (272, 97, 0x10000000),
    "setns": (308, 268, NO_FD, 0),
    "clone newuser": (56, 220, 0x10000000 | 0x800, 0, 0, 0, 0),
    "clone newnet": (56, 220, 0x40000000 | 0x800, 0, 0, 0, 0),
    "clone3": (435, 435, NOWHERE, 8),
    # 26: keys
    "keyctl": (250, 219, 9999, 0, 0, 0, 0),
    "add_key": (248, 217, NOWHERE, NOWHERE, 0, 0, 0),
    "request_key": (249, 218, NOWHERE, 0, 0, 0),
    # 27 to 30: bpf, perf, io_uring, userfaultfd
    "bpf": (321, 280, 9999, NOWHERE, 0),
    "perf_event_open": (298, 241, NOWHERE, 0, -1, -1, 0),
    "io_uring_setup": (425, 425, 1, NOWHERE),
    "io_uring_enter": (426, 426, NO_FD, 0, 0, 0, 0),
    "io_uring_register": (427, 427, NO_FD, 0, 0, 0),
    "io_setup": (206, 0, 1, NOWHERE),
    "io_submit": (209, 2, 0, 1, NOWHERE),
    "io_cancel": (210, 3, 0, NOWHERE, NOWHERE),
    "io_destroy": (207, 1, 0),
    "io_getevents": (208, 4, 0, 1, 1, NOWHERE, 0),
    "io_pgetevents": (333, 292, 0, 1, 1, NOWHERE, 0, 0),
    "userfaultfd": (323, 282, 0xFFFFFF),
    # 32: other processes
    "ptrace": (101, 117, 0, 0, 0, 0),
    "process_vm_readv": (310, 270, 0, 0, 0, 0, 0, 9),
    "process_vm_writev": (311, 271, 0, 0, 0, 0, 0, 9),
    "kcmp": (312, 272, 0, 0, 99, 0, 0),
    "pidfd_getfd": (438, 438, NO_FD, 0, 0),
    "process_madvise": (440, 440, NO_FD, NOWHERE, 1, 0, 0),
    "process_mrelease": (448, 448, NO_FD, 0),
    "prlimit of 1": (302, 261, 1, 7, NOWHERE, 0),
    "sched_setaffinity of 1": (203, 122, 1, 8, NOWHERE),
    "setpriority of 1": (141, 140, 0, 1, 0),
    "sched_setscheduler of 1": (144, 119, 1, 0, NOWHERE),
    "sched_setparam of 1": (142, 118, 1, NOWHERE),
    "sched_setattr of 1": (314, 274, 1, NOWHERE, 0),
    # 33: devices
    "mknod": (133, None, NOWHERE, 0o20666, 0x103),
    "mknodat": (259, 33, NO_FD, NOWHERE, 0o10666, 0),
    # 35 to 38: chroot, personality, machine, file handles
    "chroot": (161, 51, NOWHERE),
    "personality": (135, 92, 0x0040000),
    "modify_ldt": (154, None, 1, NOWHERE, 1),
    "kexec_load": (246, 104, 0, 99_999, NOWHERE, 0xFFFF),
    "init_module": (175, 105, NOWHERE, 0, NOWHERE),
    "finit_module": (313, 273, NO_FD, NOWHERE, 0),
    "delete_module": (176, 106, NOWHERE, 0),
    "reboot": (169, 142, 0, 0, 0, 0),
    "swapon": (167, 224, NOWHERE, 0),
    "swapoff": (168, 225, NOWHERE),
    "settimeofday": (164, 170, NOWHERE, 0),
    "clock_settime": (227, 112, 0, NOWHERE),
    "clock_adjtime": (305, 266, 0, NOWHERE),
    "adjtimex": (159, 171, NOWHERE),
    "sethostname": (170, 161, NOWHERE, 1),
    "setdomainname": (171, 162, NOWHERE, 1),
    "acct": (163, 89, NOWHERE),
    "syslog": (103, 116, 99, 0, 0),
    "iopl": (172, None, 9),
    "ioperm": (173, None, 0, -1, 0),
    "quotactl": (179, 60, 0, NOWHERE, 0, NOWHERE),
    "open_by_handle_at": (304, 265, NO_FD, NOWHERE, 0),
    "name_to_handle_at": (303, 264, NO_FD, NOWHERE, NOWHERE, NOWHERE, 0),
    "fanotify_init": (300, 262, 0xFFFFFF, 0),
    "fanotify_mark": (301, 263, NO_FD, 1, 1, NO_FD, NOWHERE),
    "capset": (126, 91, NOWHERE, NOWHERE),
    "ioprio_set": (251, 30, 99, 0, 0),
    "ioprio_get": (252, 31, 99, 0),
    "lookup_dcookie": (212, 18, 0, NOWHERE, 1),
    "vmsplice": (278, 75, NO_FD, NOWHERE, 1, 0),
    "memfd_secret": (447, 447, 0xFFFFFF),
    "remap_file_pages": (216, 234, NOWHERE, 1, 1, 0, 0),
    "move_pages": (279, 239, 1, 1, NOWHERE, 0, 0, 0),
    "mbind": (237, 235, NOWHERE, 1, 99, 0, 0, 0),
    "set_mempolicy": (238, 237, 99, 0, 0),
    "get_mempolicy": (239, 236, NOWHERE, 0, 0, 0, 99),
    "statmount": (457, 457, NOWHERE, NOWHERE, 0, 0),
    "listmount": (458, 458, NOWHERE, NOWHERE, 0, 0),
    # system V and message queues
    "shmget": (29, 194, 0, 0, 0),
    "shmat": (30, 196, -1, 0, 0),
    "shmctl": (31, 195, -1, 2, NOWHERE),
    "shmdt": (67, 197, NOWHERE),
    "msgget": (68, 186, 0, 0),
    "msgsnd": (69, 189, -1, NOWHERE, 1, 0),
    "msgrcv": (70, 188, -1, NOWHERE, 1, 0, 0),
    "msgctl": (71, 187, -1, 2, NOWHERE),
    "semget": (64, 190, 0, -1, 0),
    "semop": (65, 193, -1, NOWHERE, 1),
    "semctl": (66, 191, -1, 0, 12, 0),
    "semtimedop": (220, 192, -1, NOWHERE, 1, 0),
    "mq_open": (240, 180, NOWHERE, 0, 0, 0),
    "mq_unlink": (241, 181, NOWHERE),
    "mq_timedsend": (242, 182, NO_FD, NOWHERE, 1, 0, 0),
    "mq_timedreceive": (243, 183, NO_FD, NOWHERE, 1, 0, 0),
    "mq_notify": (244, 184, NO_FD, 0),
    "mq_getsetattr": (245, 185, NO_FD, 0, NOWHERE),
    # 41 and 42: terminals, other ways in
    "ioctl TIOCSTI": (16, 29, 0, 0x5412, NOWHERE),
    "ioctl TIOCLINUX": (16, 29, 0, 0x541C, NOWHERE),
    "x32 getpid": (0x40000000 | 39, None),
}


def in_child(call):
    """Make a call in a child; return its error number, 0 or -1 for death."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write_fd, bytes([call()]))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write_fd)
    answer = os.read(read_fd, 1)
    os.close(read_fd)
    return answer[0] if answer else -1


def errno_of(number, *arguments):
    """Return the error number of a system call, 0 for success."""
    ctypes.set_errno(0)
    longs = [ctypes.c_long(argument) for argument in arguments]
    return ctypes.get_errno() if LIBC.syscall(ctypes.c_long(number), *longs) == -1 else 0


def errno_of_32_bit_call():
    """Make the 32-bit system call getpid: mov eax, 20; int 0x80; ret."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return max(-call(), 0) & 0xFF


def answers():
    """Return the error number of every call that this processor has."""
    found = {}
    for name, (x86_64, aarch64, *arguments) in CALLS.items():
        number = aarch64 if IS_ARM else x86_64
        if number is not None:
            found[name] = in_child(
                lambda number=number, arguments=arguments: errno_of(number, *arguments)
            )
    if not IS_ARM:
        found["32bit getpid"] = in_child(errno_of_32_bit_call)
    return found


def family_errno(family):
    """Try every socket of a family; return 0 for success or the last error."""
    for kind in (1, 2, 5, 3):
        if LIBC.socket(family, kind, 0) >= 0:
            return 0
    return ctypes.get_errno()


sys.stdout.write(
    json.dumps(
        {
            "calls": answers(),
            "families": {family: family_errno(family) for family in range(46)},
            "raw": [LIBC.socket(family, 3, 1) >= 0 for family in (2, 10)],
        }
    )
)
