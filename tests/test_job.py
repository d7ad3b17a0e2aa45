"""The daily job under a clock that the test holds."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from stories import NOW, TODAY, YESTERDAY, at, delete_days, facts, put, record
from tallybook.book.ledger import Book
from tallybook.closing import Outcome, Result
from tallybook.content import DayContent
from tallybook.errors import LogsError, SourceDown
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import Totals
from tallybook.source import Slicing
from tallybook.verification import verify_book


def said(results: Sequence[Result]) -> list[tuple[str, str]]:
    return [(result.day.strftime("%m-%d"), str(result.outcome)) for result in results]


@pytest.fixture
def job(sqlite_book: Book, logs: LogStore) -> DailyStatsJob:
    return DailyStatsJob(sqlite_book, [logs])


def test_one_second_before_five_past_nothing_and_at_five_past_yesterday(job: DailyStatsJob, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    assert said(job.run_once(at("11-23 00:04:59"))) == []
    assert said(job.run_once(at("11-23 00:05:00"))) == [("11-22", "closed")]
    assert said(job.run_once(at("11-23 00:06:00"))) == []


def test_a_week_of_outage_is_made_up_with_zero_days_told_apart(
    job: DailyStatsJob, sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, record("11-15 10:00"), now=at("11-15 10:00"))
    assert said(job.run_once(at("11-16 00:05"))) == [("11-15", "closed")]
    put(logs, record("11-17 10:00"), record("11-20 10:00"), now=at("11-20 10:00"))
    assert said(job.run_once(NOW)) == [
        ("11-16", "zero"),
        ("11-17", "closed"),
        ("11-18", "zero"),
        ("11-19", "zero"),
        ("11-20", "closed"),
        ("11-21", "zero"),
        ("11-22", "zero"),
    ]
    assert verify_book(sqlite_book).verdict == "intact"


def test_a_clock_that_jumps_back_closes_nothing_twice_and_goes_on_afterwards(
    job: DailyStatsJob, sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"), record("11-23 02:00"))
    assert said(job.run_once(NOW)) == [("11-21", "closed"), ("11-22", "closed")]
    assert said(job.run_once(at("11-21 03:00"))) == []
    assert said(list(job.backfill_range(date(2026, 11, 20), YESTERDAY, at("11-21 03:00")))) == [
        ("11-20", "skipped"),
        ("11-21", "refused"),
        ("11-22", "refused"),
    ]
    assert said(job.run_once(at("11-24 00:05"))) == [("11-23", "closed")]
    assert [closing.seq for closing in sqlite_book.closings()] == [1, 2, 3]
    assert verify_book(sqlite_book).verdict == "intact"


def test_while_an_import_runs_nothing_is_closed(job: DailyStatsJob, sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"))
    with logs.importing():
        assert job.run_once(NOW) == []
        results = list(job.backfill_range(date(2026, 11, 21), YESTERDAY, NOW))
        assert [(str(result.outcome), result.reason) for result in results] == [("failed", "an import is running")] * 2
    assert facts(sqlite_book) == []
    assert said(job.run_once(NOW)) == [("11-21", "closed"), ("11-22", "closed")]


def test_an_empty_day_waits_until_no_record_of_any_older_day_has_come_for_ten_minutes(
    job: DailyStatsJob, logs: LogStore
) -> None:
    put(logs, record("11-18 10:00"), now=at("11-23 00:30"))
    put(logs, record("11-20 10:00"), now=at("11-23 00:55"))
    put(logs, record("11-23 00:59"), now=at("11-23 01:00"))
    assert said(job.run_once(at("11-23 01:00"))) == [("11-18", "closed")]
    put(logs, record("11-19 10:00"), now=at("11-23 01:01"))
    assert said(job.run_once(at("11-23 01:10:59"))) == [("11-20", "closed")]
    assert said(job.run_once(at("11-23 01:11"))) == [("11-19", "closed"), ("11-21", "zero"), ("11-22", "zero")]


def test_an_older_missing_day_waits_until_no_record_has_come_for_ten_minutes(
    job: DailyStatsJob, logs: LogStore
) -> None:
    put(logs, record("11-20 10:00"), now=at("11-23 00:30"))
    put(logs, record("11-22 10:00"), now=at("11-23 00:59:59"))
    assert said(job.run_once(at("11-23 00:39:59"))) == [("11-22", "closed")]
    assert said(job.run_once(at("11-23 00:40:00"))) == [("11-20", "closed"), ("11-21", "zero")]


def test_yesterday_is_closed_at_five_past_even_if_a_record_has_just_come(job: DailyStatsJob, logs: LogStore) -> None:
    put(logs, record("11-22 23:59:59"), now=at("11-23 00:04:59"))
    assert said(job.run_once(at("11-23 00:05:00"))) == [("11-22", "closed")]


def test_a_command_does_not_wait_for_quiet(job: DailyStatsJob, logs: LogStore) -> None:
    put(logs, record("11-20 10:00"), now=NOW)
    assert said(list(job.backfill_range(date(2026, 11, 20), date(2026, 11, 20), NOW))) == [("11-20", "closed")]


@dataclass
class Brittle:
    """Our own logs, in which some days cannot be read."""

    logs: LogStore
    broken: set[date]
    reads: list[int] = field(default_factory=list)
    name: str = "brittle"
    days_per_read: int = 366

    def first_day(self) -> date | None:
        return self.logs.first_day()

    def known_first_day(self) -> date | None:
        return self.logs.known_first_day()

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        self.reads.append(len(days))
        for day, content in zip(days, self.logs.contents(days, slicing), strict=True):
            if day in self.broken:
                raise LogsError(f"{day} is on a bad block")
            yield content

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self.logs.totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self.logs.hours(day)

    def arrived_at(self, day: date) -> datetime | None:
        return self.logs.arrived_at(day)

    def arrived_before(self, day: date) -> datetime | None:
        return self.logs.arrived_before(day)

    def price_versions(self, day: date) -> tuple[str, ...]:
        return self.logs.price_versions(day)

    def imports_begun(self) -> int:
        return self.logs.imports_begun()

    def busy(self) -> str | None:
        return self.logs.busy()


def test_a_day_that_fails_is_reported_and_the_others_go_on(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, *(record(f"11-{day} 10:00") for day in range(16, 23)))
    source = Brittle(logs, {date(2026, 11, 18), date(2026, 11, 21)})
    job = DailyStatsJob(sqlite_book, [source])
    results = list(job.backfill_range(date(2026, 11, 16), YESTERDAY, NOW))
    assert said(results) == [
        ("11-16", "closed"),
        ("11-17", "closed"),
        ("11-18", "failed"),
        ("11-19", "closed"),
        ("11-20", "closed"),
        ("11-21", "failed"),
        ("11-22", "closed"),
    ]
    assert [result.reason for result in results if result.outcome is Outcome.FAILED] == [
        "2026-11-18 is on a bad block",
        "2026-11-21 is on a bad block",
    ]
    assert job.missing(NOW) == {"brittle": [date(2026, 11, 18), date(2026, 11, 21)]}
    source.broken.clear()
    assert said(job.run_once(NOW)) == [("11-18", "closed"), ("11-21", "closed")]
    assert verify_book(sqlite_book).verdict == "intact"


def test_a_source_that_cannot_be_read_at_all_does_not_hold_up_the_other(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    broken = Brittle(logs, {YESTERDAY})
    results = DailyStatsJob(sqlite_book, [broken, logs]).run_once(NOW)
    assert [(result.source, str(result.outcome)) for result in results] == [("brittle", "failed"), ("local", "closed")]


class Gone(Brittle):
    def first_day(self) -> date | None:
        raise LogsError("The gateway's database does not answer.")


def test_a_source_that_is_not_even_there_does_not_hold_up_the_other(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    results = DailyStatsJob(sqlite_book, [Gone(logs, set(), name="gone"), logs]).run_once(NOW)
    assert ("local", "closed") in [(result.source, str(result.outcome)) for result in results]
    assert facts(sqlite_book) == [("2026-11-22", "closed", 1)]


def test_a_cancelled_backfill_stops_between_two_days_and_keeps_what_is_closed(
    job: DailyStatsJob, sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, *(record(f"11-{day} 10:00") for day in range(10, 23)))
    seen: list[Result] = []
    seen.extend(job.backfill_range(date(2026, 11, 10), YESTERDAY, NOW, cancelled=lambda: len(seen) >= 3))
    assert said(seen) == [("11-10", "closed"), ("11-11", "closed"), ("11-12", "closed")]
    assert len(facts(sqlite_book)) == 3
    assert len(said(list(job.backfill_range(date(2026, 11, 10), YESTERDAY, NOW)))) == 13
    assert verify_book(sqlite_book).verdict == "intact"


def test_a_caller_that_stops_listening_leaves_whole_days_and_open_logs(
    job: DailyStatsJob, sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"))
    results = job.backfill_range(date(2026, 11, 21), YESTERDAY, NOW)
    assert next(results).day == date(2026, 11, 21)
    del results
    assert facts(sqlite_book) == [("2026-11-21", "closed", 1)]
    put(logs, record("11-23 00:10"))
    assert said(job.run_once(NOW)) == [("11-22", "closed")]


def test_a_cancelled_tick_leaves_the_other_sources_for_the_next(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"))
    job = DailyStatsJob(sqlite_book, [logs, Brittle(logs, set())])
    assert len(job.run_once(NOW, cancelled=lambda: True)) <= 2
    assert said(job.run_once(NOW)) != []
    assert job.missing(NOW) == {"local": [], "brittle": []}


def test_days_before_the_first_record_are_skipped_and_can_be_closed_once_older_logs_are_there(
    job: DailyStatsJob, logs: LogStore
) -> None:
    put(logs, record("11-21 10:00"))
    results = list(job.backfill_range(date(2026, 11, 19), date(2026, 11, 21), NOW))
    assert said(results) == [("11-19", "skipped"), ("11-20", "skipped"), ("11-21", "closed")]
    assert results[0].reason == "before the source's first record"
    put(logs, record("11-19 10:00"))
    assert said(job.run_once(NOW)) == [("11-19", "closed"), ("11-20", "zero"), ("11-22", "zero")]


def test_a_source_without_any_record_is_skipped_and_nothing_is_missing(job: DailyStatsJob) -> None:
    assert said(list(job.close(YESTERDAY, NOW))) == [("11-22", "skipped")]
    assert job.run_once(NOW) == []
    assert job.missing(NOW) == {"local": []}


def test_an_open_day_is_refused_whoever_asks(job: DailyStatsJob, sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"), record("11-23 00:10"))
    (today,) = job.close(TODAY, NOW)
    assert (str(today.outcome), today.requests, today.digest) == ("refused", None, None)
    (in_grace,) = job.close(YESTERDAY, at("11-23 00:04:59"))
    assert str(in_grace.outcome) == "refused"
    assert facts(sqlite_book) == []


def test_days_whose_logs_are_gone_are_still_closed_as_they_were(
    job: DailyStatsJob, sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, record("11-20 10:00"), record("11-22 10:00"))
    job.run_once(NOW)
    delete_days(logs, date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22))
    assert said(list(job.backfill_range(date(2026, 11, 19), YESTERDAY, NOW))) == [
        ("11-19", "skipped"),
        ("11-20", "exists"),
        ("11-21", "exists"),
        ("11-22", "exists"),
    ]
    assert job.missing(NOW) == {"local": []}


def test_two_sources_are_closed_each_on_its_own_in_one_chain(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    results = DailyStatsJob(sqlite_book, [logs, Brittle(logs, set())]).run_once(NOW)
    assert [(result.source, str(result.outcome)) for result in results] == [("local", "closed"), ("brittle", "closed")]
    assert results[0].digest == results[1].digest
    assert [closing.seq for closing in sqlite_book.closings()] == [1, 2]
    assert sqlite_book.sources() == ["brittle", "local"]
    assert verify_book(sqlite_book).verdict == "intact"


def test_a_range_is_closed_source_by_source(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"))
    job = DailyStatsJob(sqlite_book, [logs, Brittle(logs, set())])
    results = list(job.backfill_range(date(2026, 11, 21), YESTERDAY, NOW))
    assert [(result.source, result.day.day) for result in results] == [
        ("local", 21),
        ("local", 22),
        ("brittle", 21),
        ("brittle", 22),
    ]
    assert [(closing.source, closing.day.day) for closing in sqlite_book.closings()] == [
        ("local", 21),
        ("local", 22),
        ("brittle", 21),
        ("brittle", 22),
    ]


@dataclass
class Slow(Brittle):
    """A source that is not read to its end before another's day is closed."""

    other_closed: threading.Event = field(default_factory=threading.Event)

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        if not self.other_closed.wait(60):
            raise LogsError("The other was kept waiting.")
        yield from super().contents(days, slicing)


