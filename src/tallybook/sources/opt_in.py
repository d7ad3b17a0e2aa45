"""Failures that a gateway logs only where it is told to: from which day on a day without any had none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from tallybook.days import ONE_DAY, day_of, days_between, midnight, runs_of
from tallybook.declaration import FailuresSeen

DAYS_AT_ONCE = 31
"""How many days one statement looks through: no more of somebody's table than a reading takes."""

FirstFailure = Callable[[datetime, datetime], datetime | None]
"""When the first failure between two instants was logged."""


class LoggedFailures:
    """Looks for the first day with a logged failure; days before it cannot tell theirs, days from it on can.

    `seen` is what is known so far, to be kept: what it says was looked through is not read again.
    """

    def __init__(self, seen: FailuresSeen, first_failure: FirstFailure, first_day: Callable[[], date | None]) -> None:
        self.seen = seen
        self._first_failure = first_failure
        self._first_day = first_day

    def untold(self, days: Sequence[date]) -> frozenset[date]:
        """Those of the ascending days whose failures nobody logged, as far as is known at the end of the last."""
        since = self.look(days[0], days[-1])
        return frozenset(day for day in days if since is None or day < since)

    def look(self, first: date, last: date) -> date | None:
        """The first day with a logged failure, if it is not after `last`; the days before `first` must be over."""
        if self.seen.since:
            return self.seen.since
        begin = self.seen.sought_before or self._first_day()
        if begin is None:
            return None
        since = self._search(begin, last)
        late = first - ONE_DAY  # the last rows of a day are written when it is over
        self.seen = FailuresSeen(since, None if since else max(begin, min(late, last)))
        return since

    def _search(self, first: date, last: date) -> date | None:
        for run in runs_of(list(days_between(first, last)), DAYS_AT_ONCE):
            if failure := self._first_failure(midnight(run[0]), midnight(run[-1] + ONE_DAY)):
                return day_of(failure)
        return None
