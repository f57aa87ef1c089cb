"""What a record says about the run's history: which lines count, the files after each step, who touched which file.

A *step* is a point to which a run can be taken back: number 0 is its start, with its input if it has one, and one more
comes with each tool call that changed the store, with each instruction that was completed or part of a method's work
that ended, and where the store was set back. Any line would do, as the control unit walks through whatever is recorded;
steps are the ones at which something is different.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import get_args

from l2mac.errors import TraceError
from l2mac.trace.chain import Entry
from l2mac.trace.events import (
    Event,
    Forked,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    Rewound,
    RunEnded,
    RunStarted,
    SandboxOpened,
    SessionStarted,
    StoreRestored,
    ToolRan,
)
from l2mac.trace.input_events import InputRecorded
from l2mac.trace.method_events import PartEnded, PartStarted
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry

BRACKETS = (SessionStarted, SandboxOpened, RunEnded, Rewound, Forked)
_CHANGING = (InputRecorded, ToolRan, StoreRestored)
_NAMING_FIELDS: Mapping[type, tuple[str, ...]] = {
    kind: tuple(
        field.name
        for field in fields(kind)
        if field.name == "changes" or field.name.endswith(("_object", "_objects"))
    )
    for kind in get_args(Event)
}
RecordedStoreState = dict[str, FileEntry]
"""A file store by path, while events are applied to it."""
_READERS = {"view_files": "read", "run_python_file": "ran", "run_tests": "ran"}


@dataclass(frozen=True, slots=True)
class Step:
    """A point of a run's history.

    Attributes:
        number: From 0.
        line: The last line that belongs to it, from 0.
        instruction: The instruction, or part of a method's work, that it belongs to, from 1; 0 before the first.
        what: The tool that changed the store, `completed`, `part ended`, `restored`, `start`, or `input` for a
            start with files.
        files: The store, path → entry.
    """

    number: int
    line: int
    instruction: int
    what: str
    files: Mapping[str, FileEntry]

    @property
    def tree(self) -> str:
        """The hash of the store."""
        return tree_hash(self.files.values())


@dataclass(frozen=True, slots=True)
class Access:
    """One touch of a file: `how` is created, wrote, deleted, read or ran; `turn` counts replies of the instruction."""

    path: str
    how: str
    instruction: int
    turn: int
    line: int


def effective(entries: Sequence[Entry]) -> list[Entry]:
    """Give the lines that count: all but those that a later `Rewound` took back."""
    kept: list[Entry] = []
    for entry in entries:
        if isinstance(entry.event, Rewound):
            while kept and kept[-1].number > entry.event.to:
                kept.pop()
        kept.append(entry)
    return kept


def state_of(events: Sequence[Event]) -> str:
    """Say how the run stands: how the last session ended, or what came after it."""
    for event in reversed(events):
        if isinstance(event, RunEnded):
            return event.status
        if isinstance(event, Rewound):
            return f"rewound to step {event.step}"
        if isinstance(event, Forked):
            return f"forked from {event.origin} at step {event.step}"
        if isinstance(event, SessionStarted):
            return "at work or killed"
    return "empty"


def recorded_files(events: Iterable[Event]) -> tuple[FileEntry, ...]:
    """Give the store as it is after these events, which must be effective ones."""
    files: dict[str, FileEntry] = {}
    for event in events:
        apply_event(event, files)
    return tuple(files.values())


def tree_hash(files: Iterable[FileEntry]) -> str:
    """Give a hash of all paths and contents."""
    lines = (
        f"{entry.digest} {entry.path}\n" for entry in sorted(files, key=lambda entry: entry.path)
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def recorded_input(events: Iterable[Event]) -> dict[str, str]:
    """Give the files that a run began with, path → object."""
    changes = (
        change for event in events if isinstance(event, InputRecorded) for change in event.changes
    )
    return {change.path: change.digest for change in changes}


def steps(entries: Sequence[Entry]) -> list[Step]:
    """Give the steps of a run's effective history."""
    found: list[Step] = []
    files: dict[str, FileEntry] = {}
    instruction = 0
    for entry in effective(entries):
        event = entry.event
        if isinstance(event, InstructionStarted | PartStarted):
            instruction = event.number
        what = _named_as_step(event)
        if what:
            apply_event(event, files)
            if isinstance(event, InputRecorded):
                found.clear()  # the start, which is not whole without the input
            found.append(Step(len(found), entry.number, instruction, what, dict(files)))
    return found


def find_step(entries: Sequence[Entry], number: int) -> Step:
    """Give the step of that number; negative ones count from the last, which is -1.

    Raises:
        TraceError: There is none.
    """
    found = steps(entries)
    if not -len(found) <= number < len(found):
        raise TraceError(
            f"there is no step {number}; the run has steps 0 to {len(found) - 1}"
            if found
            else "no steps"
        )
    return found[number]


def accesses(entries: Sequence[Entry], objects: ObjectStore) -> list[Access]:
    """Give every touch of a file in the effective history, in order."""
    found: list[Access] = []
    files: dict[str, FileEntry] = {}
    instruction = turn = 0
    for entry in effective(entries):
        event = entry.event
        if isinstance(event, InstructionStarted | PartStarted):
            turn = turn if event.number == instruction else 0
            instruction = event.number
        elif isinstance(event, ModelCalled):
            turn += event.purpose == "turn"
        elif isinstance(event, ToolRan):
            touched = [
                *_read_by(event, objects),
                *((c.path, _how(c.path, files, c.deleted)) for c in event.changes),
            ]
            found += [Access(path, how, instruction, turn, entry.number) for path, how in touched]
        apply_event(event, files)
    return found


def named_objects(event: Event) -> Iterator[str]:
    """Give the names of the objects that an event refers to."""
    for name in _NAMING_FIELDS[type(event)]:
        value = getattr(event, name)
        if name == "changes":
            yield from (change.digest for change in value if change.digest)
        elif name.endswith("_objects"):
            yield from value
        elif value:
            yield value


def _named_as_step(event: Event) -> str:
    if isinstance(event, RunStarted):
        return "start"
    if isinstance(event, InputRecorded):
        return "input"
    if isinstance(event, ToolRan) and event.changes:
        return event.name
    if isinstance(event, StoreRestored):
        return "restored"
    if isinstance(event, PartEnded):
        return event.kind
    return "completed" if isinstance(event, InstructionCompleted) else ""


def apply_event(event: Event, files: RecordedStoreState) -> None:
    """Bring a store to where it is after the event."""
    for change in event.changes if isinstance(event, _CHANGING) else ():
        if change.deleted:
            files.pop(change.path, None)
        else:
            files[change.path] = FileEntry(change.path, change.size, change.digest)


def _how(path: str, files: Mapping[str, FileEntry], deleted: bool) -> str:  # noqa: FBT001 - a change's own field
    return "deleted" if deleted else "wrote" if path in files else "created"


def _read_by(event: ToolRan, objects: ObjectStore) -> list[tuple[str, str]]:
    """Give the files that a call names to look at or run; what a program reads by itself is not seen."""
    how = _READERS.get(event.name, "")
    if not how or not event.ok:
        return []
    try:
        arguments = json.loads(objects.get_text(event.arguments_object))
        listed = arguments.get("files") or arguments.get("paths") or [arguments.get("path")]
        names = [item["path"] if isinstance(item, dict) else item for item in listed]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return []
    return [
        (name.partition("::")[0], how)
        for name in dict.fromkeys(n for n in names if isinstance(n, str))
    ]
