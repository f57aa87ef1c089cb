"""The events of a trace: one frozen class per kind.

There are three sorts of events:

- *Effects* hold a result from outside the control unit, such as a model's reply, a tool's outcome
  or a check's report. A resumed run reads effects from the trace and does not perform them again.
- *Notes* hold a decision of the control unit. The control unit is deterministic, so it makes the
  same decisions again from the same effects.
- *Brackets* hold facts about the processes that work on the run. A resumed run skips them.

Fields with the same name mean the same in every event:

- `key` identifies the inputs that an effect depends on, mostly as a hash.
- Names that end in `_object` or `_objects` are names of objects (`l2mac.trace.objects`), which hold
  texts and contents. JSON objects are marked as such.
- `number` is that of an instruction, or of a part of a comparison method's work, from 1.
- `round` counts repetitions of the same question, from 1.
- `problem` is the reason why a question to the model had no usable answer, or empty.
- `tree` is the hash of the file store.
"""

from dataclasses import dataclass
from typing import Literal

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
    settings: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    """Bracket: a process began to work, by the command `reason`."""

    kind: Literal["session"] = "session"
    reason: Literal["run", "resume", "replay"]
    version: str
    model: str
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOpened:
    """Bracket: a sandbox was created. The receipt (JSON) states its confinement."""

    kind: Literal["sandbox"] = "sandbox"
    receipt_object: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """Effect: the language model was called once.

    Attributes:
        key: The hash of the whole request.
        message_objects: The messages of the context window as JSON.
        tool: The tool that the model had to call, or empty.
        counted: Whether the server counted the tokens. Otherwise they are estimated.
        model: The model's name as the server stated it.
        cached: Whether the response cache answered, so that nothing was spent.
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
    """Effect: this model calls tools by `protocol`: `native` or `json`."""

    kind: Literal["protocol"] = "protocol"
    key: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRan:
    """Effect: a tool call. `key` covers name, arguments and the files before it."""

    kind: Literal["tool"] = "tool"
    key: str
    name: str
    arguments_object: str
    outcome_object: str
    ok: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Effect: the evaluator checked the file store.

    Attributes:
        final: Whether this was the verification at the end of the run.
        baseline: Whether the file store held the run's input, before any change.
    """

    kind: Literal["check"] = "check"
    key: str
    verdict: str
    summary: str
    report_object: str
    final: bool = False
    baseline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesFetched:
    """Effect: the required packages were fetched, or the attempt failed.

    Attributes:
        transient: Whether a server did not answer, so that a retry may succeed.
        digest: The hash of the content that the wheels unpack to.
        connections_object: The decisions of the proxy as JSON.
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
    """Effect: an instruction exhausted its turns or restarts and is replanned.

    An effect and not a note, because the bounds belong to the session: a resume may raise them.
    """

    kind: Literal["aborted"] = "aborted"
    key: str
    number: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecorded:
    """Effect: the input was stored. `left_out_object` (JSON): kind → paths."""

    kind: Literal["input"] = "input"
    key: str
    changes: tuple[Change, ...]
    left_out_object: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOutlined:
    """Effect: the outline of the run's input was made, as the model reads it."""

    kind: Literal["outline"] = "outline"
    key: str
    text_object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsListed:
    """Note: the model listed the task's requirements."""

    kind: Literal["requirements"] = "requirements"
    requirement_objects: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRevised:
    """Note: the model was asked for a better plan.

    `reason` is `reflection` or `coverage`. Without `instruction_objects` the old plan was kept.
    """

    kind: Literal["revised"] = "revised"
    reason: str
    round: int
    instruction_objects: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageClaimed:
    """Note: the model named, for each requirement, its instructions (`steps`)."""

    kind: Literal["coverage"] = "coverage"
    round: int
    steps: tuple[tuple[int, ...], ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """Note: the prompt program is settled. `source` is `model` or `user`."""

    kind: Literal["plan"] = "plan"
    source: str
    instruction_objects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionStarted:
    """Note: an instruction gets a fresh context window. `restart` counts from 0."""

    kind: Literal["instruction"] = "instruction"
    number: int
    total: int
    restart: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionCompleted:
    """Note: an instruction was completed, with (`checked`) or without checks."""

    kind: Literal["completed"] = "completed"
    number: int
    summary_object: str
    tree: str
    checked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Replanned:
    """Note: an instruction was replanned: `split`, `insert`, or "" for no change."""

    kind: Literal["replanned"] = "replanned"
    number: int
    action: str = ""
    instruction_objects: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsVerified:
    """Note: the requirements were verified in the file store.

    Attributes:
        table_object: JSON, one object for each requirement: the claims that hold.
        unseen_characters: The characters of the files' contents that the model did not see, because
            they did not fit or because its answer was unusable.
    """

    kind: Literal["requirements verified"] = "requirements verified"
    round: int
    verified: int
    total: int
    table_object: str
    unseen_characters: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionsAdded:
    """Note: follow-up instructions for unverified requirements were appended."""

    kind: Literal["added"] = "added"
    instruction_objects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRestored:
    """Note: the file store was restored to an earlier state.

    `reason` is empty where follow-up instructions failed and the verified files were restored.
    """

    kind: Literal["restored"] = "restored"
    changes: tuple[Change, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStarted:
    """Note: a comparison method began a part of its work in a fresh context window."""

    kind: Literal["part"] = "part"
    number: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEnded:
    """Note: a comparison method ended a part of its work. Nothing was checked.

    If `claimed_done` is false, the part ended because its context window was exhausted.
    """

    kind: Literal["part ended"] = "part ended"
    number: int
    claimed_done: bool
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateChosen:
    """Note: a comparison method ran candidates against tests and kept one.

    Attributes:
        passed: The number of passed tests for each candidate.
        tests: The number of tests.
        chosen: The number of the kept candidate, from 1.
        agreeing: The number of candidates that passed exactly the same tests, itself included.
    """

    kind: Literal["chosen"] = "chosen"
    passed: tuple[int, ...]
    tests: int
    chosen: int
    agreeing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """Bracket: the session ended with a status of `l2mac.control.outcome`."""

    kind: Literal["end"] = "end"
    status: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """Bracket: a rewind to `step`. Lines after line `to` (from 0) do not count."""

    kind: Literal["rewound"] = "rewound"
    to: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """Bracket: the lines so far are a copy of the run `origin` up to `step`."""

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
PlanningNote = (
    RequirementsListed | PlanRevised | CoverageClaimed | PlanMade | Replanned | InstructionsAdded
)
MethodNote = PartStarted | PartEnded | CandidateChosen
Note = (
    RunStarted
    | PlanningNote
    | MethodNote
    | InstructionStarted
    | InstructionCompleted
    | RequirementsVerified
    | StoreRestored
)
Bracket = SessionStarted | SandboxOpened | RunEnded | Rewound | Forked
Event = Effect | Note | Bracket
