"""Our seccomp profile as data.

`python -m sandbox.seccomp` prints it as `sandbox/seccomp.json`.

The profile is an allow list: a system call that it does not name fails with EPERM. The list starts
from the calls that Docker's default profile allows to a container without capabilities, except
those in `WITHHELD`, where each group has its reason. Only the native architecture is allowed, so
32-bit and x32 entry points, which have numbers of their own, do not exist in the sandbox.

The filter compares arguments as 64-bit values while the kernel reads many of them as 32-bit values,
so setting high bits would bypass a rule that forbids single values (CVE-2019-10063). Every argument
rule here therefore allows single values and never forbids single values.
"""

import json

EPERM = 1
ENOSYS = 38

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr
flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents
getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lchown
lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir
mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2
read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir
sendfile setxattr setxattrat splice stat statfs statx symlink symlinkat sync_file_range tee truncate
umask unlink unlinkat utime utimensat utimes write writev cachestat
"""
_MEMORY = """
brk madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect
mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
"""
_PROCESSES = """
execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getrlimit getrusage
getsid gettid kill pidfd_open pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo set_robust_list
get_robust_list set_tid_address setpgid setrlimit setsid sigaltstack tgkill tkill vfork wait4 waitid
prctl arch_prctl seccomp landlock_add_rule landlock_create_ruleset landlock_restrict_self
restart_syscall rseq set_thread_area get_thread_area sched_getaffinity sched_getattr sched_getparam
sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_yield
capget getcpu futex futex_requeue futex_wait futex_waitv futex_wake
"""
_IDENTITY = """
getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups
setregid setresgid setresuid setreuid setuid
"""
_TIME_AND_EVENTS = """
alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep pause setitimer
time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait eventfd eventfd2 poll ppoll pselect6 select signalfd signalfd4 getrandom sysinfo uname
"""
_SOCKETS = """
accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg
sendmmsg sendmsg sendto setsockopt shutdown socketpair
"""

ALLOWED = tuple(
    sorted((_FILES + _MEMORY + _PROCESSES + _IDENTITY + _TIME_AND_EVENTS + _SOCKETS).split())
)

SOCKET_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
PERSONALITIES = (0x0, 0xFFFFFFFF)
NAMESPACE_FLAGS = 0x7E020000
OWN_PROCESS_ONLY = (
    "prlimit64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
)
IOCTLS = {
    "TCGETS": 0x5401, "TCSETS": 0x5402, "TCSETSW": 0x5403, "TCSETSF": 0x5404,
    "TCSBRK": 0x5409, "TCXONC": 0x540A, "TCFLSH": 0x540B, "TIOCSCTTY": 0x540E,
    "TIOCGPGRP": 0x540F, "TIOCSPGRP": 0x5410, "TIOCOUTQ": 0x5411, "TIOCGWINSZ": 0x5413,
    "TIOCSWINSZ": 0x5414, "FIONREAD": 0x541B, "FIONBIO": 0x5421, "TIOCNOTTY": 0x5422,
    "TIOCGSID": 0x5429, "TIOCGPTN": 0x80045430, "TIOCSPTLCK": 0x40045431, "TIOCGPTPEER": 0x5441,
    "FIONCLEX": 0x5450, "FIOCLEX": 0x5451, "FIOASYNC": 0x5452, "FICLONE": 0x40049409,
    "FS_IOC_GETFLAGS": 0x80086601, "SIOCGIFNAME": 0x8910, "SIOCGIFCONF": 0x8912,
    "SIOCGIFFLAGS": 0x8913, "SIOCGIFADDR": 0x8915,
}  # fmt: skip

WITHHELD = {
    "32-bit and x32 system calls": (
        "these entry points have numbers of their own, and no program here needs them"
    ),
    "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise process_mrelease": (
        "one process of the sandbox must not inspect or control another"
    ),
    "prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority"
    " of another process": (
        "generated code runs under the guest's uid and could set the guest's limits and priority"
    ),
    "io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents io_uring_*": (
        "kernel-side I/O has had many privilege escalations; CPython and ruff do not need it"
    ),
    "socket families other than AF_UNIX AF_INET AF_INET6": (
        "AF_ALG, AF_VSOCK, AF_NETLINK and AF_PACKET reach kernel code (CVE-2026-31431) that a"
        " sandbox without a network does not need"
    ),
    "mknod mknodat": "a reader outside could block on a named pipe or a device",
    "msg* sem* shm* mq_*": (
        "System V and POSIX queues outlive the process; multiprocessing uses files in /dev/shm"
    ),
    "name_to_handle_at open_by_handle_at statmount listmount": (
        "these calls reveal mounts and files outside the sandbox"
    ),
    "memfd_secret userfaultfd remap_file_pages vmsplice modify_ldt personality(other)": (
        "kernel exploits use these calls"
    ),
    "adjtimex clock_adjtime capset ioprio_set fanotify_mark uretprobe": (
        "these calls have no use without capabilities"
    ),
    "ioctl other than the terminal's, FIO* and interface queries": (
        "TIOCSTI and TIOCLINUX type into terminals; drivers' own requests are a wide kernel surface"
    ),
    "sync syncfs": (
        "these calls would flush all disks of the machine; they return success and do nothing"
    ),
}


def profile() -> dict[str, object]:
    """Return the profile in the engine's JSON form."""
    rules: list[dict[str, object]] = [{"names": list(ALLOWED), "action": "SCMP_ACT_ALLOW"}]
    rules += [_allow("socket", _equal(0, family)) for family in SOCKET_FAMILIES.values()]
    rules += [_allow("personality", _equal(0, value)) for value in PERSONALITIES]
    rules += [_allow(name, _equal(0, 0)) for name in OWN_PROCESS_ONLY]
    rules += [_allow("setpriority", _equal(0, 0), _equal(1, 0))]
    rules += [_allow("ioctl", _low_word(1, request)) for request in IOCTLS.values()]
    new_namespaces = {"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0}
    rules += [_allow("clone", {**new_namespaces, "op": "SCMP_CMP_MASKED_EQ"})]
    rules += [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}]
    rules += [{"names": ["sync", "syncfs"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": None},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
        ],
        "syscalls": rules,
    }


def _allow(name: str, *arguments: dict[str, object]) -> dict[str, object]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _equal(index: int, value: int) -> dict[str, object]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _low_word(index: int, value: int) -> dict[str, object]:
    return {"index": index, "value": 0xFFFFFFFF, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


if __name__ == "__main__":
    print(json.dumps(profile(), indent=1))
