"""Read all that reports show of a run from its trace, without a lock."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pydantic

from l2mac.control.outcome import RequirementRow
from l2mac.errors import TraceError
from l2mac.evaluator.evaluator import recorded_report
from l2mac.evaluator.verdict import CheckReport
from l2mac.insight.heat import heat_map_of
from l2mac.insight.lines import calls_of, checks_of, kept_of, sessions_of
from l2mac.insight.series import Insight, SandboxSummary
from l2mac.insight.stages import stages_of
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
    Event,
    ModelCalled,
    RequirementsVerified,
    RunEnded,
    RunStarted,
    SandboxOpened,
)
from l2mac.trace.history import effective, recorded_files, state_of, tree_hash
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

RECORDED = "recorded"
_ROWS: pydantic.TypeAdapter[tuple[RequirementRow, ...]] = pydantic.TypeAdapter(
    tuple[RequirementRow, ...]
)


def read_insight(folder: Path) -> Insight:
    """Return the insight into a run, in any state.

    Raises:
        TraceError: The trace is damaged, lacks an object, or is empty.
    """
    entries, _, seal = read_trace(folder / TRACE_FILE)
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        return insight_of(folder.name, entries, objects, seal)
    finally:
        objects.close()


def insight_of(run: str, entries: Sequence[Entry], objects: ObjectStore, seal: str) -> Insight:
    """Return the insight that these trace entries give; see `read_insight`."""
    counting = effective(entries)
    events = [entry.event for entry in counting]
    begun = next((event for event in events if isinstance(event, RunStarted)), None)
    if begun is None:
        raise TraceError(f"The run {run} was aborted before it began. There is nothing to show.")
    ends = [event for event in events if isinstance(event, RunEnded)]
    files = recorded_files(events)
    checks, last = checks_of(counting, report_reader(objects))
    requirements, unexamined = _requirements(events, objects)
    opened = [entry.event for entry in entries if isinstance(entry.event, SandboxOpened)]
    models = [one.model for one in events if isinstance(one, ModelCalled) and one.model]
    return Insight(
        run=run,
        task=objects.get_text(begun.task_object),
        domain=begun.domain,
        status=_status([entry.event for entry in entries]),
        cause=ends[-1].cause if ends and events[-1] is ends[-1] else "",
        seal=seal,
        events=len(entries),
        rewound=len(entries) - len(counting),
        elapsed_s=entries[-1].elapsed_s,
        context_tokens=context_tokens(begun),
        models=tuple(dict.fromkeys(models)),
        sessions=sessions_of(entries),
        stages=stages_of(entries, counting, objects.get_text),
        kept=kept_of(counting),
        checks=checks,
        calls=calls_of(entries, counting),
        heat_map=heat_map_of(entries, counting, objects),
        sandboxes=tuple(_sandbox(event, objects) for event in opened),
        files=tuple(sorted(files, key=lambda entry: entry.path)),
        last=last,
        verified=_verified(events, tree_hash(files)),
        requirements=requirements,
        unexamined=unexamined,
    )


def report_reader(objects: ObjectStore) -> Callable[[Checked], CheckReport]:
    """Return a reader of recorded verdicts, from a store that may grow meanwhile."""

    def report_of(event: Checked) -> CheckReport:
        if not objects.has_intact(event.report_object):
            objects.close()  # the next read opens the store again, with its later additions
        return recorded_report(event, objects)

    return report_of


def context_tokens(begun: RunStarted) -> int:
    """Return the model's declared context window; 0 if the trace does not record it."""
    window = begun.settings.get("context_tokens")
    return window if isinstance(window, int) else 0


def _status(events: Sequence[Event]) -> str:
    status = state_of(events)
    return RECORDED if status == "empty" else status


def _verified(events: Sequence[Event], tree: str) -> bool:
    """Return whether the last check ran in a fresh sandbox, on the present files."""
    checks = [event for event in events if isinstance(event, Checked)]
    return bool(checks) and checks[-1].final and checks[-1].key.endswith(tree)


def _requirements(
    events: Sequence[Event], objects: ObjectStore
) -> tuple[tuple[RequirementRow, ...], str]:
    examined = [event for event in events if isinstance(event, RequirementsVerified)]
    if not examined:
        return (), ""
    try:
        return _ROWS.validate_json(objects.get(examined[-1].table_object)), examined[-1].problem
    except pydantic.ValidationError as error:
        raise TraceError("The table of requirements is not one of this version.") from error


def _sandbox(event: SandboxOpened, objects: ObjectStore) -> SandboxSummary:
    """Return the summary of a receipt; facts that it lacks stay empty, never assumed."""
    try:
        receipt = json.loads(objects.get(event.receipt_object))
    except (ValueError, RecursionError):
        receipt = {}
    rows = [row for row in _list(receipt, "rows") if isinstance(row, dict)]
    verdicts = [str(row.get("verdict")) for row in rows]
    image = _dict(receipt, "image")
    unavailable = [str(row.get("name")) for row in rows if row.get("verdict") == "not available"]
    return SandboxSummary(
        purpose=event.purpose,
        image=_text(image, "reference"),
        digest=_text(image, "digest") or _text(image, "base"),
        runtime=_text(receipt, "runtime"),
        own_kernel=isinstance(receipt, dict) and receipt.get("own_kernel") is True,
        engine=_text(_dict(receipt, "engine"), "version"),
        rows=tuple((verdict, verdicts.count(verdict)) for verdict in sorted(set(verdicts))),
        unavailable=tuple(unavailable),
    )


def _dict(value: object, name: str) -> dict[str, object]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: object, name: str) -> list[object]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _text(value: object, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
