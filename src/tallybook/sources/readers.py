"""Engines that hold log records: how each runs the aggregate in one snapshot.

DuckDB and PostgreSQL group where the logs are. SQLite sorts to group, which takes more than twice as long as handing
the rows over as Arrow to a DuckDB in this process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import adbc_driver_sqlite.dbapi
import duckdb
import ibis
import psycopg
import pyarrow as pa

from tallybook import aggregate
from tallybook.aggregate import STRING_FIELDS, RecordTable
from tallybook.errors import LogsError, first_line, raise_interrupted
from tallybook.measures import DIMENSION_FIELDS, HISTOGRAM_DIMENSIONS, MEASURE_FIELDS
from tallybook.sources.groupings import BucketTable, Groupings, SliceTable

FETCH_ROWS = 10_000


class Reader(Protocol):
    """An engine that can read log records. Its faults are raised as `LogsError`."""

    def groupings(self, table: RecordTable, dimensions: tuple[str, ...], days: Sequence[date]) -> Groupings:
        """The records of consecutive days by bucket and by slice, from one snapshot."""

    def scalar(self, sql: str) -> Any:
        """The one value of a query that every engine understands."""


@contextmanager
def engine_errors(engine: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns a driver's exceptions into a `LogsError`."""
    try:
        yield
    except RuntimeError as error:
        raise_interrupted(error)
    except (*errors, pa.ArrowInvalid, ValueError) as error:
        message = f"{engine} could not read the logs: {first_line(error)}."
        raise LogsError(message, "Check that they are there and whole.") from error


@dataclass(frozen=True)
class DuckDBReader:
    """Log records in a DuckDB that this process holds; `connect` gives a connection of the caller's own."""

    connect: Callable[[], duckdb.DuckDBPyConnection]

    def groupings(self, table: RecordTable, dimensions: tuple[str, ...], days: Sequence[date]) -> Groupings:
        by_bucket, by_slice = aggregate.compile_for(aggregate.grouped, table, dimensions, days, "duckdb")
        with engine_errors("DuckDB", duckdb.Error), self.connect() as connection:
            connection.execute("BEGIN TRANSACTION")
            groupings = duckdb_groupings(connection, by_bucket, by_slice, dimensions)
            connection.execute("COMMIT")
        return groupings

    def scalar(self, sql: str) -> Any:
        with engine_errors("DuckDB", duckdb.Error), self.connect() as connection:
            return connection.execute(sql).fetchall()[0][0]


def duckdb_groupings(
    connection: duckdb.DuckDBPyConnection, by_bucket: str, by_slice: str, dimensions: tuple[str, ...]
) -> Groupings:
    """Runs both statements on the connection."""
    buckets = BucketTable(connection.sql(by_bucket).to_arrow_table())
    return Groupings(buckets, SliceTable(connection.sql(by_slice).to_arrow_table(), dimensions))


@dataclass(frozen=True)
class SQLiteReader:
    """Log records in a SQLite file, opened to read only."""

    path: Path
    memory_limit: str = "512MB"

    def groupings(self, table: RecordTable, dimensions: tuple[str, ...], days: Sequence[date]) -> Groupings:
        (selected,) = aggregate.compile_for(aggregate.selected_only, table, dimensions, days, "sqlite")
        with engine_errors("SQLite", adbc_driver_sqlite.dbapi.Error, duckdb.Error), self._desk() as desk:
            with self._connect() as source, source.cursor(adbc_stmt_kwargs=_BATCHED) as cursor:
                cursor.execute(_with_witness(selected, dimensions))
                records = cursor.fetch_record_batch()  # noqa: F841 - DuckDB finds it by its name in the statement
                desk.execute("CREATE TEMP TABLE selected AS SELECT * FROM records WHERE day >= 0")
            by_bucket, by_slice = _regroup(tuple(desk.table("selected").columns), dimensions)
            return duckdb_groupings(desk, by_bucket, by_slice, dimensions)

    def scalar(self, sql: str) -> Any:
        with (
            engine_errors("SQLite", adbc_driver_sqlite.dbapi.Error),
            self._connect() as source,
            source.cursor() as cursor,
        ):
            cursor.execute(sql)
            return cursor.fetchall()[0][0]

    def _connect(self) -> Any:
        return adbc_driver_sqlite.dbapi.connect(f"{self.path.absolute().as_uri()}?mode=ro")

    @contextmanager
    def _desk(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A private DuckDB in memory that spills to a folder of its own."""
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as desk:
            desk.execute(f"SET memory_limit = '{self.memory_limit}'")
            desk.execute(f"SET temp_directory = '{folder}'")
            yield desk


_BATCHED = {"adbc.sqlite.query.batch_rows": "65536"}


def _with_witness(selected: str, dimensions: tuple[str, ...]) -> str:
    """The statement with a first row that has a value in each column.

    SQLite has no column types and the driver takes them from the first rows: a column that is null there and text
    later would be read wrongly. The witness has day -1 and is left out again.
    """
    fields = dict.fromkeys(DIMENSION_FIELDS[name] for name in (*dimensions, *HISTOGRAM_DIMENSIONS))
    values = ["-1", *("''" for _ in fields), *("0" for _ in MEASURE_FIELDS)]
    names = ["day", *fields, *MEASURE_FIELDS]
    witness = ", ".join(f'{value} AS "{name}"' for value, name in zip(values, names, strict=True))
    return f"SELECT {witness} UNION ALL SELECT * FROM ({selected})"  # noqa: S608 - made of our own statement


def _regroup(columns: tuple[str, ...], dimensions: tuple[str, ...]) -> tuple[str, ...]:
    types = {name: "string" if name in STRING_FIELDS else "int64" for name in columns}
    expressions = aggregate.grouped_from(ibis.table(types, name="selected"), dimensions)
    return tuple(str(ibis.to_sql(expression, dialect="duckdb")) for expression in expressions)


POSTGRESQL_OPTIONS = {
    "TimeZone": "UTC",
    "work_mem": "64MB",
    "enable_sort": "off",
    "parallel_tuple_cost": "0",
    "jit": "off",
}
"""The planner overrates the number of groups and would sort millions of rows to disk; hashing takes a quarter."""


@dataclass(frozen=True)
class PostgreSQLReader:
    """Log records in a PostgreSQL, read in read-only sessions of our own."""

    url: str

    def groupings(self, table: RecordTable, dimensions: tuple[str, ...], days: Sequence[date]) -> Groupings:
        by_bucket, by_slice = aggregate.compile_for(aggregate.grouped, table, dimensions, days, "postgres")
        with self._session() as connection, connection.cursor() as cursor:
            buckets = BucketTable.of(cursor.stream(by_bucket.encode(), size=FETCH_ROWS))
            slices = SliceTable.of(cursor.stream(by_slice.encode(), size=FETCH_ROWS), dimensions)
        return Groupings(buckets, slices)

    def scalar(self, sql: str) -> Any:
        with self._session() as connection:
            return connection.execute(sql.encode()).fetchall()[0][0]

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        options = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_OPTIONS.items())
        with engine_errors("PostgreSQL", psycopg.Error), psycopg.connect(self.url, options=options) as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
