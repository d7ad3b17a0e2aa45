"""Attached databases: closing a day on each engine against the bare aggregate, and a month of a gateway's own table."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

from bench.books import close_all, closing_trial, new_book
from bench.clock import compare, timed
from bench.engines import (
    Logs,
    clickhouse_logs,
    duckdb_logs,
    mariadb_logs,
    postgresql_logs,
    spark_logs,
    sqlite_logs,
)
from bench.newapi import fill_log, loop_over_log
from bench.originals import bare_aggregate
from bench.servers import if_here, mariadb_server, postgresql_server
from bench.table import Finding, Findings, ratio
from bench.traffic import Traffic
from tallybook.days import ONE_DAY, midnight
from tallybook.declaration import Declaration
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource
from tallybook.sources.inspection import examine

DAYS = Traffic(days=3, per_day=1_000_000)
MONTH = Traffic(days=30, per_day=100_000)
AT_MOST_BARE = {"DuckDB": 4.0, "PostgreSQL": 4.0, "MariaDB": 4.0, "ClickHouse": 4.0}
"""By engine; what is promised of no other is only reported."""

AT_MOST_LOOP = 1.0


def measure_attaching(folder: Path, divisor: int) -> list[Findings]:
    """A day on every engine that is here, and a month of new-api's own table."""
    days, month = DAYS.scaled(divisor), MONTH.scaled(divisor)
    rows = [_closing(folder, logs, days) for logs in _in_turns(folder, days)]
    size = f"closing a day of {days.per_day:,} records, of {days.days} days"
    title = f"attach a new-api log of {month.records:,} rows ({month.days} days) and close it"
    return [
        Findings(f"7. {size}, in an attached database, against the bare aggregate", rows),
        Findings(f"8. {title}, against the original's loop", [_from_first_look(folder, month)]),
    ]


def _in_turns(folder: Path, traffic: Traffic) -> Iterator[Logs]:
    """The same traffic in one engine after another, each stopped before the next begins."""
    openers: dict[str, Callable[[], AbstractContextManager[Logs]]] = {
        "DuckDB": lambda: duckdb_logs(folder / "attached.duckdb", traffic),
        "SQLite": lambda: sqlite_logs(folder / "attached.sqlite", traffic, index=True),
        "PostgreSQL": lambda: on_server(postgresql_server, lambda url: postgresql_logs(url, traffic, index=True)),
        "MariaDB": lambda: on_server(mariadb_server, lambda socket: mariadb_logs(socket, traffic)),
        "ClickHouse": lambda: clickhouse_logs(folder / "clickhouse", traffic),
        "Spark": lambda: spark_logs(folder / "spark", traffic),
    }
    for engine, opened in openers.items():
        with ExitStack() as stack:
            if logs := if_here(engine, stack, opened):
                yield logs


@contextmanager
def on_server(
    server: Callable[[], AbstractContextManager[str]], opened: Callable[[str], AbstractContextManager[Logs]]
) -> Iterator[Logs]:
    """The logs in a server of our own, which is there as long as they are."""
    with server() as address, opened(address) as logs:
        yield logs


def _closing(folder: Path, logs: Logs, traffic: Traffic) -> Finding:
    day = traffic.day(1)
    with new_book(folder / "check.sqlite") as book:
        ours, other = close_all(book, logs.source, [day]), bare_aggregate(logs.query, day)
    assert ours == other == traffic.per_day, f"{logs.engine}: {ours} records closed, {other} counted"
    comparison = compare(closing_trial(folder, logs.source, [day]), timed(lambda: bare_aggregate(logs.query, day)))
    return ratio(logs.engine, comparison, AT_MOST_BARE.get(logs.engine))


def _from_first_look(folder: Path, traffic: Traffic) -> Finding:
    path = folder / "one-api.db"
    fill_log(path, traffic)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        other = loop_over_log(connection, traffic.all_days)
        ours = _attach_and_close(folder, path, traffic)[1]
        assert ours == other == traffic.records, f"{ours} records closed, {other} counted"
        comparison = compare(
            lambda: _attach_and_close(folder, path, traffic)[0],
            timed(lambda: loop_over_log(connection, traffic.all_days)),
        )
    return ratio("SQLite", comparison, AT_MOST_LOOP)


def _attach_and_close(folder: Path, path: Path, traffic: Traffic) -> tuple[float, int]:
    """What `attach` looks at, on the day after the last, and the closing of all days; the seconds and the records."""
    declaration = Declaration(name="gateway", url=f"sqlite:///{path}", preset="new-api")
    with new_book(folder / "trial.sqlite") as book:
        start = time.perf_counter()
        found = examine(declaration, midnight(traffic.all_days[-1] + ONE_DAY), Slicing())
        source = AttachedSource(found.inspection.pinned(found.first and found.first.date()))
        records = close_all(book, source, traffic.all_days)
        return time.perf_counter() - start, records
