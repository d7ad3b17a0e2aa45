"""What most tests begin with: a fixed now, a few log records, and a place to put them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from tallybook.book.guards import GUARDED
from tallybook.book.ledger import Book
from tallybook.collect.log_records import decode_log_records
from tallybook.content import DayContent
from tallybook.days import epoch_us
from tallybook.logs.columns import Batch, stored_table, to_batch
from tallybook.logs.store import LogStore
from tallybook.measures import MEASURE_FIELDS, MEASURE_NAMES
from tallybook.records import STORED_FIELDS
from tallybook.shape import STRING_FIELDS
from tallybook.source import Slicing
from tallybook.sources.relation import Relation

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
ARRIVED = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
"""Long enough before `NOW` that no missing day is waited for."""

TODAY = date(2026, 11, 23)
YESTERDAY = date(2026, 11, 22)

Record = dict[str, Any]


def at(text: str) -> datetime:
    """`11-22 23:59:59.5` as an instant of 2026 in UTC."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def record(moment: str | datetime, model: str = "gpt-5", status: int | None = 200, **fields: Any) -> Record:
    """A log record as a dict of `STORED_FIELDS`; what is not given is unknown."""
    created_at = at(moment) if isinstance(moment, str) else moment
    given = {"created_at": created_at, "model_name": model, "status_code": status, **fields}
    return {name: given.get(name) for name in STORED_FIELDS}


def stored(records: Sequence[Record]) -> pa.Table:
    """The records as our own logs have them."""
    return stored_table(
        [
            tuple({**entry, "created_at": epoch_us(entry["created_at"])}[name] for name in STORED_FIELDS)
            for entry in records
        ]
    )


def posted(body: bytes, now: datetime) -> Batch:
    """What becomes of a body that is posted as log records."""
    decoded = decode_log_records(body)
    return to_batch(decoded.records, decoded.indices, decoded.rejected, now)


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """The batch's records as they are stored, by column."""
    rows: list[dict[str, Any]] = batch.table.select(STORED_FIELDS).to_pylist()
    return rows


def put(logs: LogStore, *records: Record, now: datetime = ARRIVED) -> None:
    """Stores the records, as arrived at `now`."""
    logs.append(stored(records), now)


def totals(**known: int) -> tuple[int, ...]:
    """`Totals` with the measures given, the others 0."""
    return tuple(known.get(name, 0) for name in MEASURE_NAMES)


_TEXT = ("model_name", "request_id", "provider", "api_key", "user", "team", "operation", "error_type")

TIMES: dict[str, tuple[str, Callable[[datetime], Any]]] = {
    "naive": ("TIMESTAMP", lambda instant: instant.replace(tzinfo=None)),
    "text": ("TEXT", lambda instant: instant.strftime("%Y-%m-%d %H:%M:%S.%f")),
    "epoch_s": ("BIGINT", lambda instant: epoch_us(instant) // 1_000_000),
    "epoch_ms": ("BIGINT", lambda instant: epoch_us(instant) // 1_000),
    "epoch_us": ("BIGINT", epoch_us),
}


def _columns(time: str) -> str:
    types = {"created_at": TIMES[time][0], "stream": "BOOLEAN", **dict.fromkeys(_TEXT, "TEXT")}
    return ", ".join(f'"{name}" {types.get(name, "BIGINT")}' for name in STORED_FIELDS)


def _foreign_rows(records: Sequence[Record], time: str) -> list[tuple[Any, ...]]:
    as_stored = TIMES[time][1]
    return [
        tuple(as_stored(entry[name]) if name == "created_at" else entry[name] for name in STORED_FIELDS)
        for entry in records
    ]


def sqlite_table(path: Path, records: Sequence[Record], time: str) -> None:
    """A gateway's SQLite file with a table `log_records` of these records, instead of any that was there."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE IF EXISTS log_records")
    connection.execute(f"CREATE TABLE log_records ({_columns(time)})")
    marks = ", ".join("?" * len(STORED_FIELDS))
    connection.executemany(f"INSERT INTO log_records VALUES ({marks})", _foreign_rows(records, time))
    connection.commit()
    connection.close()


def postgres_table(url: str, records: Sequence[Record], time: str) -> None:
    """A gateway's PostgreSQL with a table `log_records` of these records, instead of any that was there."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS log_records")
        connection.execute(f"CREATE TABLE log_records ({_columns(time)})".encode())
        marks = ", ".join(["%s"] * len(STORED_FIELDS))
        rows = _foreign_rows(records, time)
        if rows:
            connection.cursor().executemany(f"INSERT INTO log_records VALUES ({marks})".encode(), rows)


def relation(time: str = "naive", fields: Iterable[str] = (*STRING_FIELDS, *MEASURE_FIELDS)) -> Relation:
    """The relation over such a table, whose records keep our rules."""
    kinds = dict.fromkeys(STRING_FIELDS, "text") | dict.fromkeys(MEASURE_FIELDS, "int")
    return Relation(
        origin="log_records",
        time_column="created_at",
        time=time,
        fields=tuple((name, f'"{name}"') for name in fields),
        columns=(
            ("created_at", "int" if time.startswith("epoch") else time),
            *((name, kinds[name]) for name in fields),
        ),
        checked=True,
    )


def fetch(book: Book, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the book's own database."""
    with book._engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql))]


def tamper(book: Book, *statements: str) -> None:
    """Does to the book's database what no tallybook would, as its owner: the guards come down first."""
    with book._engine.connect().execution_options(writes=True) as connection, connection.begin():
        _take_guards_down(connection)
        for statement in statements:
            connection.execute(sa.text(statement))


def _take_guards_down(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        names = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
        down = [f"DROP TRIGGER {name}" for name in names]
    else:
        down = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in GUARDED]
    for statement in down:
        connection.execute(sa.text(statement))


def facts(book: Book) -> list[tuple[str, str, int]]:
    """(day, state, records) of every closing, in order of sequence."""
    return [(str(closing.day), closing.state, closing.records) for closing in book.closings()]


def pick(row: Mapping[str, Any], names: str) -> list[Any]:
    """The named values of a row, in order."""
    return [row[name] for name in names.split()]


def delete_days(logs: LogStore, *days: date) -> int:
    """Takes the records of the days out of the logs, as pruning does; answers how many there were."""
    deleted = logs.delete_days(date(2100, 1, 1), lambda day, _: None if day in days else "another day")
    return sum(deleted.records.values())


def days_read(keeper: Any, monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """The days that our own logs are asked for from now on."""
    read: list[date] = []
    contents = keeper.logs.contents

    def noting(days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        read.extend(days)
        return contents(days, slicing)  # type: ignore[no-any-return]

    monkeypatch.setattr(keeper.logs, "contents", noting)
    return read
