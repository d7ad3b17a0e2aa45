"""ClickHouse: the cluster groups where the logs are, and only groups travel."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.util import Timeout

from tallybook.measures import Totals
from tallybook.sources.engines.engine import (
    COLUMNAR_DAYS,
    CONNECT_TIMEOUT_S,
    STATEMENT_TIMEOUT_S,
    connecting,
    engine_errors,
    first_known,
)
from tallybook.sources.engines.statements import groupings_of, totals_of
from tallybook.sources.groupings import BucketTable, Groupings, SliceTable, totals_by_span
from tallybook.sources.relation import Edges, Relation, Window

_KINDS = {
    **dict.fromkeys(("INT", "UINT"), "int"),
    **dict.fromkeys(("FLOAT", "DECIMAL"), "float"),
    **dict.fromkeys(("STRING", "FIXEDSTRING", "ENUM"), "text"),
    "BOOL": "bool",
    "DATETIME": "zoned",
}
"""By the beginning of the type's name. A DateTime is an instant whatever zone it is shown in."""

_EVERY_COLUMN = {"asterisk_include_materialized_columns": 1, "asterisk_include_alias_columns": 1}
"""Columns that the server computes are columns too, though `SELECT *` leaves them out unless told."""

READ_ONLY = 2
"""Reads nothing but may set limits for itself; 1 would refuse those too."""


@dataclass(frozen=True)
class ClickHouse:
    """Log records in a ClickHouse, or with `interface=chdb` in its engine within this process."""

    url: str
    timeout_s: int = STATEMENT_TIMEOUT_S
    title: str = "ClickHouse"
    dialect: str = "clickhouse"
    days_per_read: int = COLUMNAR_DAYS

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        by_bucket, by_slice = groupings_of(relation, dimensions, edges, self.dialect)
        with self._session() as client:
            buckets, slices = (_as_arrow(client, statement) for statement in (by_bucket, by_slice))
        return Groupings(BucketTable(buckets), SliceTable(slices, dimensions))

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        return totals_by_span(self.rows(totals_of(relation, edges, self.dialect)), len(edges) - 1)

    def describe(self, origin: str) -> dict[str, str]:
        rows = self.rows(f"DESCRIBE TABLE (SELECT * FROM {origin} AS t)")
        return {name: first_known(_KINDS, _bare(kind)) for name, kind, *_ in rows}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session() as client:
            return [tuple(row) for row in client.query(sql).result_rows]

    def scans_all(self, relation: Relation, window: Window) -> bool:
        """An empty table is read from nowhere, and its plan names no conditions."""
        rows = self.rows(f"EXPLAIN indexes = 1 {relation.select_columns(self.dialect, window)}")
        conditions = [line for (line,) in rows if line.strip().startswith("Condition: ")]
        empty = any("NullSource" in line for (line,) in rows)
        return not empty and not any(relation.time_column in condition for condition in conditions)

    @contextmanager
    def _session(self) -> Iterator[Any]:
        settings = {
            "max_execution_time": self.timeout_s,
            "session_timezone": "UTC",
            "prefer_column_name_to_alias": 1,
            **_EVERY_COLUMN,
            "readonly": READ_ONLY,
        }
        with connecting("ClickHouse", ClickHouseError, OSError):
            client = connect_to(self.url, settings)
        be_patient(client, self.timeout_s)
        try:
            with engine_errors("ClickHouse", ClickHouseError, OSError):
                yield client
        finally:
            client.close()


logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
"""What it warns of is told by the error that follows."""


def connect_to(url: str, settings: dict[str, Any]) -> Any:
    """A client; a fault of the network is told as such, and not as the driver wraps it."""
    try:
        return clickhouse_connect.get_client(**_arguments(url), settings=settings)
    except ClickHouseError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ConnectionError | TimeoutError | socket.gaierror):
            cause = cause.__cause__
        raise cause or error from error


def be_patient(client: Any, timeout_s: int) -> None:
    """Whoever has answered at once may work for a while: the server ends a statement itself, a little before we do."""
    if hasattr(client, "timeout"):
        client.timeout = Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s + CONNECT_TIMEOUT_S)


def _arguments(url: str) -> dict[str, Any]:
    """What the driver is called with. The first exchange, by which it greets the server, must be quick."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "chdb" or query.get("interface") == "chdb":
        database = unquote(parts.path.lstrip("/")) if parts.scheme != "chdb" else ""
        path = query.get("path") or (unquote(parts.path) if parts.scheme == "chdb" else None)
        return {"interface": "chdb", "path": path, **({"database": database} if database else {})}
    given = {
        "host": parts.hostname,
        "port": parts.port,
        "username": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "database": unquote(parts.path.lstrip("/")),
        "connect_timeout": CONNECT_TIMEOUT_S,
        "send_receive_timeout": CONNECT_TIMEOUT_S,
        "client_name": "tallybook",
        "secure": query.pop("secure", "").lower() in ("1", "true", "yes"),
        **query,
    }
    return {name: value for name, value in given.items() if value}


def _as_arrow(client: Any, sql: str) -> pa.Table:
    """ClickHouse tells a sum of what may be null as such; what is null nowhere is plain to Arrow all the same."""
    return client.query_arrow(sql, use_strings=True)


def _bare(kind: str) -> str:
    """The type within Nullable(…) and LowCardinality(…)."""
    for wrapper in ("LowCardinality(", "Nullable("):
        kind = kind.removeprefix(wrapper)
    return kind
