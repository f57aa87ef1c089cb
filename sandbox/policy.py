"""Limits of a sandbox: one frozen value, validated when it is made."""

import math
import re
from dataclasses import dataclass

from sandbox.errors import PolicyError
from sandbox.protocol import MAX_BODY_BYTES, MAX_JOBS, MAX_STORED_FILES

KIB, MIB, GIB = 1024, 1024**2, 1024**3

WORKSPACE = "/workspace"
PACKAGES = "/packages"
GUEST_RESERVE_BYTES = 160 * MIB
# Head and tail of two streams, of every job, fill half of a reply.
MAX_KEPT_OUTPUT_BYTES = MAX_BODY_BYTES // (8 * MAX_JOBS)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1024 * GIB}

_DAY_S = 24 * 3600.0
# Lower bounds: the guest and the preloaded checkers count as processes, and heartbeats have to
# arrive in time on a busy machine. Upper bounds: a frame has to carry a listing, a file or a run's
# outputs.
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
    """Limits of one sandbox.

    The defaults are the strictest that a small project's tests run under.

    A privileged sandbox, added capabilities, a network, a host path or another seccomp profile
    cannot be expressed here, so none can be configured by mistake.

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
    """Size of the largest file that a command may write."""
    max_files: int = 10_000
    """Files in the store."""
    max_write_bytes: int = 4 * MIB
    """Size of the largest file that one write operation may carry."""
    timeout_s: float = 60.0
    """Wall time of one command, checks included."""
    max_output_bytes: int = 256 * MIB
    """Output after which a command is ended; far less of it is kept."""
    kept_output_bytes: int = 512 * KIB
    """Bytes kept of each stream's head, and again of its tail; at most 512 KiB."""
    lease_s: float = 45.0
    """Silence of the host after which the sandbox ends itself."""
    runtime: str = ""
    """The engine's runtime, such as `runsc`.

    Empty for the engine's default; for `auto` see `sandbox.engine.trial`.
    """
    volume: str = "tmpfs"
    """`tmpfs`: in memory, hard caps on bytes and inodes. `disk`: on the engine's disk, no caps."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, int | float) and not (math.isfinite(value) and value > 0):
                raise PolicyError(f"{name} must be finite and greater than 0, not {value}.")
        if self.volume not in ("tmpfs", "disk"):
            raise PolicyError(f"volume must be 'tmpfs' or 'disk', not {self.volume!r}.")
        for name, least, most in _BOUNDS:
            value = getattr(self, name)
            if not least <= value <= most:
                raise PolicyError(f"{name} must be between {least} and {most}, not {value}.")
        if self.needed_memory_bytes > self.memory_bytes:
            raise PolicyError(
                f"memory of {format_size(self.memory_bytes)} is too small: the file store, /tmp,"
                f" /dev/shm and the guest need {format_size(self.needed_memory_bytes)}."
                " Raise --memory or lower --disk."
            )

    @property
    def needed_memory_bytes(self) -> int:
        """Bytes that full tmpfs mounts and the guest use together.

        Full mounts must not end the sandbox.
        """
        disk = self.disk_bytes if self.volume == "tmpfs" else 0
        return disk + self.tmp_bytes + self.shm_bytes + GUEST_RESERVE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Hosts that the proxy connects to, and how much the connections may carry.

    Attributes:
        hosts: Exact names in lower case.
        private_hosts: Those hosts that may have a private address.
        max_bytes: Bytes that all connections together may receive.
        max_connections: Number of connections in all.
        idle_s: Seconds without a byte after which a connection is ended.
    """

    hosts: frozenset[str]
    private_hosts: frozenset[str] = frozenset()
    max_bytes: int = 512 * 1024 * 1024
    max_connections: int = 400
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageIndex:
    """The index that packages come from.

    Attributes:
        url: The index, PEP 503 or 691, as the sandbox knows it: without a user or a password.
        reach: Hosts that the sandbox may be connected to.
        certificates: Certificate authorities to trust, PEM; empty for those that come with pip.
    """

    url: str
    reach: Reach
    certificates: bytes = b""


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `512m`, `1g`, `256MiB` or `1048576`.

    Units are powers of 1024.

    Raises:
        PolicyError: The text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    size_bytes = float(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not 1 <= size_bytes < _UNITS["t"] * 1024:
        raise PolicyError(f"{text!r} is not a size. Write for example 512m or 1g.")
    return int(size_bytes)


def format_size(size_bytes: int) -> str:
    """Return a size in the largest binary unit that gives at least 1."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size_bytes} bytes"
