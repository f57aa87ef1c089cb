"""Run specifications for tests: the domain's definition is filled in by its name."""

from collections.abc import Mapping
from functools import cache
from typing import TypedDict, Unpack

from l2mac.control.run_spec import ExecutionMode, Method, PlanningOptions, RunSpec
from l2mac.domains.loader import load_domain
from l2mac.evaluator.packages import Mode


class PlanningValues(TypedDict, total=False):
    """Fields of `PlanningOptions`."""

    reflections: int
    coverage: bool
    max_replans: int
    requirements: bool
    requirement_rounds: int
    summary: bool
    evaluator: bool
    task_in_context: bool


class SpecValues(TypedDict, total=False):
    """Fields of `RunSpec`."""

    task: str
    definition: str
    domain: str
    program: tuple[str, ...]
    steps: int
    context_tokens: int
    reply_tokens: int
    execution_timeout_s: float
    seed: int | None
    dependencies: Mode
    judge: bool
    method: Method
    input: str
    setup: Mapping[str, object]
    planning: PlanningOptions
    mode: ExecutionMode


@cache
def definition_of(domain: str) -> str:
    """Return the definition of a domain that the package brings."""
    return load_domain(domain).definition.as_text()


def run_spec(**values: Unpack[SpecValues]) -> RunSpec:
    """Return a specification with these values and the defaults for all others."""
    given: SpecValues = {"task": "Make it.", "context_tokens": 20_000, **values}
    if "definition" not in given:
        given["definition"] = definition_of(given.get("domain", "codebase"))
    return RunSpec(**given)
