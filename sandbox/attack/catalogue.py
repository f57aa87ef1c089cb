"""What is tried: every row with its number, its section, and what has to come of it. Data, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttackRow:
    """One attack: what it does, and what has to come of it."""

    number: int
    section: str
    attack: str
    expected: str


_SECTIONS = (
    (
        "Resources",
        (
            ("fork bomb", "forks are refused, the command ends at its limit, the sandbox works on"),
            ("memory bomb", "the kernel ends it at the sandbox's limit, and the cause is named"),
            ("fill /tmp and /dev/shm", "no space left, at the size of each"),
            (
                "endless computation in many processes",
                "throttled to the sandbox's processors, ended at its time",
            ),
            ("fill the file store's disk", "no space left, at the size of the volume"),
            ("fill the file store with files", "no space left, at the number of inodes"),
            (
                "write to the root file system",
                "read-only everywhere but in the store and the scratch folders",
            ),
            ("a sparse file of a terabyte", "refused at the largest size of a file"),
            ("endless output", "ended at the output limit, little of it kept"),
            ("one line without an end", "ended at the output limit, little of it kept"),
            ("a grandchild that holds the output open", "the command ends all the same"),
            ("grow the engine's log", "the sandbox has no log"),
            (
                "archive bombs, nested",
                "unpacked inside they meet the same caps; the host unpacks nothing",
            ),
            (
                "folders deeper than any path, thousands of files",
                "the listing ends, bounded; the sandbox works on",
            ),
            (
                "reports that bring parsers down",
                "a check that cannot be read is broken, never passed",
            ),
            ("open descriptors without end", "refused at the limit"),
            (
                "shared memory and queues of System V and POSIX",
                "no such queues; shared memory is bounded",
            ),
            (
                "many commands at once",
                "more than a run may hold are refused before the sandbox is asked",
            ),
        ),
    ),
    (
        "Processes",
        (
            (
                "daemons: double fork, setsid, ignored signals",
                "none is alive when the command has ended",
            ),
            ("zombies", "none is left"),
            ("trace or steer the guest and the checkers", "refused"),
            (
                "read the guest's memory, environment, descriptors",
                "refused; no frame can be forged",
            ),
            (
                "stop or kill the guest and the checkers",
                "the guest lives on, or the loss of the sandbox is a typed error",
            ),
        ),
    ),
    (
        "Kernel",
        (
            ("mount and its kin", "refused"),
            ("new namespaces", "refused"),
            ("kernel keys", "refused"),
            ("bpf", "refused"),
            ("perf events", "refused"),
            ("io_uring and kernel-side I/O", "refused"),
            ("userfaultfd", "refused"),
            (
                "sockets of other families, raw sockets",
                "only local and internet sockets, none of them raw",
            ),
            ("system calls into other processes", "refused"),
            ("make devices", "refused, and none is there but the usual"),
            ("setuid files, other identities", "no such file, no gain"),
            ("chroot", "refused"),
            ("personality, modify_ldt, queues, aids of exploits", "refused"),
            ("modules, kexec, reboot, swap, host names, accounting", "refused"),
            ("open files by handle", "refused"),
            ("write to /proc/sys, /sys and control groups", "refused"),
            ("read masked paths", "empty"),
            ("type into a terminal", "refused, and there is none"),
            ("32-bit and x32 system calls", "do not exist"),
        ),
    ),
    (
        "Files",
        (
            (
                "links out of the store, swapped to the last moment",
                "refused or removed; no byte of their target appears",
            ),
            ("hard links to files outside", "refused"),
            ("pipes, sockets and devices as files", "refused or removed; nothing hangs"),
            (
                "names that harm terminals, shells and file systems",
                "not listed; the sandbox works on",
            ),
            ("names that lead out of the store", "refused, nothing is written"),
            ("hostile archives", "stay bytes: the host unpacks nothing that comes from a sandbox"),
            (
                "exported files that act by themselves",
                "set aside and named; the rest without execute and setuid bits",
            ),
            ("escape sequences for the terminal", "shown as text"),
            ("lines that look like log records", "one record, one line"),
            (
                "instructions to the model in files",
                "the tools stay the same; an unknown one is refused",
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
            ("early exits and forged reports", "no complete report, no pass"),
            ("poisoned bytecode and caches", "the source decides"),
            ("a faked clock", "time is measured outside of the command"),
        ),
    ),
    (
        "Network and secrets",
        (
            (
                "reach a listener over TCP, UDP, IPv6, ICMP",
                "unreachable: no interface but loopback, no route",
            ),
            (
                "metadata services, the gateway, the host's loopback",
                "no route leads anywhere; another loopback",
            ),
            ("resolve names", "no resolver answers"),
            ("abstract sockets of others", "not there"),
            ("sockets of the engine and others", "none is there"),
            (
                "find a secret of the host's environment",
                "nowhere in the sandbox, its receipt, its settings, its image",
            ),
            ("timing, caches, memory pressure", "stated in SECURITY.md as not defended"),
            ("what an earlier sandbox left", "nothing of it is there"),
            ("the host process dies", "the sandbox ends, and its volume goes with it"),
            ("an image's tag is moved", "sandboxes start from the verified id"),
        ),
    ),
)


def rows() -> tuple[AttackRow, ...]:
    """Return all rows in their order, numbered from 1."""
    flat = [(section, *entry) for section, entries in _SECTIONS for entry in entries]
    return tuple(AttackRow(number, *entry) for number, entry in enumerate(flat, start=1))
