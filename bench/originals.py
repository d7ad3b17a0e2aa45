"""What tallybook is measured against: the original's own two queries, and the plain way to get what a closing holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

Query = Callable[[str], Sequence[Sequence[Any]]]
"""Runs a statement over a connection that is open already, and brings all of its rows."""

TOTALS = """
SELECT COUNT(*),
    SUM(CASE WHEN status_code >= 200 AND status_code < 400 THEN 1 ELSE 0 END),
    SUM(CASE WHEN status_code >= 400 OR status_code = 0 THEN 1 ELSE 0 END),
    COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0), COALESCE(SUM(latency_ms), 0)
FROM log_records WHERE {window}
"""

TOP_MODELS = """
SELECT model_name, COUNT(*) AS requests, COALESCE(SUM(tokens_in + tokens_out), 0)
FROM log_records WHERE {window} GROUP BY model_name ORDER BY requests DESC LIMIT 10
"""

BARE = """
SELECT COUNT(*), SUM(tokens_in), SUM(tokens_out), SUM(latency_ms) FROM log_records WHERE {window}
"""

SUMMED = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "latency_ms", "ttft_ms", "cost_nanousd")
BREAKDOWN = (
    "SELECT {dimension}, COUNT(*), "
    "SUM(CASE WHEN status_code >= 200 AND status_code < 400 THEN 1 ELSE 0 END), "
    "SUM(CASE WHEN status_code >= 400 OR status_code = 0 THEN 1 ELSE 0 END), COUNT(status_code), "
    + ", ".join(f"COALESCE(SUM({field}), 0), COUNT({field})" for field in SUMMED)
    + " FROM log_records WHERE {window} GROUP BY {dimension}"
)
DIMENSIONS = ("model_name", "provider", "team", "api_key")
QUANTILES = (0.5, 0.95, 0.99)


def window(first: date, last: date) -> str:
    """The condition for the days from first to last."""
    return f"created_at >= '{first} 00:00:00' AND created_at < '{last + timedelta(days=1)} 00:00:00'"


def two_queries(query: Query, first: date, last: date) -> int:
    """The original's job for a day, or its handler for a range; answers the number of records."""
    within = window(first, last)
    totals = query(TOTALS.format(window=within))
    query(TOP_MODELS.format(window=within))
    return int(totals[0][0])


def bare_aggregate(query: Query, day: date) -> int:
    """The least that anyone asks of a day; answers the number of records."""
    return int(query(BARE.format(window=window(day, day)))[0][0])


def loop_over_days(query: Query, days: Iterable[date]) -> None:
    """The original's backfill, without what it writes."""
    for day in days:
        two_queries(query, day, day)


def plain_way(query: Query, percentiles: Callable[[Query, str], object], day: date) -> None:
    """What a closing holds of a day, short of the finest slices: a query a dimension, and sorted latencies."""
    within = window(day, day)
    for dimension in DIMENSIONS:
        query(BREAKDOWN.format(dimension=dimension, window=within))
    percentiles(query, within)


def duckdb_percentiles(query: Query, within: str) -> None:
    """Percentiles of the day, and by provider and model, by DuckDB's own quantiles."""
    quantiles = f"quantile_disc(latency_ms, {list(QUANTILES)})"
    query(f"SELECT {quantiles} FROM log_records WHERE {within}")
    query(f"SELECT provider, model_name, {quantiles} FROM log_records WHERE {within} GROUP BY provider, model_name")


def postgresql_percentiles(query: Query, within: str) -> None:
    """The same by the ordered-set aggregate of the SQL standard."""
    quantiles = f"percentile_disc(ARRAY{list(QUANTILES)}) WITHIN GROUP (ORDER BY latency_ms)"
    query(f"SELECT {quantiles} FROM log_records WHERE {within}")
    query(f"SELECT provider, model_name, {quantiles} FROM log_records WHERE {within} GROUP BY provider, model_name")


def sqlite_percentiles(query: Query, within: str) -> None:
    """The same by sorting, as SQLite has no quantiles: the ranks are taken from the sorted rows."""
    known = f"FROM log_records WHERE {within} AND latency_ms IS NOT NULL ORDER BY"
    _at_ranks([latency for (latency,) in query(f"SELECT latency_ms {known} latency_ms")])
    rows = query(f"SELECT provider, model_name, latency_ms {known} provider, model_name, latency_ms")
    for _, group in groupby(rows, key=lambda row: row[:2]):
        _at_ranks([row[2] for row in group])


def _at_ranks(ascending: Sequence[int]) -> list[int]:
    return [ascending[min(int(quantile * len(ascending)), len(ascending) - 1)] for quantile in QUANTILES]
