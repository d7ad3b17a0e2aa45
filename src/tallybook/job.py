"""The daily job: chooses the days to be closed, and asks "which are missing?", never "was I called?"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tallybook.book.ledger import Book
from tallybook.closing import Result, close_days, failed, known_missing_days, missing_days
from tallybook.days import ONE_DAY, days_between
from tallybook.errors import LogsError
from tallybook.source import DEFAULT_SLICING, Slicing, Source

MAX_SOURCES_AT_ONCE = 8
QUIET = timedelta(minutes=10)
"""An older missing day is closed by itself only when none of its records has arrived for this long; a day that has none
yet, only when none of any older day has: someone may be bringing in files one by one."""


@dataclass(frozen=True)
class DailyStatsJob:
    """Closes days of one or more sources into a book. Every method takes the time from its caller."""

    book: Book
    sources: Sequence[Source]
    slicing: Slicing = DEFAULT_SLICING

    def run_once(self, now: datetime, cancelled: Callable[[], bool] = lambda: False) -> list[Result]:
        """What the scheduler calls: closes every day that is missing and settled, of every source.

        Yesterday is closed from 00:05 UTC on, if it has records. An older day waits while records for it still arrive,
        an empty one while any older do, and every day while the source is busy, as with an import. A source that does
        not answer is `failed`, and a slow one keeps no other waiting: each has a thread of its own.
        Calling it again, late, or from two servers does no harm.
        """
        if len(self.sources) <= 1:
            return [result for source in self.sources for result in self._close_missing(source, now, cancelled)]
        with ThreadPoolExecutor(MAX_SOURCES_AT_ONCE, thread_name_prefix="closing") as pool:
            closing = [pool.submit(self._close_missing, source, now, cancelled) for source in self.sources]
        return [result for each in closing for result in each.result()]

    def _close_missing(self, source: Source, now: datetime, cancelled: Callable[[], bool]) -> list[Result]:
        try:
            if source.busy():
                return []
            days = [day for day in missing_days(self.book, source, now) if _is_settled(source, day, now)]
            return list(close_days(self.book, source, days, now, self.slicing, cancelled))
        except LogsError as error:
            return [failed(source, day, error.message) for day in known_missing_days(self.book, source, now)]

    def close(self, day: date, now: datetime) -> Iterator[Result]:
        """Closes one day of every source."""
        return self.backfill_range(day, day, now)

    def backfill_range(
        self, start: date, end: date, now: datetime, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Result]:
        """Closes the days from start to end, both included, of every source; a result for each source and day.

        Days that exist are skipped, days that are not over refused; a day that fails is reported and the others go on.
        Each source is read once. Stops between two days when `cancelled` says so; what is closed stays closed.
        """
        days = list(days_between(start, end))
        for source in self.sources:
            yield from close_days(self.book, source, days, now, self.slicing, cancelled)
            if cancelled():
                return

    def missing(self, now: datetime) -> dict[str, list[date]]:
        """The closable days that are not in the book, by source."""
        return {source.name: missing_days(self.book, source, now) for source in self.sources}


def _is_settled(source: Source, day: date, now: datetime) -> bool:
    """Whether the day may be closed unasked. An empty day waits for all older ones: its records may come next."""
    yesterday = (now - ONE_DAY).date()
    arrived_at = source.arrived_at(day)
    if day == yesterday and arrived_at is not None:
        return True
    arrived_at = arrived_at or source.arrived_before(yesterday)
    return arrived_at is None or abs(now - arrived_at) >= QUIET
