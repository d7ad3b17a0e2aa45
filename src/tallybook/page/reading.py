"""What a page needs to be told, asked of the bookkeeper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from tallybook.bookkeeper import Bookkeeper
from tallybook.content import DayContent
from tallybook.days import ONE_DAY, day_of, parse_day
from tallybook.errors import CloseFailed, LogsError
from tallybook.histogram import merge
from tallybook.hours import add_hours, hour_rows
from tallybook.operations import Teller, calendar_days, survey
from tallybook.page.asked import Asked
from tallybook.page.breakdown import in_order
from tallybook.page.day import DayView, ToldOfDay, day_view
from tallybook.page.differences import SourceDay
from tallybook.page.download import DAYS
from tallybook.page.figures import Row
from tallybook.page.ledger import LedgerView, ledger_view
from tallybook.page.overview import Overview, overview
from tallybook.page.standing import reasons_of
from tallybook.source import DEFAULT_SLICING, Source


def has_anything(keeper: Bookkeeper) -> bool:
    """Whether there is a source at all: our own logs count from their first record on."""
    return bool(keeper.sources())


def read_overview(teller: Teller, asked: Asked) -> Overview:
    """The overview, as it is told."""
    return overview(asked, survey(teller, **asked.stats()))


def read_day(keeper: Bookkeeper, asked: Asked) -> DayView:
    """A day, as the bookkeeper and the sources tell it; a source that is away is named, and the book tells the rest."""
    day = parse_day(asked.day or "")
    is_open = day >= day_of(keeper.now())
    of_day = {**asked.stats(), "live": is_open}
    before = keeper.stats(**replace(asked, day=str(day - ONE_DAY)).stats())
    status = {source["source"]: source for source in keeper.status()["sources"]}
    chosen = [source for source in keeper.sources() if asked.source in (None, source.name)]
    contents, hours, silent = [], [], dict[str, str]()
    for source in chosen:
        try:
            contents += _content(keeper, source, day, is_open)
            hours.append(source.hours(day))
        except (LogsError, CloseFailed) as error:
            silent[source.name] = error.message
    told = ToldOfDay(
        stats=keeper.stats(**of_day),
        before=before,
        by=_by(keeper, of_day),
        parts=[_part(keeper, source.name, day, status[source.name]) for source in chosen],
        histogram=() if asked.filter else merge([content.latency_histogram for content in contents]),
        hours=None if asked.filter or not (added := add_hours(hours)) else hour_rows(added),
        silent=silent,
    )
    return day_view(asked, day, told)


def read_ledger(keeper: Bookkeeper) -> LedgerView:
    """The book's own page, as the bookkeeper tells it."""
    return ledger_view(keeper.status(), calendar_days(keeper), keeper.book.adjustments())


def read_rows(keeper: Bookkeeper, asked: Asked, table: str) -> list[Row]:
    """The rows of a table of the page: its days, or a breakdown in its order."""
    if table == DAYS:
        days: list[Row] = keeper.stats(**asked.stats())["series"]
        return days
    return in_order(keeper.stats(**asked.stats(), by=table)["by"]["rows"], asked.sort)


def _by(keeper: Bookkeeper, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {dimension: keeper.stats(**arguments, by=dimension)["by"]["rows"] for dimension in keeper.dimensions}


def _content(keeper: Bookkeeper, source: Source, day: date, is_open: bool) -> list[DayContent]:
    """What the book knows of the day, or while it is open what the logs say."""
    if is_open:
        return list(source.contents([day], DEFAULT_SLICING))
    known = keeper.book.known_content(source.name, day)
    return [known] if known else []


def _part(keeper: Bookkeeper, source: str, day: date, status: Mapping[str, Any]) -> SourceDay:
    return SourceDay(
        source=source,
        closing=next(iter(keeper.book.closings(source, day, day)), None),
        adjustments=keeper.book.adjustments(source, day, day),
        reason=reasons_of({"sources": [status]}).get(str(day), ""),
        pruned=day in keeper.book.prunings.days(source),
        waiting=sum(drift["requests"] for drift in status["drift"] or () if drift["day"] == str(day)),
    )
