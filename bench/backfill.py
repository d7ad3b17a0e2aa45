"""Backfilling a month, against the original's loop over its days."""

from __future__ import annotations

from pathlib import Path

from bench.books import closing_trial
from bench.clock import compare, timed
from bench.engines import Logs, every_engine
from bench.originals import loop_over_days
from bench.table import Finding, Findings, ratio
from bench.traffic import Traffic

TRAFFIC = Traffic(days=30, per_day=100_000)
AT_MOST_INDEXED = 1.0
AT_MOST_UNINDEXED = 0.15


def measure_backfill(folder: Path, divisor: int) -> list[Findings]:
    """On each engine, with an index on time and without."""
    traffic = TRAFFIC.scaled(divisor)
    rows: list[Finding] = []
    with every_engine(folder, traffic) as engines:
        for logs in engines:
            rows.append(_measure(folder, logs, traffic, "no index", AT_MOST_UNINDEXED))
            with logs.indexed():
                rows.append(_measure(folder, logs, traffic, "index on created_at", AT_MOST_INDEXED))
    title = f"3. backfilling {traffic.days} days of {traffic.per_day:,} records, against the original's loop"
    return [Findings(title, rows)]


def _measure(folder: Path, logs: Logs, traffic: Traffic, how: str, at_most: float) -> Finding:
    comparison = compare(
        closing_trial(folder, logs.source, traffic.all_days),
        timed(lambda: loop_over_days(logs.query, traffic.all_days)),
    )
    return ratio(f"{logs.engine}, {how}", comparison, at_most)
