"""Keep files and run programs on them in confinement; no language model needed.

`sandbox.engine` is the Docker side and is imported by name only where sandboxes are made, so that
importing this package loads no engine library.
"""

from sandbox.errors import (
    EngineUnavailable,
    EngineUnfit,
    ImageBuildFailed,
    ImageUnavailable,
    IsolationMismatch,
    PolicyError,
    Refused,
    SandboxCompromised,
    SandboxDied,
    SandboxError,
    SandboxLost,
    SandboxTimeout,
)
from sandbox.interface import Sandbox
from sandbox.paths import PathError, check_path
from sandbox.policy import PackageIndex, Reach, SandboxPolicy, format_size, parse_size
from sandbox.results import (
    Cause,
    Change,
    Fetched,
    FileEntry,
    Installed,
    Job,
    JobResult,
    Match,
    OutputStream,
    Receipt,
    ReceiptProperty,
    RunResult,
)

__all__ = [
    "Cause",
    "Change",
    "EngineUnavailable",
    "EngineUnfit",
    "Fetched",
    "FileEntry",
    "ImageBuildFailed",
    "ImageUnavailable",
    "Installed",
    "IsolationMismatch",
    "Job",
    "JobResult",
    "Match",
    "OutputStream",
    "PackageIndex",
    "PathError",
    "PolicyError",
    "Reach",
    "Receipt",
    "ReceiptProperty",
    "Refused",
    "RunResult",
    "Sandbox",
    "SandboxCompromised",
    "SandboxDied",
    "SandboxError",
    "SandboxLost",
    "SandboxPolicy",
    "SandboxTimeout",
    "check_path",
    "format_size",
    "parse_size",
]
