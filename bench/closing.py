"""Closing a day: against the original's two queries, and against the plain way to get the same content."""

from __future__ import annotations

from pathlib import Path

from bench.books import close_all, closing_trial, new_book
from bench.clock import Comparison, medians, timed
from bench.engines import Logs, every_engine
from bench.originals import DIMENSIONS, plain_way, two_queries, window
from bench.table import Finding, Findings, ratio
from bench.traffic import Traffic

TRAFFIC = Traffic(days=3, per_day=1_000_000)
AT_MOST_ORIGINAL = 3.0
AT_MOST_PLAIN = 0.5


def measure_closing(folder: Path, divisor: int) -> list[Findings]:
    """Both comparisons on each engine, with an index on time and without."""
    traffic = TRAFFIC.scaled(divisor)
    original: list[Finding] = []
    plain: list[Finding] = []
    with every_engine(folder, traffic) as engines:
        for logs in engines:
            slices = _check_same(folder, logs, traffic)
            _measure(folder, logs, traffic, "no index", original, plain)
            if logs.engine != "DuckDB":  # our own log database has none
                with logs.indexed():
                    _measure(folder, logs, traffic, "index on created_at", original, plain)
    size = f"closing a day of {traffic.per_day:,} records and {slices:,} slices, of {traffic.days} days"
    return [
        Findings(f"1. {size}, against the original's two queries", original),
        Findings(f"2. {size}, against a query a dimension and sorted latencies", plain),
    ]


def _measure(
    folder: Path, logs: Logs, traffic: Traffic, how: str, original: list[Finding], plain: list[Finding]
) -> None:
    day = traffic.day(1)
    ours, two, many = medians(
        closing_trial(folder, logs.source, [day]),
        timed(lambda: two_queries(logs.query, day, day)),
        timed(lambda: plain_way(logs.query, logs.percentiles, day)),
    )
    what = f"{logs.engine}, {how}"
    original.append(ratio(what, Comparison(ours, two), AT_MOST_ORIGINAL))
    plain.append(ratio(what, Comparison(ours, many), AT_MOST_PLAIN))


def _check_same(folder: Path, logs: Logs, traffic: Traffic) -> int:
    """Both sides must count the same records, or the comparison is void; answers how many slices the day has."""
    day = traffic.day(1)
    with new_book(folder / "check.sqlite") as book:
        ours, other = close_all(book, logs.source, [day]), two_queries(logs.query, day, day)
    assert ours == other == traffic.per_day, f"{logs.engine}: {ours} records closed, {other} counted"
    distinct = f"SELECT DISTINCT {', '.join(DIMENSIONS)} FROM log_records WHERE {window(day, day)}"
    return int(logs.query(f"SELECT COUNT(*) FROM ({distinct}) AS slices")[0][0])
