"""MySQL and MariaDB: hand rows over, since they take three times as long to group.

A row comes as one line of CSV, text as hexadecimal digits: the server's collations and the client's conversions have no
say, and a line is read in columns by Arrow. Grouping is done by a DuckDB in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import MySQLdb
import MySQLdb.constants.FIELD_TYPE as FIELD
import pyarrow as pa
import pyarrow.csv
from MySQLdb.cursors import DictCursor

from tallybook.measures import Totals
from tallybook.sources.engines.desk import Desk, desk
from tallybook.sources.engines.engine import (
    CONNECT_TIMEOUT_S,
    ROW_DAYS,
    STATEMENT_TIMEOUT_S,
    connecting,
    engine_errors,
)
from tallybook.sources.groupings import Groupings
from tallybook.sources.portable import quote
from tallybook.sources.relation import Edges, Relation, Window, window_of

LINES_AT_ONCE = 100_000
_KINDS = {
    **dict.fromkeys((FIELD.TINY, FIELD.SHORT, FIELD.LONG, FIELD.LONGLONG, FIELD.INT24, FIELD.YEAR), "int"),
    **dict.fromkeys((FIELD.FLOAT, FIELD.DOUBLE, FIELD.DECIMAL, FIELD.NEWDECIMAL), "float"),
    **dict.fromkeys((FIELD.DATETIME, FIELD.TIMESTAMP), "naive"),
    **dict.fromkeys((FIELD.VARCHAR, FIELD.VAR_STRING, FIELD.STRING), "text"),
    **dict.fromkeys((FIELD.BLOB, FIELD.TINY_BLOB, FIELD.MEDIUM_BLOB, FIELD.LONG_BLOB), "text"),
    FIELD.JSON: "json",
}
"""TIMESTAMP columns are shown in the session's zone, which is UTC."""

_PLAIN = ("int", "float", "naive", "bool")
"""Kinds that a line holds as they are."""

_ARROW = {"int": pa.int64(), "float": pa.float64(), "bool": pa.int64()}
_ERRORS = (MySQLdb.Error, duckdb.Error)


@dataclass(frozen=True)
class MySQL:
    """Log records in a MySQL or MariaDB; the URL may name a `unix_socket`."""

    url: str
    timeout_s: int = STATEMENT_TIMEOUT_S
    title: str = "MySQL"
    dialect: str = "mysql"
    days_per_read: int = ROW_DAYS

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        with self._handed_over(relation, edges) as laid:
            return laid.groupings(dimensions)

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        with self._handed_over(relation, edges) as laid:
            return laid.totals()

    @contextmanager
    def _handed_over(self, relation: Relation, edges: Edges) -> Iterator[Desk]:
        """A desk on which the days' records lie."""
        selected = relation.select_columns(self.dialect, window_of(edges))
        lines = ", ".join(_as_csv(name, kind, self.dialect) for name, kind in relation.columns)
        with desk(relation, edges) as laid:
            with self._session(use_unicode=False) as session:
                session.query(f"SELECT CONCAT_WS(',', {lines}) FROM ({selected}) AS selected")
                _hand_over(session.use_result(), laid)
            with engine_errors(self.title, *_ERRORS):
                yield laid

    def describe(self, origin: str) -> dict[str, str]:
        with self._session() as session, session.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {origin} AS t LIMIT 0")
            return {name: _KINDS.get(kind, "other") for name, kind, *_ in cursor.description}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session() as session, session.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def scans_all(self, relation: Relation, window: Window) -> bool:
        """Asks which indexes might be used: of a small table none is, whatever it has. A view has none of its own."""
        with self._session() as session, session.cursor(DictCursor) as cursor:
            cursor.execute(f"EXPLAIN {relation.select_columns(self.dialect, window)}")
            steps = [step for step in cursor.fetchall() if "SUBQUERY" not in step["select_type"]]
            cursor.execute(f"SHOW INDEX FROM {relation.origin}")
            indexes = cursor.fetchall()
        possible = {name for step in steps for name in (step["possible_keys"] or "").split(",") if name}
        over_time = {index["Key_name"] for index in indexes if index["Column_name"] == relation.time_column}
        return not (possible & over_time if indexes else possible)

    @contextmanager
    def _session(self, use_unicode: bool = True) -> Iterator[Any]:
        arguments = {**_arguments(self.url), "charset": "utf8mb4", "use_unicode": use_unicode}
        with connecting(self.title, MySQLdb.Error):
            connection = MySQLdb.connect(**arguments, connect_timeout=CONNECT_TIMEOUT_S)
        try:
            with engine_errors(self.title, *_ERRORS):
                for statement in _settings(connection.get_server_info(), self.timeout_s):
                    connection.query(statement)
                yield connection
        finally:
            connection.close()


def _settings(server: str, timeout_s: int) -> tuple[str, ...]:
    limit = f"max_statement_time = {timeout_s}" if "MariaDB" in server else f"max_execution_time = {timeout_s * 1000}"
    return (
        "SET time_zone = '+00:00'",
        f"SET SESSION {limit}",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )


def _arguments(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    given = {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username and unquote(parts.username),
        "passwd": parts.password and unquote(parts.password),
        "db": unquote(parts.path.lstrip("/")),
        "unix_socket": query.get("unix_socket") or query.get("socket"),
        "ssl_mode": query.get("ssl_mode", "").upper(),
        "ssl": {name.removeprefix("ssl_"): query[name] for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in query},
    }
    return {name: value for name, value in given.items() if value}


def _as_csv(name: str, kind: str, dialect: str) -> str:
    column = quote(name, dialect)
    return f"IFNULL({column if kind in _PLAIN else f'HEX(CONVERT({column} USING utf8mb4))'}, '')"


def _hand_over(result: Any, laid: Desk) -> None:
    """Reads lines and lays them on the desk; while the server makes the next ones, the last are taken apart."""
    columns = laid.relation.columns
    types = {name: _ARROW.get(kind, pa.string()) for name, kind in columns}
    expressions = [_from_csv(name, kind) for name, kind in columns]
    reading = pa.csv.ReadOptions(column_names=list(types))
    converting = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])

    def lay(rows: Sequence[tuple[bytes]]) -> None:
        text = b"\n".join([line for (line,) in rows])
        laid.lay(pa.csv.read_csv(pa.BufferReader(text), reading, convert_options=converting), expressions)

    with ThreadPoolExecutor(1) as pool:
        laying: Future[None] | None = None
        while rows := result.fetch_row(LINES_AT_ONCE):
            if laying:
                laying.result()
            laying = pool.submit(lay, rows)
        if laying:
            laying.result()


def _from_csv(name: str, kind: str) -> str:
    return f'"{name}"' if kind in _PLAIN else f'decode(unhex("{name}"))'
