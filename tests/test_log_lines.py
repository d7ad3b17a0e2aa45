"""What a server logs of the days that it closes and adjusts: one line each, whose facts are fields."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import date, timedelta
from typing import Any

from stories import NOW, TODAY, YESTERDAY, put, record
from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.closing import Outcome, Result, close_days
from tallybook.content import DayContent
from tallybook.logs.store import LogStore
from tallybook.source import DEFAULT_SLICING, Slicing
from tallybook.sources.table import TableSource

LATER = NOW + timedelta(hours=5)


def close(book: Book, logs: LogStore | TableSource, *days: date) -> list[Result]:
    return list(close_days(book, logs, days, NOW, DEFAULT_SLICING))


def test_a_day_that_is_closed_is_logged_with_its_figures(sqlite_book: Book, logs: LogStore, log_lines: Any) -> None:
    put(logs, record("11-22 10:00", tokens_in=5, tokens_out=2))
    close(sqlite_book, logs, YESTERDAY)
    (line,) = log_lines()
    assert line == (
        "INFO",
        "day closed",
        {"source": "local", "date": "2026-11-22", "requests": 1, "tokens_in": 5, "tokens_out": 2},
    )


def test_a_day_that_is_not_closed_is_logged_with_the_reason(sqlite_book: Book, logs: LogStore, log_lines: Any) -> None:
    put(logs, record("11-22 10:00"))
    close(sqlite_book, logs, YESTERDAY)
    results = close(sqlite_book, logs, date(2026, 11, 21), YESTERDAY, TODAY)
    assert [result.source for result in results] == ["local"] * 3
    assert log_lines()[1:] == [
        (
            "INFO",
            "day skipped",
            {"source": "local", "date": "2026-11-21", "reason": "before the source's first record"},
        ),
        ("INFO", "day exists", {"source": "local", "date": "2026-11-22", "reason": "it is closed already"}),
        (
            "INFO",
            "day refused",
            {
                "source": "local",
                "date": "2026-11-23",
                "reason": "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on",
            },
        ),
    ]


def test_a_fault_that_nobody_thought_of_is_logged_with_its_trace(
    sqlite_book: Book, logs: LogStore, log_lines: Any, monkeypatch: Any
) -> None:
    def contents(_days: Sequence[date], _slicing: Slicing) -> Generator[DayContent]:
        yield from ()
        raise ZeroDivisionError("nothing to divide by")

    put(logs, record("11-22 10:00"))
    monkeypatch.setattr(logs, "contents", contents)
    (result,) = close(sqlite_book, logs, YESTERDAY)
    assert result == Result("local", YESTERDAY, Outcome.FAILED, reason="nothing to divide by")
    (line,) = log_lines()
    assert line == ("ERROR", "day failed unexpectedly", {"source": "local", "date": "2026-11-22"})


def test_a_day_that_is_adjusted_is_logged_with_what_changed(sqlite_book: Book, logs: LogStore, log_lines: Any) -> None:
    put(logs, record("11-22 10:00", tokens_in=5))
    close(sqlite_book, logs, YESTERDAY)
    put(logs, record("11-22 11:00", "b", 500), record("11-22 12:00", "b", 500), now=LATER)
    adjust_day(sqlite_book, logs, YESTERDAY, LATER, DEFAULT_SLICING)
    assert log_lines()[-1] == (
        "INFO",
        "day adjusted",
        {
            "source": "local",
            "date": "2026-11-22",
            "seq": 2,
            "reason": "2 records came after the day was closed",
            "change": {"requests": 2, "failed": 2, "status_count": 2},
        },
    )
