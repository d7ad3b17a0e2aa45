"""The file that holds `log_records`: opening it, appending to it, counting and deleting in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from tallybook.content import DayContent
from tallybook.days import EPOCH, ONE_DAY, midnight
from tallybook.errors import LogsBusy, LogsError, UsageError, first_line, raise_interrupted
from tallybook.offline import OFFLINE
from tallybook.records import STORED_FIELDS, TEXT_FIELDS, StoredRow
from tallybook.source import Slicing, Source

LOCAL = "local"
SUPPORTED_LOGS = ("duckdb:///FILE",)
FORMAT = 1
DAY_US = 86_400_000_000

COLUMN_TYPES = {
    "created_at": "TIMESTAMP NOT NULL",
    "model_name": "VARCHAR NOT NULL",
    "status_code": "SMALLINT",
    "stream": "BOOLEAN",
    **{name: "VARCHAR" for name in TEXT_FIELDS if name != "model_name"},
}
"""Every other column is a BIGINT."""

ARROW_TYPES = {
    "created_at": pa.timestamp("us"),
    "status_code": pa.int16(),
    "stream": pa.bool_(),
    **dict.fromkeys(TEXT_FIELDS, pa.string()),
}

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log_format (version INTEGER NOT NULL)",
    "INSERT INTO log_format SELECT {format} WHERE NOT EXISTS (FROM log_format)",
    "CREATE TABLE IF NOT EXISTS log_records ({columns})",
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


def parse_logs_url(url: str) -> Path:
    """The file that a `duckdb:///` URL names."""
    scheme, separator, path = url.partition(":///")
    if scheme != "duckdb" or not separator or not path:
        raise UsageError(
            f"Our own logs cannot be kept in {url.partition(':')[0]!r}.", f"Use one of: {', '.join(SUPPORTED_LOGS)}."
        )
    return Path(path)


@dataclass(frozen=True)
class Appended:
    """What became of the rows: which of them, by position, were duplicates."""

    accepted: int
    duplicates: frozenset[int]


class LogStore:
    """The open log database, and as such the source named `local`. Thread-safe: writers take turns, readers do not."""

    name = LOCAL
    days_per_read = 366

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._imports = 0
        self._imports_begun = 0
        self._writes = 0
        self._first_day: tuple[int, date | None] = (-1, None)
        self._counts: tuple[int, dict[date, int]] = (-1, {})

    @classmethod
    def open(cls, path: Path) -> LogStore:
        """Opens or makes the file; `LogsBusy` while another process holds it."""
        with logs_errors():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = duckdb.connect(path, config=OFFLINE)
            except OSError as error:
                raise LogsError(
                    f"The logs at {path} cannot be opened: {error.strerror}.", "Name others with --logs."
                ) from error
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            _create(connection, path)
        return cls(connection)

    def close(self) -> None:
        """Lets go of the file, after the writer at work has finished."""
        with self._writing:
            self._connection.close()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's own to the open file."""
        return self._connection.cursor()

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One write transaction, committed at the end or rolled back whole; writers take turns."""
        with self._writing, logs_errors(), self.connect() as connection:
            connection.execute("BEGIN TRANSACTION")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            with self._lock:
                self._writes += 1

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While this lasts no day is closed: it might be half filled."""
        with self._lock:
            self._imports += 1
            self._imports_begun += 1
        try:
            yield
        finally:
            with self._lock:
                self._imports -= 1

    def append(self, rows: Sequence[StoredRow], now: datetime) -> Appended:
        """Stores the rows that are not there yet, in one durable transaction.

        A row is a duplicate of one stored, or earlier among these, that has the same `request_id` and `status_code`.
        """
        duplicates = set(_repeated(rows))
        with self.writing() as connection:
            candidates = [position for position in range(len(rows)) if position not in duplicates]
            connection.register("incoming", _as_arrow(rows, candidates))
            duplicates.update(position for (position,) in connection.execute(_STORED_ALREADY).fetchall())
            fresh = [position for position in candidates if position not in duplicates]
            connection.register("incoming", _as_arrow(rows, fresh))
            connection.execute(_APPEND)
            note_arrivals(connection, "incoming", now)
        return Appended(len(rows) - len(duplicates), frozenset(duplicates))

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
        """Whether there is any record; always asked of the file, so that it also tells whether the file answers."""
        with logs_errors(), self.connect() as connection:
            return bool(connection.execute("SELECT 1 FROM log_records LIMIT 1").fetchall())

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        yield from self._table().contents(days, slicing)

    def _table(self) -> Source:
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

    def _last_arrival(self, condition: str, day: date) -> datetime | None:
        query = f"SELECT MAX(arrived_at) FROM arrivals WHERE {condition}"  # noqa: S608 - one of the two above
        with logs_errors(), self.connect() as connection:
            (arrived_at,) = connection.execute(query, [day]).fetchall()[0]
        return arrived_at.replace(tzinfo=UTC) if arrived_at else None

    def imports_begun(self) -> int:
        return self._imports_begun

    def busy(self) -> str | None:
        return "an import is running" if self._imports else None

    def note_import(self, content: str, records: int, now: datetime) -> None:
        """Remembers something that was brought in whole, by a name of its own."""
        with self.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO imports VALUES (?, ?, '', ?, ?)", [content, content, records, naive_utc(now)]
            )

    def holds_import(self, content: str) -> bool:
        """Whether `note_import` was ever called with the name."""
        with logs_errors(), self.connect() as connection:
            return bool(connection.execute("SELECT 1 FROM imports WHERE content_sha256 = ?", [content]).fetchall())

    def delete_days(
        self, before: date, why_keep: Callable[[date, int, datetime | None], str | None]
    ) -> tuple[dict[date, int], dict[date, str]]:
        """Deletes the records of each day before `before` for which `why_keep` has no reason against it.

        It is asked with the day, its number of records and when one last arrived, in the transaction that deletes: a
        record that arrives meanwhile is not deleted unseen. Answers the numbers deleted, and the reasons of those kept.
        """
        deleted, kept = {}, {}
        with self.writing() as connection:
            arrivals = dict(connection.execute("SELECT day, arrived_at FROM arrivals").fetchall())
            for day, count in _count_days(connection).items():
                arrived_at = arrivals.get(day)
                reason = (
                    why_keep(day, count, arrived_at.replace(tzinfo=UTC) if arrived_at else None) if day < before else ""
                )
                if reason:
                    kept[day] = reason
                elif reason is None:
                    bounds = [naive_utc(midnight(day)), naive_utc(midnight(day + ONE_DAY))]
                    connection.execute("DELETE FROM log_records WHERE created_at >= ? AND created_at < ?", bounds)
                    deleted[day] = count
        return deleted, kept


