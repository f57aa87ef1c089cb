"""Which call touched which file: the data of Figure 4 of the paper, and a smaller map of the same."""

from collections.abc import Sequence
from itertools import groupby

from l2mac.insight.lines import places
from l2mac.insight.series import Column, HeatMap, HeatRow
from l2mac.trace.chain import Entry
from l2mac.trace.events import StoreRestored
from l2mac.trace.history import Access, RecordedStoreState, accesses, apply_event
from l2mac.trace.objects import ObjectStore

ABSENT, EXISTS, READ, RAN, WRITTEN, DELETED = LETTERS = ".erxwd"
"""By weight: where several happened at once, the last one shows."""
_LETTER_OF = {"read": READ, "ran": RAN, "created": WRITTEN, "wrote": WRITTEN, "deleted": DELETED}


def heat_map_of(
    entries: Sequence[Entry], counting: Sequence[Entry], objects: ObjectStore
) -> HeatMap:
    """Return the map of a run's effective history."""
    touches = {
        line: list(group)
        for line, group in groupby(accesses(entries, objects), key=lambda one: one.line)
    }
    columns: list[Column] = []
    cells: dict[str, list[str]] = {}
    files: RecordedStoreState = {}
    for entry, instruction in places(counting):
        marks = _marks(touches.get(entry.number, ()), entry)
        apply_event(entry.event, files)
        if not marks:
            continue
        for path in marks:
            cells.setdefault(path, [ABSENT] * len(columns))
        columns.append(Column(entry.number, instruction))
        for path, row in cells.items():
            row.append(marks.get(path) or (EXISTS if path in files else ABSENT))
    rows = (HeatRow(path, "".join(row)) for path, row in cells.items())
    return HeatMap(tuple(columns), tuple(row for row in rows if _was_there(row)))


def _was_there(row: HeatRow) -> bool:
    """Whether the name is a file's: models also name folders, and what does not exist."""
    return any(letter in (EXISTS, WRITTEN, DELETED) for letter in row.cells)


def _marks(touches: Sequence[Access], entry: Entry) -> dict[str, str]:
    marks: dict[str, str] = {}
    for touch in touches:
        marks[touch.path] = heaviest(marks.get(touch.path, ABSENT) + _LETTER_OF[touch.how])
    if isinstance(entry.event, StoreRestored):
        marks |= {
            change.path: DELETED if change.deleted else WRITTEN for change in entry.event.changes
        }
    return marks


def heaviest(letters: str) -> str:
    """Return the letter of most weight."""
    return next(letter for letter in reversed(LETTERS) if letter in letters)


def condensed(heat_map: HeatMap, *, most_columns: int, most_rows: int) -> HeatMap:
    """Return a map of bounded size: neighbouring columns taken together, the files that were touched most.

    A column of several keeps the heaviest letter of each row; the rows keep their order.
    """
    rows = heat_map.rows
    if len(rows) > most_rows:
        busiest = sorted(range(len(rows)), key=lambda place: (-touches(rows[place]), place))[
            :most_rows
        ]
        rows = tuple(rows[place] for place in sorted(busiest))
    bounds = slices(len(heat_map.columns), most_columns)
    columns = tuple(heat_map.columns[start] for start, _ in bounds)
    return HeatMap(
        columns,
        tuple(
            HeatRow(row.path, "".join(heaviest(row.cells[start:stop]) for start, stop in bounds))
            for row in rows
        ),
    )


def touches(row: HeatRow) -> int:
    """Count how often a file was touched."""
    return len(row.cells) - row.cells.count(ABSENT) - row.cells.count(EXISTS)


def slices(count: int, most: int) -> tuple[tuple[int, int], ...]:
    """Cut a sequence of that length into at most so many pieces of nearly the same length: their bounds."""
    pieces = min(count, most)
    return tuple(
        (count * piece // pieces, count * (piece + 1) // pieces) for piece in range(pieces)
    )
