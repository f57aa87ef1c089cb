"""Draw the shapes of the figures as SVG: a frame with axes, and marks in it.

Colours are classes, which the page's style fills for light and dark. Wherever colours distinguish
things, place or shape does as well.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from l2mac.insight.markup import append, element

WIDTH, HEIGHT = 520, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 18, 34
_MOST_TICKS = 4
_LEAST_APART = 13
_LEAST_ROUND_S = 20.0
_TIME_STEPS_S = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_DAY_S = 86400
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Places of an axis's values; without extent all are at its start."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        extent = self.high - self.low
        share = (value - self.low) / extent if extent else 0.0
        return self.start + (self.stop - self.start) * share


class Frame:
    """A chart with a horizontal and a vertical axis.

    Args:
        title: Description for readers who cannot see the chart.
        x: Lowest and highest value of the horizontal axis.
        y: Lowest and highest value of the vertical axis.
        x_name: Name of the horizontal axis.
    """

    def __init__(self, title: str, *, x: Point, y: Point, x_name: str) -> None:
        self.x = Scale(*x, _LEFT, WIDTH - _RIGHT)
        self.y = Scale(*y, HEIGHT - _BOTTOM, _TOP)
        self.svg = picture(title, WIDTH, HEIGHT)
        right = WIDTH - _RIGHT
        for tick in (*ticks(y[1]), *(-tick for tick in ticks(-y[0]) if tick)):
            place = self.y.at(tick)
            kind = "grid" if tick else "axis"
            self._add("line", class_=kind, x1=_LEFT, x2=right, y1=place, y2=place)
            append(self.svg, label(f"{compact(abs(tick))}", _LEFT - 6, place + 4, "end"))
        append(self.svg, label(x_name, WIDTH - _RIGHT, HEIGHT - 4, "end"))

    def x_ticks(self, values: Iterable[tuple[float, str]]) -> None:
        """Write values under the horizontal axis."""
        for value, text in values:
            append(self.svg, label(text, self.x.at(value), HEIGHT - _BOTTOM + 15, "middle"))

    def boundaries(self, marks: Iterable[tuple[float, str]]) -> None:
        """Draw the beginnings of instructions, with as many numbers as fit."""
        places = ((self.x.at(value), text) for value, text in marks)
        for place, text in apart(places):
            self._add(
                "line", class_="boundary", x1=place, x2=place, y1=_TOP - 6, y2=HEIGHT - _BOTTOM
            )
            append(self.svg, label(text, place + 3, _TOP - 7, "start"))

    def line(self, points: Sequence[Point], kind: str, *, dots: bool = False) -> None:
        """Draw a line through points, and on request the points themselves."""
        places = [(self.x.at(x), self.y.at(y)) for x, y in points]
        self._add("path", class_=f"line {kind}", d=polyline(places))
        if dots:
            for x, y in places:
                self._add("circle", class_=f"dot {kind}", cx=x, cy=y, r=2.6)

    def area(self, points: Sequence[Point], floor: Sequence[Point], kind: str) -> None:
        """Fill the area between two lines of equal length."""
        there = [(self.x.at(x), self.y.at(y)) for x, y in points]
        back = [(self.x.at(x), self.y.at(y)) for x, y in reversed(floor)]
        self._add("path", class_=f"fill {kind}", d=f"{polyline([*there, *back])}Z")

    def bars(self, bars: Iterable[tuple[float, float, float]], kind: str, *, width: float) -> None:
        """Draw bars (place, from, to); `width` is in the units of the axis."""
        wide = max(abs(self.x.at(width) - self.x.at(0)), 0.6)
        parts = []
        for x, low, high in bars:
            top, bottom = sorted((self.y.at(low), self.y.at(high)))
            if bottom - top > 0:
                parts.append(rectangle_path(self.x.at(x) - wide / 2, top, wide, bottom - top))
        if parts:
            self._add("path", class_=f"fill {kind}", d="".join(parts))

    def limit(self, value: float, text: str) -> None:
        """Draw a limit across the chart."""
        place = self.y.at(value)
        self._add("line", class_="limit", x1=_LEFT, x2=WIDTH - _RIGHT, y1=place, y2=place)
        append(self.svg, label(text, WIDTH - _RIGHT - 2, place - 4, "end"))

    def sign(self, x: float, y: float, text: str, kind: str) -> None:
        """Write a sign at a place in the chart."""
        made = label(text, self.x.at(x), self.y.at(y) + 4, "middle")
        made.set("class", f"sign {kind}")
        append(self.svg, made)

    def _add(self, tag: str, **attributes: str | float) -> None:
        append(self.svg, element(tag, **attributes))


def apart(places: Iterable[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Yield the places whose text does not overlap an earlier text."""
    free = -math.inf
    for place, text in places:
        if place >= free:
            yield place, text
            free = place + _LEAST_APART + 4 * len(text)


def picture(title: str, width: float, height: float) -> ET.Element:
    """Return an empty picture."""
    return element("svg", element("title", title), viewBox=f"0 0 {width:g} {height:g}", role="img")


def label(text: str, x: float, y: float, anchor: str) -> ET.Element:
    """Return a piece of text in a picture."""
    return element("text", text, x=_rounded(x), y=_rounded(y), text_anchor=anchor)


def polyline(points: Iterable[Point]) -> str:
    """Return a path through points."""
    return "M" + "L".join(f"{_rounded(x)} {_rounded(y)}" for x, y in points)


def rectangle_path(x: float, y: float, width: float, height: float) -> str:
    """Return a rectangle as part of a path, shorter than an element."""
    return f"M{_rounded(x)} {_rounded(y)}h{_rounded(width)}v{_rounded(height)}h{_rounded(-width)}Z"


def ticks(high: float) -> list[float]:
    """Return round values from 0 to about `high`, whole ones if it is 1 or more."""
    if high <= 0 or not math.isfinite(high):
        return [0.0]
    rough = high / _MOST_TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    step = max(step, 1.0) if high >= 1 else step
    return [step * number for number in range(int(high / step + 1e-9) + 1)]


def time_ticks(end_s: float) -> list[float]:
    """Return round times up to the end, in whole minutes and hours if possible."""
    if end_s < _LEAST_ROUND_S:
        return ticks(end_s)
    days = -(-end_s // (_MOST_TICKS * _DAY_S))
    step = next((step for step in _TIME_STEPS_S if end_s / step <= _MOST_TICKS), days * _DAY_S)
    return [step * number for number in range(int(end_s / step) + 1)]


def compact(value: float) -> str:
    """Return a number in few characters: 1.2k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def clock(seconds: float) -> str:
    """Return a time in few characters."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest:02d} s" if rest else "")
    return f"{minutes // 60} h" + (f" {minutes % 60:02d} min" if minutes % 60 else "")


def _rounded(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
