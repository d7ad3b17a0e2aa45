"""The hours of a day. The book keeps none: they are there as long as the logs are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from tallybook.errors import CloseFailed, LogsError
from tallybook.measures import REQUESTS, Totals, add_totals
from tallybook.source import Source
from tallybook.stats import as_row


def add_hours(of_sources: Iterable[Sequence[Totals]]) -> list[Totals] | None:
    """The 24 hours of all sources together; None where none of them has a record left."""
    added = [add_totals(same) for same in zip(*of_sources, strict=True)]
    return added if any(map(any, added)) else None


def hour_rows(hours: Iterable[Totals]) -> list[dict[str, Any]]:
    """Hours as an answer shows them."""
    return [as_row(totals) for totals in hours]


def hours_of(source: Source, day: date, requests: int | None) -> list[dict[str, Any]] | None:
    """The rows of a day's hours, where the logs tell them; if a number of requests is given, all of those."""
    try:
        hours = add_hours([source.hours(day)])
    except (CloseFailed, LogsError):
        return None
    if hours is None or requests not in (None, sum(totals[REQUESTS] for totals in hours)):
        return None
    return hour_rows(hours)
