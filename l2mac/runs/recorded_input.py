"""Take over the files that a run begins with into its record, before anything is done with them."""

import hashlib
import json
from collections.abc import Iterable

from l2mac.control.run_spec import RunSpec
from l2mac.errors import TraceError
from l2mac.trace.events import Event
from l2mac.trace.history import recorded_input, tree_hash
from l2mac.trace.input_events import InputRecorded
from l2mac.trace.journal import Journal
from l2mac.trace.objects import ObjectStore
from l2mac.workspace.input_folder import Input
from sandbox import Change, FileEntry


def tree_of(given: Input) -> str:
    """Give the hash of the files' tree, by which a plan names its input."""
    return tree_hash(
        FileEntry(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in given.contents.items()
    )


def adopt(plan: RunSpec, journal: Journal, given: Input | None) -> tuple[InputRecorded, ...]:
    """Give the event by which the run took its input over, recorded now or before; none where it begins with nothing.

    Raises:
        TraceError: The run was broken off before its input was recorded, or the files are not those of the plan.
    """
    if not plan.input:
        return ()

    def perform() -> InputRecorded:
        if given is None:
            raise TraceError(
                "the run was broken off before its input was recorded; start it again with `l2mac run`"
            )
        put = journal.objects.put
        changes = [
            Change(path, len(content), put(content))
            for path, content in sorted(given.contents.items())
        ]
        if tree_hash(FileEntry(one.path, one.size, one.digest) for one in changes) != plan.input:
            raise TraceError("the files are not those that the run was to begin with")
        return InputRecorded(
            key=plan.input, changes=tuple(changes), left_out_object=put(_dump(given))
        )

    return (journal.effect(InputRecorded, plan.input, perform),)


def recorded_origin(events: Iterable[Event], objects: ObjectStore) -> Input | None:
    """Give a recorded run's input from its objects, to begin another run with; None where it had none.

    Raises:
        TraceError: A content is missing from the record or altered.
    """
    events = tuple(events)
    contents = {path: objects.get(name) for path, name in recorded_input(events).items()}
    return Input(contents, left_out_of(events, objects)) if contents else None


def left_out_of(events: Iterable[Event], objects: ObjectStore) -> dict[str, tuple[str, ...]]:
    """Give what lay beside a recorded run's input and was left out: kind → paths."""
    for event in events:
        if isinstance(event, InputRecorded) and event.left_out_object:
            left_out = json.loads(objects.get(event.left_out_object))
            return {str(kind): tuple(map(str, paths)) for kind, paths in left_out.items()}
    return {}


def _dump(given: Input) -> bytes:
    return json.dumps(
        {kind: list(paths) for kind, paths in given.left_out.items()}, sort_keys=True
    ).encode("ascii")
