"""The input of a run in its trace, recorded before the first instruction."""

import hashlib
import json
from collections.abc import Iterable

from l2mac.control.run_spec import RunSpec
from l2mac.errors import TraceError
from l2mac.trace.events import Event, InputRecorded
from l2mac.trace.history import recorded_input, tree_hash
from l2mac.trace.journal import Journal
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.input_folder import Input
from sandbox import Change, FileEntry


def tree_of(given: Input) -> str:
    """Return the hash of the input's tree, its name in the run specification."""
    return tree_hash(
        FileEntry(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in given.contents.items()
    )


def adopt(plan: RunSpec, journal: Journal, given: Input | None) -> tuple[InputRecorded, ...]:
    """Return the event that records the input, if the run has an input.

    Raises:
        TraceError: The input was never recorded, or its files are other ones than prepared.
    """
    if not plan.input:
        return ()

    def perform() -> InputRecorded:
        if given is None:
            raise TraceError(
                "The run was aborted before its input was recorded."
                " Start a new run with `l2mac run`."
            )
        put = journal.objects.put
        changes = [
            Change(path, len(content), put(content))
            for path, content in sorted(given.contents.items())
        ]
        if tree_hash(FileEntry(one.path, one.size, one.digest) for one in changes) != plan.input:
            raise TraceError(
                "The input folder changed after the run was prepared. Repeat the command."
            )
        return InputRecorded(
            key=plan.input, changes=tuple(changes), left_out_object=put(_dump(given))
        )

    return (journal.effect(InputRecorded, plan.input, perform),)


def recorded_origin(events: Iterable[Event], objects: ObjectStore) -> Input | None:
    """Return the input of a recorded run, or None if it has none.

    Raises:
        TraceError: An object is missing or altered.
    """
    events = tuple(events)
    contents = {path: objects.get(name) for path, name in recorded_input(events).items()}
    return Input(contents, left_out_of(events, objects)) if contents else None


def left_out_of(events: Iterable[Event], objects: ObjectStore) -> dict[str, tuple[str, ...]]:
    """Return the paths that were excluded from a recorded run's input, by kind."""
    for event in events:
        if isinstance(event, InputRecorded) and event.left_out_object:
            left_out = json.loads(objects.get(event.left_out_object))
            return {str(kind): tuple(map(str, paths)) for kind, paths in left_out.items()}
    return {}


def _dump(given: Input) -> bytes:
    return json.dumps(
        {kind: list(paths) for kind, paths in given.left_out.items()}, sort_keys=True
    ).encode("ascii")
