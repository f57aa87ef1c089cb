"""The figures: pure functions from series to pictures, bounded for every run."""

from collections.abc import Sequence
from typing import TypeVar
from xml.etree import ElementTree as ET

from l2mac.insight.drawing import (
    WIDTH,
    Frame,
    clock,
    compact,
    label,
    picture,
    rectangle_path,
    time_ticks,
)
from l2mac.insight.heat import slices
from l2mac.insight.markup import append, element, short
from l2mac.insight.series import Call, CheckPoint, RequirementCount

MOST_POINTS = 160
MOST_KEPT = 12
MOST_NAMES = 4
KINDS = ("k1", "k2", "k3", "k4")
"""Classes of lines: colour and dashes."""
_SIGNS = {"passed": "✓", "failed": "✗", "broken": "!", "nothing to check": "0"}
_LEAST_SIGN = 9.0
T = TypeVar("T")


def figure(
    title: str,
    svg: ET.Element,
    *notes: str,
    keys: Sequence[tuple[str, str]] = (),
    wide: bool = False,
) -> ET.Element:
    """Return a picture with its title, a legend of its colours, and notes."""
    made = element("figure", class_="wide" if wide else "")
    legend = []
    for kind, name in keys:
        mark = element("i", class_=f"key {kind}")
        legend.append(element("span", mark, name, class_="entry"))
    append(made, element("figcaption", element("strong", title), *legend))
    append(made, element("div", svg, class_="scroll") if wide else svg)
    for note in notes:
        append(made, element("p", note, class_="note") if note else None)
    return made


def features(kept: Sequence[RequirementCount]) -> ET.Element:
    """Draw the requirements in plan and result: Figure 3a of the paper."""
    shown = kept[-MOST_KEPT:]
    title = "Requirements included in the plan and verified in the result"
    svg = picture(title, WIDTH, 26 * len(shown) + 8)
    left, right = 170, WIDTH - 64
    for place, stage in enumerate(shown):
        y = 6 + 26 * place
        known = bool(stage.total) and not stage.problem
        wide = (right - left) * (stage.kept / stage.total if known else 0.0)
        kind = "claimed" if stage.where != "listed" else "k1"
        append(svg, label(_stage_name(stage), left - 10, y + 13, "end"))
        append(svg, element("rect", class_="track", x=left, y=y, width=right - left, height=18))
        append(svg, element("rect", class_=f"fill {kind}", x=left, y=y, width=wide, height=18))
        count = f"{stage.kept} of {stage.total}" if known else "none"
        append(svg, label(count, WIDTH - 4, y + 13, "end"))
    notes = ["All bars but the list are claims of the model; only names in them were verified."]
    problems = [stage for stage in shown if stage.problem]
    notes += [f"{_stage_name(stage)}: {short(stage.problem, 200)}" for stage in problems]
    if len(kept) > len(shown):
        notes.append(f"{len(kept) - len(shown)} earlier comparisons are omitted.")
    keys = (("k1", "listed from the task"), ("claimed", "claimed by the model"))
    return figure(title, svg, *notes, keys=keys)


def _stage_name(stage: RequirementCount) -> str:
    names = {"listed": "listed", "plan": "in the plan", "result": "in the result"}
    name = names[stage.where]
    return name if stage.where == "listed" else f"{name}, round {stage.round}"


