"""The engines that hold the log records: loading each, and reading it as ours and as the original would."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_sqlite.dbapi
import duckdb
import psycopg

from bench import originals
from bench.originals import Query
from bench.servers import clickhouse_client, mariadb_connection, postgresql_server, spark_session
from bench.traffic import COLUMNS, Traffic
from tallybook.declaration import Declaration
from tallybook.logs.store import LogStore
from tallybook.source import Source
from tallybook.sources.attached import AttachedSource
from tallybook.sources.engines.postgresql import SETTINGS
from tallybook.sources.inspection import inspect

BATCH_ROWS = 100_000
COPY_BYTES = 1 << 20
CREATE_INDEX = "CREATE INDEX ix_log_records_created_at ON log_records (created_at)"
DROP_INDEX = "DROP INDEX ix_log_records_created_at"
DATABASE = "gateway"
"""The name of the database on the servers that have several."""


@dataclass(frozen=True)
class Logs:
    """Log records in an engine: `source` is how we read them, `query` how the original does."""

    engine: str
    source: Source
    query: Query
    percentiles: Callable[[Query, str], object] = originals.duckdb_percentiles

    @contextmanager
    def indexed(self) -> Iterator[None]:
        """While this lasts there is an index on `created_at`."""
        self.query(CREATE_INDEX)
        yield
        self.query(DROP_INDEX)


def attached(url: str, preset: str = "log_records") -> AttachedSource:
    """The table behind the URL as a source, as it is once `attach` has looked at it."""
    found = inspect(Declaration(name="gateway", url=url, preset=preset))
    return AttachedSource(found.pinned(found.source.first_day()))


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
def own_logs(path: Path) -> Iterator[Logs]:
    """Our own log database, open; both sides use the same process and its settings."""
    store = LogStore.open(path)
    connection = store.connect()
    try:
        yield Logs("DuckDB", store, lambda sql: connection.execute(sql).fetchall())
    finally:
        connection.close()
        store.close()


@contextmanager
def duckdb_logs(path: Path, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a DuckDB file of somebody else's; the other side has a copy open, so that ours opens its own."""
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE TABLE log_records AS {traffic.as_select()}")
    copy = path.with_suffix(".copy.duckdb")
    shutil.copyfile(path, copy)
    with duckdb.connect(copy, read_only=True) as reader:
        yield Logs("DuckDB", attached(f"duckdb:///{path}"), lambda sql: reader.execute(sql).fetchall())


@contextmanager
def sqlite_logs(path: Path, traffic: Traffic, index: bool = False) -> Iterator[Logs]:
    """The traffic in a SQLite file."""
    _fill_sqlite(path, traffic)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if index:
            connection.execute(CREATE_INDEX)
            connection.execute("ANALYZE")
        source = attached(f"sqlite:///{path}")
        yield Logs("SQLite", source, lambda sql: connection.execute(sql).fetchall(), originals.sqlite_percentiles)


def _fill_sqlite(path: Path, traffic: Traffic) -> None:
    types = {name: "INTEGER" if kind == "BIGINT" else "TEXT" for name, kind in COLUMNS.items()}
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    records = (
        f"SELECT * REPLACE (strftime(created_at, '%Y-%m-%d %H:%M:%S.%f') AS created_at) FROM ({traffic.as_select()})"
    )
    ingest_into_sqlite(path, "log_records", columns, records)
    with sqlite3.connect(path) as connection:
        connection.execute("ANALYZE")


def ingest_into_sqlite(path: Path, table: str, columns: str, records: str) -> None:
    """Makes the table in the file and fills it from a DuckDB SELECT."""
    with adbc_driver_sqlite.dbapi.connect(str(path)) as target, target.cursor() as cursor, duckdb.connect() as maker:
        cursor.execute(f"CREATE TABLE {table} ({columns})")
        cursor.adbc_ingest(table, maker.sql(records).to_arrow_reader(BATCH_ROWS), mode="append")
        target.commit()


@contextmanager
def postgresql_logs(url: str, traffic: Traffic, index: bool = False) -> Iterator[Logs]:
    """The traffic in a PostgreSQL; the original's session has the same settings as ours."""
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        _fill_postgresql(connection, traffic)
        if index:
            connection.execute(CREATE_INDEX)
        connection.execute("VACUUM ANALYZE log_records")
        yield Logs("PostgreSQL", attached(url), lambda sql: _rows(connection, sql), originals.postgresql_percentiles)
        connection.execute("DROP TABLE log_records")


