"""Our own logs, on each of the databases that can keep them, and looked at from without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import databases
from tallybook.logs.opening import find_logs
from tallybook.logs.own import OwnLogs
from tallybook.logs.store import LogStore

KINDS = ("duckdb", "postgresql", pytest.param("clickhouse", marks=pytest.mark.engines))


@dataclass(frozen=True)
class Kept:
    """Open logs: `look` asks their database for columns of the records, by another way than they do themselves."""

    kind: str
    url: str
    logs: OwnLogs
    look: Callable[[str], list[tuple[Any, ...]]]


def _look_into_duckdb(logs: OwnLogs, columns: str) -> list[tuple[Any, ...]]:
    assert isinstance(logs, LogStore)
    with logs.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM log_records ORDER BY ALL").fetchall()


def _look_into_postgresql(url: str, columns: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        numbers = ", ".join(map(str, range(1, columns.count(",") + 2)))
        query = f"SELECT {columns} FROM tallybook_logs.log_records ORDER BY {numbers}"
        return connection.execute(query.encode()).fetchall()


def _look_into_clickhouse(url: str, columns: str) -> list[tuple[Any, ...]]:
    from tallybook.sources.engines.clickhouse import ClickHouse

    rows = ClickHouse(url).rows(f"SELECT {columns} FROM tallybook_log_records FINAL ORDER BY ALL")
    return [tuple(row) for row in rows]


@pytest.fixture
def clickhouse_url(clickhouse_folder: Path) -> Iterator[str]:
    """A fresh database in ClickHouse's engine within this process."""
    with databases.clickhouse_database(clickhouse_folder) as database:
        yield database.url


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Our own empty logs, on each database."""
    urls: dict[str, Callable[[], str]] = {
        "duckdb": lambda: f"duckdb:///{tmp_path}/logs.duckdb",
        "postgresql": lambda: request.getfixturevalue("postgres_url"),
        "clickhouse": lambda: request.getfixturevalue("clickhouse_url"),
    }
    url = urls[request.param]()
    logs = find_logs(url)()
    looks: dict[str, Callable[[str], list[tuple[Any, ...]]]] = {
        "duckdb": lambda columns: _look_into_duckdb(logs, columns),
        "postgresql": lambda columns: _look_into_postgresql(url, columns),
        "clickhouse": lambda columns: _look_into_clickhouse(url, columns),
    }
    yield Kept(request.param, url, logs, looks[request.param])
    logs.close()
