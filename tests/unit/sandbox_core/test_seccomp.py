"""The seccomp profile: what it allows beyond or short of the engine's own default, name by name."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest

import sandbox
from sandbox import seccomp

# Hash of the names that Docker's default profile allows without a condition (moby/profiles at
# cd3bed8: 364 names).
DOCKERS_COUNT = 364
DOCKERS_NAMES = "b09a176d8b037d96c3ab5f16685190139bd5c1c2ecef4d42285c01276b8a179b"
# Docker's default allows it where there is such a call; the name means nothing elsewhere.
ONLY_OURS = {"arch_prctl"}
ONLY_DOCKERS = {
    "of 32-bit programs, whose entry points are closed": """
        _llseek _newselect chown32 clock_adjtime64 clock_getres_time64 clock_gettime64
        clock_nanosleep_time64 fadvise64_64 fchown32 fcntl64 fstat64 fstatat64 fstatfs64
        ftruncate64 futex_time64 getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32
        getuid32 io_pgetevents_time64 ipc lchown32 lstat64 mmap2 mq_timedreceive_time64
        mq_timedsend_time64 ppoll_time64 pselect6_time64 recv recvmmsg_time64
        rt_sigtimedwait_time64 sched_rr_get_interval_time64 semtimedop_time64 send sendfile64
        setfsgid32 setfsuid32 setgid32 setgroups32 setregid32 setresgid32 setresuid32 setreuid32
        setuid32 sigprocmask sigreturn socketcall stat64 statfs64 timer_gettime64 timer_settime64
        timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit utimensat_time64 waitpid
        epoll_ctl_old epoll_wait_old riscv_hwprobe""",
    "into other processes": "ptrace process_vm_readv process_vm_writev process_mrelease",
    "of other processes' limits and priority": """
        prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority""",
    "of the kernel's own input and output": """
        io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents""",
    "that make devices and pipes with names": "mknod mknodat",
    "of queues that outlive their process": """
        msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink""",
    "about mounts and files outside": "name_to_handle_at statmount listmount",
    "that exploits like": "memfd_secret remap_file_pages vmsplice",
    "of no use without capabilities": """
        adjtimex clock_adjtime capset ioprio_get ioprio_set fanotify_mark uretprobe""",
    "that are allowed for some arguments only": "ioctl",
    "that succeed and do nothing": "sync syncfs",
}
ALWAYS_SHUT = (
    "bpf clone3 fsopen init_module io_uring_enter io_uring_setup kexec_load keyctl mount"
    " move_mount open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root"
    " process_madvise ptrace reboot setns swapon umount2 unshare userfaultfd add_key request_key"
    " kcmp chroot acct syslog iopl ioperm modify_ldt mbind move_pages"
).split()


class Argument(TypedDict, total=False):
    index: int
    value: int
    valueTwo: int
    op: str


class Rule(TypedDict, total=False):
    names: list[str]
    action: str
    args: list[Argument]
    errnoRet: int


class Profile(TypedDict):
    defaultAction: str
    defaultErrnoRet: int
    archMap: list[dict[str, object]]
    syscalls: list[Rule]


PROFILE: Profile = json.loads(json.dumps(seccomp.profile()))


def rules_for(name: str) -> list[Rule]:
    return [rule for rule in PROFILE["syscalls"] if name in rule["names"]]


def test_shipped_profile_equals_the_generated_one() -> None:
    shipped = (Path(sandbox.__file__).parent / "seccomp.json").read_text(encoding="utf-8")
    assert shipped == json.dumps(PROFILE, indent=1) + "\n"


def test_every_difference_from_the_engines_default_is_named() -> None:
    withheld = {name for names in ONLY_DOCKERS.values() for name in names.split()}
    assert withheld & set(seccomp.ALLOWED) == set()
    assert set(seccomp.ALLOWED) >= ONLY_OURS
    dockers = sorted((set(seccomp.ALLOWED) - ONLY_OURS) | withheld)
    assert len(dockers) == DOCKERS_COUNT
    assert hashlib.sha256(" ".join(dockers).encode()).hexdigest() == DOCKERS_NAMES


def test_unnamed_system_calls_are_refused() -> None:
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


def test_profile_allows_only_native_entry_points() -> None:
    assert all(not entry["subArchitectures"] for entry in PROFILE["archMap"])


@pytest.mark.parametrize("name", ALWAYS_SHUT)
def test_dangerous_calls_are_never_allowed(name: str) -> None:
    assert [rule for rule in rules_for(name) if rule["action"] == "SCMP_ACT_ALLOW"] == []


def test_no_call_is_allowed_twice_or_beside_its_condition() -> None:
    assert len(set(seccomp.ALLOWED)) == len(seccomp.ALLOWED)
    conditional = {
        name for rule in PROFILE["syscalls"] if rule.get("args") for name in rule["names"]
    }
    assert conditional & set(seccomp.ALLOWED) == set()


def test_a_condition_allows_single_values_and_never_forbids_one() -> None:
    """Bits that the kernel does not read evade a rule that forbids a value (CVE-2019-10063)."""
    operators = {
        argument["op"] for rule in PROFILE["syscalls"] for argument in rule.get("args", [])
    }
    assert operators <= {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}


def test_sockets_are_local_or_of_the_internet() -> None:
    families = [rule["args"][0]["value"] for rule in rules_for("socket")]
    assert sorted(families) == [1, 2, 10]


def test_clone3_returns_enosys_because_threads_need_it() -> None:
    (rule,) = rules_for("clone3")
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_clone_makes_no_namespace() -> None:
    (rule,) = rules_for("clone")
    assert rule["args"] == [
        {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    ]


@pytest.mark.parametrize("request_", [0x5412, 0x541C])
def test_profile_forbids_typing_into_a_terminal(request_: int) -> None:
    assert request_ not in {rule["args"][0]["valueTwo"] for rule in rules_for("ioctl")}


def test_profile_modified_on_disk_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "sandbox"
    shutil.copytree(
        Path(sandbox.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    look = [
        sys.executable,
        "-c",
        "from sandbox.engine.docker_sandbox import seccomp_profile; print(len(seccomp_profile()))",
    ]

    def asked(change: Callable[[str], str]) -> subprocess.CompletedProcess[str]:
        text = (Path(sandbox.__file__).parent / "seccomp.json").read_text()
        (package / "seccomp.json").write_text(change(text))
        return subprocess.run(look, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert asked(lambda text: text).returncode == 0
    for change in (
        lambda text: text.replace('"SCMP_ACT_ERRNO"', '"SCMP_ACT_ALLOW"', 1),
        lambda text: text.replace('"accept"', '"accept", "ptrace"', 1),
        lambda text: text[:-10],
    ):
        done = asked(change)
        assert done.returncode == 1
        assert "IsolationMismatch" in done.stderr
        assert "Reinstall l2mac" in done.stderr


def test_attack_suite_tries_every_withheld_call() -> None:
    program = Path(sandbox.__file__).parent / "attack" / "programs" / "syscalls.py"
    source = program.read_text(encoding="utf-8")
    probes = re.findall(r'^    "([^"]+)": \(', source, re.MULTILINE)
    tried = {probe.split()[0].replace("prlimit", "prlimit64") for probe in probes}
    by_nature = {"of 32-bit programs, whose entry points are closed", "that succeed and do nothing"}
    withheld: set[str] = set()
    for group, names in ONLY_DOCKERS.items():
        if group not in by_nature:
            withheld |= set(names.split())
    assert withheld - tried == {"uretprobe"}  # it ends a caller outside of a probe in any case
    assert set(ALWAYS_SHUT) <= tried | {"umount2"}
