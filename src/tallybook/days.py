"""UTC days: half-open, 24 hours long, closable five minutes after their end.

A day is a `datetime.date` and always means the UTC day. Instants are timezone-aware datetimes, or whole microseconds
since the epoch where they are compared with what a database stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from tallybook.errors import UsageError, shorten

CLOSING_GRACE = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
FIRST_DAY = date(1970, 1, 1)
LAST_DAY = date(9998, 12, 31)
"""Arithmetic on days stays within what a date can be."""


def day_of(instant: datetime) -> date:
    """The UTC day that an aware instant lies in."""
    return instant.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """The first instant of the day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def epoch_us(instant: datetime) -> int:
    """Whole microseconds from the epoch to an aware instant; exact, unlike `timestamp()`."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def last_closable(now: datetime) -> date:
    """The latest day that may be closed at `now`: yesterday from 00:05 UTC on, the day before until then."""
    return day_of(now - CLOSING_GRACE) - ONE_DAY


def days_between(first: date, last: date) -> Iterator[date]:
    """Every day from first to last, both included; none when first is after last."""
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def consecutive_runs(days: Sequence[date]) -> Iterator[list[date]]:
    """The ascending days, cut wherever one is not the day after the one before."""
    for _, run in groupby(enumerate(days), key=lambda entry: entry[1] - entry[0] * ONE_DAY):
        yield [day for _, day in run]


def runs_of(days: Sequence[date], at_most: int) -> Iterator[list[date]]:
    """The runs of consecutive days, none longer than `at_most`."""
    for run in consecutive_runs(days):
        for start in range(0, len(run), at_most):
            yield run[start : start + at_most]


def parse_day(text: str) -> date:
    """A day written YYYY-MM-DD, not before 1970; anything else is a `UsageError`."""
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise UsageError(f"{shorten(text)!r} is not a day.", "Write days as YYYY-MM-DD, for example 2026-11-22.")
    return day


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with whole seconds and `Z`: the one form in which the book keeps instants."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
