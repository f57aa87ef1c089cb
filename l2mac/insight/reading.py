"""Read everything that is shown of a run from its record, whatever state it is in; nothing is locked or written."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic

from l2mac.control.outcome import RequirementRow
from l2mac.errors import TraceError
from l2mac.evaluator.evaluator import recorded_report
from l2mac.evaluator.verdict import CheckReport
from l2mac.insight.heat import heat_map_of
from l2mac.insight.lines import calls_of, checks_of, kept_of, sessions_of
from l2mac.insight.series import Insight, Sandbox
from l2mac.insight.stages import stages_of
from l2mac.trace.chain import Entry, read_trace
from l2mac.trace.events import (
    Checked,
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
    """Return what a run's record shows.

    Raises:
        TraceError: The record is damaged, lacks an object, or is empty.
    """
    entries, _, seal = read_trace(folder / TRACE_FILE)
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        return insight_of(folder.name, entries, objects, seal)
    finally:
        objects.close()


def insight_of(run: str, entries: Sequence[Entry], objects: ObjectStore, seal: str) -> Insight:
    """Return what these lines show; see `read_insight`."""
    counting = effective(entries)
    events = [entry.event for entry in counting]
    begun = next((event for event in events if isinstance(event, RunStarted)), None)
    if begun is None:
        raise TraceError(
            f"the run {run} was broken off before it began, so there is nothing to see in it"
        )
    ends = [event for event in events if isinstance(event, RunEnded)]
    files = recorded_files(events)
    checks, last = checks_of(counting, report_reader(objects))
    requirements, unexamined = _requirements(events, objects)
    return Insight(
        run=run,
        task=objects.get_text(begun.task_object),
        domain=begun.domain,
        status=_status([entry.event for entry in entries]),
        cause=ends[-1].cause if ends and events[-1] is ends[-1] else "",
        seal=seal,
        events=len(entries),
        taken_back=len(entries) - len(counting),
        elapsed_s=entries[-1].elapsed_s,
        context_tokens=context_tokens(begun),
        models=tuple(
            dict.fromkeys(one.model for one in events if isinstance(one, ModelCalled) and one.model)
        ),
        sessions=sessions_of(entries),
        stages=stages_of(entries, counting, objects.get_text),
        kept=kept_of(counting),
        checks=checks,
        calls=calls_of(entries, counting),
        heat_map=heat_map_of(entries, counting, objects),
        sandboxes=tuple(
            _sandbox(entry.event, objects)
            for entry in entries
            if isinstance(entry.event, SandboxOpened)
        ),
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
            objects.close()  # and read anew, with what has been added since
        return recorded_report(event, objects)

    return report_of


def context_tokens(begun: RunStarted) -> int:
    """Return the model's window, as it was declared; 0 when the record does not say."""
    window = begun.settings.get("context_tokens")
    return window if isinstance(window, int) else 0


def _status(events: Sequence[Any]) -> str:
    status = state_of(events)
    return RECORDED if status == "empty" else status


def _verified(events: Sequence[Any], tree: str) -> bool:
    """Whether the last check was that of a fresh sandbox, on the files as they are now."""
    checks = [event for event in events if isinstance(event, Checked)]
    return bool(checks) and checks[-1].final and checks[-1].key.endswith(tree)


def _requirements(
    events: Sequence[Any], objects: ObjectStore
) -> tuple[tuple[RequirementRow, ...], str]:
    examined = [event for event in events if isinstance(event, RequirementsVerified)]
    if not examined:
        return (), ""
    try:
        return _ROWS.validate_json(objects.get(examined[-1].table_object)), examined[-1].problem
    except pydantic.ValidationError as error:
        raise TraceError("the table of requirements is none as this version knows it") from error


def _sandbox(event: SandboxOpened, objects: ObjectStore) -> Sandbox:
    """Read a receipt; what it does not say stays empty, so that it cannot look like more than it shows."""
    try:
        receipt = json.loads(objects.get(event.receipt_object))
    except (ValueError, RecursionError):
        receipt = {}
    rows = [row for row in _list(receipt, "rows") if isinstance(row, dict)]
    verdicts = [str(row.get("verdict")) for row in rows]
    image = _dict(receipt, "image")
    return Sandbox(
        purpose=event.purpose,
        image=_text(image, "reference"),
        digest=_text(image, "digest") or _text(image, "base"),
        runtime=_text(receipt, "runtime"),
        own_kernel=isinstance(receipt, dict) and receipt.get("own_kernel") is True,
        engine=_text(_dict(receipt, "engine"), "version"),
        rows=tuple((verdict, verdicts.count(verdict)) for verdict in sorted(set(verdicts))),
        unavailable=tuple(
            str(row.get("name")) for row in rows if row.get("verdict") == "not available"
        ),
    )


def _dict(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
