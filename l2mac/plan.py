"""What a run is to do, in full: recorded with it as its first line, and read back from there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from l2mac.dependencies import Mode
from l2mac.errors import TraceError
from l2mac.job import Thinking
from l2mac.trace.chain import read_trace
from l2mac.trace.events import RunStarted
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

_LATER = {"judge": False, "thinking": asdict(Thinking()), "input": ""}
"""Settings that came after the first records, which lack them: not recorded while they are at their default."""


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
    input: str = ""
    """The hash of the tree of files that the run begins with; empty where it begins with none."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model and the box, for a resume to take up again."""
    thinking: Thinking = field(default_factory=Thinking)

    @property
    def outcome_characters(self) -> int:
        """How long a tool's outcome may be: about a fifth of the window."""
        return max(1500, min(24_000, int(self.context_tokens * 0.6)))


def recorded_plan(folder: Path) -> Plan:
    """Give what a recorded run was to do.

    Raises:
        TraceError: The record is damaged or empty.
    """
    entries, _, _ = read_trace(folder / TRACE_FILE)
    for entry in entries:
        if isinstance(entry.event, RunStarted):
            settings: dict[str, Any] = dict(entry.event.settings)
            settings["program"] = tuple(settings["program"])
            settings["thinking"] = Thinking(**settings.get("thinking", {}))
            definition = entry.event.domain_object
            if definition:
                settings["definition"] = ObjectStore(folder / OBJECTS_FILE).get_text(definition)
            return Plan(**settings)
    raise TraceError(f"the run {folder.name} was broken off before it began; start it again with `l2mac run`")


def started(plan: Plan, objects: ObjectStore) -> RunStarted:
    """Give the line that a run's record begins with."""
    settings = json.loads(json.dumps(asdict(plan)))
    definition = settings.pop("definition")
    for name, default in _LATER.items():
        if settings[name] == default:
            del settings[name]
    return RunStarted(
        task_object=objects.put_text(plan.task),
        domain=plan.domain,
        domain_object=objects.put_text(definition) if definition else "",
        settings=settings,
    )