def _count_days(connection: duckdb.DuckDBPyConnection) -> dict[date, int]:
    query = f"SELECT epoch_us(created_at) // {DAY_US} AS day, COUNT(*) FROM log_records GROUP BY day ORDER BY day"  # noqa: S608
    return {(EPOCH + timedelta(days=day)).date(): count for day, count in connection.execute(query).fetchall()}


def _create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    columns = ", ".join(f'"{name}" {COLUMN_TYPES.get(name, "BIGINT")}' for name in STORED_FIELDS)
    for statement in SCHEMA:
        connection.execute(statement.format(format=FORMAT, columns=columns))
    (version,) = connection.execute("SELECT MAX(version) FROM log_format").fetchall()[0]
    if version > FORMAT:
        connection.close()
        raise LogsError(f"The logs at {path} were written by a newer tallybook.", "Upgrade tallybook.")


def _repeated(rows: Sequence[StoredRow]) -> Iterator[int]:
    """The positions of rows whose request was seen earlier in the same batch."""
    request_id, status_code = STORED_FIELDS.index("request_id"), STORED_FIELDS.index("status_code")
    seen = set()
    for position, row in enumerate(rows):
        if row[request_id] is not None:
            key = (row[request_id], row[status_code])
            if key in seen:
                yield position
            seen.add(key)


def _as_arrow(rows: Sequence[StoredRow], positions: Sequence[int]) -> pa.Table:
    columns = zip(*(rows[position] for position in positions), strict=True) if positions else [()] * len(STORED_FIELDS)
    arrays = [
        pa.array(column, ARROW_TYPES.get(name, pa.int64())) for name, column in zip(STORED_FIELDS, columns, strict=True)
    ]
    return pa.table([pa.array(positions, pa.int64()), *arrays], names=["position", *STORED_FIELDS])


COLUMN_LIST = ", ".join(f'"{name}"' for name in STORED_FIELDS)
IS_STORED = (
    "EXISTS (SELECT 1 FROM log_records AS stored WHERE stored.request_id = incoming.request_id "
    "AND stored.status_code IS NOT DISTINCT FROM incoming.status_code)"
)
_STORED_ALREADY = f"SELECT position FROM incoming WHERE {IS_STORED}"  # noqa: S608 - constants
_APPEND = f"INSERT INTO log_records ({COLUMN_LIST}) SELECT {COLUMN_LIST} FROM incoming"  # noqa: S608
_ARRIVALS = (
    "INSERT INTO arrivals "
    "SELECT DISTINCT CAST(epoch_ms(epoch_us(created_at) // {day_us} * 86400000) AS DATE), CAST(? AS TIMESTAMP) "
    "FROM {table} ON CONFLICT (day) DO UPDATE SET arrived_at = excluded.arrived_at"
)


def naive_utc(instant: datetime) -> datetime:
    """The instant as DuckDB's TIMESTAMP has it: in UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def note_arrivals(connection: duckdb.DuckDBPyConnection, table: str, now: datetime) -> None:
    """Remembers for each day of the table's records that one arrived now."""
    connection.execute(_ARRIVALS.format(day_us=DAY_US, table=table), [naive_utc(now)])
