"""Draw the file-access heat map: Figure 4 of the paper, readable without colours."""

from itertools import groupby, pairwise
from xml.etree import ElementTree as ET

from l2mac.insight.drawing import WIDTH, apart, label, picture, rectangle_path
from l2mac.insight.figures import figure
from l2mac.insight.heat import ABSENT, DELETED, EXISTS, RAN, READ, WRITTEN, condensed, touches
from l2mac.insight.markup import append, element, short_path
from l2mac.insight.series import HeatMap

MOST_COLUMNS = 160
MOST_ROWS = 60
_CHARACTER = 6.7
_COUNT = 40
_ROW = 17
_TOP = 22
_WIDEST = 22.0
_HEIGHTS = {EXISTS: 2.0, READ: 7.0, RAN: 7.0, WRITTEN: 13.0, DELETED: 13.0}
_KINDS = {EXISTS: "exists", READ: "read", RAN: "ran", WRITTEN: "written", DELETED: "deleted"}
_KEYS = (
    ("written", "written"),
    ("read", "read"),
    ("ran", "run"),
    ("deleted", "deleted"),
    ("exists", "exists"),
    ("absent", "blank: no such file"),
)
_NAME_CHARACTERS = 37


def heat_map(whole: HeatMap) -> ET.Element:
    """Draw files down and tool calls across; a taller mark is a heavier access."""
    shown = condensed(whole, most_columns=MOST_COLUMNS, most_rows=MOST_ROWS)
    title = "Files over the steps of the run"
    columns = max(len(shown.columns), 1)
    names = {row.path: short_path(row.path, _NAME_CHARACTERS) for row in shown.rows}
    left = 14 + _CHARACTER * max(map(len, names.values()), default=0)
    width, cell = 2 * WIDTH, min((2 * WIDTH - left - _COUNT) / columns, _WIDEST)
    height = _TOP + _ROW * len(shown.rows) + 6
    svg = picture(title, width, height)
    _draw_instructions(svg, shown, left, cell, height)
    paths: dict[str, list[str]] = {}
    totals = {row.path: touches(row) for row in whole.rows}
    for place, row in enumerate(shown.rows):
        middle = _TOP + _ROW * place + _ROW / 2
        name = label(names[row.path], left - 10, middle + 4, "end")
        name.set("class", "path")
        append(svg, name)
        append(svg, label(str(totals[row.path]), left + columns * cell + 8, middle + 4, "start"))
        for letter, part in _spans(row.cells, left, middle, cell):
            paths.setdefault(letter, []).append(part)
    for letter, kind in _KINDS.items():
        if letter in paths:
            append(svg, element("path", class_=f"fill {kind}", d="".join(paths[letter])))
    return figure(title, svg, *_notes(whole, shown), keys=_KEYS, wide=True)


def _draw_instructions(
    svg: ET.Element, shown: HeatMap, left: float, cell: float, height: float
) -> None:
    """Draw the beginnings of instructions, with as many numbers as fit."""
    numbers = [0, *(column.instruction for column in shown.columns)]
    begun = []
    for place, (old, new) in enumerate(pairwise(numbers)):
        if new != old:
            begun.append((left + place * cell, str(new or "")))
    for x, number in apart(begun):
        append(svg, element("line", class_="boundary", x1=x, x2=x, y1=6, y2=height - 4))
        append(svg, label(number, x + 3, 14, "start"))


def _spans(cells: str, left: float, middle: float, cell: float) -> list[tuple[str, str]]:
    """Return a row's marks as parts of paths; adjacent marks of `exists` are joined."""
    found: list[tuple[str, str]] = []
    place = 0
    for letter, group in groupby(cells):
        count = len(list(group))
        if letter == EXISTS:
            found.append((letter, rectangle_path(left + place * cell, middle - 1, count * cell, 2)))
        elif letter != ABSENT:
            tall, gap = _HEIGHTS[letter], min(1.5, cell / 5)
            top = middle - tall / 2
            for n in range(place, place + count):
                mark = rectangle_path(left + n * cell, top, cell - gap, tall)
                found.append((letter, mark))
        place += count
    return found


def _notes(whole: HeatMap, shown: HeatMap) -> list[str]:
    notes = [
        "Across: tool calls that accessed files, by instruction. Right: accesses of each file."
    ]
    if len(whole.rows) > len(shown.rows):
        hidden = len(whole.rows) - len(shown.rows)
        notes.append(f"The {len(shown.rows)} most accessed files; {hidden} are omitted.")
    if len(whole.columns) > len(shown.columns):
        most = -(-len(whole.columns) // len(shown.columns))
        notes.append(
            f"{len(whole.columns)} calls in {len(shown.columns)} columns: up to {most} share a"
            " column, and the heaviest access of each file is drawn."
        )
    return notes
