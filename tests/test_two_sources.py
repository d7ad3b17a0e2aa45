"""Several sources in one book: what is known of one says nothing of another."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from stories import ARRIVED, NOW, YESTERDAY, delete_days, fetch, put, record
from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.closing import (
    Outcome,
    Result,
    close_days,
    first_known_day,
    known_missing_days,
    missing_days,
    remembered_first_day,
)
from tallybook.content import DayContent
from tallybook.errors import LogsError
from tallybook.logs.store import LogStore
from tallybook.measures import Totals
from tallybook.reconcile import Drift, find_changes
from tallybook.source import DEFAULT_SLICING, Slicing
from tallybook.verification import verify_book

LATER = NOW + timedelta(hours=5)
DAYS = [date(2026, 11, 19) + timedelta(days=number) for number in range(4)]


@dataclass
class Named:
    """Logs of their own under another name; deaf, they remember no first day either."""

    logs: LogStore
    name: str = "gateway"
    deaf: bool = False
    import_runs: bool = False
    days_per_read: int = 366

    def first_day(self) -> date | None:
        if self.deaf:
            raise LogsError("The gateway does not answer.")
        return self.logs.first_day()

    def known_first_day(self) -> date | None:
        return self.first_day()

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        return self.logs.contents(days, slicing)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self.logs.totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self.logs.hours(day)

    def arrived_at(self, _day: date) -> datetime | None:
        return ARRIVED

    def arrived_before(self, _day: date) -> datetime | None:
        return ARRIVED

    def price_versions(self, day: date) -> tuple[str, ...]:
        return (f"prices of {day}", "a", "a")

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return "files are coming in" if self.import_runs else None


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Named]:
    """A gateway with a record on the 21st and one on the 22nd, whose first day was the 20th, now pruned."""
    store = LogStore.open(tmp_path / "gateway.duckdb")
    put(store, record("11-20 10:00"), record("11-21 10:00"), record("11-22 10:00"))
    yield Named(store)
    store.close()


def close(book: Book, source: LogStore | Named, *days: date) -> list[Result]:
    return list(close_days(book, source, days, NOW, DEFAULT_SLICING))


def test_the_first_day_and_what_is_missing_are_each_sources_own(
    sqlite_book: Book, logs: LogStore, gateway: Named
) -> None:
    put(logs, *(record(f"{day:%m-%d} 10:00") for day in DAYS))
    close(sqlite_book, logs, *DAYS)
    assert [result.outcome for result in close(sqlite_book, gateway, *DAYS[:2])] == [Outcome.SKIPPED, Outcome.CLOSED]
    assert first_known_day(sqlite_book, gateway) == date(2026, 11, 20)
    assert delete_days(gateway.logs, date(2026, 11, 20)) == 1
    assert first_known_day(sqlite_book, gateway) == date(2026, 11, 20)
    assert missing_days(sqlite_book, gateway, NOW) == [date(2026, 11, 21), YESTERDAY]
    assert known_missing_days(sqlite_book, gateway, NOW) == [date(2026, 11, 21), YESTERDAY]
    assert missing_days(sqlite_book, logs, NOW) == known_missing_days(sqlite_book, logs, NOW) == []


def test_of_a_source_that_does_not_answer_its_own_closings_tell_the_first_day(
    sqlite_book: Book, logs: LogStore, gateway: Named
) -> None:
    put(logs, *(record(f"{day:%m-%d} 10:00") for day in DAYS))
    close(sqlite_book, logs, *DAYS)
    gateway.deaf = True
    assert remembered_first_day(sqlite_book, gateway) is None
    assert known_missing_days(sqlite_book, gateway, NOW) == [YESTERDAY]
    assert [result.outcome for result in close(sqlite_book, gateway, *DAYS)] == [Outcome.FAILED] * 4
    gateway.deaf = False
    close(sqlite_book, gateway, DAYS[1])
    gateway.deaf = gateway.import_runs = True
    assert remembered_first_day(sqlite_book, gateway) == DAYS[1]
    assert known_missing_days(sqlite_book, gateway, NOW) == DAYS[2:]
    assert [(result.outcome, result.reason) for result in close(sqlite_book, gateway, *DAYS)] == [
        (Outcome.SKIPPED, "before the source's first record"),
        (Outcome.EXISTS, None),
        (Outcome.FAILED, "The gateway does not answer."),
        (Outcome.FAILED, "The gateway does not answer."),
    ]


def test_drift_is_told_of_the_source_that_drifted(sqlite_book: Book, logs: LogStore, gateway: Named) -> None:
    for source in (logs, gateway):
        put(logs, record("11-22 10:00", request_id="once"))
        close(sqlite_book, source, YESTERDAY)
    put(gateway.logs, record("11-22 11:00", "b", None, cost_nanousd=10**16))
    (drift,) = find_changes(sqlite_book, gateway, [YESTERDAY])
    assert drift.as_json() == {
        "source": "gateway",
        "day": "2026-11-22",
        "state": "drift",
        "change": {"requests": 1, "cost_nanousd": "10000000000000000", "priced_requests": 1},
    }
    assert Drift("gateway", YESTERDAY, drift.change, pruned=True).as_json()["pruned"] is True
    assert list(find_changes(sqlite_book, logs, [YESTERDAY])) == []


def test_closings_and_adjustments_keep_the_prices_and_the_schema_they_were_made_with(
    sqlite_book: Book, gateway: Named
) -> None:
    close(sqlite_book, gateway, YESTERDAY)
    put(gateway.logs, record("11-22 11:00", "b"))
    adjust_day(sqlite_book, gateway, YESTERDAY, LATER, DEFAULT_SLICING)
    for table in ("closings", "adjustments"):
        assert fetch(sqlite_book, f"SELECT prices, schema_version FROM {table}") == [
            ('["a","prices of 2026-11-22"]', "0005")
        ]
    assert verify_book(sqlite_book).verdict == "intact"


def test_the_slower_of_two_that_close_a_day_at_once_finds_it_there(book: Book, book_url: str, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    faster = Book.open(book_url, NOW)

    @dataclass
    class Slower(Named):
        def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
            for content in self.logs.contents(days, slicing):
                close(faster, self.logs, YESTERDAY)
                yield content

    (result,) = close(book, Slower(logs, "local"), YESTERDAY)
    faster.close()
    (closing,) = book.closings()
    assert result == Result("local", YESTERDAY, Outcome.EXISTS, 1, closing.digest)
