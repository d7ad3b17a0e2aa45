"""What the page of a day needs to be told, asked of the bookkeeper and of the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from tallybook.bookkeeper import Bookkeeper
from tallybook.content import DayContent
from tallybook.days import FIRST_DAY, ONE_DAY, day_of, parse_day
from tallybook.errors import CloseFailed, LogsError
from tallybook.filters import parse_filters
from tallybook.histogram import Histogram, merge
from tallybook.hours import add_hours, hour_rows
from tallybook.live import Told, today_once
from tallybook.measures import REQUESTS, Totals, add_totals
from tallybook.page.asked import Asked
from tallybook.page.day import DayView, Hours, ToldOfDay, day_view
from tallybook.page.differences import SourceDay
from tallybook.reconcile import SOURCE_GONE
from tallybook.source import Source


def read_day(keeper: Bookkeeper, asked: Asked) -> DayView:
    """A day, as the bookkeeper and the sources tell it; a source that is away is named, and the book tells the rest."""
    day, today = parse_day(asked.day or ""), day_of(keeper.now())
    arguments = {**asked.stats(), "live": day == today}
    with today_once() as live:
        stats = keeper.stats(**arguments)
        by = {name: keeper.stats(**arguments, by=name)["by"]["rows"] for name in keeper.dimensions}
    status = keeper.status()["sources"]
    chosen = [source for source in keeper.sources() if asked.source in (None, source.name)]
    looked = _look(keeper, chosen, day, live) if day <= today else _Looked()
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
