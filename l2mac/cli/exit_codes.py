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
UNSHOWN = 9
INTERNAL = 70
INTERRUPTED = 130

MEANINGS: Mapping[int, str] = {
    OK: "done; all checks pass in a fresh box",
    FAILING: "finished, but checks fail or nothing could be checked; a diff is not empty; a record is incomplete",
    USAGE: "a flag, a setting or a file says something that cannot be",
    BUDGET: "a budget is spent; resume with a larger one",
    SANDBOX: "no box: engine, image or policy",
    ISOLATION: "a box was not confined as its policy says, or an attack got through or proved nothing",
    MODEL: "the model is not configured, refuses or does not answer",
    RECORD: "the run's record cannot be read, written or found, or is in use",
    UNFIT: "the engine or its runtime cannot confine a box; nothing ran",
    UNSHOWN: "all checks pass, but the model cannot show every requirement of the task",
    INTERNAL: "a defect of l2mac itself",
    INTERRUPTED: "interrupted; resume when you like",
}

BY_STATUS: Mapping[Status, int] = {
    Status.COMPLETED: OK,
    Status.FAILING: FAILING,
    Status.UNSHOWN: UNSHOWN,
    Status.BUDGET: BUDGET,
    Status.NO_PLAN: BUDGET,
    Status.INTERRUPTED: INTERRUPTED,
}


def code_for(error: L2macError | SandboxError) -> int:
    """Give the exit code for an error."""
    if isinstance(error, IsolationMismatch):
        return ISOLATION
    if isinstance(error, EngineUnfit):
        return UNFIT
    if isinstance(error, SandboxError):
        return SANDBOX
    if isinstance(error, SettingsError):
        return USAGE
    if isinstance(error, ProcessorError):
        return MODEL
    if isinstance(error, TraceError | RunLocked | RunNotFound):
        return RECORD
    return INTERNAL