def test_a_slow_source_keeps_no_other_waiting(tmp_path: Path, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    slow = Slow(logs, set(), name="slow")
    book = Book.open(f"sqlite:///{tmp_path}/other.sqlite", NOW, on_append=slow.other_closed.set)
    results = DailyStatsJob(book, [slow, logs]).run_once(NOW)
    assert [(result.source, str(result.outcome)) for result in results] == [("slow", "closed"), ("local", "closed")]
    assert [(closing.seq, closing.source) for closing in book.closings()] == [(1, "local"), (2, "slow")]
    book.close()


class Unplugged(Brittle):
    """A source whose cable is pulled while it is read."""

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        try:
            yield from super().contents(days, slicing)
        except LogsError:
            raise SourceDown("The gateway's database cannot be reached.") from None


def test_a_source_that_goes_down_is_asked_no_more_and_all_its_days_that_are_left_have_failed(
    sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, *(record(f"11-{day} 10:00") for day in range(18, 23)))
    source = Unplugged(logs, {date(2026, 11, 20)}, name="gateway")
    results = DailyStatsJob(sqlite_book, [source, logs]).run_once(NOW)
    assert [(result.source, *pair) for result, pair in zip(results, said(results), strict=True)] == [
        ("gateway", "11-18", "closed"),
        ("gateway", "11-19", "closed"),
        ("gateway", "11-20", "failed"),
        ("gateway", "11-21", "failed"),
        ("gateway", "11-22", "failed"),
        *(("local", f"11-{day}", "closed") for day in range(18, 23)),
    ]
    assert {result.reason for result in results[2:5]} == {"The gateway's database cannot be reached."}
    assert source.reads == [5]
    assert verify_book(sqlite_book).verdict == "intact"


def test_results_are_shown_as_the_surface_says(job: DailyStatsJob, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    closed, refused = job.backfill_range(YESTERDAY, TODAY, NOW)
    assert closed.as_json() == {
        "source": "local",
        "day": "2026-11-22",
        "outcome": "closed",
        "requests": 1,
        "digest": closed.digest,
    }
    assert refused.as_json() == {
        "source": "local",
        "day": "2026-11-23",
        "outcome": "refused",
        "requests": None,
        "digest": None,
        "reason": "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on",
    }


def test_a_long_range_is_read_a_year_at_a_time(sqlite_book: Book, logs: LogStore) -> None:
    start = date(2025, 9, 1)
    put(logs, record(at("11-22 10:00") - timedelta(days=(YESTERDAY - start).days)), record("11-22 10:00"))
    source = Brittle(logs, set())
    results = list(DailyStatsJob(sqlite_book, [source]).backfill_range(start, YESTERDAY, NOW))
    assert len(results) == 448
    assert source.reads == [366, 82]
    assert [str(result.outcome) for result in results].count("closed") == 2


def test_a_source_is_asked_for_no_more_days_at_once_than_it_can_tell(sqlite_book: Book, logs: LogStore) -> None:
    start = date(2026, 9, 10)
    put(logs, *(record(at("09-10 10:00") + timedelta(days=offset)) for offset in range(74)))
    source = Brittle(logs, {date(2026, 10, 13)}, days_per_read=31)
    results = list(DailyStatsJob(sqlite_book, [source]).backfill_range(start, YESTERDAY, NOW))
    assert [str(result.day) for result in results if result.outcome is not Outcome.CLOSED] == ["2026-10-13"]
    assert len(results) == 74
    assert source.reads == [31, 31, *[1] * 29, 12], "of the month that broke off each day that was left on its own"


def test_a_backwards_range_is_nothing(job: DailyStatsJob, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    assert list(job.backfill_range(YESTERDAY, date(2026, 11, 20), NOW)) == []


class Overtaken(Brittle):
    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        contents = list(super().contents(days, slicing))
        with self.logs.importing():
            put(self.logs, record("11-21 11:00"))
        yield from contents


def test_no_day_is_closed_from_a_read_during_which_an_import_began(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-21 10:00"), record("11-22 10:00"))
    job = DailyStatsJob(sqlite_book, [Overtaken(logs, set())])
    assert [
        (str(result.outcome), result.reason) for result in job.backfill_range(date(2026, 11, 21), YESTERDAY, NOW)
    ] == [
        ("failed", "An import began while 2026-11-21 was read."),
        ("failed", "An import began while 2026-11-22 was read."),
    ]
    assert facts(sqlite_book) == []
