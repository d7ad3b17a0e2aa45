"""Pruning: deleting log records of our own that the book has, and of no other day."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tallybook.book.ledger import Book
from tallybook.logs.archive import Archive, ArchivedDay
from tallybook.logs.own import OwnLogs
from tallybook.measures import REQUESTS, Totals
from tallybook.reconcile import find_drift
from tallybook.source import Slicing

log = logging.getLogger(__name__)


def prune(
    book: Book, logs: OwnLogs, before: date, now: datetime, slicing: Slicing, archive: Path | None
) -> dict[str, Any]:
    """Deletes our log records of days before `before` that are closed and that the book knows to the last slice.

    Each day's records first go into a Parquet file of their own where an `archive` folder is given. That a day is
    pruned is noted in the book before its records go, so that a crash in between leaves a day that can be pruned again.
    """

    def note(day: date, records: int, archived: ArchivedDay | None) -> None:
        book.prunings.note(logs.name, day, records, now, str(archived.file) if archived else None)

    drifted = _drifted(book, logs, before, slicing)
    deleted = logs.delete_days(before, _judge(book, logs.name, drifted), Archive(archive) if archive else None, note)
    if deleted.records:
        days = {"first_day": min(deleted.records).isoformat(), "last_day": max(deleted.records).isoformat()}
        log.info("logs pruned", extra={"records": sum(deleted.records.values()), **days})
    answer: dict[str, Any] = {
        "deleted_records": sum(deleted.records.values()),
        "deleted_days": [day.isoformat() for day in deleted.records],
        "kept": [{"day": day.isoformat(), "reason": why} for day, why in deleted.kept.items()],
    }
    return answer | ({"archives": [str(each.file) for each in deleted.archives.values()]} if archive else {})


def _drifted(book: Book, logs: OwnLogs, before: date, slicing: Slicing) -> set[date]:
    """The closed days of which the logs say anything else than the book."""
    closed = book.days_closed(logs.name)
    days = sorted(day for day in logs.counts() if day < before and day in closed)
    return {drift.day for drift in find_drift(book, logs, days, slicing)}


def _judge(book: Book, source: str, drifted: Container[date]) -> Callable[[date, Totals], str | None]:
    """Answers why a day's records must be kept; it is asked with what the logs hold of the day.

    Records that come in the meantime change the totals, so that only these need to be looked at again.
    """
    pruned = book.prunings.days(source)

    def why_keep(day: date, told: Totals) -> str | None:
        known = book.known_totals(source, day, day).get(day)
        if known is None:
            return "not closed"
        if told == known and day not in drifted:
            return None
        if day in pruned:
            return "records came after it was pruned"
        if told[REQUESTS] > known[REQUESTS]:
            return "records arrived after it was closed"
        if told[REQUESTS] < known[REQUESTS]:
            return "the logs have fewer records than the book"
        return "records were changed after it was closed"

    return why_keep
