"""Rows 24 to 42: the parts of the kernel that a sandbox can reach."""

from collections.abc import Iterator

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Arena, Site, program
from sandbox.attack.weakened import WeakenedOutcome, almighty, unconfined
from sandbox.engine.connection import JsonObject
from sandbox.engine.hardening import MASKED_PATHS

# Error numbers of refused calls: EPERM, ENOSYS, or the caller was killed.
_REFUSALS = (1, 38, -1)
_FAMILIES = {"1", "2", "10"}
_CALLS = {
    24: "mount umount2 pivot_root fsopen open_tree move_mount mount_setattr fsmount fspick",
    25: "unshare unshare-newuser setns clone-newuser clone-newnet clone3",
    26: "keyctl add_key request_key",
    27: "bpf",
    28: "perf_event_open",
    29: "io_uring_setup io_uring_enter io_uring_register io_setup io_submit io_cancel io_destroy"
    " io_getevents io_pgetevents",
    30: "userfaultfd",
    32: "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise prlimit-of-1"
    " sched_setaffinity-of-1 sched_setattr-of-1 sched_setparam-of-1 sched_setscheduler-of-1"
    " setpriority-of-1 process_mrelease",
    35: "chroot",
    36: "personality modify_ldt memfd_secret vmsplice remap_file_pages move_pages mbind"
    " set_mempolicy get_mempolicy shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget"
    " semop semctl semtimedop mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify"
    " mq_getsetattr",
    37: "kexec_load init_module finit_module delete_module reboot swapon swapoff settimeofday"
    " clock_settime clock_adjtime adjtimex sethostname setdomainname acct syslog iopl ioperm"
    " quotactl lookup_dcookie capset ioprio_set ioprio_get",
    38: "open_by_handle_at name_to_handle_at fanotify_init fanotify_mark statmount listmount",
    41: "ioctl-TIOCSTI ioctl-TIOCLINUX",
    42: "x32-getpid 32bit-getpid",
}
# gVisor's own kernel answers these calls, and our profile does not apply inside it. None of them
# reaches the machine's kernel.
_GVISOR_HAS = frozenset(
    (
        "unshare|unshare newuser|ptrace|setpriority of 1|prlimit of 1|sched_setaffinity of 1"
        "|sched_setscheduler of 1|mknod|mknodat|io_setup|io_uring_setup|perf_event_open|mbind"
        "|set_mempolicy|get_mempolicy|ioctl TIOCSTI|ioctl TIOCLINUX|personality|keyctl|add_key"
        "|request_key|setns|open_by_handle_at|name_to_handle_at|clone newuser|clone newnet"
        "|32bit getpid|io_submit|io_cancel|io_destroy|io_getevents|io_pgetevents|capset|shmget"
        "|shmat|shmctl|shmdt|msgget|msgsnd|msgrcv|msgctl|semget|semop|semctl|semtimedop|mq_open"
        "|mq_unlink|mq_timedsend|mq_timedreceive|mq_notify|mq_getsetattr"
    ).split("|")
)


def attack(site: Site) -> Iterator[AttackFinding]:
    """Attack the kernel; controls are root, and a container without profile."""
    controls = site.control(
        almighty,
        {
            "calls": (program("syscalls"),),
            "devices": (program("devices"),),
            "become": (program("become"),),
            "files": (program("kernel_files"),),
            "masked": (program("masked"), *MASKED_PATHS),
            "writable": (program("writable"),),
        },
    )
    unprofiled = site.control(unconfined, {"calls": (program("syscalls"),)})["calls"].value
    with site.sandbox() as arena:
        seen = arena.value(program("syscalls"))
        almighty_seen = controls["calls"].value
        for number, names in _CALLS.items():
            yield _calls(
                number,
                names.split(),
                seen["calls"],
                (almighty_seen["calls"], unprofiled["calls"]),
                site,
            )
        yield _sockets(site, seen, almighty_seen)
        yield from _without_calls(site, arena, seen["calls"], controls)


