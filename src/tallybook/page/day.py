"""A day: its figures, hour by hour where the logs are still there, latencies, what was closed and what was added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook.days import ONE_DAY
from tallybook.histogram import Histogram
from tallybook.page import choices
from tallybook.page.absence import CLOSES_ITSELF, Absence, absence, why_no_latency
from tallybook.page.asked import Asked
from tallybook.page.breakdown import Breakdown, Chip, break_down, chips
from tallybook.page.chart import Chart
from tallybook.page.choices import Choice
from tallybook.page.differences import SourceDay, differences
from tallybook.page.figures import HEADLINE, P99, Row
from tallybook.page.headline import Answer, Tile, against, headline
from tallybook.page.latency import latency_charts
from tallybook.page.notes import Note, basis_notes, demo_notes
from tallybook.page.series import BY_HOUR, STATES, Legend, hour_charts, legend, state_of
from tallybook.wording import count_of


@dataclass(frozen=True)
class Hours:
    """The hours of the day as its logs have them, and all of them together."""

    rows: Sequence[Row]
    totals: Row


@dataclass(frozen=True)
class ToldOfDay:
    """What the bookkeeper said of the day. `hours` is None where no log of the day is left to read."""

    today: date
    stats: Answer
    before: Answer
    by: Mapping[str, Sequence[Row]]
    sources: Sequence[Mapping[str, Any]]
    """How each source stands, as `status` answers."""

    parts: Sequence[SourceDay]
    histogram: Histogram
    hours: Hours | None
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
    never: str
    """Why there is no such day in any book, if so; nothing else is shown then."""

    before: str
    against: str
    previous: str
    following: str
    """The link to the day after; empty where that is not here yet."""

    latest: str
    """The link to today."""

    sources: tuple[Choice, ...]
    measures: tuple[Choice, ...]
    chips: tuple[Chip, ...]
    notes: tuple[Note, ...]
    tiles: tuple[Tile, ...]
    hours: tuple[Chart, ...]
    legend: tuple[Legend, ...]
    no_hours: str
    latencies: tuple[Chart, ...]
    no_latency: str
    breakdowns: tuple[Breakdown, ...]
    parts: Sequence[SourceDay]
    differences: tuple[str, ...]
    other_basis: str
    """The link to the same day as first closed, or back; empty where nothing was added."""


def day_view(asked: Asked, day: date, told: ToldOfDay) -> DayView:
    """The view of what was told of the day."""
    row = told.stats["series"][0]
    measure = asked.measure if asked.measure in BY_HOUR else BY_HOUR[0]
    absent = absence(told.stats, told.today)
    never = absent.reason if absent and (day > told.today or row["state"] == "before") else ""
    tiles = tuple(headline((*HEADLINE, P99), told.stats, told.before, absent))
    totals = told.hours.totals if told.hours else None if absent else told.stats["totals"]
    return DayView(
        asked=asked,
        day=day,
        title=f"{day:%A}, {day.day} {day:%B %Y}",
        state="future" if day > told.today else state_of(row),
        state_text="not here yet" if day > told.today else _state_text(row),
        is_live=day == told.today,
        never=never,
        before=str(day - ONE_DAY),
        against=against(tiles, told.stats, told.before),
        previous=asked.on(day - ONE_DAY),
        latest=asked.on(told.today),
        following=asked.on(day + ONE_DAY) if day < told.today else "",
        sources=tuple(choices.sources(asked, [source["source"] for source in told.sources])),
        measures=tuple(choices.measures(asked, BY_HOUR, measure)),
        chips=tuple(chips(asked)),
        notes=tuple(_notes(asked, told, absent)),
        tiles=tiles,
        hours=tuple(hour_charts(measure, told.hours.rows)) if told.hours else (),
        legend=tuple(legend(measure, told.hours.rows if told.hours else (), totals)),
        no_hours=_no_hours(asked, told),
        latencies=tuple(latency_charts(told.histogram)),
        no_latency=_no_latency(asked, absent),
        breakdowns=tuple(break_down(dimension, rows, asked, absent) for dimension, rows in told.by.items()),
        parts=told.parts,
        differences=tuple(differences(told.stats, told.parts)),
        other_basis=_other_basis(asked) if any(part.adjustments for part in told.parts) else "",
    )


def _state_text(row: Row) -> str:
    """The state in words, and that it was restated, whatever else became of it."""
    if adjustments := row.get("adjustments"):
        return f"{STATES[row['state']]}, restated by {count_of(adjustments, 'adjustment')}"
    return STATES[row["state"]]


def _notes(asked: Asked, told: ToldOfDay, absent: Absence | None) -> Iterator[Note]:
    yield from demo_notes(told.stats["sources"], told.sources)
    yield from basis_notes(asked)
    missing = [part for part in told.parts if part.is_missing]
    for part in missing:
        of_source = f" of {part.source}" if len(told.parts) > 1 else ""
        without = "" if absent else " The figures are without it."
        yield Note("warning", f"This day{of_source} is not closed yet. {part.reason or CLOSES_ITSELF}{without}")
    said = {part.source: part.reason for part in missing}
    for source, reason in told.silent.items():
        if said.get(source) != reason:
            yield Note("warning", f"{source} does not answer: {reason}")
    if absent and not missing:
        yield Note("unknown", absent.reason)


def _no_hours(asked: Asked, told: ToldOfDay) -> str:
    if asked.filter:
        return "Hours are of the whole day: take the filters away to see them."
    if told.silent:
        do = "does" if len(told.silent) == 1 else "do"
        return f"Hours are not kept in the book, and {' and '.join(told.silent)} {do} not answer."
    return "The logs of this day are no longer there, or nobody sent any: hours are not kept in the book."


def _no_latency(asked: Asked, absent: Absence | None) -> str:
    return absent.reason if absent else why_no_latency(asked.filter) or "No latency is known."


def _other_basis(asked: Asked) -> str:
    return asked.url(basis="original" if asked.basis == "adjusted" else "adjusted")
