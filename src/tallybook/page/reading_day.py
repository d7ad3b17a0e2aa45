"""What the page of a day needs to be told, asked of the bookkeeper and of the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from tallybook.bookkeeper import Bookkeeper
from tallybook.content import DayContent
from tallybook.days import FIRST_DAY, ONE_DAY, day_of, parse_day
from tallybook.errors import CloseFailed, LogsError, UsageError
from tallybook.filters import parse_filters
from tallybook.histogram import Histogram, merge
from tallybook.hours import add_hours, hour_rows
from tallybook.live import Told, today_once
from tallybook.measures import REQUESTS, Totals, add_totals
from tallybook.page.asked import Asked
from tallybook.page.day import DayView, Hours, ToldOfDay, day_view
from tallybook.page.differences import SourceDay
from tallybook.page.figures import Row
from tallybook.reconcile import SOURCE_GONE
from tallybook.source import Source

PERCENTILES = ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms")
"""What hours have not, of which there are no histograms."""


def read_day(keeper: Bookkeeper, asked: Asked) -> DayView:
    """A day, as the bookkeeper and the sources tell it; a source that is away is named, and the book tells the rest."""
    day, today = parse_day(asked.day or ""), day_of(keeper.now())
    arguments = {**asked.stats(), "live": day == today}
    with today_once() as live:
        stats = keeper.stats(**arguments)
        by = {name: keeper.stats(**arguments, by=name)["by"]["rows"] for name in keeper.dimensions}
    status = keeper.status()["sources"]
    looked = _look(keeper, _chosen(keeper, asked), day, live) if day <= today else _Looked()
    told = ToldOfDay(
        today=today,
        stats=stats,
        before=keeper.stats(**replace(asked, day=str(max(day - ONE_DAY, FIRST_DAY))).stats()),
        by=by,
        sources=status,
        parts=[
            _part(keeper, source["source"], day, source)
            for source in status
            if asked.source in (None, source["source"])
        ],
        histogram=_latencies(looked.contents, asked),
        hours=None if asked.filter else _hours(looked.hours),
        silent=looked.silent,
    )
    return day_view(asked, day, told)


def read_hours(keeper: Bookkeeper, asked: Asked) -> list[Row]:
    """The 24 hours of the day that is asked for, each by the instant at which it begins; latencies are not kept by the
    hour. A `UsageError` where there are none to tell, a `LogsError` where a source that has some does not answer."""
    stats = keeper.stats(**asked.stats())
    day, last = stats["from"], stats["to"]
    hours = _hours_on(keeper, asked, date.fromisoformat(day)) if day == last and not asked.filter else None
    if hours is None:
        raise UsageError("No hours are known of that.", "Ask for one day whose logs are still there, without filters.")
    return [_hour(f"{day}T{hour:02}:00:00Z", row) for hour, row in enumerate(hours.rows)]


def _hours_on(keeper: Bookkeeper, asked: Asked, day: date) -> Hours | None:
    looked = _look(keeper, _chosen(keeper, asked), day, {})
    for source, reason in looked.silent.items():
        raise LogsError(f"{source} does not answer: {reason}", "Hours are in the logs alone: try again later.")
    return _hours(looked.hours)


def _hour(begin: str, row: Row) -> Row:
    return {"hour": begin, **{name: value for name, value in row.items() if name not in PERCENTILES}}


def _chosen(keeper: Bookkeeper, asked: Asked) -> list[Source]:
    return [source for source in keeper.sources() if asked.source in (None, source.name)]


@dataclass
class _Looked:
    """What the book knows of the day or the logs say of today, the hours in the logs, and who does not answer."""

    contents: list[DayContent] = field(default_factory=list)
    hours: list[list[Totals]] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


def _look(keeper: Bookkeeper, sources: Sequence[Source], day: date, live: Mapping[tuple[str, date], Told]) -> _Looked:
    looked = _Looked()
    for source in sources:
        told = live.get((source.name, day)) or keeper.book.known_content(source.name, day)
        if isinstance(told, str):
            looked.silent[source.name] = told
            continue
        looked.contents += [told] if told else []
        try:
            looked.hours.append(source.hours(day))
        except (LogsError, CloseFailed) as error:
            looked.silent[source.name] = error.message
    return looked


def _latencies(contents: Sequence[DayContent], asked: Asked) -> Histogram:
    filters = parse_filters(asked.filter)
    return merge([(filters.narrow(each) if filters else each).latency_histogram for each in contents])


def _hours(of_sources: Sequence[Sequence[Totals]]) -> Hours | None:
    added = add_hours(of_sources)
    if added is None:
        return None
    (totals,) = hour_rows([add_totals(added)])
    return Hours(hour_rows(added), totals)


def _part(keeper: Bookkeeper, source: str, day: date, status: Mapping[str, Any]) -> SourceDay:
    note = keeper.book.reconciliations.of(source).get(day)
    pruned = day in keeper.book.prunings.days(source)
    return SourceDay(
        source=source,
        closing=next(iter(keeper.book.closings(source, day, day)), None),
        adjustments=keeper.book.adjustments(source, day, day),
        reason=next((failed["reason"] for failed in status["failed"] if failed["day"] == str(day)), ""),
        is_missing=str(day) in status["missing"],
        pruned=pruned,
        waiting=sum(drift["requests"] for drift in status["drift"] or () if drift["day"] == str(day)),
        lost=-note.change[REQUESTS] if note and note.state == SOURCE_GONE and not pruned else 0,
    )
