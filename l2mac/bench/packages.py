"""The packages that a run's files need, out of the run's own record."""

from collections.abc import Mapping
from pathlib import Path

from l2mac.errors import TraceError
from l2mac.evaluator.packages import recorded_fetch
from l2mac.evaluator.requirement_files import FILES, read_requirements
from l2mac.runs.recorded_spec import read_spec
from l2mac.trace.chain import read_trace
from l2mac.trace.history import effective, recorded_files
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE
from l2mac.trace.objects import ObjectStore


def recorded_wheels(run: Path) -> Mapping[str, bytes]:
    """Give the wheels for what the run's files name at its end; none where it fetched none."""
    mode = read_spec(run).dependencies
    if mode == "off":
        return {}
    events = [entry.event for entry in effective(read_trace(run / TRACE_FILE)[0])]
    objects = ObjectStore(run / OBJECTS_FILE)
    try:
        named = {
            entry.path: objects.get(entry.digest)
            for entry in recorded_files(events)
            if entry.path in FILES
        }
        wanted = read_requirements(named, hashed=mode == "locked")
        if wanted.findings or not wanted.lines:
            return {}
        try:
            return recorded_fetch(events, objects)(run.name, wanted.text, mode == "locked").wheels
        except TraceError:  # the run ended before they were fetched
            return {}
    finally:
        objects.close()
