"""The figures: each a pure function from series to a picture, of bounded size whatever the run was."""

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
    """Return a picture with its title, what its colours mean, and what has to be said about it."""
    made = element("figure", class_="wide" if wide else "")
    legend = [
        element("span", element("i", class_=f"key {kind}"), name, class_="entry")
        for kind, name in keys
    ]
    append(made, element("figcaption", element("strong", title), *legend))
    append(made, element("div", svg, class_="scroll") if wide else svg)
    for note in notes:
        append(made, element("p", note, class_="note") if note else None)
    return made


def features(kept: Sequence[RequirementCount]) -> ET.Element:
    """Draw how many requirements are kept in the plan and shown in the result: Figure 3a of the paper."""
    shown = kept[-MOST_KEPT:]
    title = "Requirements kept in the plan and shown in the result"
    svg = picture(title, WIDTH, 26 * len(shown) + 8)
    left, right = 170, WIDTH - 64
    for place, stage in enumerate(shown):
        y = 6 + 26 * place
        share = stage.kept / stage.total if stage.total and not stage.problem else 0.0
        append(svg, label(_stage_name(stage), left - 10, y + 13, "end"))
        append(svg, element("rect", class_="track", x=left, y=y, width=right - left, height=18))
        kind = "claimed" if stage.where != "listed" else "k1"
        append(
            svg,
            element(
                "rect", class_=f"fill {kind}", x=left, y=y, width=(right - left) * share, height=18
            ),
        )
        said = "none" if stage.problem or not stage.total else f"{stage.kept} of {stage.total}"
        append(svg, label(said, WIDTH - 4, y + 13, "end"))
    problems = [
        f"{_stage_name(stage)}: {short(stage.problem, 200)}" for stage in shown if stage.problem
    ]
    note = "All but the list are claims of the model, checked only for what they name."
    left_out = (
        f"{len(kept) - len(shown)} earlier looks are left out." if len(kept) > len(shown) else ""
    )
    keys = (("k1", "listed from the task"), ("claimed", "claimed by the model"))
    return figure(title, svg, note, *problems, left_out, keys=keys)


def _stage_name(stage: RequirementCount) -> str:
    return {
        "listed": "listed",
        "plan": f"in the plan, look {stage.round}",
        "result": f"in the result, look {stage.round}",
    }[stage.where]


