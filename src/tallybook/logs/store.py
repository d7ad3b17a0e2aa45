"""The file that holds `log_records`: opening it, appending to it, counting and deleting in it."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from tallybook.content import DayContent
from tallybook.days import EPOCH, ONE_DAY, midnight
from tallybook.errors import LogsBusy, LogsError, first_line, raise_interrupted
from tallybook.logs.archive import ROWS_AT_ONCE, Archive
from tallybook.logs.columns import PRICED_BY, STORED_SCHEMA
from tallybook.logs.duplicates import Positions, find_duplicates, load_keys
from tallybook.logs.keys import KeySet
from tallybook.logs.own import (
    COLUMN_LIST,
    FIRST_OF_ITS_REQUEST,
    IMPORTING,
    LOCAL,
    Appended,
    Origin,
    naive_utc,
)
from tallybook.logs.pruning import Deleted, OnDelete, Pruning, WhyKeep, tell_nobody
from tallybook.measures import Totals
from tallybook.offline import OFFLINE
from tallybook.records import TEXT_FIELDS
from tallybook.source import Slicing

if TYPE_CHECKING:
    from tallybook.sources.table import TableSource

FORMAT = 1
DAY_US = 86_400_000_000

COLUMN_TYPES = {
    "created_at": "TIMESTAMP NOT NULL",
    "model_name": "VARCHAR NOT NULL",
    "status_code": "SMALLINT",
    "stream": "BOOLEAN",
    **{name: "VARCHAR" for name in (*TEXT_FIELDS, PRICED_BY) if name != "model_name"},
}
"""Every other column is a BIGINT."""

SETTINGS = ("TimeZone = 'UTC'", "checkpoint_threshold = '128MB'")
"""A checkpoint for every 16 MB of new records, as DuckDB would have it, costs a third of the rate."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log_format (version INTEGER NOT NULL)",
    "INSERT INTO log_format SELECT {format} WHERE NOT EXISTS (FROM log_format)",
    "CREATE TABLE IF NOT EXISTS log_records ({columns})",
    f"ALTER TABLE log_records ADD COLUMN IF NOT EXISTS {PRICED_BY} VARCHAR",
    "CREATE TABLE IF NOT EXISTS arrivals (day DATE PRIMARY KEY, arrived_at TIMESTAMP NOT NULL)",
    """CREATE TABLE IF NOT EXISTS imports (
        content_sha256 VARCHAR PRIMARY KEY, file VARCHAR NOT NULL, reading VARCHAR NOT NULL,
        records BIGINT NOT NULL, imported_at TIMESTAMP NOT NULL)""",
)

DISK_FULL = ("The disk that holds the logs is full.", "Free some space; nothing was half-written.")
FAULTS = (
    ("Conflicting lock", LogsBusy, "Another process holds the logs.", "Stop it, or let it finish, and try again."),
    ("No space left", LogsError, *DISK_FULL),
    ("File too large", LogsError, *DISK_FULL),
    ("Permission denied", LogsError, "The logs cannot be written.", "Check the permissions of their file and folder."),
    (
        "not a valid DuckDB",
        LogsError,
        "The logs' file is not a DuckDB database.",
        "Restore it, or name another with --logs.",
    ),
    ("newer version", LogsError, "The logs were written by a newer DuckDB.", "Upgrade tallybook."),
)


@contextmanager
def logs_errors() -> Iterator[None]:
    """Turns DuckDB's exceptions into `LogsError`s with a remedy."""
    try:
        yield
    except RuntimeError as error:
        raise_interrupted(error)
    except duckdb.Error as error:
        text = str(error)
        for sign, kind, message, remedy in FAULTS:
            if sign in text:
                raise kind(message, remedy) from error
        remedy = "If the file is damaged, restore it or name another with --logs; the book is not touched."
        raise LogsError(f"The logs failed: {first_line(error)}.", remedy) from error


