"""PostgreSQL: groups where the logs are, in a read-only session of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from tallybook.errors import SourceFault
from tallybook.measures import Totals
from tallybook.sources.engines.engine import (
    CONNECT_TIMEOUT_S,
    ROW_DAYS,
    STATEMENT_TIMEOUT_S,
    connecting,
    engine_errors,
)
from tallybook.sources.engines.statements import groupings_of, totals_of
from tallybook.sources.groupings import BucketTable, Groupings, SliceTable, totals_by_span
from tallybook.sources.relation import Edges, Relation, Window

FETCH_ROWS = 10_000
SETTINGS = {
    "TimeZone": "UTC",
    "work_mem": "64MB",
    "enable_sort": "off",
    "parallel_tuple_cost": "0",
    "cpu_operator_cost": "0.05",
    "jit": "off",
}
"""The planner overrates the number of groups and would sort millions of rows to disk; hashing takes a quarter.

It underrates what the sums of a record cost, and would leave them all to one process: its workers take half the time.
"""

_KINDS = {
    **dict.fromkeys(("smallint", "integer", "bigint"), "int"),
    **dict.fromkeys(("real", "double precision", "numeric"), "float"),
    **dict.fromkeys(("text", "character varying", "character"), "text"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "boolean": "bool",
    "timestamp without time zone": "naive",
    "timestamp with time zone": "zoned",
}


@dataclass(frozen=True)
class PostgreSQL:
    """Log records in a PostgreSQL."""

    url: str
    timeout_s: int = STATEMENT_TIMEOUT_S
    title: str = "PostgreSQL"
    dialect: str = "postgres"
    days_per_read: int = ROW_DAYS

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        by_bucket, by_slice = groupings_of(relation, dimensions, edges, self.dialect)
        with _naming(relation), self._session() as connection, connection.cursor() as cursor:
            version = connection.info.server_version
            buckets = BucketTable.of(cursor.stream(for_server(by_bucket, version).encode(), size=FETCH_ROWS))
            slices = SliceTable.of(cursor.stream(for_server(by_slice, version).encode(), size=FETCH_ROWS), dimensions)
        return Groupings(buckets, slices)

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        with _naming(relation), self._session() as connection:
            return totals_in(connection, relation, edges)

    def describe(self, origin: str) -> dict[str, str]:
        """Binary, as in `rows`: of the ways to send a statement, that one takes a single one and prepares none."""
        with self._session() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {origin} AS t LIMIT 0".encode(), binary=True)
            columns = cursor.description or []
            return {column.name: _KINDS.get(_type_name(connection, column.type_code), "other") for column in columns}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session() as connection:
            return connection.execute(sql.encode(), binary=True).fetchall()

    def scans_all(self, relation: Relation, window: Window) -> bool:
        """Asks for the plan with scans of the whole table discouraged: a small table's real plan would say nothing.

        A table that is parted by time needs no index. An index that begins with a column of no condition is no help.
        """
        with self._session() as connection:
            ((parted_by,),) = connection.execute(_PARTED_BY, [relation.origin]).fetchall()
            if _names(parted_by or "", relation.time_column):
                return False
            connection.execute("SET LOCAL enable_seqscan = off")
            statement = f"EXPLAIN (FORMAT JSON) {relation.select_columns(self.dialect, window)}"
            ((plan,),) = connection.execute(statement.encode()).fetchall()
            helpful = [
                condition
                for index, condition in _index_conditions(plan)
                for (first,) in connection.execute(_FIRST_COLUMN, [index])
                if _names(condition, first)
            ]
        return not any(_names(condition, relation.time_column) for condition in helpful)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        with connecting("PostgreSQL", psycopg.Error):
            connection = psycopg.connect(
                self.url, connect_timeout=CONNECT_TIMEOUT_S, application_name="tallybook", prepare_threshold=None
            )
        with engine_errors("PostgreSQL", psycopg.Error), connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            _set(connection, {**SETTINGS, "statement_timeout": f"{self.timeout_s}s"})
            yield connection


def totals_in(connection: psycopg.Connection[Any], relation: Relation, edges: Edges) -> list[Totals]:
    """The measures of each of the spans, as the connection's transaction sees them."""
    by_day = for_server(totals_of(relation, edges, "postgres"), connection.info.server_version)
    return totals_by_span(connection.execute(by_day.encode(), binary=True).fetchall(), len(edges) - 1)


_NO_INSTANT = re.compile(
    r'(?:invalid input syntax for type timestamp with time zone|date/time field value out of range): "(.*)"'
)


@contextmanager
def _naming(relation: Relation) -> Iterator[None]:
    """A text that is no instant is told with its column, by servers that cannot leave its row out."""
    try:
        yield
    except SourceFault as error:
        found = _NO_INSTANT.search(error.message) if relation.time == "text" else None
        if not found:
            raise
        message = f"The column {relation.time_column} holds {found[1]!r} where an instant belongs."
        raise SourceFault(message, "Attach it with --query, and a SELECT that leaves such rows out.") from error


def _set(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Settings for the one transaction that a session of ours is; it is read only from its beginning.

    As options of the connection they would take the place of those in the URL, PgBouncer would refuse them, and what is
    set for a session it would hand on to the next user of the server's connection.
    """
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    connection.execute(f"SELECT {calls}".encode(), [part for setting in settings.items() for part in setting])


_ASKS_FOR_TIME = re.compile(r"pg_input_is_valid\(\"(?:[^\"]|\"\")+\", 'timestamptz'\)")
_ASKS_FOR_JSON = re.compile(r"pg_input_is_valid\((CAST\(.+? AS TEXT\)), 'jsonb'\)")


def for_server(statement: str, version: int) -> str:
    """The statement as a server of that version can read it.

    Before 16 what stands in braces is taken for JSON, and every text for an instant: one that is none fails its days.
    """
    if version >= 160_000:
        return statement
    return _ASKS_FOR_TIME.sub("TRUE", _ASKS_FOR_JSON.sub(r"\1 LIKE '{%}'", statement))


def _type_name(connection: psycopg.Connection[Any], oid: int) -> str:
    (row,) = connection.execute("SELECT format_type(%s, NULL)", [oid]).fetchall()
    return str(row[0])


_PARTED_BY = "SELECT pg_get_partkeydef(to_regclass(%s))"
_FIRST_COLUMN = """
    SELECT attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = 1 WHERE relname = %s
"""


def _names(sql: str, column: str) -> bool:
    return re.search(rf"\b{re.escape(column)}\b", sql) is not None


def _index_conditions(plan: Any) -> Iterator[tuple[str, str]]:
    """Every condition that some step of the plan looks up in an index, with the index."""
    if isinstance(plan, list):
        for step in plan:
            yield from _index_conditions(step)
    if isinstance(plan, dict):
        if "Index Cond" in plan:
            yield plan["Index Name"], plan["Index Cond"]
        for inner in plan.values():
            yield from _index_conditions(inner)
