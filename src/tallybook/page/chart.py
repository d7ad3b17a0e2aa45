"""Charts as geometry: bars, lines and labels in the units of a picture, which a template draws as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from tallybook.page.scale import every, spread, ticks

Values = Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """One value for each column; `kind` is the class that gives it its colour, `total` what the legend says of it."""

    name: str
    kind: str
    values: Values
    total: str = ""


@dataclass(frozen=True)
class Column:
    """One place on the horizontal axis: its label there, and what is told of it on hover, line by line."""

    label: str
    title: str
    state: str = "closed"
    link: str = ""
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Size:
    """The picture's size, and the room for labels beside and below the plot."""

    name: str
    width: int
    height: int
    labels: int
    left: int = 46
    right: int = 4
    top: int = 10
    bottom: int = 22

    @property
    def plot_width(self) -> int:
        return self.width - self.left - self.right

    @property
    def plot_height(self) -> int:
        return self.height - self.top - self.bottom


HALF_A_LABEL, HALF_A_SIGN = 19, 3.2
"""So far from the edge the middle of a label must be, to be seen whole; of a long label, for each of its signs."""

WIDEST_BAR = 120

WIDE = Size("wide", 1080, 264, 10)
NARROW = Size("narrow", 358, 220, 4)
SIZES = (WIDE, NARROW)


@dataclass(frozen=True)
class Slot:
    """The strip of the plot that belongs to a column, from top to bottom."""

    column: Column
    x: float
    width: float


@dataclass(frozen=True)
class Chart:
    """A chart of some size: columns with stacked bars, or with one line for each series."""

    size: Size
    columns: Sequence[Column]
    series: Sequence[Series]
    as_text: Callable[[float], str]
    stacked: bool = True
    marked: Sequence[tuple[float, str]] = ()
    """Places between columns, from 0 at the left, that get a line and a name."""

    axis: Sequence[tuple[float, str]] = ()
    """Places that may be labelled, where those are not the middles of columns; the first of them always is."""

    is_whole: bool = False
    """Whether values are counted, so that there is nothing between 0 and 1."""

    nothing: str = "nothing to draw"
    """What is said where there is no value."""

    @cached_property
    def marks(self) -> list[tuple[float, str]]:
        """Where along the axis a mark stands, and its name."""
        return [(round(self._x(place), 1), name) for place, name in self.marked]

    @cached_property
    def ticks(self) -> list[tuple[float, str]]:
        """The height of each horizontal line, and what stands at it."""
        return [(self._y(value), self.as_text(value)) for value in self._scale]

    @cached_property
    def labels(self) -> list[tuple[float, str]]:
        """Where along the axis a label stands, and which."""
        if self.axis:
            chosen = [self.axis[number] for number in every(len(self.axis), self.size.labels)]
        else:
            last_ones = spread(len(self.columns), self.size.labels)
            chosen = [(place + 0.5, self.columns[place].label) for place in last_ones]
        edge = self.size.width
        return [(round(min(self._x(place), edge - _half_of(label)), 1), label) for place, label in chosen]

    @cached_property
    def slots(self) -> list[Slot]:
        """The columns with the room that each has."""
        return [Slot(column, round(self._x(place), 2), self._step) for place, column in enumerate(self.columns)]

    @cached_property
    def bars(self) -> list[tuple[str, str]]:
        """The kind and the outline of each series' bars, all of a kind in one path; the first series at the bottom."""
        outlines: dict[str, list[str]] = {}
        width = self.bar_width
        for place in range(len(self.columns) if self.stacked else 0):
            left = self._x(place) + (self._step - width) / 2
            for kind, y, height in self._stack(place):
                outline = f"M{left:.1f} {y:.1f}h{width}v{height:.1f}h-{width}z"
                outlines.setdefault(kind, []).append(outline)
        return [(kind, "".join(pieces)) for kind, pieces in outlines.items()]

    @property
    def bar_width(self) -> float:
        """Most of the room that a column has."""
        gap = max(min(self._step * 0.18, 8), self._step - WIDEST_BAR)
        return max(round(self._step - gap, 1), 0.1)

    @cached_property
    def zeros(self) -> list[float]:
        """Where a mark begins, as wide as a bar, for each day that is closed without any record."""
        middle = (self._step - self.bar_width) / 2
        return [round(slot.x + middle, 1) for slot in self.slots if slot.column.state == "zero"]

    @cached_property
    def lines(self) -> list[tuple[str, str]]:
        """The kind and the path of each series' line; it breaks where a value is unknown."""
        return [] if self.stacked else [(each.kind, self._path(each.values)) for each in self.series]

    @cached_property
    def dots(self) -> list[tuple[str, float, float]]:
        """The kind and place of values that stand alone between unknown ones, of which no line would be seen."""
        return [
            (each.kind, round(self._x(run[0] + 0.5), 1), self._y(each.values[run[0]] or 0))
            for each in ([] if self.stacked else self.series)
            for run in _runs(each.values)
            if len(run) == 1
        ]

    @property
    def baseline(self) -> float:
        return float(self.size.top + self.size.plot_height)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for each in self.series for value in each.values)

    @cached_property
    def _scale(self) -> tuple[float, ...]:
        if self.stacked:
            heights = [sum(each.values[place] or 0 for each in self.series) for place in range(len(self.columns))]
        else:
            heights = [value or 0 for each in self.series for value in each.values]
        return ticks(max(heights, default=0), is_whole=self.is_whole)

    @property
    def _step(self) -> float:
        return round(self.size.plot_width / max(len(self.columns), 1), 2)

    def _x(self, place: float) -> float:
        return self.size.left + self.size.plot_width * place / max(len(self.columns), 1)

    def _y(self, value: float) -> float:
        return round(self.baseline - self.size.plot_height * value / self._scale[-1], 1)

    def _stack(self, place: int) -> list[tuple[str, float, float]]:
        """The parts of a column's bar: kind, upper edge, height. What there is at all is never too low to be seen."""
        parts, below = [], 0.0
        for each in self.series:
            value = each.values[place] or 0
            if value > 0:
                top, bottom = self._y(below + value), self._y(below)
                parts.append((each.kind, min(top, bottom - 1), round(max(bottom - top, 1), 1)))
                below += value
        return parts

    def _path(self, values: Values) -> str:
        pieces = []
        for run in _runs(values):
            points = (f"{self._x(place + 0.5):.1f} {self._y(values[place] or 0):.1f}" for place in run)
            pieces.append("M" + "L".join(points))
        return "".join(pieces)


def _half_of(label: str) -> float:
    return max(HALF_A_LABEL, HALF_A_SIGN * len(label))


def _runs(values: Values) -> list[list[int]]:
    """The places of known values, those that follow one another together."""
    known = groupby(range(len(values)), key=lambda place: values[place] is not None)
    return [list(run) for is_known, run in known if is_known]
