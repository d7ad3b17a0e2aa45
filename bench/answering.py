"""Answering `last30d`: whatever lies behind the book, and against scanning the raw records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.books import close_all, new_book
from bench.clock import Comparison, medians, timed
from bench.engines import Logs, fill_own_logs, own_logs, sqlite_logs
from bench.originals import two_queries
from bench.table import Finding, Findings, limit, ratio, speedup
from bench.traffic import SLICES_PER_DAY, Traffic
from tallybook.book.ledger import Book
from tallybook.periods import Period
from tallybook.stats import Sources, StatsQuery, StatsReader

MANY = Traffic(days=30, per_day=1_000_000)
FEW = Traffic(days=30, per_day=1_000, spread="even")
PERIOD = Period("last30d", MANY.day(0), MANY.day(MANY.days - 1))
CALLS = 2_000
AT_MOST_GROWTH = 1.2
P99_BELOW_MS = 5.0
AT_LEAST_FASTER = 1_000.0


@dataclass(frozen=True)
class Summary:
    """The summary of one book: `reader` is warm, as in a server that has answered before."""

    book: Book
    reader: StatsReader
    traffic: Traffic
    log: Path

    def warm(self) -> dict[str, Any]:
        return _answer(self.reader)

    def cold(self) -> dict[str, Any]:
        """The first answer of a server that has just started: the book is read."""
        return _answer(StatsReader(self.book))


def _answer(reader: StatsReader) -> dict[str, Any]:
    return reader.answer(StatsQuery(PERIOD), Sources({}, {}), PERIOD.last)


def measure_answering(folder: Path, divisor: int) -> list[Findings]:
    """The summary from a book of many records, of few, and from the raw records themselves."""
    with ExitStack() as stack:
        few = stack.enter_context(_summary(folder, FEW))
        many = stack.enter_context(_summary(folder, MANY.scaled(divisor)))
        rows = _constant_time(few, many, max(CALLS // divisor, 100))
        raw = _against_raw_records(folder, many)
    book = f"a book of {FEW.days} days of {SLICES_PER_DAY:,} slices"
    return [
        Findings(f"4. last30d from {book}: {many.traffic.records:,} records behind it, against {FEW.records:,}", rows),
        Findings(f"5. last30d from {book}, against the original's queries over {many.traffic.records:,} records", raw),
    ]


@contextmanager
def _summary(folder: Path, traffic: Traffic) -> Iterator[Summary]:
    """The summary of a book into which the traffic has been closed from our own logs."""
    log, path = folder / f"{traffic.records}.logs.duckdb", folder / f"{traffic.records}.book.sqlite"
    fill_own_logs(log, traffic)
    with new_book(path) as book:
        with own_logs(log) as logs:
            assert close_all(book, logs.source, traffic.all_days) == traffic.records
        summary = Summary(book, StatsReader(book), traffic, log)
        assert summary.warm()["totals"]["requests"] == traffic.records
        yield summary


def _constant_time(few: Summary, many: Summary, calls: int) -> list[Finding]:
    few_times, many_times = _interleaved(few.warm, many.warm, calls)
    warm = Comparison(median(many_times), median(few_times))
    cold = Comparison(*medians(timed(many.cold), timed(few.cold)))
    return [
        ratio(f"median of {calls:,} answers", warm, AT_MOST_GROWTH),
        limit(f"p99 of {calls:,} answers", quantiles(many_times, n=100)[98] * 1000, "ms", P99_BELOW_MS),
        ratio("first answer after a start", cold),
    ]


def _interleaved(first: Callable[[], object], second: Callable[[], object], calls: int) -> tuple[list[float], ...]:
    """The seconds of each call, both sides in turns."""
    times: tuple[list[float], ...] = ([], [])
    for _ in range(calls):
        for answer, into in zip((first, second), times, strict=True):
            start = time.perf_counter()
            answer()
            into.append(time.perf_counter() - start)
    return times


def _against_raw_records(folder: Path, summary: Summary) -> list[Finding]:
    with sqlite_logs(folder / "raw.sqlite", summary.traffic) as logs:
        on_sqlite = _against(summary, logs, AT_LEAST_FASTER)
    with own_logs(summary.log) as logs:
        return [*on_sqlite, *_against(summary, logs, None)]


def _against(summary: Summary, logs: Logs, at_least: float | None) -> list[Finding]:
    warm, cold, scan = medians(
        timed(summary.warm),
        timed(summary.cold),
        timed(lambda: two_queries(logs.query, PERIOD.first, PERIOD.last)),
    )
    return [
        speedup(f"raw records in {logs.engine}", Comparison(warm, scan), at_least),
        speedup(f"raw records in {logs.engine}, first answer after a start", Comparison(cold, scan)),
    ]
