"""Periods: the names for ranges of days, and what each means on a given day."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from tallybook.days import ONE_DAY, parse_day
from tallybook.errors import UnknownName, UsageError

MAX_PERIOD_DAYS = 3660


@dataclass(frozen=True)
class Period:
    """The days from `first` to `last`, both included; `live` adds today's open day from the logs."""

    name: str
    first: date
    last: date
    live: bool = False

    def with_live(self, today: date) -> Period:
        """The same period with today added, if it reaches up to yesterday, and read live."""
        last = today if self.last == today - ONE_DAY else self.last
        return replace(self, last=last, live=True)


def _last_days(count: int) -> Callable[[date], tuple[date, date]]:
    return lambda today: (today - timedelta(days=count), today - ONE_DAY)


NAMED_PERIODS: dict[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda today: (today, today),
    "yesterday": lambda today: (today - ONE_DAY, today - ONE_DAY),
    "last7d": _last_days(7),
    "last30d": _last_days(30),
    "last90d": _last_days(90),
    "week": lambda today: (today - timedelta(days=today.weekday()), today),
    "month": lambda today: (today.replace(day=1), today),
    "year": lambda today: (today.replace(month=1, day=1), today),
}
LIVE_PERIODS = {"today"}
EVERYTHING = "all"
PERIOD_FORMS = (*NAMED_PERIODS, EVERYTHING, "YYYY-MM-DD", "YYYY-MM-DD..YYYY-MM-DD")


def parse_period(text: str, today: date, first_day: date | None) -> Period:
    """The period that `text` names on the day `today`.

    `first_day` is the first day known to the book or its sources, for `all`. A name that is none of `PERIOD_FORMS`, a
    range that runs backwards and one of more than ten years are `UsageError`s.
    """
    if text in NAMED_PERIODS:
        first, last = NAMED_PERIODS[text](today)
        return Period(text, first, last, live=text in LIVE_PERIODS)
    if text == EVERYTHING:
        yesterday = today - ONE_DAY
        return Period(text, min(first_day or yesterday, yesterday), yesterday)
    if not re.match(r"\d", text):
        raise UnknownName("period", text, PERIOD_FORMS)
    first_text, separator, last_text = text.partition("..")
    return between(parse_day(first_text), parse_day(last_text if separator else first_text))


def between(first: date, last: date) -> Period:
    """The period from first to last, both included."""
    _check_order(first, last)
    if (last - first).days >= MAX_PERIOD_DAYS:
        raise UsageError(
            f"The range {first}..{last} is longer than {MAX_PERIOD_DAYS} days.", "Ask for a shorter range."
        )
    return Period(f"{first}..{last}" if last != first else str(first), first, last)


def bounds_of(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """The days that bound a range which may be open at either end, and as long as it likes."""
    bounds = None if first is None else parse_day(first), None if last is None else parse_day(last)
    if bounds[0] and bounds[1]:
        _check_order(bounds[0], bounds[1])
    return bounds


def _check_order(first: date, last: date) -> None:
    if last < first:
        raise UsageError(f"The range {first}..{last} runs backwards.", f"Write {last}..{first}.")