def errors(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw the findings of lint and syntax in each check: Figure 3b of the paper."""
    names = list(dict.fromkeys(name for check in checks for name, _ in check.findings))
    named, others = names[:MOST_NAMES], names[MOST_NAMES:]
    bounds = slices(len(checks), MOST_POINTS)
    groups = [checks[start:stop] for start, stop in bounds]
    lines = {name: _worst_of_each(groups, name) for name in named}
    high = max((value for values in lines.values() for value in values if value), default=0)
    title = "Errors found by each check"
    frame = _over_checks(title, checks, bounds, low=0, high=high)
    for kind, values in zip(KINDS, lines.values(), strict=False):
        for run in _without_gaps(values):
            frame.line(run, kind, dots=len(values) <= 60)
    notes = [_taken_together(len(checks), bounds, "the worst of them is drawn")]
    if others:
        notes.append(f"Not drawn: {', '.join(short(name, 40) for name in others[:8])}.")
    if any(value is None for values in lines.values() for value in values):
        notes.append("Gaps: not checked, because another check failed first.")
    keys = [(kind, short(name, 30)) for kind, name in zip(KINDS, named, strict=False)]
    return figure(title, frame.svg, *notes, keys=keys)


def tests(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw the tests passed and failed in each check: Figure 3c of the paper."""
    bounds = slices(len(checks), MOST_POINTS)
    last = [checks[stop - 1] for _, stop in bounds]
    high = max((check.passed + check.skipped for check in last), default=0)
    low = max((check.failed for check in last), default=0)
    title = "Tests passed and failed at each check"
    frame = _over_checks(title, checks, bounds, low=-low, high=high)
    stacked = [(n, one.passed, one.passed + one.skipped) for n, one in enumerate(last)]
    frame.bars(((n, 0, one.passed) for n, one in enumerate(last)), "good", width=0.72)
    frame.bars(stacked, "skip", width=0.72)
    frame.bars(((n, -one.failed, 0) for n, one in enumerate(last)), "bad", width=0.72)
    keys = (
        ("good", "passed, upward"),
        ("bad", "failed, downward"),
        ("skip", "skipped or expected to fail"),
    )
    note = _taken_together(len(checks), bounds, "the last of them is drawn")
    return figure(title, frame.svg, note, keys=keys)


def verdicts(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw each check's verdict as one cell of a band."""
    bounds = slices(len(checks), MOST_POINTS)
    title = "Verdict of each check"
    height, gap = 20, 2.0 if len(bounds) <= 80 else 0.6
    cell = min((2 * WIDTH) / max(len(bounds), 1), 22.0)
    svg = picture(title, 2 * WIDTH, height + 4)
    for place, (start, stop) in enumerate(bounds):
        group = checks[start:stop]
        worst = max(group, key=_severity)
        kind = {"passed": "good", "failed": "bad", "broken": "broken"}.get(worst.verdict, "skip")
        if any(check.final for check in group):
            kind += " final"
        path = rectangle_path(place * cell, 2, max(cell - gap, 0.6), height)
        append(svg, element("path", class_=f"fill {kind}", d=path))
        if cell >= _LEAST_SIGN:
            middle, baseline = place * cell + (cell - gap) / 2, 2 + height / 2 + 4.5
            sign = label(_SIGNS.get(worst.verdict, "?"), middle, baseline, "middle")
            sign.set("class", "onfill")
            append(svg, sign)
    keys = (
        ("good", "✓ passed"),
        ("bad", "✗ failed"),
        ("broken", "! broken"),
        ("skip", "0 nothing to check"),
    )
    note = _taken_together(len(checks), bounds, "the worst of them is drawn")
    framed = ""
    if any(check.final for check in checks):
        framed = "Framed: verified in a fresh sandbox."
    return figure(title, svg, framed, note, keys=keys, wide=True)


def _severity(check: CheckPoint) -> int:
    return -1 if check.verdict == "passed" else list(_SIGNS).index(check.verdict)


def context_use(calls: Sequence[Call], window: int) -> ET.Element:
    """Draw how much of the model's context window each turn used."""
    turns = [call for call in calls if call.purpose == "turn" and call.counts]
    bounds = slices(len(turns), MOST_POINTS)
    fullest = [max(turns[start:stop], key=_tokens) for start, stop in bounds]
    high = max([window, *map(_tokens, fullest)])
    title = "Context used by each turn"
    frame = Frame(title, x=(-0.5, max(len(bounds), 1) - 0.5), y=(0, high * 1.08), x_name="turn")
    frame.boundaries(_boundaries([turns[start].instruction for start, _ in bounds]))
    sent = [(n, 0, one.prompt_tokens) for n, one in enumerate(fullest)]
    replies = [(n, one.prompt_tokens, _tokens(one)) for n, one in enumerate(fullest)]
    frame.bars(sent, "k1", width=0.72)
    frame.bars(replies, "k4fill", width=0.72)
    frame.x_ticks(_numbers(bounds))
    if window:
        frame.limit(window, f"window: {compact(window)} tokens")
    for place, (start, stop) in enumerate(bounds):
        if any(one.overflow for one in turns[start:stop]):
            frame.sign(place, window, "✗", "bad")
    notes = [_taken_together(len(turns), bounds, "the fullest of them is drawn", "turns")]
    if any(one.overflow for one in turns):
        notes.insert(0, "✗: refused by the server as too long.")
    return figure(title, frame.svg, *notes, keys=(("k1", "sent"), ("k4fill", "reply")))


def _tokens(call: Call) -> int:
    return call.prompt_tokens + call.completion_tokens


def spending(calls: Sequence[Call]) -> ET.Element:
    """Draw the tokens spent over the working time."""
    points: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for call in calls:
        _, sent, got = points[-1]
        points.append((call.elapsed_s, sent + call.prompt_tokens, got + call.completion_tokens))
    points = _thinned(points)
    title = "Tokens over the working time"
    end = max(points[-1][0], 1e-3)
    frame = Frame(title, x=(0, end), y=(0, max(points[-1][1] + points[-1][2], 1) * 1.05), x_name="")
    frame.boundaries(_in_time(calls))
    floor = [(at, 0.0) for at, _, _ in points]
    sent_line = [(at, float(sent)) for at, sent, _ in points]
    all_line = [(at, float(sent + got)) for at, sent, got in points]
    frame.area(sent_line, floor, "k1")
    frame.area(all_line, sent_line, "k4fill")
    frame.line(all_line, "k1")  # so that a rise without extent in time is visible
    frame.x_ticks((tick, clock(tick)) for tick in time_ticks(end) if tick)
    rewound = sum(_tokens(call) for call in calls if not call.counts)
    note = f"Includes {compact(rewound)} tokens of rewound calls." if rewound else ""
    return figure(title, frame.svg, note, keys=(("k1", "sent"), ("k4fill", "replies")))


def costs(calls: Sequence[Call]) -> ET.Element | None:
    """Draw the cost over the working time; None for a run without prices."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for call in calls:
        points.append((call.elapsed_s, points[-1][1] + call.cost_usd))
    if not points[-1][1]:
        return None
    points = _thinned(points)
    end = max(points[-1][0], 1e-3)
    title = "Cost over the working time, USD"
    frame = Frame(title, x=(0, end), y=(0, points[-1][1] * 1.08), x_name="")
    frame.boundaries(_in_time(calls))
    frame.line(points, "k1")
    frame.x_ticks((tick, clock(tick)) for tick in time_ticks(end) if tick)
    return figure(title, frame.svg, "By the prices declared for the run.")


def _over_checks(
    title: str,
    checks: Sequence[CheckPoint],
    bounds: Sequence[tuple[int, int]],
    *,
    low: float,
    high: float,
) -> Frame:
    extent = max(high - low, 1)
    top = 0.0 if low else 1.0
    if high:
        top = high + 0.08 * extent
    y = (low * 1.05, top)
    frame = Frame(title, x=(-0.5, max(len(bounds), 1) - 0.5), y=y, x_name="check")
    frame.boundaries(_boundaries([checks[start].instruction for start, _ in bounds]))
    frame.x_ticks(_numbers(bounds))
    return frame


def _boundaries(instructions: Sequence[int]) -> list[tuple[float, str]]:
    """Return the places where instructions begin, with their numbers."""
    found: list[tuple[float, str]] = []
    for place, number in enumerate(instructions):
        if place == 0 or number != instructions[place - 1]:
            found.append((place - 0.5, str(number) if number else ""))
    return found


def _in_time(calls: Sequence[Call]) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    before = 0
    for previous, call in zip([None, *calls], calls, strict=False):
        if call.instruction and call.instruction != before:
            found.append((previous.elapsed_s if previous else 0.0, str(call.instruction)))
            before = call.instruction
    return found


def _numbers(bounds: Sequence[tuple[int, int]]) -> list[tuple[float, str]]:
    """Return a few numbers for an axis of places."""
    most = 8
    step = max(-(-len(bounds) // most), 1)
    starts = [start for start, _ in bounds]
    return [(float(place), str(starts[place] + 1)) for place in range(0, len(starts), step)]


def _worst_of_each(groups: Sequence[Sequence[CheckPoint]], name: str) -> list[int | None]:
    return [_worst(checks, name) for checks in groups]


def _worst(checks: Sequence[CheckPoint], name: str) -> int | None:
    counts = [count for check in checks for one, count in check.findings if one == name]
    return max((count for count in counts if count is not None), default=None)


def _without_gaps(values: Sequence[int | None]) -> list[list[tuple[float, float]]]:
    """Split a series into its parts without missing values."""
    parts: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            parts[-1].append((float(place), float(value)))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _thinned(points: list[T]) -> list[T]:
    """Return a bounded number of points of a growing curve, the last one included."""
    return [points[stop - 1] for _, stop in slices(len(points), 2 * MOST_POINTS)]


def _taken_together(
    count: int, bounds: Sequence[tuple[int, int]], drawn: str, things: str = "checks"
) -> str:
    if count == len(bounds):
        return ""
    most = -(-count // len(bounds))
    return f"{count} {things} in {len(bounds)} places: up to {most} share a place, and {drawn}."
