"""Rewind a run to a step, or fork it into a new run that begins there.

A trace only grows. A rewind appends a line that states which earlier lines no longer count. Readers
skip those lines (`l2mac.trace.history.effective`), and a resumed run continues after the others.
A fork is a new folder. Its first lines are a copy of the old run's lines up to the step.
"""

from pathlib import Path

from l2mac.errors import TraceError
from l2mac.trace.events import Forked, Rewound
from l2mac.trace.history import Step, find_step, named_objects
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore
from l2mac.trace.run_report import write_report


def rewind(folder: Path, number: int) -> Step:
    """Rewind a run to a step and return the step. No line of the trace is removed.

    Raises:
        RunLocked: A process works on the run.
        TraceError: The step does not exist, or the trace is damaged.
    """
    with Journal(folder) as journal:
        step = find_step([entry for entry, _ in journal.lines], number)
        journal.bracket(Rewound(to=step.line, step=step.number))
        write_report(folder, journal.lines)
    return step


def fork(folder: Path, number: int, target: Path) -> Step:
    """Copy a run up to a step into a new run and return the step.

    Args:
        folder: The run that is forked.
        number: The step.
        target: The new run's folder, which exists and is empty.

    Raises:
        RunLocked: A process works on the run.
        TraceError: The step does not exist, the trace is damaged, or the new run's folder is not
            writable.
    """
    with Journal(folder) as journal:
        lines = journal.lines
        step = find_step([entry for entry, _ in lines], number)
        size = lines[step.line][1].size
        names: dict[str, None] = {}
        for entry, _ in lines[: step.line + 1]:
            names.update(dict.fromkeys(named_objects(entry.event)))
        _copy(folder, target, size, list(names))
    with Journal(target) as journal:
        journal.bracket(Forked(origin=folder.name, step=step.number))
        write_report(target, journal.lines)
    return step


def _copy(folder: Path, target: Path, size: int, names: list[str]) -> None:
    """Copy the objects, then the lines, so that no line ever names a missing object."""
    source, copies = ObjectStore(folder / OBJECTS_FILE), ObjectStore(target / OBJECTS_FILE)
    try:
        for name in names:
            copies.put(source.get(name))
        copies.sync()
        with (folder / TRACE_FILE).open("rb") as file, (target / TRACE_FILE).open("xb") as copy:
            copy.write(file.read(size))
        (target / TRACE_FILE).chmod(0o600)
    except OSError as error:
        raise TraceError(
            f"The folder {target} is not writable: {error.strerror}. Check its disk and"
            " permissions."
        ) from error
    finally:
        source.close()
        copies.close()
