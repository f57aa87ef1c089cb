"""The run specification in the first line of a trace: recorded and read back."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import pydantic

from l2mac.control.run_spec import RunSpec
from l2mac.errors import TraceError
from l2mac.trace.chain import read_first
from l2mac.trace.events import RunStarted
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore

_SPEC: pydantic.TypeAdapter[RunSpec] = pydantic.TypeAdapter(RunSpec)
_APART = ("task", "domain", "definition")
"""Fields with a place of their own in the event; the others are its settings."""
_SETTINGS = frozenset(field.name for field in fields(RunSpec)) - set(_APART)


def read_spec(folder: Path) -> RunSpec:
    """Return the specification of a recorded run.

    Raises:
        TraceError: The trace is empty, damaged, or of another version of l2mac.
    """
    beginning = read_first(folder / TRACE_FILE, RunStarted)
    if beginning is None:
        raise TraceError(
            f"The run {folder.name} was aborted before it began. Start a new run with `l2mac run`."
        )
    objects = ObjectStore(folder / OBJECTS_FILE)
    try:
        return _read(beginning, objects)
    except ValueError as error:
        raise TraceError(
            f"The run {folder.name} has settings that this version of l2mac does not know."
            " Use the version that recorded the run."
        ) from error
    finally:
        objects.close()


def record_spec(spec: RunSpec, objects: ObjectStore) -> RunStarted:
    """Return the first event of a trace."""
    settings = json.loads(json.dumps(asdict(spec)))
    for name in _APART:
        del settings[name]
    return RunStarted(
        task_object=objects.put_text(spec.task),
        domain=spec.domain,
        domain_object=objects.put_text(spec.definition),
        settings=settings,
    )


def _read(beginning: RunStarted, objects: ObjectStore) -> RunSpec:
    if beginning.settings.keys() != _SETTINGS:
        raise ValueError("settings are missing or unknown")
    apart = {
        "task": objects.get_text(beginning.task_object),
        "domain": beginning.domain,
        "definition": objects.get_text(beginning.domain_object),
    }
    return _SPEC.validate_python({**beginning.settings, **apart})
