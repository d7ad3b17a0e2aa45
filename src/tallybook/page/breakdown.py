"""The tables of a page: who had how much, most first, each row a filter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from tallybook import wording
from tallybook.measures import HISTOGRAM_DIMENSIONS
from tallybook.page.absence import Absence, why_no_latency
from tallybook.page.asked import ALL_ROWS, Asked, filter_text
from tallybook.page.figures import IN_TABLES, Figure, Number, Row

DIMENSIONS = {
    "model": "Models",
    "provider": "Providers",
    "team": "Teams",
    "api_key": "Keys",
    "user": "Users",
    "operation": "Operations",
    "error_type": "Errors",
}
FIRST_ROWS = 8
NAME_LENGTH = 64
BLANKS = " \u034f\u115f\u1160\u2800\u3164\uffa0"
"""Signs that print as nothing; those of other kinds show as a replacement sign."""


@dataclass(frozen=True)
class Name:
    """A name that somebody else chose: as it is shown, and whole, since a narrow table cuts it; None is unknown."""

    shown: str | None
    whole: str | None

    @classmethod
    def of(cls, value: str | None) -> Name:
        if value is None:
            return cls(None, None)
        shown = wording.printable(value, NAME_LENGTH)
        return cls(shown if shown.strip(BLANKS) else "(blank)" if shown else "(empty)", value)


@dataclass(frozen=True)
class Line:
    """A row: its name, where it leads, its share of the whole, how long a bar that has beside the longest, and its
    figures. Share and figures are None where unknown."""

    name: Name
    link: str
    is_chosen: bool
    share: str | None
    bar_percent: float
    cells: tuple[str | None, ...]


@dataclass(frozen=True)
class Heading:
    """A column's name, and the link that puts the rows in its order."""

    name: str
    link: str
    is_order: bool


@dataclass(frozen=True)
class Breakdown:
    """The table of a dimension; `rest` rows are not shown, and where there is none `nothing` says so."""

    dimension: str
    title: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    rest: int
    count: int
    nothing: str = "no requests"


def break_down(dimension: str, rows: Sequence[Row], asked: Asked, absent: Absence | None = None) -> Breakdown:
    """The table in the order that is asked for; shares are of what it is ordered by, where those add up.

    Latencies are kept by provider and model only: elsewhere, and of a part of them, there is no column.
    """
    ordered = in_order(rows, asked.sort)
    limit = ALL_ROWS if asked.all == dimension else FIRST_ROWS
    parts = [_shared(asked.sort, row) for row in rows]
    scale = _Scale.of(parts)
    has_latency = dimension in HISTOGRAM_DIMENSIONS and not why_no_latency(asked.filter)
    shown = {name: figure for name, figure in IN_TABLES.items() if name != "p95" or has_latency}
    lines = tuple(_line(dimension, row, scale, asked, shown.values()) for row in ordered[:limit])
    headings = tuple(Heading(figure.name, asked.url(sort=name), name == asked.sort) for name, figure in shown.items())
    nothing = absent.word if absent else Breakdown.nothing
    return Breakdown(dimension, DIMENSIONS[dimension], headings, lines, max(len(rows) - limit, 0), len(rows), nothing)


def in_order(rows: Sequence[Row], sort: str) -> list[Row]:
    """Most first; those of which it is unknown come last, in the order in which they were."""
    figure = IN_TABLES[sort]
    return sorted(rows, key=lambda row: (figure.of(row) is None, -(figure.of(row) or 0)))


def _shared(sort: str, row: Row) -> Number:
    """What a share is of, None where unknown: latencies do not add up, so there it is of requests."""
    return IN_TABLES["requests" if sort == "p95" else sort].of(row)


@dataclass(frozen=True)
class _Scale:
    """What all rows have together as far as it is known, and what the largest has."""

    whole: float
    largest: float

    @classmethod
    def of(cls, parts: Sequence[Number]) -> Self:
        known = [part for part in parts if part is not None]
        return cls(sum(known), max(known, default=0))

    def share(self, part: Number) -> str | None:
        """The part in percent; None where it is unknown or there is nothing to have a part of."""
        if part is None or not self.whole:
            return None
        percent = 100 * part / self.whole
        if 0 < percent < 0.1:
            return "<0.1 %"
        return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"

    def bar_percent(self, part: Number) -> float:
        return round(100 * (part or 0) / self.largest, 1) if self.largest else 0


def _line(dimension: str, row: Row, scale: _Scale, asked: Asked, shown: Iterable[Figure]) -> Line:
    value = row["value"]
    text = filter_text(dimension, value)
    is_chosen = text in asked.filter
    part = _shared(asked.sort, row)
    return Line(
        name=Name.of(value),
        link=asked.widened(text) if is_chosen else asked.narrowed(dimension, value),
        is_chosen=is_chosen,
        share=scale.share(part),
        bar_percent=scale.bar_percent(part),
        cells=tuple(figure.text(row) for figure in shown),
    )


@dataclass(frozen=True)
class Chip:
    """A filter that is set, and the link that takes it away."""

    title: str
    name: Name
    link: str


def chips(asked: Asked) -> list[Chip]:
    """The filters that are set."""
    return [
        Chip(DIMENSIONS.get(dimension, dimension), Name.of(value if equals else None), asked.widened(text))
        for text in asked.filter
        for dimension, equals, value in [text.partition("=")]
    ]
