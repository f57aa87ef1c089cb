"""What a run is to do, by which method, and how much thought goes into it."""

from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["l2mac", "one-shot", "codet", "self-refine", "reflexion"]
METHODS: tuple[Method, ...] = get_args(Method)
"""How a task can be carried out: by the control unit, or by a method that the paper compares it with."""
Guidance = Literal["auto", "close", "free"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How a run thinks about its program; everything is off by default, as in runs recorded before there was any.

    Attributes:
        reflections: How often the model is asked for a better plan.
        coverage: Whether its plan is compared with the task's requirements.
        max_replans: How often in a run an instruction that used up its budget is split or prepared
            by others.
        requirements: Whether the verified result is compared with the task's requirements.
        requirement_rounds: How often what is not shown is carried out and examined again.
        summary: Whether a summary (M_rs of the paper) is handed from window to window.
        evaluator: Whether the store is checked on the way; the final verification takes place in
            any case.
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
class Job:
    """What a run is to do.

    Attributes:
        task: The user's prompt.
        program: Instructions given by the user; empty when the model is to make them.
        steps: How many instructions the model may make.
        context_tokens: The model's declared window.
        dependencies: Which packages the code may name: `off`, `locked` or `resolve`.
        judge: Whether the model is asked for a second opinion on the result.
        thinking: How much thought goes into it.
        closely: Whether the model is led, one question at a time, in the place of choosing among
            tools.
    """

    task: str
    program: tuple[str, ...]
    steps: int
    context_tokens: int
    dependencies: str = "off"
    judge: bool = False
    thinking: Thinking = Thinking()
    closely: bool = False
