"""What a run's record shows, as frozen values: numbers and names, nothing cut, escaped or drawn yet.

Texts and names in here are a model's or a sandbox's. Whoever shows them makes them harmless first (`l2mac.insight.markup`).
"""

from dataclasses import dataclass
from typing import Literal

from l2mac.control.outcome import RequirementRow
from l2mac.evaluator.verdict import CheckReport
from sandbox import FileEntry

Phase = Literal["planning", "instruction", "verification", "taken back"]
RunState = Literal["done", "at work", "to come", "replaced", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What was spent on a part of the run; all stages together are the whole of it.

    Attributes:
        phase: `instruction`, what came before or after all of them, or what a rewind took back.
        number: The instruction's place in the program as it is now; 0 for all else, and for what was replaced.
        text: The instruction.
        files: The paths that it changed, in the order of their first change.
    """

    phase: Phase
    number: int = 0
    text: str = ""
    state: RunState = ""
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
    """How many of the task's requirements are still there: `listed`, in the `plan`, or shown in the `result`.

    All but the list are claims of the model. `problem` says why there is no number.
    """

    where: Literal["listed", "plan", "result"]
    round: int
    kept: int
    total: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPoint:
    """One evaluation of the store, with the recorded verdict that the control unit acted on.

    Attributes:
        number: From 1.
        instruction: At which instruction, from 1; 0 outside of them.
        final: Whether it is the verification in a fresh sandbox.
        findings: For each check but the tests, how many; None where it could not be judged.
        skipped: Skipped or expected to fail.
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
    """One call of the model; `overflow` says that the server refused it as too long, `counts` that it stands.

    A call that does not stand was taken back by a rewind; its tokens are spent nevertheless.
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
    """One tool call that touched files, or the undoing of an attempt."""

    line: int
    instruction: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A file's life: one letter for each column.

    `.` it is not there, `e` it exists, `r` it was read, `x` run, `w` written, `d` deleted. A call that did several of
    these has the last one in that order.
    """

    path: str
    cells: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Which call touched which file; rows stand in the order in which the files were first touched."""

    columns: tuple[Column, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A sandbox as its receipt shows it.

    Attributes:
        rows: How many properties have each verdict, such as `match`.
        unavailable: The properties that this runtime or kernel cannot show.
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
    """A process's work on the run; without `status` it is at work or was killed."""

    reason: str
    version: str
    model: str
    started_s: float
    ended_s: float
    status: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """Everything that is shown of a run.

    Attributes:
        status: How the run stands, as `l2mac runs` says it; `recorded` where no session says how it ended.
        seal: The record's last link.
        taken_back: How many lines count no more.
        last: The newest report of the checks, judged; None when nothing was checked.
        verified: Whether that report is the one of the fresh sandbox, of the files as they are now.
        unexamined: Why there is no table of requirements although one was asked for.
    """

    run: str
    task: str
    domain: str
    status: str
    cause: str
    seal: str
    events: int
    taken_back: int
    elapsed_s: float
    context_tokens: int
    models: tuple[str, ...]
    sessions: tuple[Session, ...]
    stages: tuple[Stage, ...]
    kept: tuple[RequirementCount, ...]
    checks: tuple[CheckPoint, ...]
    calls: tuple[Call, ...]
    heat_map: HeatMap
    sandboxes: tuple[Sandbox, ...]
    files: tuple[FileEntry, ...]
    last: CheckReport | None
    verified: bool
    requirements: tuple[RequirementRow, ...]
    unexamined: str

    @property
    def tokens(self) -> int:
        """All that were spent, on what was taken back, too."""
        return sum(stage.prompt_tokens + stage.completion_tokens for stage in self.stages)

    @property
    def cost_usd(self) -> float:
        """By the prices that were declared."""
        return sum(stage.cost_usd for stage in self.stages)

    @property
    def instructions(self) -> tuple[Stage, ...]:
        """The program as it is now."""
        return tuple(
            stage for stage in self.stages if stage.phase == "instruction" and stage.number
        )

    @property
    def done(self) -> int:
        """How many instructions are done."""
        return sum(stage.state == "done" for stage in self.instructions)
