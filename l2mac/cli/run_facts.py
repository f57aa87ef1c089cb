"""Facts about a recorded run, for the output of `runs` and `show`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydantic

from l2mac.cli.report import RequirementTable, requirement_table
from l2mac.control.outcome import RequirementRow
from l2mac.errors import TraceError
from l2mac.runs.folders import is_pinned, size_of
from l2mac.runs.recorded_input import left_out_of
from l2mac.runs.replay import recorded_program
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    InstructionCompleted,
    ModelCalled,
    PartEnded,
    PartStarted,
    Replanned,
    RequirementsVerified,
    RunStarted,
    SessionStarted,
    ToolRan,
)
from l2mac.trace.history import effective, recorded_files, recorded_input, state_of
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

_ROWS: pydantic.TypeAdapter[tuple[RequirementRow, ...]] = pydantic.TypeAdapter(
    tuple[RequirementRow, ...]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of `l2mac runs`.

    Attributes:
        done: Number of completed instructions, or of parts of a comparison method.
        planned: Number of all instructions or parts.
        of: Kind of the counted work, `instructions` or `parts`.
    """

    run: str
    status: str
    of: str
    planned: int
    done: int
    bytes: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a comparison method's work, which has no prompt program."""

    name: str
    done: bool


@dataclass(frozen=True, slots=True)
class InputFacts:
    """The input of a run: number of files, excluded paths by kind, and baseline."""

    files: int
    left_out: Mapping[str, tuple[str, ...]]
    checks: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a run. Calls before a rewind count, tool calls before it do not."""

    model: str
    calls: int
    tokens: int
    cost_usd: float
    tool_calls: int
    tool_failures: int
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything that `l2mac show` prints.

    Attributes:
        done: Number of completed instructions.
        plan: Texts of all instructions.
        files: Path → object.
    """

    run: str
    folder: str
    task: str
    status: str
    method: str
    evaluator: bool
    parts: tuple[Part, ...]
    plan: tuple[str, ...]
    done: int
    checks: str
    replans: int
    requirements: RequirementTable | None
    usage: Usage
    elapsed_s: float
    input: InputFacts | None
    files: Mapping[str, str]


def summary_of(folder: Path) -> RunSummary:
    """Return the summary of a run, also of a damaged one."""
    try:
        entries = read_trace(folder / TRACE_FILE)[0]
    except TraceError as error:
        return _summary(folder, f"damaged: {error}")
    events = [entry.event for entry in effective(entries)]
    parts = _parts(events)
    return _summary(
        folder,
        state_of([entry.event for entry in entries]),
        of="parts" if parts else "instructions",
        planned=len(recorded_program(events)) or len(parts),
        done=_completed(events) + sum(part.done for part in parts),
    )


def facts_of(folder: Path, entries: Sequence[Entry]) -> RunFacts:
    """Return the facts of a run.

    Raises:
        TraceError: An object of the run is missing or altered.
    """
    objects = ObjectStore(folder / OBJECTS_FILE)
    everything = [entry.event for entry in entries]
    events = [entry.event for entry in effective(entries)]
    tasks = [event.task_object for event in events if isinstance(event, RunStarted)]
    method, evaluator = _method(events)
    return RunFacts(
        run=folder.name,
        folder=str(folder),
        task=objects.get_text(tasks[0]) if tasks else "",
        status=state_of(everything),
        method=method,
        evaluator=evaluator,
        parts=_parts(events),
        plan=tuple(objects.get_text(name) for name in recorded_program(events)),
        done=_completed(events),
        checks=_last_checks(events, baseline=False),
        replans=sum(isinstance(event, Replanned) and bool(event.action) for event in events),
        requirements=_requirements(events, objects),
        usage=_usage(everything, events),
        elapsed_s=entries[-1].elapsed_s if entries else 0.0,
        input=_input(events, objects),
        files={entry.path: entry.digest for entry in recorded_files(events)},
    )


def _summary(
    folder: Path, status: str, *, of: str = "instructions", planned: int = 0, done: int = 0
) -> RunSummary:
    return RunSummary(
        run=folder.name,
        status=status,
        of=of,
        planned=planned,
        done=done,
        bytes=size_of(folder),
        pinned=is_pinned(folder),
    )


def _completed(events: Sequence[Event]) -> int:
    return sum(isinstance(event, InstructionCompleted) for event in events)


def _parts(events: Sequence[Event]) -> tuple[Part, ...]:
    ended = {event.number for event in events if isinstance(event, PartEnded)}
    return tuple(
        Part(event.name, event.number in ended)
        for event in events
        if isinstance(event, PartStarted)
    )


def _method(events: Sequence[Event]) -> tuple[str, bool]:
    """Return the method of a run, and whether checks ran after every write."""
    settings = next((event.settings for event in events if isinstance(event, RunStarted)), {})
    method, planning = str(settings.get("method", "l2mac")), settings.get("planning")
    evaluator = not isinstance(planning, dict) or planning.get("evaluator", True) is True
    return method, method == "l2mac" and evaluator


def _last_checks(events: Sequence[Event], *, baseline: bool) -> str:
    """Return the verdict of the last checks, of the input or of the work."""
    checks = [
        event for event in events if isinstance(event, Checked) and event.baseline == baseline
    ]
    return f"{checks[-1].verdict} ({checks[-1].summary})" if checks else "none yet"


def _usage(everything: Sequence[Event], events: Sequence[Event]) -> Usage:
    calls = [event for event in everything if isinstance(event, ModelCalled)]
    tools = [event for event in events if isinstance(event, ToolRan)]
    sessions = [event for event in everything if isinstance(event, SessionStarted)]
    return Usage(
        model=sessions[-1].model if sessions else "",
        calls=len(calls),
        tokens=sum(call.prompt_tokens + call.completion_tokens for call in calls),
        cost_usd=round(sum(call.cost_usd for call in calls), 6),
        tool_calls=len(tools),
        tool_failures=sum(not tool.ok for tool in tools),
        sessions=len(sessions),
    )


def _input(events: Sequence[Event], objects: ObjectStore) -> InputFacts | None:
    files = recorded_input(events)
    if not files:
        return None
    return InputFacts(len(files), left_out_of(events, objects), _last_checks(events, baseline=True))


def _requirements(events: Sequence[Event], objects: ObjectStore) -> RequirementTable | None:
    examined = [event for event in events if isinstance(event, RequirementsVerified)]
    if not examined:
        return None
    try:
        rows = _ROWS.validate_json(objects.get(examined[-1].table_object))
    except pydantic.ValidationError as error:
        raise TraceError(
            "The table of requirements has an unknown format."
            " Use the version of l2mac that recorded the run."
        ) from error
    return requirement_table(rows, examined[-1].problem)
