"""The overview: headline figures, one large chart, who had how much, and how the book stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from tallybook.days import day_of
from tallybook.page import choices
from tallybook.page.absence import Absence, absence
from tallybook.page.asked import MEASURES, Asked
from tallybook.page.breakdown import Breakdown, Chip, break_down, chips
from tallybook.page.calendar import Calendar, calendar
from tallybook.page.chart import Chart
from tallybook.page.choices import Choice
from tallybook.page.figures import HEADLINE
from tallybook.page.headline import Answer, Tile, against, headline
from tallybook.page.notes import Note, period_notes
from tallybook.page.series import BY_HOUR, Legend, day_charts, hour_charts, legend
from tallybook.page.standing import Standing, reasons_of


@dataclass(frozen=True)
class Overview:
    """All that the template shows."""

    asked: Asked
    span: str
    before: str
    against: str
    is_live: bool
    """Whether today is in it, up to now."""

    periods: tuple[Choice, ...]
    sources: tuple[Choice, ...]
    measures: tuple[Choice, ...]
    chips: tuple[Chip, ...]
    tiles: tuple[Tile, ...]
    notes: tuple[Note, ...]
    charts: tuple[Chart, ...]
    charted: str
    legend: tuple[Legend, ...]
    breakdowns: tuple[Breakdown, ...]
    calendar: Calendar
    standing: Standing
    first: str
    last: str
    day_link: str
    """The link to the page of the day, where the period is one."""


def overview(asked: Asked, survey: Answer) -> Overview:
    """The overview of what the operation `survey` answers."""
    stats, before, status = survey["stats"], survey["before"], survey["status"]
    first, last = stats["from"], stats["to"]
    today = day_of(datetime.fromisoformat(status["now"]))
    absent = absence(stats, today)
    tiles = tuple(headline(HEADLINE, stats, before, absent))
    return Overview(
        asked=asked,
        span=first if first == last else f"{first} to {last}",
        before=f"{before['from']} to {before['to']}",
        against=against(tiles, stats, before),
        is_live=date.fromisoformat(first) <= today <= date.fromisoformat(last),
        periods=tuple(choices.periods(asked)),
        sources=tuple(choices.sources(asked, [source["source"] for source in status["sources"]])),
        measures=tuple(choices.measures(asked, tuple(MEASURES), asked.measure)),
        chips=tuple(chips(asked)),
        tiles=tiles,
        notes=(*period_notes(asked, survey), *_absence_note(absent, stats)),
        charts=tuple(_charts(asked, survey)),
        charted="hour" if survey["hours"] and asked.measure in BY_HOUR else "day",
        legend=tuple(legend(asked.measure, stats["series"], None if absent else stats["totals"])),
        breakdowns=tuple(break_down(dimension, rows, asked, absent) for dimension, rows in survey["by"].items()),
        calendar=calendar(survey["days"], reasons_of(status)),
        standing=Standing.of(status),
        first=first,
        last=last,
        day_link=asked.on(first) if first == last else "",
    )


def _absence_note(absent: Absence | None, stats: Answer) -> list[Note]:
    """Why nothing is told, where no note on missing days says so already."""
    return [Note("unknown", absent.reason)] if absent and not stats["days"]["missing"] else []


def _charts(asked: Asked, survey: Answer) -> list[Chart]:
    if survey["hours"] and asked.measure in BY_HOUR:
        return hour_charts(asked.measure, survey["hours"])
    return day_charts(asked, survey["stats"]["series"])
