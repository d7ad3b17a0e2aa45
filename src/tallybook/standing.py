"""How a source stands: how far it is closed, what is missing and why, what has drifted, what is safe to prune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tallybook.book.ledger import Book
from tallybook.closing import remembered_first_day
from tallybook.days import ONE_DAY, days_between, last_closable
from tallybook.source import Source


@dataclass(frozen=True)
class Standing:
    """One source against its closings. `counts` are its records by day, where they cost nothing to know."""

    source: str
    first_day: date | None
    closed_through: date | None
    days_closed: int
    days_zero: int
    missing: tuple[date, ...]
    failed: Mapping[date, str]
    drift: Mapping[date, int] | None
    records_in_logs: int | None

    def as_json(self) -> dict[str, Any]:
        drift = self.drift or {}
        return {
            "source": self.source,
            "first_day": _iso(self.first_day),
            "closed_through": _iso(self.closed_through),
            "days_closed": self.days_closed,
            "days_zero": self.days_zero,
            "missing": [day.isoformat() for day in self.missing],
            "failed": [{"day": day.isoformat(), "reason": reason} for day, reason in sorted(self.failed.items())],
            "drift": None
            if self.drift is None
            else [{"day": day.isoformat(), "requests": change} for day, change in drift.items()],
            "records_in_logs": self.records_in_logs,
            "safe_to_prune_before": _iso(_safe_before(self.closed_through, drift)),
        }


def standing_of(
    book: Book, source: Source, now: datetime, failures: Mapping[date, str], counts: Mapping[date, int] | None
) -> Standing:
    """The source as the book has it; nothing is asked of the source itself."""
    closings = {closing.day: closing for closing in book.closings(source.name)}
    first_day = remembered_first_day(book, source)
    closable = days_between(first_day, last_closable(now)) if first_day else ()
    missing = tuple(day for day in closable if day not in closings)
    drift = None
    if counts is not None:
        changes = {day: count - closings[day].records for day, count in counts.items() if day in closings}
        drift = {day: change for day, change in changes.items() if change}
    return Standing(
        source=source.name,
        first_day=first_day,
        closed_through=closed_through(first_day, set(closings)),
        days_closed=sum(closing.state == "closed" for closing in closings.values()),
        days_zero=sum(closing.state == "zero" for closing in closings.values()),
        missing=missing,
        failed={day: reason for day, reason in failures.items() if day not in closings},
        drift=drift,
        records_in_logs=None if counts is None else sum(counts.values()),
    )


def closed_through(first_day: date | None, closed: set[date]) -> date | None:
    """The last day up to which every day from the first on is in the book."""
    if first_day is None or first_day not in closed:
        return None
    day = first_day
    while day + ONE_DAY in closed:
        day += ONE_DAY
    return day


def _safe_before(through: date | None, drift: Mapping[date, int]) -> date | None:
    """The day before which every log record is in the book: the first that is open or has grown since it was closed."""
    if through is None:
        return None
    grown = [day for day, change in drift.items() if change > 0 and day <= through]
    return min([through + ONE_DAY, *grown])


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