class LogStore:
    """Our own logs in a DuckDB file, held by one process. Thread-safe: writers take turns, readers do not."""

    name = LOCAL
    days_per_read = 366

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._opening = threading.Lock()
        self._is_closed = False
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._imports = 0
        self._imports_begun = 0
        self._writes = 0
        self._keys: KeySet | None = None
        self._first_day: tuple[int, date | None] = (-1, None)
        self._counts: tuple[int, dict[date, int]] = (-1, {})

    @classmethod
    def open(cls, path: Path) -> LogStore:
        """Opens or makes the file; `LogsBusy` while another process holds it."""
        with logs_errors():
            return cls(_open(path), path)

    def close(self) -> None:
        with self._writing, self._opening:
            self._is_closed = True
            self._connection.close()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own to the open file.

        After a fault that it cannot undo, as a full disk in a checkpoint, DuckDB gives its file up until it is opened
        anew; nothing that was committed is lost by that.
        """
        with self._opening:
            if not self._is_closed and not self._answers():
                self._reopen()
            return self._connection.cursor()

    def _answers(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except duckdb.Error:
            return False
        return True

    def _reopen(self) -> None:
        """What was remembered of the file may hold what was never committed, and lack what was."""
        self._connection.close()
        self._connection = _open(self._path)
        with self._lock:
            self._keys = None
            self._writes += 1

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One write transaction, committed at the end or rolled back whole; writers take turns."""
        with self._writing, logs_errors(), self.connect() as connection:
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
            except BaseException:
                with suppress(duckdb.Error):  # what cannot be undone now is undone as the connection closes
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            with self._lock:
                self._writes += 1

    @contextmanager
    def importing(self) -> Iterator[None]:
        with self._lock:
            self._imports += 1
            self._imports_begun += 1
        try:
            yield
        finally:
            with self._lock:
                self._imports -= 1

    def append(self, table: pa.Table, now: datetime) -> Appended:
        with self.writing() as connection:
            duplicates = find_duplicates(connection, self._stored_keys(connection), table)
            connection.register("fresh", _without(table, duplicates))
            connection.execute(_APPEND)
            _note_arrivals(connection, "fresh", now)
        return Appended(len(table) - len(duplicates), frozenset(duplicates.tolist()))

    def _stored_keys(self, connection: duckdb.DuckDBPyConnection) -> KeySet:
        """What is stored by key, read once. Keys of a transaction that failed, or of deleted records, do no harm."""
        if self._keys is None:
            self._keys = KeySet(load_keys(connection))
        return self._keys

    def desk(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """The file itself, in the transaction that brings the records in: nothing is written twice."""
        return self.writing()

    def bring_in(self, desk: duckdb.DuckDBPyConnection, origin: Origin) -> int:
        accepted: int = desk.execute(_BRING_IN).fetchall()[0][0]
        if accepted:
            _note_arrivals(desk, "incoming", origin.imported_at)
            self._note_stored(desk, "incoming")
        desk.execute("DROP TABLE incoming")
        _remember(desk, origin)
        return accepted

    def _note_stored(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """Notes the keys of records that were stored in another way than by `append`."""
        if self._keys is not None:
            keys = np.sort(load_keys(connection, table))
            self._keys.add(keys[~self._keys.holds(keys)])

    def first_day(self) -> date | None:
        """The day of the earliest record, asked of the file only once after each write."""
        writes, first_day = self._first_day
        current = self._writes
        if writes != current:
            with logs_errors(), self.connect() as connection:
                (first,) = connection.execute("SELECT MIN(created_at) FROM log_records").fetchall()[0]
            first_day = first.date() if first else None
            self._first_day = (current, first_day)
        return first_day

    def known_first_day(self) -> date | None:
        return self.first_day()

    def has_records(self) -> bool:
        with logs_errors(), self.connect() as connection:
            return bool(connection.execute("SELECT 1 FROM log_records LIMIT 1").fetchall())

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        yield from self._table().contents(days, slicing)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self._table().totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self._table().hours(day)

    def _table(self) -> TableSource:
        from tallybook.sources.own import own_table  # noqa: PLC0415 - Ibis takes half a second to import, and not every command reads

        return own_table(self.connect)

    def counts(self) -> dict[date, int]:
        """How many records there now are on each day that has any; counted only once after each write."""
        writes, counts = self._counts
        current = self._writes
        if writes != current:
            with logs_errors(), self.connect() as connection:
                counts = _count_days(connection)
            self._counts = (current, counts)
        return dict(counts)

    def arrived_at(self, day: date) -> datetime | None:
        return self._last_arrival("day = ?", day)

    def arrived_before(self, day: date) -> datetime | None:
        return self._last_arrival("day < ?", day)

    def price_versions(self, day: date) -> tuple[str, ...]:
        query = f"SELECT DISTINCT {PRICED_BY} FROM log_records {_OF_DAY} AND {PRICED_BY} IS NOT NULL ORDER BY 1"  # noqa: S608 - constants
        with logs_errors(), self.connect() as connection:
            rows = connection.execute(query, _bounds(day)).fetchall()
        return tuple(version for (version,) in rows)

    def _last_arrival(self, condition: str, day: date) -> datetime | None:
        query = f"SELECT MAX(arrived_at) FROM arrivals WHERE {condition}"  # noqa: S608 - one of the two above
        with logs_errors(), self.connect() as connection:
            (arrived_at,) = connection.execute(query, [day]).fetchall()[0]
        return arrived_at.replace(tzinfo=UTC) if arrived_at else None

    def imports_begun(self) -> int:
        return self._imports_begun

    def busy(self) -> str | None:
        return IMPORTING if self._imports else None

    def note_import(self, content: str, records: int, now: datetime) -> None:
        with self.writing() as connection:
            if not self.holds_import(content):
                _remember(connection, Origin(content, content, "", records, now))

    def find_import(self, content_sha256: str) -> Origin | None:
        query = "SELECT * FROM imports WHERE content_sha256 = ?"
        with logs_errors(), self.connect() as connection:
            rows = connection.execute(query, [content_sha256]).fetchall()
        if not rows:
            return None
        found = Origin(*rows[0])
        return replace(found, imported_at=found.imported_at.replace(tzinfo=UTC))

    def holds_import(self, content: str) -> bool:
        return self.find_import(content) is not None

    def delete_days(
        self,
        before: date,
        why_keep: WhyKeep,
        archive: Archive | None = None,
        on_delete: OnDelete = tell_nobody,
    ) -> Deleted:
        """Each day in a transaction of its own, for which writers wait, its archive being written too."""
        pruning = Pruning(self.name, why_keep, archive, on_delete)
        for day in [day for day in self.counts() if day < before]:
            with self.writing() as connection:
                if pruning.releases(day, self._totals_in(connection, day), partial(_records_of, connection, day)):
                    connection.execute(f"DELETE FROM log_records {_OF_DAY}", _bounds(day))  # noqa: S608 - a constant
        return pruning.deleted

    def _totals_in(self, connection: duckdb.DuckDBPyConnection, day: date) -> Totals:
        """What `totals` says of the day, as the connection's transaction sees it."""
        from tallybook.sources.engines.duck import totals_in  # noqa: PLC0415 - as in `_table`
        from tallybook.sources.relation import edges_of  # noqa: PLC0415 - as in `_table`

        (totals,) = totals_in(connection, self._table().relation.without_dimensions(), edges_of([day]))
        return totals


_OF_DAY = "WHERE created_at >= ? AND created_at < ?"


def _bounds(day: date) -> list[datetime]:
    return [naive_utc(midnight(day)), naive_utc(midnight(day + ONE_DAY))]


def _records_of(connection: duckdb.DuckDBPyConnection, day: date) -> pa.RecordBatchReader:
    """The day's records, read as they are asked for."""
    query = f"SELECT {COLUMN_LIST} FROM log_records {_OF_DAY}"  # noqa: S608 - constants
    return connection.sql(query, params=_bounds(day)).to_arrow_reader(ROWS_AT_ONCE)


def _count_days(connection: duckdb.DuckDBPyConnection) -> dict[date, int]:
    query = f"SELECT epoch_us(created_at) // {DAY_US} AS day, COUNT(*) FROM log_records GROUP BY day ORDER BY day"  # noqa: S608
    return {(EPOCH + timedelta(days=day)).date(): count for day, count in connection.execute(query).fetchall()}


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection to the file, which is made and set up where that is needed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(path, config=OFFLINE)
    except OSError as error:
        raise LogsError(
            f"The logs at {path} cannot be opened: {error.strerror}.", "Name others with --logs."
        ) from error
    for setting in SETTINGS:
        connection.execute(f"SET GLOBAL {setting}")
    _create(connection, path)
    return connection


def _create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    columns = ", ".join(f'"{name}" {COLUMN_TYPES.get(name, "BIGINT")}' for name in STORED_SCHEMA.names)
    for statement in SCHEMA:
        connection.execute(statement.format(format=FORMAT, columns=columns))
    (version,) = connection.execute("SELECT MAX(version) FROM log_format").fetchall()[0]
    if version > FORMAT:
        connection.close()
        raise LogsError(f"The logs at {path} were written by a newer tallybook.", "Upgrade tallybook.")


def _without(table: pa.Table, positions: Positions) -> pa.Table:
    if not len(positions):
        return table
    kept = np.ones(len(table), np.bool_)
    kept[positions] = False
    return table.filter(kept)


_APPEND = f"INSERT INTO log_records ({COLUMN_LIST}) SELECT {COLUMN_LIST} FROM fresh"  # noqa: S608 - constants
_IS_STORED = (
    "EXISTS (SELECT 1 FROM log_records AS stored WHERE stored.request_id = incoming.request_id "
    "AND stored.status_code IS NOT DISTINCT FROM incoming.status_code)"
)
_BRING_IN = (
    f"INSERT INTO log_records ({COLUMN_LIST}) SELECT {COLUMN_LIST} FROM "  # noqa: S608 - constants
    f"(SELECT * FROM incoming QUALIFY {FIRST_OF_ITS_REQUEST}) AS incoming WHERE NOT {_IS_STORED} ORDER BY created_at"
)
_ARRIVALS = (
    "INSERT INTO arrivals "
    "SELECT DISTINCT CAST(epoch_ms(epoch_us(created_at) // {day_us} * 86400000) AS DATE), CAST(? AS TIMESTAMP) "
    "FROM {table} ON CONFLICT (day) DO UPDATE SET arrived_at = excluded.arrived_at"
)


def _note_arrivals(connection: duckdb.DuckDBPyConnection, table: str, now: datetime) -> None:
    """Remembers for each day of the table's records that one arrived now."""
    connection.execute(_ARRIVALS.format(day_us=DAY_US, table=table), [naive_utc(now)])


def _remember(connection: duckdb.DuckDBPyConnection, origin: Origin) -> None:
    row = [origin.content_sha256, origin.file, origin.reading, origin.records, naive_utc(origin.imported_at)]
    connection.execute("INSERT INTO imports VALUES (?, ?, ?, ?, ?)", row)