def _rows(connection: psycopg.Connection[Any], sql: str) -> Sequence[Sequence[Any]]:
    cursor = connection.execute(sql.encode())
    return cursor.fetchall() if cursor.description else []


def _fill_postgresql(connection: psycopg.Connection[Any], traffic: Traffic) -> None:
    columns = ", ".join(f"{name} {'TEXT' if kind == 'VARCHAR' else kind}" for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE log_records ({columns})".encode())
    with (
        _copied(traffic, "FORMAT csv, HEADER false") as path,
        path.open("rb") as file,
        connection.cursor().copy("COPY log_records FROM STDIN (FORMAT csv)") as copy,
    ):
        while chunk := file.read(COPY_BYTES):
            copy.write(chunk)


@contextmanager
def _copied(traffic: Traffic, how: str) -> Iterator[Path]:
    """A file of the traffic, as DuckDB's COPY writes it."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as maker:
        path = Path(folder) / "records"
        maker.execute(f"COPY ({traffic.as_select()}) TO '{path}' ({how})")
        yield path


@contextmanager
def mariadb_logs(socket: str, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a database of a MariaDB, with an index on time."""
    types = {"TIMESTAMP": "DATETIME(6)", "VARCHAR": "VARCHAR(100)", "BIGINT": "BIGINT"}
    columns = ", ".join(f"{name} {types[kind]}" for name, kind in COLUMNS.items())
    with closing(mariadb_connection(socket)) as connection:
        _run(connection, f"CREATE OR REPLACE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        connection.select_db(DATABASE)
        _run(connection, f"CREATE TABLE log_records (id BIGINT AUTO_INCREMENT PRIMARY KEY, {columns})")
        with _copied(traffic, r"FORMAT csv, HEADER false, DELIMITER '\t', NULLSTR '\N', QUOTE ''") as path:
            names = ", ".join(COLUMNS)
            _run(connection, f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE log_records ({names})")
        _run(connection, CREATE_INDEX)
        _run(connection, "ANALYZE TABLE log_records")
        url = f"mysql://root@localhost/{DATABASE}?unix_socket={quote(socket, safe='')}"
        yield Logs("MariaDB", attached(url), lambda sql: _run(connection, sql))


def _run(connection: Any, sql: str) -> Sequence[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        return rows


@contextmanager
def clickhouse_logs(folder: Path, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a ClickHouse, sorted by time."""
    types = {"VARCHAR": "LowCardinality(String)", "BIGINT": "Nullable(Int64)", "TIMESTAMP": "DateTime64(6, 'UTC')"}
    columns = ", ".join(f"{name} {types[kind]}" for name, kind in COLUMNS.items())
    with clickhouse_client(folder) as client:
        client.command(f"CREATE DATABASE {DATABASE}")
        client.command(f"CREATE TABLE {DATABASE}.log_records ({columns}) ENGINE = MergeTree ORDER BY created_at")
        with _copied(traffic, "FORMAT parquet") as path:
            client.command(f"INSERT INTO {DATABASE}.log_records SELECT * FROM file('{path}', 'Parquet')")
        client.command(f"OPTIMIZE TABLE {DATABASE}.log_records FINAL")
        client.command(f"USE {DATABASE}")
        url = f"clickhouse://localhost/{DATABASE}?interface=chdb&path={quote(str(folder), safe='')}"
        yield Logs("ClickHouse", attached(url), lambda sql: client.query(sql).result_rows)


@contextmanager
def spark_logs(folder: Path, traffic: Traffic) -> Iterator[Logs]:
    """The traffic in a Parquet table of a Spark on this machine."""
    with spark_session(folder) as session:
        session.sql(f"CREATE DATABASE {DATABASE}")
        with _copied(traffic, "FORMAT parquet") as path:
            session.read.parquet(str(path)).write.saveAsTable(f"{DATABASE}.log_records", format="parquet")
        session.catalog.setCurrentDatabase(DATABASE)
        source = attached(f"spark:///{DATABASE}?spark.sql.shuffle.partitions=4")
        yield Logs("Spark", source, lambda sql: session.sql(sql).collect())


@contextmanager
def every_engine(folder: Path, traffic: Traffic) -> Iterator[list[Logs]]:
    """The same traffic in our own logs, in SQLite and in PostgreSQL."""
    with ExitStack() as stack:
        fill_own_logs(folder / "logs.duckdb", traffic)
        url = stack.enter_context(postgresql_server())
        yield [
            stack.enter_context(own_logs(folder / "logs.duckdb")),
            stack.enter_context(sqlite_logs(folder / "logs.sqlite", traffic)),
            stack.enter_context(postgresql_logs(url, traffic)),
        ]
