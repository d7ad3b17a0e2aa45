"""Our own logs in PostgreSQL: several servers write at once, and each record is stored once.

What they must agree upon is the database's business: a unique index says what is a duplicate, a row of `arrivals`
counts each day within the transaction that changes it, and a lock that ends with its session says that an import is
running. Writers insert in the order of the index, then touch days in their order, so that none waits in a circle.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from tallybook.content import DayContent
from tallybook.days import ONE_DAY, midnight
from tallybook.errors import LogsError
from tallybook.logs.archive import ROWS_AT_ONCE, Archive
from tallybook.logs.columns import PRICED_BY, STORED_SCHEMA
from tallybook.logs.copying import copy_in
from tallybook.logs.desk import private_desk
from tallybook.logs.link import Connection, Link, connect, link_errors, linked
from tallybook.logs.own import (
    COLUMN_LIST,
    FIRST_OF_ITS_REQUEST,
    IMPORTING,
    LOCAL,
    Appended,
    Origin,
)
from tallybook.logs.pruning import Deleted, OnDelete, Pruning, WhyKeep, tell_nobody
from tallybook.measures import Totals
from tallybook.source import Slicing
from tallybook.sources.urls import SourceUrl

if TYPE_CHECKING:
    from tallybook.sources.table import TableSource

SCHEMA = "tallybook_logs"
"""A schema of our own: a gateway that shares the database may have a table `log_records`, too."""

FORMAT = 1
MAKING_LOCK = 0x7A11_106D
IMPORT_LOCK = 0x7A11_106E
BROUGHT_AT_ONCE = 100_000
FETCHED_AT_ONCE = 10_000

_TYPES = {
    "created_at": "timestamptz NOT NULL",
    "model_name": "text NOT NULL",
    "status_code": "smallint",
    "request_id": 'text COLLATE "C"',
    "stream": "boolean",
}
_COLUMNS = ", ".join(
    f'"{field.name}" {_TYPES.get(field.name, "text" if field.type == pa.string() else "bigint")}'
    for field in STORED_SCHEMA
)
_STATUS = "COALESCE({table}status_code, -1)"
"""An unknown status equals an unknown status, also before PostgreSQL 15, whose indexes can say so."""

_MAKE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE {SCHEMA}.log_format (version integer NOT NULL)",
    f"INSERT INTO {SCHEMA}.log_format VALUES ({FORMAT})",  # noqa: S608 - constants, as everywhere here
    f"CREATE TABLE {SCHEMA}.log_records ({_COLUMNS})",
    f"CREATE UNIQUE INDEX log_records_once ON {SCHEMA}.log_records (request_id, ({_STATUS.format(table='')})) "
    "WHERE request_id IS NOT NULL",
    f"CREATE INDEX log_records_by_time ON {SCHEMA}.log_records (created_at)",
    f"CREATE TABLE {SCHEMA}.arrivals (day date PRIMARY KEY, arrived_at timestamptz NOT NULL, records bigint NOT NULL)",
    f"CREATE TABLE {SCHEMA}.imports (content_sha256 text PRIMARY KEY, file text NOT NULL, reading text NOT NULL, "
    "records bigint NOT NULL, imported_at timestamptz NOT NULL)",
    f"CREATE SEQUENCE {SCHEMA}.imports_begun",
)

_WRITER = (
    f"CREATE TEMPORARY TABLE incoming ({_COLUMNS}, position bigint NOT NULL) ON COMMIT DELETE ROWS",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
)
"""Records come in through a table that is written to no log. Nobody counts its rows, so a planner might read all that
is stored to find a few duplicates."""

_STORE = (
    f"WITH stored AS (INSERT INTO {SCHEMA}.log_records ({COLUMN_LIST}) SELECT {COLUMN_LIST} FROM incoming "  # noqa: S608
    "ORDER BY request_id, status_code, position ON CONFLICT DO NOTHING RETURNING created_at), "
    "days AS (SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day, COUNT(*) AS records FROM stored GROUP BY 1), "
    f"noted AS (INSERT INTO {SCHEMA}.arrivals AS known (day, arrived_at, records) "
    "SELECT day, %s, records FROM days ORDER BY day ON CONFLICT (day) DO UPDATE "
    "SET arrived_at = GREATEST(known.arrived_at, excluded.arrived_at), records = known.records + excluded.records) "
    "SELECT CAST(COALESCE(SUM(records), 0) AS bigint) FROM days"
)
_DUPLICATES = (
    "SELECT position FROM (SELECT position, request_id, status_code, "  # noqa: S608
    "row_number() OVER (PARTITION BY request_id, status_code ORDER BY position) AS turn "
    "FROM incoming WHERE request_id IS NOT NULL) AS identified "
    f"WHERE turn > 1 OR NOT EXISTS (SELECT FROM {SCHEMA}.log_records AS stored "
    f"WHERE stored.request_id = identified.request_id AND {_STATUS.format(table='stored.')} = "
    f"{_STATUS.format(table='identified.')} AND stored.xmin = CAST(pg_current_xact_id() AS xid))"
)
"""Those of which this transaction has stored no row."""

_TO_BRING_IN = f"SELECT {COLUMN_LIST}, position FROM incoming QUALIFY {FIRST_OF_ITS_REQUEST}"  # noqa: S608
_REMEMBER = f"INSERT INTO {SCHEMA}.imports VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"  # noqa: S608
_RECORDS_OF_DAY = f"SELECT {COLUMN_LIST} FROM {SCHEMA}.log_records WHERE created_at >= %s AND created_at < %s"  # noqa: S608
_IS_IMPORTING = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s "
    "AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


class PostgreSQLLogs:
    """Our own logs in a PostgreSQL. Thread-safe: writers take turns, readers do; and so do servers among themselves."""

    name = LOCAL

    def __init__(self, url: SourceUrl) -> None:
        self._url = url
        self._writer = Link(url, _WRITER)
        self._reader = Link(url)

    @classmethod
    def open(cls, url: SourceUrl) -> PostgreSQLLogs:
        """Opens the logs, and makes their schema if there is none; of servers that start at once one makes it."""
        with linked(url) as link, link.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [MAKING_LOCK])
            _make(connection)
        return cls(url)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def append(self, table: pa.Table, now: datetime) -> Appended:
        if not len(table):
            return Appended(0, frozenset())
        with self._writer.transaction() as connection:
            positions = pa.array(np.arange(len(table)))
            copy_in(connection, "incoming", table.append_column("position", positions))
            accepted = _store(connection, now)
            duplicates = frozenset(_duplicates(connection)) if accepted < len(table) else frozenset[int]()
        return Appended(accepted, duplicates)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Holds a lock in a session of its own, which is gone when this process is."""
        with link_errors(self._url), connect(self._url) as connection:
            connection.execute("SELECT pg_advisory_lock_shared(%s)", [IMPORT_LOCK])
            connection.execute(f"SELECT nextval('{SCHEMA}.imports_begun')".encode())
            yield
            connection.execute("SELECT pg_advisory_unlock_shared(%s)", [IMPORT_LOCK])

    def desk(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return private_desk()

    def bring_in(self, desk: duckdb.DuckDBPyConnection, origin: Origin) -> int | None:
        """Over a link of its own: what is posted meanwhile need not wait."""
        with linked(self._url, _WRITER) as link, link.transaction() as connection:
            if not _remember(connection, origin):
                return None
            for batch in desk.sql(_TO_BRING_IN).to_arrow_reader(BROUGHT_AT_ONCE):
                copy_in(connection, "incoming", pa.Table.from_batches([batch]))
            return _store(connection, origin.imported_at)

    def find_import(self, content_sha256: str) -> Origin | None:
        query = f"SELECT * FROM {SCHEMA}.imports WHERE content_sha256 = %s"  # noqa: S608
        with self._reader.transaction() as connection:
            rows = connection.execute(query.encode(), [content_sha256]).fetchall()
        return Origin(*rows[0]) if rows else None

    def note_import(self, content: str, records: int, now: datetime) -> None:
        with self._reader.transaction() as connection:
            _remember(connection, Origin(content, content, "", records, now))

    def holds_import(self, content: str) -> bool:
        return self.find_import(content) is not None

    def imports_begun(self) -> int:
        begun: int = self._value(
            f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {SCHEMA}.imports_begun"  # noqa: S608
        )
        return begun

    def busy(self) -> str | None:
        return IMPORTING if self._value(_IS_IMPORTING, IMPORT_LOCK) else None

    def has_records(self) -> bool:
        return bool(self._value(f"SELECT EXISTS (SELECT FROM {SCHEMA}.log_records)"))  # noqa: S608

    def first_day(self) -> date | None:
        day: date | None = self._value(f"SELECT MIN(day) FROM {SCHEMA}.arrivals WHERE records > 0")  # noqa: S608
        return day

    def known_first_day(self) -> date | None:
        return self.first_day()

    def counts(self) -> dict[date, int]:
        """As counted in the transactions that stored or deleted the records."""
        query = f"SELECT day, records FROM {SCHEMA}.arrivals WHERE records > 0 ORDER BY day"  # noqa: S608
        with self._reader.transaction() as connection:
            return dict(connection.execute(query.encode()).fetchall())

    def arrived_at(self, day: date) -> datetime | None:
        return self._last_arrival("day = %s", day)

    def arrived_before(self, day: date) -> datetime | None:
        return self._last_arrival("day < %s", day)

    def _last_arrival(self, condition: str, day: date) -> datetime | None:
        arrived_at: datetime | None = self._value(
            f"SELECT MAX(arrived_at) FROM {SCHEMA}.arrivals WHERE {condition}",  # noqa: S608 - one of the two above
            day,
        )
        return arrived_at

    def price_versions(self, day: date) -> tuple[str, ...]:
        query = (
            f"SELECT DISTINCT {PRICED_BY} FROM {SCHEMA}.log_records "  # noqa: S608
            f"WHERE created_at >= %s AND created_at < %s AND {PRICED_BY} IS NOT NULL"
        )
        with self._reader.transaction() as connection:
            rows = connection.execute(query.encode(), _bounds(day)).fetchall()
        return tuple(sorted(version for (version,) in rows))

    @property
    def days_per_read(self) -> int:
        return self._table().days_per_read

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        yield from self._table().contents(days, slicing)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self._table().totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self._table().hours(day)

    def _table(self) -> TableSource:
        from tallybook.sources.own import postgresql_table  # noqa: PLC0415 - as for the DuckDB file

        return postgresql_table(self._url, f"{SCHEMA}.log_records")

    def delete_days(
        self,
        before: date,
        why_keep: WhyKeep,
        archive: Archive | None = None,
        on_delete: OnDelete = tell_nobody,
    ) -> Deleted:
        """Each day in a transaction of its own. Whoever stores a record of a day must wait until it is deleted."""
        pruning = Pruning(self.name, why_keep, archive, on_delete)
        with linked(self._url) as link:
            for day in [day for day in self.counts() if day < before]:
                with link.transaction() as connection:
                    totals = self._totals_of_locked(connection, day)
                    if pruning.releases(day, totals, partial(_records_of, connection, day)):
                        _delete(connection, day)
        return pruning.deleted

    def _totals_of_locked(self, connection: Connection, day: date) -> Totals:
        """What `totals` says of the day, as the transaction sees it; nobody adds to the day until that ends."""
        from tallybook.sources.engines.postgresql import totals_in  # noqa: PLC0415 - as in `_table`
        from tallybook.sources.relation import edges_of  # noqa: PLC0415 - as in `_table`

        connection.execute(f"SELECT FROM {SCHEMA}.arrivals WHERE day = %s FOR UPDATE".encode(), [day])
        (totals,) = totals_in(connection, self._table().relation.without_dimensions(), edges_of([day]))
        return totals

    def _value(self, query: str, *values: object) -> Any:
        with self._reader.transaction() as connection:
            return connection.execute(query.encode(), values).fetchall()[0][0]


def _make(connection: Connection) -> None:
    made = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.log_format"]).fetchone()
    if made == (None,):
        _check_encoding(connection)
        for statement in _MAKE:
            connection.execute(statement.encode())
    row = connection.execute(f"SELECT MAX(version) FROM {SCHEMA}.log_format".encode()).fetchone()  # noqa: S608
    if row and row[0] > FORMAT:
        raise LogsError("The logs in this PostgreSQL were written by a newer tallybook.", "Upgrade tallybook.")


def _check_encoding(connection: Connection) -> None:
    row = connection.execute("SHOW server_encoding").fetchone()
    if row != ("UTF8",):
        raise LogsError("The logs' PostgreSQL database is not in UTF8.", "Create one with ENCODING 'UTF8'.")


def _store(connection: Connection, now: datetime) -> int:
    """Moves what came in to where it is kept; answers how many were not there yet."""
    (accepted,) = connection.execute(_STORE.encode(), [now]).fetchall()[0]
    return int(accepted)


def _duplicates(connection: Connection) -> Iterator[int]:
    return (position for (position,) in connection.execute(_DUPLICATES.encode()).fetchall())


def _remember(connection: Connection, origin: Origin) -> bool:
    """Whether it was not known before."""
    row = (origin.content_sha256, origin.file, origin.reading, origin.records, origin.imported_at)
    return connection.execute(_REMEMBER.encode(), row).rowcount == 1


def _records_of(connection: Connection, day: date) -> Iterator[pa.RecordBatch]:
    """The day's records, read as they are asked for."""
    rows = connection.cursor().stream(_RECORDS_OF_DAY.encode(), _bounds(day), binary=True, size=FETCHED_AT_ONCE)
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        columns = zip(STORED_SCHEMA, zip(*batch, strict=True), strict=True)
        yield pa.RecordBatch.from_arrays(
            [pa.array(values, field.type) for field, values in columns], STORED_SCHEMA.names
        )


def _delete(connection: Connection, day: date) -> None:
    records = f"DELETE FROM {SCHEMA}.log_records WHERE created_at >= %s AND created_at < %s"  # noqa: S608
    connection.execute(records.encode(), _bounds(day))
    connection.execute(f"UPDATE {SCHEMA}.arrivals SET records = 0 WHERE day = %s".encode(), [day])  # noqa: S608


def _bounds(day: date) -> tuple[datetime, datetime]:
    return midnight(day), midnight(day + ONE_DAY)
