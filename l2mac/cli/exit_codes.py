"""Exit codes, the same for every command; `l2mac --help` lists them."""

from collections.abc import Mapping

from l2mac.control.outcome import Status
from l2mac.errors import (
    L2macError,
    ProcessorError,
    RunLocked,
    RunNotFound,
    SettingsError,
    TraceError,
)
from sandbox import EngineUnfit, IsolationMismatch, SandboxError

OK = 0
FAILING = 1
USAGE = 2
BUDGET = 3
SANDBOX = 4
ISOLATION = 5
MODEL = 6
RECORD = 7
UNFIT = 8
REQUIREMENTS_UNVERIFIED = 9
INTERNAL = 70
INTERRUPTED = 130

MEANINGS: Mapping[int, str] = {
    OK: "success (for a run: all checks pass in a fresh sandbox)",
    FAILING: "checks failed or nothing to check, diff not empty, or trace incomplete",
    USAGE: "invalid flag, setting or file",
    BUDGET: "budget exhausted or no plan: resume with a larger budget",
    SANDBOX: "sandbox unavailable (engine, image or policy)",
    ISOLATION: "confinement not verified, or an attack not contained or not proven",
    MODEL: "model not configured, unreachable, or request rejected",
    RECORD: "trace unreadable, altered, missing or in use",
    UNFIT: "engine or runtime cannot confine a sandbox: nothing ran",
    REQUIREMENTS_UNVERIFIED: "completed, but some requirements could not be verified",
    INTERNAL: "internal error of l2mac",
    INTERRUPTED: "interrupted: the run can be resumed",
}

BY_STATUS: Mapping[Status, int] = {
    Status.COMPLETED: OK,
    Status.FAILING: FAILING,
    Status.REQUIREMENTS_UNVERIFIED: REQUIREMENTS_UNVERIFIED,
    Status.BUDGET: BUDGET,
    Status.NO_PLAN: BUDGET,
    Status.INTERRUPTED: INTERRUPTED,
}

_BY_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (IsolationMismatch, ISOLATION),
    (EngineUnfit, UNFIT),
    (SandboxError, SANDBOX),
    (SettingsError, USAGE),
    (ProcessorError, MODEL),
    (TraceError, RECORD),
    (RunLocked, RECORD),
    (RunNotFound, RECORD),
)


def code_for(error: L2macError | SandboxError) -> int:
    """Return the exit code for an error, by the first class that fits."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), INTERNAL)
