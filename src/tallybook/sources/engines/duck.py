"""DuckDB: our own log database, a file of somebody else's, and files of records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tallybook.errors import SourceDown, SourceFault
from tallybook.measures import Totals
from tallybook.offline import OFFLINE
from tallybook.sources.engines.engine import (
    COLUMNAR_DAYS,
    ReadsAnyWindow,
    check_file,
    connecting,
    engine_errors,
    first_known,
    too_long,
)
from tallybook.sources.engines.statements import groupings_of, totals_of
from tallybook.sources.groupings import BucketTable, Groupings, SliceTable, totals_by_span
from tallybook.sources.relation import Edges, Relation

KINDS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "int"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "int"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "float"),
    "VARCHAR": "text",
    "BOOLEAN": "bool",
    "TIMESTAMP": "naive",
    "TIMESTAMP WITH TIME ZONE": "zoned",
    "JSON": "json",
    **dict.fromkeys(("STRUCT", "MAP", "UNION"), "nested"),
}
Connect = Callable[[], duckdb.DuckDBPyConnection]


@dataclass(frozen=True)
class DuckDB(ReadsAnyWindow):
    """Log records in a DuckDB; `connect` gives a connection of the caller's own."""

    connect: Connect
    title: str = "DuckDB"
    dialect: str = "duckdb"
    days_per_read: int = COLUMNAR_DAYS
    timeout_s: int | None = None

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        with self._session() as connection:
            return group_in(connection, relation, dimensions, edges)

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        with self._session() as connection:
            return totals_in(connection, relation, edges)

    def describe(self, origin: str) -> dict[str, str]:
        rows = self.rows(f"DESCRIBE SELECT * FROM {origin}")
        return {name: first_known(KINDS, kind) for name, kind, *_ in rows}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session() as connection:
            columns = connection.execute(sql).fetchnumpy().values()
            return list(zip(*map(_values, columns), strict=True))

    @contextmanager
    def _session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connecting("DuckDB", duckdb.IOException, duckdb.ConnectionException):
            connection = self.connect()
        with _interrupted(connection, self.timeout_s), engine_errors("DuckDB", duckdb.Error), connection:
            connection.execute("BEGIN TRANSACTION")
            yield connection
            connection.execute("COMMIT")


@contextmanager
def _interrupted(connection: duckdb.DuckDBPyConnection, timeout_s: int | None) -> Iterator[None]:
    """Ends what the connection does when its time is up, as DuckDB has no limit of its own."""
    if timeout_s is None:
        yield
        return
    is_up = threading.Event()

    def interrupt() -> None:
        is_up.set()
        connection.interrupt()

    timer = threading.Timer(timeout_s, interrupt)
    timer.start()
    try:
        yield
    except (SourceFault, KeyboardInterrupt) as error:
        if is_up.is_set():
            raise too_long("DuckDB") from error
        raise
    finally:
        timer.cancel()


def _values(column: Any) -> list[Any]:
    """A column of NumPy's as values; DuckDB itself needs one more package to tell an instant with a zone."""
    return list((column.astype("datetime64[us]") if column.dtype.kind == "M" else column).tolist())


_NO_WRITER = "A DuckDB file can be read only while nobody has it open to write: have it closed, or copy it."


def read_only(path: Path) -> Connect:
    """Opens a DuckDB file of somebody else's, to read only."""

    def connect() -> duckdb.DuckDBPyConnection:
        check_file(path)
        try:
            connection = duckdb.connect(path, read_only=True, config=OFFLINE)
        except duckdb.IOException as error:
            if "lock" in str(error):
                raise SourceDown(f"Another process holds {path}.", _NO_WRITER) from error
            raise
        except duckdb.ConnectionException as error:
            raise SourceDown(f"{path} holds our own logs.", "They are the source 'local' already.") from error
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    return connect


def in_memory() -> duckdb.DuckDBPyConnection:
    """A DuckDB of our own, for files of records."""
    connection = duckdb.connect(config=OFFLINE)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def group_in(
    connection: duckdb.DuckDBPyConnection, relation: Relation, dimensions: tuple[str, ...], edges: Edges
) -> Groupings:
    """Runs both statements of the aggregate on the connection."""
    by_bucket, by_slice = groupings_of(relation, dimensions, edges, "duckdb")
    buckets = BucketTable(connection.sql(by_bucket).to_arrow_table())
    return Groupings(buckets, SliceTable(connection.sql(by_slice).to_arrow_table(), dimensions))


def totals_in(connection: duckdb.DuckDBPyConnection, relation: Relation, edges: Edges) -> list[Totals]:
    """The measures of each of the spans, as the connection's transaction sees them."""
    rows = connection.execute(totals_of(relation, edges, "duckdb")).fetchall()
    return totals_by_span(rows, len(edges) - 1)
