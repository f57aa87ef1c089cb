"""What a run is to do, in full: recorded with it as its first line, and read back from there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from l2mac.control.run_spec import METHODS, ControlMode, Method, Thinking
from l2mac.errors import TraceError
from l2mac.evaluator.packages import Mode
from l2mac.trace.chain import read_first
from l2mac.trace.events import RunStarted
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

_LATER = {
    "judge": False,
    "method": "l2mac",
    "thinking": asdict(Thinking()),
    "mode": "agentic",
    "input": "",
}
"""Settings that came after the first records, which lack them: not recorded while they are at their default."""
_LATER_THOUGHTS = {"evaluator": True, "task_in_context": True}
"""The same for what came after the first records with `thinking`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every setting that decides how a run goes; recorded with it and unchanged when it is resumed."""

    task: str
    domain: str = "codebase"
    definition: str = ""
    """The domain in full, as `Definition.as_text` gives it, so that a resume uses exactly that; empty in records from
    before there was any, which take the shipped domain of that name."""
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
    """The hash of the tree of files that the run begins with; empty where it begins with none."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model and the box, for a resume to take up again."""
    thinking: Thinking = field(default_factory=Thinking)
    mode: ControlMode = "agentic"

    @property
    def outcome_characters(self) -> int:
        """How long a tool's outcome may be: about a fifth of the window."""
        return max(1500, min(24_000, int(self.context_tokens * 0.6)))

    def leads_closely(self, protocol: str) -> bool:
        """Whether the model is led closely, given how it calls tools; unknown ways count as its own."""
        return self.mode == "guided" or (self.mode == "auto" and protocol == "json")


def recorded_plan(folder: Path) -> Plan:
    """Give what a recorded run was to do.

    Raises:
        TraceError: The record is damaged or empty.
    """
    beginning = read_first(folder / TRACE_FILE, RunStarted)
    if beginning is None:
        raise TraceError(
            f"the run {folder.name} was broken off before it began; start it again with `l2mac run`"
        )
    settings: dict[str, Any] = dict(beginning.settings)
    settings["program"] = tuple(settings["program"])
    settings["thinking"] = Thinking(**settings.get("thinking", {}))
    if settings.get("method", "l2mac") not in METHODS:
        raise TraceError(
            f"the run {folder.name} has a method that this version of l2mac does not know"
        )
    if beginning.domain_object:
        settings["definition"] = ObjectStore(folder / OBJECTS_FILE).get_text(
            beginning.domain_object
        )
    return Plan(**settings)


def started(plan: Plan, objects: ObjectStore) -> RunStarted:
    """Give the line that a run's record begins with."""
    settings = json.loads(json.dumps(asdict(plan)))
    definition = settings.pop("definition")
    for name, default in _LATER.items():
        if settings[name] == default:
            del settings[name]
    thoughts = settings.get("thinking", {})
    for name, default in _LATER_THOUGHTS.items():
        if thoughts.get(name) == default:
            del thoughts[name]
    return RunStarted(
        task_object=objects.put_text(plan.task),
        domain=plan.domain,
        domain_object=objects.put_text(definition) if definition else "",
        settings=settings,
    )
