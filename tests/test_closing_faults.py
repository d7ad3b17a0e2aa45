"""What a source can do wrong while its days are closed, compared or pruned: the book stays whole, and the reason is told."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from stories import ARRIVED, NOW, TODAY, YESTERDAY, facts, fetch, put, record, tamper
from tallybook.adjusting import adjust_day
from tallybook.book.entries import UnreadableRow
from tallybook.book.ledger import Book
from tallybook.closing import Outcome, close_day, close_days
from tallybook.content import DayContent, empty_content
from tallybook.digest import genesis
from tallybook.errors import BookError, CloseFailed, LogsError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import Totals
from tallybook.pruning import prune
from tallybook.reconcile import find_changes, find_drift
from tallybook.source import DEFAULT_SLICING, Slicing
from tallybook.verification import verdict_on, verify_book

FIRST = date(2026, 11, 19)
DAYS = [FIRST + timedelta(days=number) for number in range(4)]


@dataclass
class Unwilling:
    """A source that reads our own logs, and fails where it is told to."""

    logs: LogStore
    mute: bool = False
    deaf: bool = False
    breaks_on: date | None = None
    breaks_with: type[Exception] = CloseFailed
    name: str = "local"
    days_per_read: int = 366

    def first_day(self) -> date | None:
        if self.mute:
            raise LogsError("The source does not answer.")
        return self.logs.first_day()

    def known_first_day(self) -> date | None:
        if self.deaf:
            raise LogsError("The source does not answer.")
        return self.logs.first_day()

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        for content in self.logs.contents(days, slicing):
            if content.day == self.breaks_on:
                raise self.breaks_with(f"{content.day} cannot be read")
            yield content

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self.logs.totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self.logs.hours(day)

    def arrived_at(self, _day: date) -> datetime | None:
        return ARRIVED

    def arrived_before(self, _day: date) -> datetime | None:
        return ARRIVED

    def price_versions(self, _day: date) -> tuple[str, ...]:
        return ()

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return None


@pytest.fixture
def source(logs: LogStore) -> Unwilling:
    """Four days with a record each."""
    put(logs, *(record(f"{day:%m-%d} 10:00", "a", tokens_in=1) for day in DAYS))
    return Unwilling(logs)


def close(book: Book, source: Unwilling, days: Sequence[date] = DAYS, **more: Any) -> list[tuple[int, str, str | None]]:
    results = close_days(book, source, days, NOW, DEFAULT_SLICING, **more)
    return [(result.day.day, str(result.outcome), result.reason) for result in results]


def test_a_day_that_is_not_over_is_refused_whatever_it_is_closed_with(sqlite_book: Book, source: Unwilling) -> None:
    result = close_day(sqlite_book, source, TODAY, NOW, empty_content(TODAY))
    assert (result.outcome, facts(sqlite_book)) == (Outcome.REFUSED, [])


def test_a_source_that_tells_no_first_day_fails_for_each_day_that_is_open(sqlite_book: Book, source: Unwilling) -> None:
    close(sqlite_book, source, DAYS[:1])
    source.mute = True
    why = "The source does not answer."
    assert close(sqlite_book, source, [*DAYS[:2], TODAY]) == [
        (19, "exists", None),
        (20, "failed", why),
        (23, "refused", "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on"),
    ]
    source.deaf = True
    assert close(sqlite_book, source, DAYS[1:2]) == [(20, "failed", why)]


def test_of_a_source_that_never_told_its_first_day_yesterday_has_failed(sqlite_book: Book, logs: LogStore) -> None:
    (result,) = DailyStatsJob(sqlite_book, [Unwilling(logs, mute=True)]).run_once(NOW)
    assert (result.day, result.outcome, result.reason) == (YESTERDAY, Outcome.FAILED, "The source does not answer.")


def test_after_a_read_that_failed_each_day_is_read_by_itself(sqlite_book: Book, source: Unwilling) -> None:
    source.breaks_on = DAYS[2]
    assert close(sqlite_book, source) == [
        (19, "closed", None),
        (20, "closed", None),
        (21, "failed", "2026-11-21 cannot be read"),
        (22, "closed", None),
    ]


def test_a_fault_that_nobody_thought_of_fails_the_day_and_no_other(
    sqlite_book: Book, source: Unwilling, log_lines: Any
) -> None:
    source.breaks_on, source.breaks_with = DAYS[1], ZeroDivisionError
    assert [outcome for _, outcome, _ in close(sqlite_book, source)] == ["closed", "failed", "closed", "closed"]
    assert {message for level, message, _ in log_lines() if level == "ERROR"} == {"day failed unexpectedly"}


def test_who_cancels_while_days_are_read_one_by_one_keeps_what_is_closed(sqlite_book: Book, source: Unwilling) -> None:
    source.breaks_on = DAYS[0]
    answers = iter([False, True])
    assert close(sqlite_book, source, cancelled=lambda: next(answers, True)) == [
        (19, "failed", "2026-11-19 cannot be read"),
        (20, "closed", None),
    ]


class TestPruning:
    def kept(self, book: Book, logs: LogStore) -> dict[str, str]:
        answer = prune(book, logs, TODAY, NOW, Slicing(), None)
        return {entry["day"]: entry["reason"] for entry in answer["kept"]}

    def test_every_reason_to_keep_a_day_is_told(self, sqlite_book: Book, source: Unwilling) -> None:
        logs = source.logs
        close(sqlite_book, source, DAYS[:3])
        put(logs, record("11-19 11:00", "b"))
        with logs.writing() as connection:
            connection.execute("UPDATE log_records SET tokens_in = 2 WHERE epoch_ms(created_at) = 1795255200000")
        assert self.kept(sqlite_book, logs) == {
            "2026-11-19": "records arrived after it was closed",
            "2026-11-21": "records were changed after it was closed",
            "2026-11-22": "not closed",
        }
        put(logs, record("11-20 11:00", "b"))
        assert self.kept(sqlite_book, logs)["2026-11-20"] == "records came after it was pruned"

    def test_a_day_whose_slices_alone_were_changed_is_kept_until_it_is_adjusted(
        self, sqlite_book: Book, logs: LogStore
    ) -> None:
        put(logs, record("11-21 10:00", team="search"))
        DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
        with logs.writing() as connection:
            connection.execute("UPDATE log_records SET team = 'moved'")
        assert self.kept(sqlite_book, logs) == {"2026-11-21": "records were changed after it was closed"}
        adjust_day(sqlite_book, logs, DAYS[2], NOW, Slicing())
        assert self.kept(sqlite_book, logs) == {}

    def test_a_day_with_fewer_records_than_the_book_is_kept(self, sqlite_book: Book, logs: LogStore) -> None:
        put(logs, record("11-22 10:00"), record("11-22 11:00"))
        DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
        with logs.writing() as connection:
            connection.execute("DELETE FROM log_records WHERE hour(created_at) = 11")
        assert self.kept(sqlite_book, logs) == {"2026-11-22": "the logs have fewer records than the book"}


class TestReconciling:
    def test_days_that_were_sliced_in_different_ways_are_each_read_in_theirs(
        self, sqlite_book: Book, source: Unwilling
    ) -> None:
        for day, dimensions in zip(DAYS, [("model",), ("model",), ("team",), ("model",)], strict=True):
            list(close_days(sqlite_book, source, [day], NOW, Slicing(dimensions)))
        assert list(find_drift(sqlite_book, source, DAYS, DEFAULT_SLICING)) == []
        put(source.logs, *(record(f"{day:%m-%d} 11:00", "b") for day in DAYS))
        found = list(find_drift(sqlite_book, source, DAYS, DEFAULT_SLICING))
        assert [(drift.day, drift.change[0]) for drift in found] == [(day, 1) for day in DAYS]

    def test_no_days_have_no_drift(self, sqlite_book: Book, source: Unwilling) -> None:
        assert list(find_drift(sqlite_book, source, [], DEFAULT_SLICING)) == []
        assert list(find_changes(sqlite_book, source, [])) == []

    def test_days_that_are_not_closed_are_not_compared(self, sqlite_book: Book, source: Unwilling) -> None:
        assert list(find_drift(sqlite_book, source, DAYS, DEFAULT_SLICING)) == []
        assert list(find_changes(sqlite_book, source, DAYS)) == []


class TestADamagedBook:
    def test_a_book_has_one_identity_from_which_its_chain_begins(self, sqlite_book: Book, source: Unwilling) -> None:
        close(sqlite_book, source, DAYS[:1])
        ((book_id, created_at),) = fetch(sqlite_book, "SELECT book_id, created_at FROM book")
        assert fetch(sqlite_book, "SELECT prev_chain FROM closings") == [(genesis(book_id, created_at),)]
        tamper(sqlite_book, "UPDATE book SET id = 2")
        assert [
            (fault.verdict, fault.table, fault.field, fault.fault) for fault in verify_book(sqlite_book).faults
        ] == [
            ("unreadable", "book", "id", "the book should have one identity, of id 1; the ids are [2]"),
            ("altered", "book", None, "the first entry is not linked to this identity"),
        ]

    def test_a_name_that_is_no_text_is_unreadable(self, sqlite_book: Book, source: Unwilling) -> None:
        close(sqlite_book, source, DAYS[:1])
        tamper(sqlite_book, "UPDATE daily_slices SET model = x'ff'")
        verification = verify_book(sqlite_book)
        assert [(fault.verdict, fault.table, fault.field) for fault in verification.faults] == [
            ("unreadable", "daily_slices", "model")
        ]

    def test_a_name_that_is_no_utf_8_is_unreadable(self, sqlite_book: Book, source: Unwilling) -> None:
        close(sqlite_book, source, DAYS[:2])
        tamper(sqlite_book, "UPDATE daily_slices SET model = CAST(x'ff' AS TEXT) WHERE date = '2026-11-20'")
        verification = verify_book(sqlite_book)
        assert [(fault.verdict, fault.day, fault.fault) for fault in verification.faults] == [
            ("unreadable", "2026-11-20", "A text in the book is damaged.")
        ]

    def test_a_table_of_days_that_is_gone_is_missing(self, sqlite_book: Book, source: Unwilling) -> None:
        close(sqlite_book, source, DAYS[:1])
        tamper(sqlite_book, "DROP TABLE daily_histograms")
        (fault,) = verify_book(sqlite_book).faults
        assert (fault.verdict, fault.table, fault.fault) == ("missing", "daily_histograms", "there is no such table")
        with pytest.raises(BookError) as gone:
            sqlite_book.histograms("local", FIRST, YESTERDAY)
        verification = verdict_on(gone.value)
        assert verification is not None
        assert (verification.verdict, verification.faults[0].table) == ("missing", "book")

    def test_other_faults_of_the_database_are_no_verdict(self) -> None:
        assert verdict_on(BookError("The book is locked by another process.")) is None
        assert verdict_on(UnreadableRow("a row", "field")) is None
