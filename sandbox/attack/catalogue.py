"""The catalogue: every attack with its number, section and expected result."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttackRow:
    """One attack and its expected result."""

    number: int
    section: str
    attack: str
    expected: str


_SECTIONS = (
    (
        "Resources",
        (
            ("fork bomb", "forks are refused, the command ends at its limit, the sandbox works on"),
            ("memory bomb", "the kernel kills it at the sandbox's limit and the cause is named"),
            ("fill /tmp and /dev/shm", "no space left, at the size of each"),
            (
                "endless computation in many processes",
                "throttled to the sandbox's processors and ended at the timeout",
            ),
            ("fill the file store's disk", "no space left, at the size of the volume"),
            ("fill the file store with files", "no space left, at the number of inodes"),
            (
                "write to the root file system",
                "everything but the store and the scratch folders is read-only",
            ),
            ("a sparse file of a terabyte", "refused at the largest file size"),
            ("endless output", "ended at the output limit, little of the output kept"),
            ("one endless line", "ended at the output limit, little of the output kept"),
            ("a grandchild that holds the output open", "the command ends nevertheless"),
            ("grow the engine's log", "the sandbox has no log"),
            (
                "nested archive bombs",
                "inside the sandbox the same caps apply; the host unpacks nothing",
            ),
            (
                "folders deeper than any path, thousands of files",
                "the listing is bounded and ends; the sandbox works on",
            ),
            (
                "reports that crash parsers",
                "a check with an unreadable report is broken, never passed",
            ),
            ("open descriptors without end", "refused at the limit"),
            (
                "shared memory and queues of System V and POSIX",
                "queues do not exist; shared memory is bounded",
            ),
            (
                "many commands at once",
                "more jobs than a run may hold are refused before the sandbox gets them",
            ),
        ),
    ),
    (
        "Processes",
        (
            (
                "daemons: double fork, setsid, ignored signals",
                "no daemon is alive after its command has ended",
            ),
            ("zombies", "no zombie is left"),
            ("trace or control the guest and the checkers", "refused"),
            (
                "read the guest's memory, environment, descriptors",
                "refused; no frame can be forged",
            ),
            (
                "stop or kill the guest and the checkers",
                "the guest survives, or the loss of the sandbox is a typed error",
            ),
        ),
    ),
    (
        "Kernel",
        (
            ("mount and related calls", "refused"),
            ("new namespaces", "refused"),
            ("kernel keys", "refused"),
            ("bpf", "refused"),
            ("perf events", "refused"),
            ("io_uring and kernel-side I/O", "refused"),
            ("userfaultfd", "refused"),
            (
                "sockets of other families, raw sockets",
                "only local and internet sockets, and no raw sockets",
            ),
            ("system calls into other processes", "refused"),
            ("make devices", "refused; only the usual devices exist"),
            ("setuid files, other identities", "no setuid files, no other identity"),
            ("chroot", "refused"),
            ("personality, modify_ldt, queues, calls that exploits use", "refused"),
            ("modules, kexec, reboot, swap, host names, accounting", "refused"),
            ("open files by handle", "refused"),
            ("write to /proc/sys, /sys and control groups", "refused"),
            ("read masked paths", "empty"),
            ("type into a terminal", "refused; there is no terminal"),
            ("32-bit and x32 system calls", "do not exist"),
        ),
    ),
    (
        "Files",
        (
            (
                "links out of the store, swapped at the last moment",
                "refused or removed; no byte of their target appears",
            ),
            ("hard links to files outside", "refused"),
            ("pipes, sockets and devices as files", "refused or removed; nothing hangs"),
            (
                "names that harm terminals, shells and file systems",
                "not listed; the sandbox works on",
            ),
            ("names that lead out of the store", "refused; nothing is written"),
            ("hostile archives", "the host never unpacks content of a sandbox"),
            (
                "exported files that could act on the host",
                "quarantined and listed; other files have no execute and setuid bits",
            ),
            ("escape sequences for the terminal", "shown as text"),
            ("lines that look like log records", "each record stays one line"),
            (
                "instructions to the model in files",
                "the tools stay the same; unknown tools are refused",
            ),
        ),
    ),
    (
        "Verdicts",
        (
            (
                "hooks, plugins, options, start-up files, shadowed modules",
                "a failing test stays failed",
            ),
            ("early exits and forged reports", "without a complete report there is no pass"),
            ("poisoned bytecode and caches", "the source decides"),
            ("a faked clock", "the time is measured outside the command"),
        ),
    ),
    (
        "Network and secrets",
        (
            (
                "reach a listener over TCP, UDP, IPv6, ICMP",
                "unreachable: only a loopback interface, no route",
            ),
            (
                "metadata services, the gateway, the host's loopback",
                "no route; the sandbox has a loopback interface of its own",
            ),
            ("resolve names", "no resolver answers"),
            ("abstract sockets of other containers", "not visible"),
            ("sockets of the engine and others", "no such socket exists"),
            (
                "find a secret of the host's environment",
                "the secret is not in the sandbox, its receipt, its settings or its image",
            ),
            ("timing, caches, memory pressure", "not defended, as SECURITY.md states"),
            ("data of an earlier sandbox", "no such data exists"),
            ("the host process dies", "the sandbox ends, and its volume is removed"),
            ("an image's tag is moved", "sandboxes start from the verified id"),
        ),
    ),
)


def rows() -> tuple[AttackRow, ...]:
    """Return all rows in order, numbered from 1."""
    flat = [(section, *entry) for section, entries in _SECTIONS for entry in entries]
    return tuple(AttackRow(number, *entry) for number, entry in enumerate(flat, start=1))
