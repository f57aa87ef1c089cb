"""The run specification: every setting that decides how a run proceeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from l2mac.evaluator.packages import Mode

Method = Literal["l2mac", "one-shot", "codet", "self-refine", "reflexion"]
METHODS: tuple[Method, ...] = get_args(Method)
"""The control unit of l2mac, and the methods that the paper compares it with."""
ExecutionMode = Literal["auto", "guided", "agentic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningOptions:
    """The options of planning, checks and summaries; by default no extra planning.

    Attributes:
        reflections: How often the model is asked for a better plan.
        coverage: Whether its plan is compared with the task's requirements.
        max_replans: How many exhausted instructions a run may split, or prepare by others.
        requirements: Whether the verified result is compared with the task's requirements.
        requirement_rounds: How often requirements that are not shown are carried out and examined
            again.
        summary: Whether a summary (M_rs of the paper) is handed from window to window.
        evaluator: Whether the store is checked on the way; the final verification takes place
            always.
        task_in_context: Whether each instruction's window holds the whole task, as in the
            original's release, or the instruction alone, as in Algorithm 1 of its paper.
    """

    reflections: int = 0
    coverage: bool = False
    max_replans: int = 0
    requirements: bool = False
    requirement_rounds: int = 0
    summary: bool = True
    evaluator: bool = True
    task_in_context: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Every setting that is recorded with a run and is the same in all its sessions.

    Attributes:
        task: The user's prompt.
        definition: The domain in full, as `Definition.as_text` returns it, so that a resume uses
            that.
        domain: The name of the domain.
        program: Instructions given by the user; empty when the model makes them.
        steps: How many instructions the model may make.
        context_tokens: The model's declared window, prompt and reply together.
        reply_tokens: Where every reply is truncated.
        execution_timeout_s: Wall time of a program that the model runs.
        seed: The sampling seed that is sent with every request.
        dependencies: The packages that the code may name: `off`, `locked` or `resolve`.
        judge: Whether the model is asked for a second opinion on the result.
        method: The algorithm.
        input: The hash of the tree of files that the run begins with; empty where it begins with
            none.
        setup: Settings of the model and the sandbox, which a resume takes over.
        planning: The options of planning, checking and summarising.
        mode: Whether the model is asked one question at a time or chooses among tools.
    """

    task: str
    definition: str
    domain: str = "codebase"
    program: tuple[str, ...] = ()
    steps: int = 10
    context_tokens: int = 8192
    reply_tokens: int = 2048
    execution_timeout_s: float = 20.0
    seed: int | None = None
    dependencies: Mode = "off"
    judge: bool = False
    method: Method = "l2mac"
    input: str = ""
    setup: Mapping[str, object] = field(default_factory=dict)
    planning: PlanningOptions = field(default_factory=PlanningOptions)
    mode: ExecutionMode = "agentic"

    @property
    def outcome_characters(self) -> int:
        """The most characters of a tool's outcome: about a fifth of the window."""
        return max(1500, min(24_000, int(self.context_tokens * 0.6)))

    @property
    def checks_work(self) -> bool:
        """Whether the control unit checks work before it accepts it."""
        return self.method == "l2mac" and self.planning.evaluator

    def is_guided(self, protocol: str) -> bool:
        """Return whether the run is in guided mode, for a model with this tool protocol.

        Args:
            protocol: `native`, `json`, or empty where that is not known.
        """
        return self.mode == "guided" or (self.mode == "auto" and protocol == "json")