def _calls(
    number: int,
    hyphenated: list[str],
    seen: dict[str, int],
    controls: tuple[dict[str, int], ...],
    site: Site,
) -> AttackFinding:
    names = [one.replace("-", " ") for one in hyphenated]
    names = [name for name in names if name in seen]
    if not names:
        return AttackFinding(
            number=number,
            observed="this processor has no such calls",
            limit="no such calls",
            applies=False,
        )
    through = {name for name in names if seen[name] not in _REFUSALS}
    foreign = through & _GVISOR_HAS if site.has_own_kernel else set()
    succeeded = {name for one in controls for name in names if one[name] not in _REFUSALS}
    shown = [name for name in names if name in succeeded]
    missing = [name for name in names if name not in shown]
    observed = f"{len(names) - len(through)} of {len(names)} calls refused"
    if foreign:
        answered = _some(sorted(foreign))
        observed += f"; the runtime's own kernel answers {answered}, not the machine's kernel"
    if through - foreign:
        observed += f"; succeeded: {_some(sorted(through - foreign))}"
    control = f"without profile, as root: {len(shown)} of {len(names)} succeed"
    if missing:
        control += f"; not in this kernel: {_some(missing)}"
    return AttackFinding(
        number=number,
        held=not through - foreign,
        observed=observed,
        shown=bool(shown),
        control=control,
    )


def _sockets(site: Site, seen: JsonObject, control: JsonObject) -> AttackFinding:
    families, more = _open_families(seen), _open_families(control)
    allowed = set(_FAMILIES)
    if site.has_own_kernel:
        allowed.add("16")  # gVisor has netlink sockets of its own
    raw = "created" if any(seen["raw"]) else "refused"
    return AttackFinding(
        number=31,
        held=set(families) <= allowed and not any(seen["raw"]),
        observed=f"families {', '.join(families)}; raw sockets {raw}",
        shown=len(set(more)) > len(_FAMILIES) and any(control["raw"]),
        control=f"without profile, as root: families {', '.join(more)}; raw sockets created",
    )


def _open_families(seen: JsonObject) -> list[str]:
    return sorted((name for name, error in seen["families"].items() if error == 0), key=int)


def _without_calls(
    site: Site, arena: Arena, calls: dict[str, int], controls: dict[str, WeakenedOutcome]
) -> Iterator[AttackFinding]:
    devices, weak_devices = arena.value(program("devices")), controls["devices"].value
    made = [name for name in ("mknod", "mknodat") if name in calls and calls[name] not in _REFUSALS]
    own: list[str] = []
    if site.has_own_kernel:  # the devices of a runtime's own kernel lead to none of the machine's
        made, own, devices = [], devices, []
    observed = "no device created; only the usual devices exist"
    if own:
        observed = f"only devices of the runtime's own kernel: {_some(own)}"
    if devices or made:
        observed = f"{_some(devices + made)} existing or created"
    yield AttackFinding(
        number=33,
        held=not devices and not made,
        observed=observed,
        shown=bool(weak_devices),
        control=f"as root with the capability: {_some(weak_devices or [])}",
    )
    yield _identities(arena.value(program("become")), controls["become"].value or {})
    yield _opened(39, arena.value(program("kernel_files")), controls["files"])
    yield _opened(40, arena.value(program("masked"), *MASKED_PATHS), controls["masked"])
    scratch = {"/tmp", "/dev/shm", "/dev/mqueue", "/workspace"}  # noqa: S108 - inside
    writable = set(arena.value(program("writable")))
    weak_writable = set(controls["writable"].value or ())
    folders = f"{len(weak_writable)} folders, among them / and /etc"
    yield AttackFinding(
        number=7,
        held=writable <= scratch,
        observed=f"writable: {_some(sorted(writable))}",
        shown={"/", "/etc", "/usr"} <= weak_writable,
        control=f"with a writable root file system: {folders}",
    )


def _identities(seen: dict[str, list[str]], weak: dict[str, list[str]]) -> AttackFinding:
    files = f"files that lend an identity: {_some(seen['lending'])}"
    return AttackFinding(
        number=34,
        held=not seen["became"] and not seen["lending"],
        observed=f"became: {_some(seen['became'])}; {files}",
        shown=bool(weak.get("became")) and bool(weak.get("lending")),
        control=f"as root: {_some(weak.get('became', []))}; {_some(weak.get('lending', []))}",
    )


def _opened(number: int, paths: list[str], control: WeakenedOutcome) -> AttackFinding:
    return AttackFinding(
        number=number,
        held=not paths,
        observed=f"opened: {_some(paths)}",
        shown=bool(control.value),
        control=f"as root, unmasked: {_some(control.value or [])}",
    )


def _some(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return ", ".join(names) or "none"
