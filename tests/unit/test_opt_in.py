"""From which day on failures are known, of a gateway that logs them only where it is told to."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from stories import at
from tallybook.days import ONE_DAY, day_of
from tallybook.declaration import FailuresSeen
from tallybook.sources.opt_in import LoggedFailures

FIRST_DAY = date(2026, 1, 1)
TODAY = date(2026, 11, 23)
NOTHING = FailuresSeen()


class Table:
    """A gateway's table, with the failures that it has logged, that notes which spans of it were read."""

    def __init__(self, *failures: datetime) -> None:
        self.failures = list(failures)
        self.read: list[tuple[date, date]] = []

    def first_failure(self, since: datetime, until: datetime) -> datetime | None:
        self.read.append((day_of(since), day_of(until) - ONE_DAY))
        return min((each for each in self.failures if since <= each < until), default=None)

    def looked_at(self, seen: FailuresSeen = NOTHING) -> LoggedFailures:
        return LoggedFailures(seen, self.first_failure, lambda: FIRST_DAY)


def test_it_is_read_from_its_beginning_a_month_at_a_time_until_one_is_found() -> None:
    table = Table(at("03-01 12:00"), at("11-01 12:00"))
    assert table.looked_at().look(TODAY, TODAY) == date(2026, 3, 1)
    assert table.read == [
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 3, 3)),
    ]


def test_what_was_looked_through_is_not_read_again_but_for_the_day_before() -> None:
    table = Table()
    failures = table.looked_at()
    assert failures.untold([TODAY]) == {TODAY}
    assert failures.seen == FailuresSeen(None, TODAY - ONE_DAY)
    table.read.clear()
    assert table.looked_at(failures.seen).untold([TODAY]) == {TODAY}
    assert table.read == [(TODAY - ONE_DAY, TODAY)]


def test_one_that_is_written_after_midnight_for_the_day_before_is_found() -> None:
    table = Table()
    failures = table.looked_at()
    assert failures.untold([TODAY]) == {TODAY}
    table.failures.append(at("11-22 23:59:59"))
    assert failures.untold([TODAY - ONE_DAY]) == frozenset()


def test_once_it_is_found_nothing_is_read() -> None:
    table = Table()
    failures = table.looked_at(FailuresSeen(TODAY))
    assert failures.untold([TODAY - ONE_DAY, TODAY, TODAY + ONE_DAY]) == {TODAY - ONE_DAY}
    assert table.read == []


def test_an_older_day_is_not_told_by_what_came_after_it() -> None:
    table = Table(at("11-20 12:00"))
    failures = table.looked_at()
    assert failures.untold([date(2026, 11, 10)]) == {date(2026, 11, 10)}
    assert failures.untold([date(2026, 11, 9)]) == {date(2026, 11, 9)}
    assert failures.seen.since is None
    assert failures.untold([date(2026, 11, 19) + timedelta(days=each) for each in range(3)]) == {date(2026, 11, 19)}


def test_a_table_without_a_request_has_no_failures_to_know() -> None:
    failures = LoggedFailures(FailuresSeen(), Table().first_failure, lambda: None)
    assert failures.untold([TODAY]) == {TODAY}
    assert failures.seen == FailuresSeen()
