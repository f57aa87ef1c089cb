"""What the trace records: one frozen value per kind of event.

Three sorts. *Effects* carry what came from outside the control unit: a model's reply, a tool's outcome, a check's
report; a resumed run takes them from the trace instead of repeating them. *Notes* say what the control unit decided;
it decides the same again from the same effects. *Brackets* say which process worked on the run when; they stand
outside that order.

Texts and contents are objects (`l2mac.trace.objects`); fields whose names end in `_object` hold their names.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sandbox.results import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Note: what is to be done, and every setting that decides how."""

    kind: Literal["run"] = "run"
    task_object: str
    domain: str
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
class BoxOpened:
    """Bracket: a box was made and verified; the receipt says how it is confined."""

    kind: Literal["box"] = "box"
    receipt_object: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """Effect: one call of the language model. `key` is the hash of the whole request."""

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
    """Effect: the store was evaluated. `key` is the hash of the store's tree."""

    kind: Literal["check"] = "check"
    key: str
    verdict: str
    summary: str
    report_object: str
    final: bool = False


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
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionCompleted:
    """Note: the claim of completion was accepted; `tree` is the hash of the store."""

    kind: Literal["completed"] = "completed"
    number: int
    summary_object: str
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """Bracket: the session ended, in a way that may or may not end the run."""

    kind: Literal["end"] = "end"
    status: str
    cause: str


Effect = ModelCalled | ProtocolChosen | ToolRan | PackagesFetched | Checked
Note = RunStarted | PlanMade | InstructionStarted | InstructionCompleted
Bracket = SessionStarted | BoxOpened | RunEnded
Event = Effect | Note | Bracket
