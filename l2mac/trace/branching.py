"""Take a run back to a step, or let another run begin there.

A record only grows. Rewinding adds a line that says from where on the lines before it count no more; whoever reads the
record skips them (`l2mac.trace.history.effective`), and a resumed run walks through the others and goes on from there.
A fork is a new folder whose first lines are the bytes of the old ones up to the step.
"""

from pathlib import Path

from l2mac.errors import TraceError
from l2mac.trace.events import Forked, Rewound
from l2mac.trace.history import Step, find_step, named_objects
from l2mac.trace.journal import OBJECTS_FILE, TRACE_FILE, Journal
from l2mac.trace.objects import ObjectStore
from l2mac.trace.run_report import write_report


def rewind(folder: Path, number: int) -> Step:
    """Take a run back to a step; gives it. Nothing is removed from the record.

    Raises:
        RunLocked: A process works on the run.
        TraceError: There is no such step, or the record is damaged.
    """
    with Journal(folder) as journal:
        step = find_step([entry for entry, _ in journal.lines], number)
        journal.bracket(Rewound(to=step.line, step=step.number))
        write_report(folder, journal.lines)
    return step


def fork(folder: Path, number: int, target: Path) -> Step:
    """Begin a new run with the first lines of another; gives the step up to which.

    Args:
        folder: The run that is forked.
        number: The step.
        target: The new run's folder, which exists and is empty.

    Raises:
        RunLocked: A process works on the run.
        TraceError: There is no such step, the record is damaged, or the new one cannot be written.
    """
    with Journal(folder) as journal:
        lines = journal.lines
        step = find_step([entry for entry, _ in lines], number)
        size = lines[step.line][1].size
        names = dict.fromkeys(
            name for entry, _ in lines[: step.line + 1] for name in named_objects(entry.event)
        )
        _copy(folder, target, size, list(names))
    with Journal(target) as journal:
        journal.bracket(Forked(origin=folder.name, step=step.number))
        write_report(target, journal.lines)
    return step


def _copy(folder: Path, target: Path, size: int, names: list[str]) -> None:
    """Write the objects first, so that no line ever names one that is not there."""
    source, copies = ObjectStore(folder / OBJECTS_FILE), ObjectStore(target / OBJECTS_FILE)
    try:
        for name in names:
            copies.put(source.get(name))
        copies.sync()
        with (folder / TRACE_FILE).open("rb") as file, (target / TRACE_FILE).open("xb") as copy:
            copy.write(file.read(size))
        (target / TRACE_FILE).chmod(0o600)
    except OSError as error:
        raise TraceError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        source.close()
        copies.close()
