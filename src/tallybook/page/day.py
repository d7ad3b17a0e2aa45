"""A day: its figures, hour by hour where the logs are still there, latencies, what was closed and what was added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tallybook.days import ONE_DAY
from tallybook.histogram import Histogram
from tallybook.page.asked import MEASURES, Asked
from tallybook.page.breakdown import Breakdown, Chip, break_down, chips
from tallybook.page.chart import Chart
from tallybook.page.differences import SourceDay, differences
from tallybook.page.figures import HEADLINE, P99, Row
from tallybook.page.headline import Answer, Tile, headline
from tallybook.page.latency import latency_charts
from tallybook.page.overview import Choice
from tallybook.page.series import BY_HOUR, STATES, Legend, hour_charts, legend


@dataclass(frozen=True)
class ToldOfDay:
    """What the bookkeeper said of the day. `hours` is None where no log of the day is left to read."""

    stats: Answer
    before: Answer
    by: Mapping[str, Sequence[Row]]
    parts: Sequence[SourceDay]
    histogram: Histogram
    hours: Sequence[Row] | None
    silent: Mapping[str, str]


@dataclass(frozen=True)
class DayView:
    """All that the template shows."""

    asked: Asked
    day: date
    title: str
    state: str
    state_text: str
    is_live: bool
    before: str
    previous: str
    following: str
    measures: tuple[Choice, ...]
    chips: tuple[Chip, ...]
    tiles: tuple[Tile, ...]
    hours: tuple[Chart, ...]
    legend: tuple[Legend, ...]
    silent: Mapping[str, str]
    latencies: tuple[Chart, ...]
    breakdowns: tuple[Breakdown, ...]
    parts: Sequence[SourceDay]
    differences: tuple[str, ...]
    other_basis: str
    """The link to the same day as first closed, or back; empty where nothing was added."""


def day_view(asked: Asked, day: date, told: ToldOfDay) -> DayView:
    """The view of what was told of the day."""
    row = told.stats["series"][0]
    measure = asked.measure if asked.measure in BY_HOUR else BY_HOUR[0]
    return DayView(
        asked=asked,
        day=day,
        title=f"{day:%A}, {day.day} {day:%B %Y}",
        state=row["state"],
        state_text=STATES[row["state"]],
        is_live=row["state"] == "open",
        before=str(day - ONE_DAY),
        previous=asked.on(day - ONE_DAY),
        following=asked.on(day + ONE_DAY),
        measures=tuple(Choice(name, MEASURES[name], asked.url(measure=name), name == measure) for name in BY_HOUR),
        chips=tuple(chips(asked)),
        tiles=tuple(headline((*HEADLINE, P99), told.stats, told.before)),
        hours=tuple(hour_charts(measure, told.hours)) if told.hours is not None else (),
        legend=tuple(legend(measure, told.hours or (), told.stats["totals"])),
        silent=told.silent,
        latencies=tuple(latency_charts(told.histogram)),
        breakdowns=tuple(break_down(dimension, rows, asked) for dimension, rows in told.by.items()),
        parts=told.parts,
        differences=tuple(differences(told.stats, told.parts)),
        other_basis=_other_basis(asked) if any(part.adjustments for part in told.parts) else "",
    )


def _other_basis(asked: Asked) -> str:
    return asked.url(basis="original" if asked.basis == "adjusted" else "adjusted")
