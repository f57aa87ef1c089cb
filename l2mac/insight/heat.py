"""The file accesses of a run as a map: the data of Figure 4 of the paper."""

from collections.abc import Sequence
from itertools import groupby, pairwise

from l2mac.insight.lines import places
from l2mac.insight.series import Column, HeatMap, HeatRow
from l2mac.trace.chain import Entry
from l2mac.trace.events import StoreRestored
from l2mac.trace.history import Access, RecordedStoreState, accesses, apply_event
from l2mac.trace.objects import ObjectStore

ABSENT, EXISTS, READ, RAN, WRITTEN, DELETED = LETTERS = ".erxwd"
"""In rising order of weight: of several accesses in one cell, the heaviest is shown."""
_LETTER_OF = {"read": READ, "ran": RAN, "created": WRITTEN, "wrote": WRITTEN, "deleted": DELETED}


def heat_map_of(
    entries: Sequence[Entry], counting: Sequence[Entry], objects: ObjectStore
) -> HeatMap:
    """Return the map of a run's effective history."""
    grouped = groupby(accesses(entries, objects), key=lambda one: one.line)
    touches = {line: list(group) for line, group in grouped}
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
    rows = [HeatRow(path, "".join(row)) for path, row in cells.items()]
    return HeatMap(tuple(columns), tuple(row for row in rows if _existed(row)))


def _existed(row: HeatRow) -> bool:
    """Return whether a path was ever a file.

    Models also name folders and missing files.
    """
    return any(letter in (EXISTS, WRITTEN, DELETED) for letter in row.cells)


def _marks(touches: Sequence[Access], entry: Entry) -> dict[str, str]:
    marks: dict[str, str] = {}
    for touch in touches:
        marks[touch.path] = heaviest(marks.get(touch.path, ABSENT) + _LETTER_OF[touch.how])
    if isinstance(entry.event, StoreRestored):
        for change in entry.event.changes:
            marks[change.path] = DELETED if change.deleted else WRITTEN
    return marks


def heaviest(letters: str) -> str:
    """Return the heaviest of some letters."""
    return next(letter for letter in reversed(LETTERS) if letter in letters)


def condensed(heat_map: HeatMap, *, most_columns: int, most_rows: int) -> HeatMap:
    """Return a map of bounded size: merged columns, and the most accessed files.

    A merged column keeps the heaviest letter of each row. The rows keep their order.
    """
    rows = heat_map.rows
    if len(rows) > most_rows:
        by_touches = sorted(range(len(rows)), key=lambda place: (-touches(rows[place]), place))
        rows = tuple(rows[place] for place in sorted(by_touches[:most_rows]))
    bounds = slices(len(heat_map.columns), most_columns)
    columns = tuple(heat_map.columns[start] for start, _ in bounds)
    merged = []
    for row in rows:
        letters = [heaviest(row.cells[start:stop]) for start, stop in bounds]
        merged.append(HeatRow(row.path, "".join(letters)))
    return HeatMap(columns, tuple(merged))


def touches(row: HeatRow) -> int:
    """Return how often a file was accessed."""
    return len(row.cells) - row.cells.count(ABSENT) - row.cells.count(EXISTS)


def slices(count: int, most: int) -> tuple[tuple[int, int], ...]:
    """Return the bounds of at most `most` nearly equal pieces of a sequence."""
    pieces = min(count, most)
    if not pieces:
        return ()
    return tuple(pairwise(count * piece // pieces for piece in range(pieces + 1)))
