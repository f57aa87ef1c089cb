"""What a box may use: one frozen value, checked when it is made."""

import math
import re
from dataclasses import dataclass

from sandbox.errors import PolicyError
from sandbox.protocol import MAX_BODY_BYTES, MAX_JOBS, MAX_STORED_FILES

KIB, MIB, GIB = 1024, 1024**2, 1024**3

WORKSPACE = "/workspace"
PACKAGES = "/packages"
GUEST_RESERVE_BYTES = 128 * MIB
MAX_KEPT_OUTPUT_BYTES = MAX_BODY_BYTES // (
    8 * MAX_JOBS
)  # head and tail of two streams fill half of a reply

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1024 * GIB}

_DAY_S = 24 * 3600.0
# The guest and the preloaded checkers count as processes; a frame has to carry a listing, a file, a run's outputs;
# beats have to come in time on a busy machine.
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("cpus", 0.01, 4096),
    ("pids", 16, 65_536),
    ("open_files", 64, 1 << 20),
    ("max_files", 1, MAX_STORED_FILES),
    ("max_write_bytes", 1, MAX_BODY_BYTES),
    ("kept_output_bytes", 1, MAX_KEPT_OUTPUT_BYTES),
    ("timeout_s", 0.001, _DAY_S),
    ("lease_s", 2, _DAY_S),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPolicy:
    """Limits of one box. The defaults are the strictest that a small project's tests run well under.

    There is no way to express a privileged box, added capabilities, a network, a host path or another seccomp
    profile: what cannot be said cannot be configured by mistake.

    Raises:
        PolicyError: A limit is not positive, or the limits contradict each other.
    """

    memory_bytes: int = GIB
    """Memory of all processes and all tmpfs content together; there is no swap on top."""
    cpus: float = 2.0
    """CPU time per second of wall time; cut to what the engine's machine has."""
    pids: int = 256
    """Processes and threads."""
    disk_bytes: int = 256 * MIB
    """Size of the file store's volume."""
    disk_inodes: int = 32_768
    """Files and directories on the file store's volume."""
    tmp_bytes: int = 64 * MIB
    """Size of /tmp, emptied after every command."""
    shm_bytes: int = 32 * MIB
    """Size of /dev/shm, emptied after every command."""
    open_files: int = 1024
    """Descriptors per process."""
    file_bytes: int = 128 * MIB
    """The largest file that a command may write."""
    max_files: int = 10_000
    """Files in the store."""
    max_write_bytes: int = 4 * MIB
    """The largest file that one write operation may carry."""
    timeout_s: float = 60.0
    """Wall time of one command, checks included."""
    max_output_bytes: int = 256 * MIB
    """What one command may put out before it is ended; far less is kept."""
    kept_output_bytes: int = 512 * KIB
    """How much of each stream's head, and again of its tail, is kept; at most 512 KiB."""
    lease_s: float = 45.0
    """After how long without a sign of life from the host the box ends itself."""
    runtime: str = ""
    """The engine's runtime, such as `runsc`; empty for the engine's default (`auto`: see `sandbox.engine.trial`)."""
    volume: str = "tmpfs"
    """`tmpfs`: hard caps on bytes and inodes, in memory. `disk`: on the engine's disk, without caps."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not (math.isfinite(value) and value > 0):
                raise PolicyError(f"{name} must be greater than 0 and finite, not {value}")
        if self.volume not in ("tmpfs", "disk"):
            raise PolicyError(f"volume must be 'tmpfs' or 'disk', not {self.volume!r}")
        for name, least, most in _BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise PolicyError(
                    f"{name} must be between {least} and {most}, not {getattr(self, name)}"
                )
        if self.needed_memory_bytes > self.memory_bytes:
            raise PolicyError(
                f"memory of {format_size(self.memory_bytes)} is too small: the file store, /tmp, /dev/shm and the"
                f" guest need {format_size(self.needed_memory_bytes)}; raise --memory or lower --disk"
            )

    @property
    def needed_memory_bytes(self) -> int:
        """What the tmpfs mounts can fill, with room for the guest: filled mounts must not end the box."""
        disk = self.disk_bytes if self.volume == "tmpfs" else 0
        return disk + self.tmp_bytes + self.shm_bytes + GUEST_RESERVE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom the proxy connects to, and how much it carries.

    Attributes:
        hosts: Exact names in lower case.
        private_hosts: Those of them that may have a private address.
        max_bytes: What all connections together may bring in.
        max_connections: How many connections there may be in all.
        idle_s: After how long without a byte a connection is ended.
    """

    hosts: frozenset[str]
    private_hosts: frozenset[str] = frozenset()
    max_bytes: int = 512 * 1024 * 1024
    max_connections: int = 400
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageIndex:
    """Where packages come from.

    Attributes:
        url: The index, PEP 503 or 691; without a user or a password, as it is known in the box.
        reach: Whom the box may be connected to.
        certificates: The authorities to trust, PEM; empty for those that come with pip.
    """

    url: str
    reach: Reach
    certificates: bytes = b""


def parse_size(text: str) -> int:
    """Give the bytes of a size such as `512m`, `1g`, `256MiB` or `1048576`; units are powers of 1024.

    Raises:
        PolicyError: It is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    size_bytes = float(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not 1 <= size_bytes < _UNITS["t"] * 1024:
        raise PolicyError(f"{text!r} is not a size; write for example 512m or 1g")
    return int(size_bytes)


def format_size(size_bytes: int) -> str:
    """Give a size in the largest binary unit that leaves at least 1, such as `256 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size_bytes} bytes"
