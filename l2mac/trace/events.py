"""What the trace records: one frozen value per kind of event.

Three sorts. *Effects* carry what came from outside the control unit: a model's reply, a tool's outcome, a check's
report; a resumed run takes them from the trace instead of repeating them. *Notes* say what the control unit decided;
it decides the same again from the same effects. *Brackets* say which process worked on the run when; they stand
outside that order.

Texts and contents are objects (`l2mac.trace.objects`); fields whose names end in `_object` hold their names.
"""

from dataclasses import dataclass
from typing import Any, Literal

from l2mac.trace.input_events import InputRecorded, ProjectOutlined
from l2mac.trace.method_events import Parts
from sandbox.results import Change

TRACE_FORMAT = 1
"""The number of the trace's format; a trace of another format is refused (`l2mac.trace.chain`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Note: the run's specification, as the first line of its trace.

    Attributes:
        format: The number of the trace's format.
        task_object: The task.
        domain: The name of the domain.
        domain_object: The domain's definition in full.
        settings: All other fields of `l2mac.control.run_spec.RunSpec`.
    """

    kind: Literal["run"] = "run"
    format: int = TRACE_FORMAT
    task_object: str
    domain: str
    domain_object: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    """Bracket: a process took up the run."""

    kind: Literal["session"] = "session"
    reason: Literal["run", "resume", "replay"]
    version: str
    model: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOpened:
    """Bracket: a box was made and verified; the receipt says how it is confined."""

    kind: Literal["box"] = "box"
    receipt_object: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """Effect: one call of the language model. `key` is the hash of the whole request.

    `model` is the name that the server gave, `cached` says that no server was asked and nothing was spent.
    """

    kind: Literal["model"] = "model"
    key: str
    purpose: str
    message_objects: tuple[str, ...]
    tools_object: str
    tool: str
    temperature: float
    max_reply_tokens: int
    reply_object: str
    prompt_tokens: int
    completion_tokens: int
    counted: bool
    cost_usd: float
    model: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolChosen:
    """Effect: how tools are called with this model, and how that was found out."""

    kind: Literal["protocol"] = "protocol"
    key: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRan:
    """Effect: one tool call. `key` is the hash of the name, the arguments and the store before it."""

    kind: Literal["tool"] = "tool"
    key: str
    name: str
    arguments_object: str
    outcome_object: str
    ok: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Effect: the store was evaluated. `key` is the hash of the store's tree; `baseline` says as it came."""

    kind: Literal["check"] = "check"
    key: str
    verdict: str
    summary: str
    report_object: str
    final: bool = False
    baseline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesFetched:
    """Effect: what the store's files depend on was fetched, or could not be. `key` is the hash of mode and text.

    `digest` is the hash of what the wheels unpack to; `transient` says that nobody answered, so that the same may be
    tried again; `connections` are the proxy's decisions.
    """

    kind: Literal["packages"] = "packages"
    key: str
    mode: str
    ok: bool
    transient: bool
    digest: str
    requirements_object: str
    wheel_names: tuple[str, ...]
    wheel_objects: tuple[str, ...]
    output_object: str
    connections_object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionAborted:
    """Effect: instruction `number` has used up its turns or restarts, whose bounds are the session's, and is replanned.

    `key` is its number with the turns and restarts that it took.
    """

    kind: Literal["overspent"] = "overspent"
    key: str
    number: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsListed:
    """Note: what the task demands, as the model lists it; without one, `problem` says why there is no list."""

    kind: Literal["requirements"] = "requirements"
    requirement_objects: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRevised:
    """Note: the model was asked for a better plan.

    Attributes:
        reason: `reflection` or `coverage`.
        round: Counted from 1 for each reason.
        instruction_objects: The new plan; empty when there is none.
        problem: Why the old plan was kept at once; empty otherwise.
    """

    kind: Literal["revised"] = "revised"
    reason: str
    round: int
    instruction_objects: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageClaimed:
    """Note: for each requirement, the numbers of the instructions that the model says carry it out.

    Only numbers that exist are kept. `problem` says why there is no claim.
    """

    kind: Literal["coverage"] = "coverage"
    round: int
    steps: tuple[tuple[int, ...], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """Note: the prompt program, one object per instruction; `source` is `model` or `user`."""

    kind: Literal["plan"] = "plan"
    source: str
    instruction_objects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionStarted:
    """Note: instruction `number` of `total`, both counted from 1, gets a fresh context window."""

    kind: Literal["instruction"] = "instruction"
    number: int
    total: int
    restart: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionCompleted:
    """Note: the claim of completion was accepted; `tree` is the hash of the store, `checked` whether checks passed."""

    kind: Literal["completed"] = "completed"
    number: int
    summary_object: str
    tree: str
    checked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """Note: instruction `number` was split into others (`split`) or got others before it (`insert`).

    `problem` says why it stays as it is.
    """

    kind: Literal["replanned"] = "replanned"
    number: int
    action: str = ""
    instruction_objects: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsExamined:
    """Note: what of the task's requirements is shown in the verified store.

    Attributes:
        round: Counted from 1.
        shown: How many requirements are shown.
        total: How many there are.
        table_object: JSON, one object for each requirement: the model's claim as far as it holds.
        unseen_characters: How much of the files' contents went unseen: too much to show, or no usable account of it.
        problem: Why there is no claim.
    """

    kind: Literal["examined"] = "examined"
    round: int
    shown: int
    total: int
    table_object: str
    unseen_characters: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionsAdded:
    """Note: instructions at the end of the program, for requirements that are not shown."""

    kind: Literal["added"] = "added"
    instruction_objects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRestored:
    """Note: the store is again what was verified, as carrying out what was not shown failed, or what `reason` says."""

    kind: Literal["restored"] = "restored"
    changes: tuple[Change, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """Bracket: the session ended, in a way that may or may not end the run."""

    kind: Literal["end"] = "end"
    status: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """Bracket: the user took the run back; of the lines so far, those after line `to` (from 0) count no more."""

    kind: Literal["rewound"] = "rewound"
    to: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """Bracket: the lines so far are those of the run `origin`, from where this run goes its own way."""

    kind: Literal["forked"] = "forked"
    origin: str
    step: int


Effect = (
    ModelCalled
    | ProtocolChosen
    | ToolRan
    | PackagesFetched
    | Checked
    | InstructionAborted
    | InputRecorded
    | ProjectOutlined
)
Planning = (
    RequirementsListed | PlanRevised | CoverageClaimed | PlanMade | Replanned | InstructionsAdded
)
Note = (
    RunStarted
    | Planning
    | InstructionStarted
    | InstructionCompleted
    | RequirementsExamined
    | StoreRestored
    | Parts
)
Bracket = SessionStarted | SandboxOpened | RunEnded | Rewound | Forked
Event = Effect | Note | Bracket