def errors(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw the findings of lint and syntax after every check: Figure 3b of the paper."""
    names = list(dict.fromkeys(name for check in checks for name, _ in check.findings))
    named, others = names[:MOST_NAMES], names[MOST_NAMES:]
    bounds = slices(len(checks), MOST_POINTS)
    lines = {name: [_worst(checks[start:stop], name) for start, stop in bounds] for name in named}
    high = max((value for values in lines.values() for value in values if value), default=0)
    title = "Errors found by each check"
    frame = _over_checks(title, checks, bounds, low=0, high=high)
    for kind, values in zip(KINDS, lines.values(), strict=False):
        for run in _without_gaps(values):
            frame.line(run, kind, dots=len(values) <= 60)
    notes = [_taken_together(len(checks), bounds, "the worst of them is drawn")]
    notes += [f"Not drawn: {', '.join(short(name, 40) for name in others[:8])}."] if others else []
    if any(value is None for values in lines.values() for value in values):
        notes.append("Gaps: not judged, because another check failed first.")
    keys = [(kind, short(name, 30)) for kind, name in zip(KINDS, named, strict=False)]
    return figure(title, frame.svg, *notes, keys=keys)


def tests(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw how many tests passed and failed at every check, and each verdict: Figure 3c of the paper."""
    bounds = slices(len(checks), MOST_POINTS)
    last = [checks[stop - 1] for _, stop in bounds]
    high = max((check.passed + check.skipped for check in last), default=0)
    low = max((check.failed for check in last), default=0)
    title = "Tests passed and failed at each check"
    frame = _over_checks(title, checks, bounds, low=-low, high=high)
    frame.bars(((place, 0, one.passed) for place, one in enumerate(last)), "good", width=0.72)
    frame.bars(
        ((place, one.passed, one.passed + one.skipped) for place, one in enumerate(last)),
        "skip",
        width=0.72,
    )
    frame.bars(((place, -one.failed, 0) for place, one in enumerate(last)), "bad", width=0.72)
    keys = (
        ("good", "passed, upward"),
        ("bad", "failed, downward"),
        ("skip", "skipped or expected to fail"),
    )
    return figure(
        title,
        frame.svg,
        _taken_together(len(checks), bounds, "the last of them is drawn"),
        keys=keys,
    )


def verdicts(checks: Sequence[CheckPoint]) -> ET.Element:
    """Draw each check's verdict as a cell of a band."""
    bounds = slices(len(checks), MOST_POINTS)
    title = "Verdict of each check"
    height, gap = 20, 2.0 if len(bounds) <= 80 else 0.6
    cell = min((2 * WIDTH) / max(len(bounds), 1), 22.0)
    svg = picture(title, 2 * WIDTH, height + 4)
    for place, (start, stop) in enumerate(bounds):
        group = checks[start:stop]
        worst = max(
            group,
            key=lambda check: (
                list(_SIGNS).index(check.verdict) if check.verdict != "passed" else -1
            ),
        )
        final = any(check.final for check in group)
        kind = {"passed": "good", "failed": "bad", "broken": "broken"}.get(worst.verdict, "skip")
        path = rectangle_path(place * cell, 2, max(cell - gap, 0.6), height)
        append(svg, element("path", class_=f"fill {kind}" + (" final" if final else ""), d=path))
        if cell >= _LEAST_SIGN:
            sign = label(
                _SIGNS.get(worst.verdict, "?"),
                place * cell + (cell - gap) / 2,
                2 + height / 2 + 4.5,
                "middle",
            )
            sign.set("class", "onfill")
            append(svg, sign)
    keys = (
        ("good", "✓ passed"),
        ("bad", "✗ failed"),
        ("broken", "! broken"),
        ("skip", "0 nothing to check"),
    )
    note = _taken_together(len(checks), bounds, "the worst of them is drawn")
    framed = "Framed: verified in a fresh box." if any(check.final for check in checks) else ""
    return figure(title, svg, framed, note, keys=keys, wide=True)


def context_use(calls: Sequence[Call], window: int) -> ET.Element:
    """Draw how much of the model's window each turn used."""
    turns = [call for call in calls if call.purpose == "turn" and call.counts]
    bounds = slices(len(turns), MOST_POINTS)
    fullest = [
        max(turns[start:stop], key=lambda one: one.prompt_tokens + one.completion_tokens)
        for start, stop in bounds
    ]
    high = max([window, *(one.prompt_tokens + one.completion_tokens for one in fullest)])
    title = "Context used by each turn"
    frame = Frame(title, x=(-0.5, max(len(bounds), 1) - 0.5), y=(0, high * 1.08), x_name="turn")
    frame.boundaries(_boundaries([turns[start].instruction for start, _ in bounds]))
    frame.bars(
        ((place, 0, one.prompt_tokens) for place, one in enumerate(fullest)), "k1", width=0.72
    )
    tops = (
        (n, one.prompt_tokens, one.prompt_tokens + one.completion_tokens)
        for n, one in enumerate(fullest)
    )
    frame.bars(tops, "k4fill", width=0.72)
    frame.x_ticks(_numbers(bounds))
    if window:
        frame.limit(window, f"window: {compact(window)} tokens")
    for place, (start, stop) in enumerate(bounds):
        if any(one.overflow for one in turns[start:stop]):
            frame.sign(place, window, "✗", "bad")
    overflow = "✗: refused by the server as too long." if any(one.overflow for one in turns) else ""
    notes = (overflow, _taken_together(len(turns), bounds, "the fullest of them is drawn", "turns"))
    return figure(title, frame.svg, *notes, keys=(("k1", "sent"), ("k4fill", "reply")))


def spending(calls: Sequence[Call]) -> ET.Element:
    """Draw how tokens were spent over the time of work."""
    points: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for call in calls:
        _, sent, got = points[-1]
        points.append((call.elapsed_s, sent + call.prompt_tokens, got + call.completion_tokens))
    points = _thinned(points)
    title = "Tokens over the time of work"
    end = max(points[-1][0], 1e-3)
    frame = Frame(title, x=(0, end), y=(0, max(points[-1][1] + points[-1][2], 1) * 1.05), x_name="")
    frame.boundaries(_in_time(calls))
    floor = [(at, 0.0) for at, _, _ in points]
    sent_line = [(at, float(sent)) for at, sent, _ in points]
    all_line = [(at, float(sent + got)) for at, sent, got in points]
    frame.area(sent_line, floor, "k1")
    frame.area(all_line, sent_line, "k4fill")
    frame.line(all_line, "k1")  # so that a rise without extent in time is seen, too
    frame.x_ticks((tick, clock(tick)) for tick in time_ticks(end) if tick)
    back = sum(call.prompt_tokens + call.completion_tokens for call in calls if not call.counts)
    note = f"With {compact(back)} tokens spent on what was taken back." if back else ""
    return figure(title, frame.svg, note, keys=(("k1", "sent"), ("k4fill", "replies")))


def costs(calls: Sequence[Call]) -> ET.Element | None:
    """Draw what was spent over the time of work, by the declared prices; None where nothing costs anything."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for call in calls:
        points.append((call.elapsed_s, points[-1][1] + call.cost_usd))
    if not points[-1][1]:
        return None
    points = _thinned(points)
    end = max(points[-1][0], 1e-3)
    title = "Cost over the time of work, USD"
    frame = Frame(title, x=(0, end), y=(0, points[-1][1] * 1.08), x_name="")
    frame.boundaries(_in_time(calls))
    frame.line(points, "k1")
    frame.x_ticks((tick, clock(tick)) for tick in time_ticks(end) if tick)
    return figure(title, frame.svg, "By the prices that were declared for the run.")


def _over_checks(
    title: str,
    checks: Sequence[CheckPoint],
    bounds: Sequence[tuple[int, int]],
    *,
    low: float,
    high: float,
) -> Frame:
    extent = max(high - low, 1)
    y = (low * 1.05, high + 0.08 * extent if high else (1.0 if not low else 0.0))
    frame = Frame(title, x=(-0.5, max(len(bounds), 1) - 0.5), y=y, x_name="check")
    frame.boundaries(_boundaries([checks[start].instruction for start, _ in bounds]))
    frame.x_ticks(_numbers(bounds))
    return frame


def _boundaries(instructions: Sequence[int]) -> list[tuple[float, str]]:
    """Return where another instruction begins on an axis of places; what is outside of them has no number."""
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
    """Return numbers for an axis of places, a few of them."""
    most = 8
    apart = max(-(-len(bounds) // most), 1)
    return [
        (float(place), str(start + 1))
        for place, (start, _) in enumerate(bounds)
        if place % apart == 0
    ]


def _worst(checks: Sequence[CheckPoint], name: str) -> int | None:
    counts = [
        count
        for check in checks
        for one, count in check.findings
        if one == name and count is not None
    ]
    return max(counts, default=None)


def _without_gaps(values: Sequence[int | None]) -> list[list[tuple[float, float]]]:
    """Cut a series into the parts that have values."""
    parts: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            parts[-1].append((float(place), float(value)))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _thinned(points: list[T]) -> list[T]:
    """Return at most so many points of a growing curve, with the last."""
    return [points[stop - 1] for _, stop in slices(len(points), 2 * MOST_POINTS)]


def _taken_together(
    count: int, bounds: Sequence[tuple[int, int]], what: str, things: str = "checks"
) -> str:
    if count == len(bounds):
        return ""
    return f"{count} {things} in {len(bounds)} places: up to {-(-count // len(bounds))} are taken together, {what}."
