"""The history of a run, read from its trace.

Terms:

- A line is *effective* unless a later rewind took it out of the history.
- A *step* is a point that a run can be rewound to. Step 0 is the start of the run, with its input.
  One more step follows each tool call that changed the file store, each completed instruction or
  ended part of a comparison method's work, and each restored file store. A rewind could end at any
  line. Steps are the lines after which the files or the instruction are different.
- An *access* is one touch of a file by a tool call.
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
    InputRecorded,
    InstructionCompleted,
    InstructionStarted,
    ModelCalled,
    PartEnded,
    PartStarted,
    Rewound,
    RunEnded,
    RunStarted,
    SandboxOpened,
    SessionStarted,
    StoreRestored,
    ToolRan,
)
from l2mac.trace.objects import ObjectStore
from sandbox import Change, FileEntry

BRACKETS = (SessionStarted, SandboxOpened, RunEnded, Rewound, Forked)
RecordedStoreState = dict[str, FileEntry]
"""The file store, path → entry, while events are applied to it."""
_CHANGING = (InputRecorded, ToolRan, StoreRestored)
_READING_TOOLS = {"view_files": "read", "run_python_file": "ran", "run_tests": "ran"}


@dataclass(frozen=True, slots=True)
class Step:
    """A point of a run's history; see the module's description.

    Attributes:
        number: The step, from 0.
        line: The last line of the trace that belongs to the step, from 0.
        instruction: The instruction, or part of a comparison method's work, that the step belongs
            to, from 1, or 0 before the first one.
        action: The event behind the step: the name of the tool that changed the file store,
            `completed`, `part ended`, `restored`, `start`, or `input` for a start with files.
        files: The file store, path → entry.
    """

    number: int
    line: int
    instruction: int
    action: str
    files: Mapping[str, FileEntry]

    @property
    def tree(self) -> str:
        """The hash of the file store."""
        return tree_hash(self.files.values())


@dataclass(frozen=True, slots=True)
class Access:
    """One touch of a file.

    Attributes:
        path: The file.
        how: `created`, `wrote`, `deleted`, `read` or `ran`.
        instruction: As in `Step`.
        turn: The number of the model's replies in the instruction so far.
        line: The line of the trace, from 0.
    """

    path: str
    how: str
    instruction: int
    turn: int
    line: int


def effective(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that no later `Rewound` took out of the history."""
    kept: list[Entry] = []
    for entry in entries:
        if isinstance(entry.event, Rewound):
            while kept and kept[-1].number > entry.event.to:
                kept.pop()
        kept.append(entry)
    return kept


def state_of(events: Sequence[Event]) -> str:
    """Return the status of the last session, or the bracket after it."""
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
    """Return the file store after these events, which must be effective ones."""
    files: RecordedStoreState = {}
    for event in events:
        apply_event(event, files)
    return tuple(files.values())


def tree_hash(files: Iterable[FileEntry]) -> str:
    """Return a hash of all paths and contents; it equals `FileStore.tree`."""
    ordered = sorted(files, key=lambda entry: entry.path)
    text = "".join(f"{entry.digest} {entry.path}\n" for entry in ordered)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def recorded_input(events: Iterable[Event]) -> dict[str, str]:
    """Return the files that a run began with, path → object."""
    files: dict[str, str] = {}
    for event in events:
        if isinstance(event, InputRecorded):
            files.update((change.path, change.digest) for change in event.changes)
    return files


def steps(entries: Sequence[Entry]) -> list[Step]:
    """Return the steps of a run's effective history."""
    found: list[Step] = []
    files: RecordedStoreState = {}
    instruction = 0
    for entry in effective(entries):
        event = entry.event
        if isinstance(event, InstructionStarted | PartStarted):
            instruction = event.number
        action = _step_action(event)
        if not action:
            continue
        apply_event(event, files)
        if isinstance(event, InputRecorded):
            found.clear()  # A start without its input is not a state to rewind to.
        found.append(Step(len(found), entry.number, instruction, action, dict(files)))
    return found


def find_step(entries: Sequence[Entry], number: int) -> Step:
    """Return a step by its number; -1 is the last step.

    Raises:
        TraceError: The step does not exist.
    """
    found = steps(entries)
    if not found:
        raise TraceError("The run has no steps yet. Resume it first.")
    if not -len(found) <= number < len(found):
        raise TraceError(
            f"Step {number} does not exist. The run has steps 0 to {len(found) - 1}. Choose one."
        )
    return found[number]


def accesses(entries: Sequence[Entry], objects: ObjectStore) -> list[Access]:
    """Return every access to a file in the effective history, in order."""
    found: list[Access] = []
    files: RecordedStoreState = {}
    instruction = turn = 0
    for entry in effective(entries):
        event = entry.event
        if isinstance(event, InstructionStarted | PartStarted):
            # A restart continues the count of its instruction.
            turn = turn if event.number == instruction else 0
            instruction = event.number
        elif isinstance(event, ModelCalled):
            turn += event.purpose == "turn"
        elif isinstance(event, ToolRan):
            touched = _files_read(event, objects)
            touched += [(change.path, _change_kind(change, files)) for change in event.changes]
            found += [Access(path, how, instruction, turn, entry.number) for path, how in touched]
        apply_event(event, files)
    return found


def named_objects(event: Event) -> Iterator[str]:
    """Yield the names of the objects that an event refers to."""
    for name in _OBJECT_FIELDS[type(event)]:
        value = getattr(event, name)
        if name == "changes":
            yield from (change.digest for change in value if change.digest)
        elif name.endswith("_objects"):
            yield from value
        elif value:
            yield value


def apply_event(event: Event, files: RecordedStoreState) -> None:
    """Apply the changes of an event to the file store."""
    if not isinstance(event, _CHANGING):
        return
    for change in event.changes:
        if change.deleted:
            files.pop(change.path, None)
        else:
            files[change.path] = FileEntry(change.path, change.size, change.digest)


def _object_fields(kind: type) -> tuple[str, ...]:
    names = [field.name for field in fields(kind)]
    return tuple(name for name in names if name == "changes" or name.endswith(_OBJECT_ENDINGS))


_OBJECT_ENDINGS = ("_object", "_objects")
_OBJECT_FIELDS: Mapping[type, tuple[str, ...]] = {
    kind: _object_fields(kind) for kind in get_args(Event)
}


def _step_action(event: Event) -> str:
    """Return the action of the step that an event ends, or ""."""
    if isinstance(event, RunStarted):
        return "start"
    if isinstance(event, InputRecorded):
        return "input"
    if isinstance(event, ToolRan) and event.changes:
        return event.name
    if isinstance(event, StoreRestored):
        return "restored"
    if isinstance(event, PartEnded | InstructionCompleted):
        return event.kind
    return ""


def _change_kind(change: Change, files: RecordedStoreState) -> str:
    if change.deleted:
        return "deleted"
    return "wrote" if change.path in files else "created"


def _path_in(item: object) -> object:
    return item["path"] if isinstance(item, dict) else item


def _files_read(event: ToolRan, objects: ObjectStore) -> list[tuple[str, str]]:
    """Return the files that a call names as arguments, each with how it was used.

    Files that an executed program opens by itself do not appear in the trace.
    """
    how = _READING_TOOLS.get(event.name, "")
    if not how or not event.ok:
        return []
    try:
        arguments = json.loads(objects.get_text(event.arguments_object))
        listed = arguments.get("files") or arguments.get("paths") or [arguments.get("path")]
        names = list(map(_path_in, listed))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return []
    texts = dict.fromkeys(name for name in names if isinstance(name, str))
    return [(name.partition("::")[0], how) for name in texts]
