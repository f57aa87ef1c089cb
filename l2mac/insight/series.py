"""A run as frozen values for reports, neither truncated nor escaped.

Texts and names come from a model or a sandbox. Reports make them harmless first
(`l2mac.insight.markup`).
"""

from dataclasses import dataclass
from typing import Literal

from l2mac.control.outcome import RequirementRow
from l2mac.evaluator.verdict import CheckReport
from sandbox import FileEntry

Phase = Literal["planning", "instruction", "verification", "rewound"]
InstructionState = Literal["done", "at work", "to come", "replaced", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The cost of a part of the run; all stages together are the whole run.

    Attributes:
        phase: `instruction`, the work before or after all instructions, or rewound work.
        number: The instruction's place in the present program; 0 for other stages and for replaced
            instructions.
        text: The instruction.
        files: Paths that it changed, in the order of their first change.
    """

    phase: Phase
    number: int = 0
    text: str = ""
    state: InstructionState = ""
    turns: int = 0
    restarts: int = 0
    calls: int = 0
    checks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    elapsed_s: float = 0.0
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequirementCount:
    """The number of requirements `listed`, in the `plan` or in the `result`.

    All numbers but the listed one are claims of the model. `problem` is the reason for a missing
    number.
    """

    where: Literal["listed", "plan", "result"]
    round: int
    kept: int
    total: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPoint:
    """One evaluation of the file store, with the verdict that the control unit used.

    Attributes:
        number: Number of the check, from 1.
        instruction: Number of the instruction, from 1; 0 outside of instructions.
        final: Whether it is the verification in a fresh sandbox.
        findings: Number of findings of each check but the tests; None if it could not be run.
        skipped: Number of tests that were skipped or expected to fail.
    """

    number: int
    line: int
    elapsed_s: float
    instruction: int
    final: bool
    verdict: str
    summary: str
    findings: tuple[tuple[str, int | None], ...] = ()
    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the model.

    Attributes:
        overflow: Whether the server refused the call as too long.
        counts: Whether the call is part of the effective history; the tokens of a rewound call are
            spent nevertheless.
    """

    line: int
    elapsed_s: float
    instruction: int
    purpose: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    overflow: bool
    cached: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One tool call that accessed files, or a restoring of files."""

    line: int
    instruction: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    """The history of a file: one letter for each column.

    `.` the file does not exist, `e` it exists, `r` it was read, `x` run, `w` written, `d` deleted.
    Of several accesses in one call, the last one in this order is shown.
    """

    path: str
    cells: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The accesses of each call to each file; rows are in the order of first access."""

    columns: tuple[Column, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSummary:
    """A sandbox as its receipt describes it.

    Attributes:
        rows: Number of properties with each verdict, such as `match`.
        unavailable: Properties that this runtime or kernel cannot show.
    """

    purpose: str
    image: str
    digest: str
    runtime: str
    own_kernel: bool
    engine: str
    rows: tuple[tuple[str, int], ...]
    unavailable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One process's work on the run; no `status` while it is in progress."""

    reason: str
    version: str
    model: str
    started_s: float
    ended_s: float
    status: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """All that reports show of a run.

    Attributes:
        status: Status of the run as in `l2mac runs`; `recorded` if no session recorded its end.
        seal: The last link of the trace.
        rewound: Number of trace entries that were rewound.
        last: The newest report of the checks, with its verdicts; None if nothing was checked.
        verified: Whether that report is from a fresh sandbox and about the present files.
        unexamined: Reason for a missing table of requirements.
    """

    run: str
    task: str
    domain: str
    status: str
    cause: str
    seal: str
    events: int
    rewound: int
    elapsed_s: float
    context_tokens: int
    models: tuple[str, ...]
    sessions: tuple[Session, ...]
    stages: tuple[Stage, ...]
    kept: tuple[RequirementCount, ...]
    checks: tuple[CheckPoint, ...]
    calls: tuple[Call, ...]
    heat_map: HeatMap
    sandboxes: tuple[SandboxSummary, ...]
    files: tuple[FileEntry, ...]
    last: CheckReport | None
    verified: bool
    requirements: tuple[RequirementRow, ...]
    unexamined: str

    @property
    def tokens(self) -> int:
        """All tokens, those of rewound calls included."""
        return sum(stage.prompt_tokens + stage.completion_tokens for stage in self.stages)

    @property
    def cost_usd(self) -> float:
        """Cost by the declared prices."""
        return sum(stage.cost_usd for stage in self.stages)

    @property
    def instructions(self) -> tuple[Stage, ...]:
        """The present program."""
        numbered = [stage for stage in self.stages if stage.number]
        return tuple(stage for stage in numbered if stage.phase == "instruction")

    @property
    def done(self) -> int:
        """Number of instructions that are done."""
        return sum(stage.state == "done" for stage in self.instructions)
