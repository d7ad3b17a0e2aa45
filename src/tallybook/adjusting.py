"""Posting adjustments. `adjust_day` is the only writer of them; everything else chooses which days it is given."""

from __future__ import annotations

import logging
from datetime import date, datetime

from tallybook.book.entries import Adjustment
from tallybook.book.ledger import Book
from tallybook.change import Change, change_between
from tallybook.content import DayContent
from tallybook.measures import MEASURE_NAMES, REQUESTS
from tallybook.source import Slicing, Source

log = logging.getLogger(__name__)


def adjust_day(book: Book, source: Source, day: date, now: datetime, slicing: Slicing) -> Adjustment | None:
    """Posts what the source says of a closed day, less what the book knows of it, as one signed adjustment.

    None where they agree, where the day is not closed, and where the source is no witness, as it has fewer records than
    the book or we have pruned them ourselves. The day is read as it was sliced when it was closed.
    """
    known = book.known_content(source.name, day)
    if known is None or day in book.prunings.days(source.name):
        return None
    told = next(source.contents([day], slicing.like(known)))
    adjustment = book.adjust(source.name, day, now, lambda before: _restate(before, told), source.price_versions(day))
    if adjustment is not None:
        _log(adjustment)
    return adjustment


def _restate(before: DayContent, told: DayContent) -> tuple[Change, str] | None:
    change = change_between(before, told)
    return None if change.totals[REQUESTS] < 0 else (change, _reason(change))


def _reason(change: Change) -> str:
    """What happened to the day's records, as far as the numbers tell."""
    requests = change.totals[REQUESTS]
    if not requests:
        return "records were changed after the day was closed"
    return f"{requests} {'record' if requests == 1 else 'records'} came after the day was closed"


def _log(adjustment: Adjustment) -> None:
    changed = {name: value for name, value in zip(MEASURE_NAMES, adjustment.change.totals, strict=True) if value}
    facts = {"source": adjustment.source, "date": adjustment.day.isoformat(), "seq": adjustment.seq}
    log.info("day adjusted", extra={**facts, "reason": adjustment.reason, "change": changed})
