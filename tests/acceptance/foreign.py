"""Somebody else's logs: the same few requests as a table or as files, on each engine that a source may have.

Three days ago two requests of gpt-5, the day before yesterday none, yesterday a failed one of claude, today one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from acceptance.running import ago, today

Row = tuple[Any, ...]

COLUMNS = ("created_at", "model_name", "status_code", "tokens_in", "tokens_out", "cost_usd", "user")
TYPES = (
    'model_name TEXT, status_code INTEGER, tokens_in BIGINT, tokens_out BIGINT, cost_usd DOUBLE PRECISION, "user" TEXT'
)
FAMILIES = ("sqlite", "duckdb", "postgresql", "parquet", "csv", "jsonl")


def requests() -> list[Row]:
    """The requests, as rows of `COLUMNS`."""
    return [
        (f"{ago(3)} 10:00:00", "gpt-5", 200, 100, 10, 0.5, "ann"),
        (f"{ago(3)} 11:00:00", "gpt-5", 200, 50, 5, 0.25, "bob"),
        (f"{ago(1)} 10:00:00", "claude", 500, 30, None, None, "ann"),
        (f"{ago(0)} 00:00:01", "gpt-5", 200, 7, 1, 0.125, "ann"),
    ]


@dataclass(frozen=True)
class Foreign:
    """Logs of somebody else: where they are, and what attaching says of them."""

    url: str
    engine: str
    unit: str
    table: str = "log_records"
    create_index: str | None = None


def on_sqlite(path: Path, rows: Sequence[Row] | None = None) -> Foreign:
    """A SQLite file in the journal mode that gateways choose, with times as text."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"CREATE TABLE log_records (created_at TEXT, {TYPES})")
    connection.executemany(f"INSERT INTO log_records VALUES ({_marks('?')})", requests() if rows is None else rows)
    connection.commit()
    connection.close()
    index = 'CREATE INDEX ix_tallybook_created_at ON "log_records" ("created_at")'
    return Foreign(f"sqlite:///{path}", "SQLite", "text", create_index=index)


def on_duckdb(path: Path) -> Foreign:
    """A DuckDB file, with times that have no zone."""
    with duckdb.connect(path) as connection:
        _fill(connection, "TIMESTAMP")
    return Foreign(f"duckdb:///{path}", "DuckDB", "naive")


def on_postgresql(url: str) -> Foreign:
    """A table in PostgreSQL, with times that have a zone."""
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        connection.execute(f"CREATE TABLE log_records (created_at TIMESTAMPTZ, {TYPES})".encode())
        connection.cursor().executemany(f"INSERT INTO log_records VALUES ({_marks('%s')})".encode(), requests())
    index = 'CREATE INDEX CONCURRENTLY ix_tallybook_created_at ON "log_records" ("created_at")'
    return Foreign(url, "PostgreSQL", "zoned", create_index=index)


def on_files(folder: Path, suffix: str) -> Foreign:
    """A file for each day; of Parquet with a zone, of the others without."""
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _fill(connection, "TIMESTAMPTZ" if suffix == "parquet" else "TIMESTAMP")
        for days in (3, 1, 0):
            rows = f"SELECT * FROM log_records WHERE CAST(created_at AS DATE) = '{ago(days)}'"
            form = {"parquet": "PARQUET", "csv": "CSV, HEADER", "jsonl": "JSON"}[suffix]
            connection.execute(f"COPY ({rows}) TO '{folder}/{ago(days)}.{suffix}' (FORMAT {form})")
    titles = {"parquet": "Parquet files", "csv": "CSV files", "jsonl": "JSONL files"}
    unit = "zoned" if suffix == "parquet" else "naive"
    return Foreign(f"{suffix}:///{folder}/*.{suffix}", titles[suffix], unit, table="files")


def _fill(connection: duckdb.DuckDBPyConnection, time: str) -> None:
    connection.execute(f"CREATE TABLE log_records (created_at {time}, {TYPES})")
    connection.executemany(f"INSERT INTO log_records VALUES ({_marks('?')})", requests())


def _marks(mark: str) -> str:
    return ", ".join([mark] * len(COLUMNS))


@dataclass(frozen=True)
class Gateway:
    """The SQLite file of a new-api, to which requests can be added."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def run(self, sql: str, *rows: Row) -> None:
        """A statement, for each of the rows where there are any."""
        connection = sqlite3.connect(self.path)
        with connection:
            if rows:
                connection.executemany(sql, rows)
            else:
                connection.execute(sql)
        connection.close()

    def serve(self, days: int, *, hour: int = 10, failed: bool = False) -> None:
        """A request of so many days ago: 100 tokens in, 10 out, 3 seconds, a tenth of a cent; or a failed one."""
        row = (epoch_s(days, hour), 5 if failed else 2, "gpt-5", 100, 10, 3, 500, 7, "key", "ann", "search")
        self.run(f"INSERT INTO logs ({_LOGS}) VALUES ({', '.join('?' * len(row))})", row)


_LOGS = (
    "created_at, type, model_name, prompt_tokens, completion_tokens, use_time, quota, channel_id, token_name, username, "
    '"group"'
)


def new_api(path: Path, *, days: Sequence[int] = (3, 2, 1)) -> Gateway:
    """A new-api with one request on each of the days, none of which failed."""
    gateway = Gateway(path)
    gateway.run("PRAGMA journal_mode = WAL")
    gateway.run(
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, created_at BIGINT, type INTEGER, model_name TEXT, "
        "prompt_tokens INTEGER, completion_tokens INTEGER, use_time INTEGER, quota INTEGER, channel_id INTEGER, "
        'token_name TEXT, username TEXT, "group" TEXT, other TEXT, request_id TEXT)'
    )
    gateway.run("CREATE INDEX idx_created_at_type ON logs (created_at, type)")
    for day in days:
        gateway.serve(day)
    return gateway


def epoch_s(days: int, hour: int) -> int:
    """The whole hour of the day so many days ago, in seconds since 1970."""
    return ((today().toordinal() - days - EPOCH_ORDINAL) * 24 + hour) * 3600


EPOCH_ORDINAL = 719_163
"""Of 1970-01-01."""
