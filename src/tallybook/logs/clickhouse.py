"""Our own logs in ClickHouse, for more records than a PostgreSQL should keep.

ClickHouse has neither transactions over several inserts nor unique indexes. What is promised rests on three things: a
block of records is stored whole or not at all; of rows with the same time and key one alone is ever read; and before a
server stores records it looks for them among all that is stored. So a record that is sent again counts once, unless two
servers get it in the same moment, with two different times. Rows are deleted by the batches in which they were counted,
so that none goes unseen.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError

from tallybook.content import DayContent
from tallybook.days import ONE_DAY, day_of, midnight
from tallybook.errors import LogsError, first_line
from tallybook.logs.archive import ROWS_AT_ONCE, Archive
from tallybook.logs.columns import PRICED_BY, STORED_SCHEMA
from tallybook.logs.desk import private_desk
from tallybook.logs.heartbeat import beating
from tallybook.logs.identities import find_repeated, keys_of
from tallybook.logs.own import COLUMN_LIST, FIRST_OF_ITS_REQUEST, IMPORTING, LOCAL, Appended, Origin, naive_utc
from tallybook.logs.pruning import Deleted, OnDelete, Pruning, WhyKeep, tell_nobody
from tallybook.measures import Totals
from tallybook.source import Slicing, Source
from tallybook.sources.engines.clickhouse import be_patient, connect_to
from tallybook.sources.urls import SourceUrl

RECORDS = "tallybook_log_records"
"""Our tables' names begin with ours: a gateway that shares the database may have a table `log_records`, too."""

BESIDE = "tallybook_incoming_"
BROUGHT_AT_ONCE = 100_000
COUNTED_FOR_S = 10.0
"""How long the numbers of records by day are told before they are counted anew: to count them is to read all keys."""

PATIENCE_S = 300
"""How long a statement may take: to delete a day is to write anew the parts that have records of it."""

BEAT_S, DEAD_S = 10, 60
"""An import tells so often that it still runs; one that has not for so long has died with its server."""

_TYPES = {
    "created_at": "DateTime64(6, 'UTC')",
    "model_name": "LowCardinality(String)",
    "status_code": "Nullable(Int16)",
    "request_id": "Nullable(String)",
    "stream": "Nullable(Bool)",
}
_OTHER_TYPES = {pa.string(): "LowCardinality(Nullable(String))", pa.int64(): "Nullable(Int64)"}
_COLUMNS = ", ".join(
    f'"{field.name}" {_TYPES[field.name] if field.name in _TYPES else _OTHER_TYPES[field.type]}'
    for field in STORED_SCHEMA
)
_DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"
_MAKE = (
    f"CREATE TABLE IF NOT EXISTS {RECORDS} "
    f"({_COLUMNS}, key UInt64, batch UInt64, arrived_at DateTime64(6, 'UTC')) "
    f"ENGINE = ReplacingMergeTree ORDER BY (created_at, key) SETTINGS {_DURABLE}",
    "CREATE TABLE IF NOT EXISTS tallybook_imports "
    "(content_sha256 String, file String, reading String, records Int64, imported_at DateTime64(6, 'UTC')) "
    f"ENGINE = ReplacingMergeTree ORDER BY content_sha256 SETTINGS {_DURABLE}",
    "CREATE TABLE IF NOT EXISTS tallybook_imports_running "
    "(id UUID, beat_at DateTime64(3, 'UTC'), over Bool) ENGINE = ReplacingMergeTree(beat_at) ORDER BY id",
)
_SETTINGS = {
    "session_timezone": "UTC",
    "async_insert": 0,
    "mutations_sync": 2,
    "max_query_size": 64 << 20,
    "max_ast_elements": 10_000_000,
    "max_insert_block_size": 1_048_576,
}
"""A statement that asks for a hundred thousand keys is long."""

_TO_BRING_IN = f"SELECT {COLUMN_LIST}, position FROM incoming QUALIFY {FIRST_OF_ITS_REQUEST} ORDER BY created_at"  # noqa: S608


class ClickHouseLogs:
    """Our own logs in a ClickHouse. Thread-safe: within this process writers take turns."""

    name = LOCAL

    def __init__(self, url: SourceUrl) -> None:
        self._url = url
        self._writing = threading.Lock()
        self._writer: Any = None
        self._counted: tuple[float, dict[date, int]] | None = None

    @classmethod
    def open(cls, url: SourceUrl) -> ClickHouseLogs:
        """Opens the logs in the URL's database, and makes their tables where there are none."""
        logs = cls(url)
        with logs._session() as client:
            for statement in _MAKE:
                client.command(statement)
        logs._drop_left_behind()
        return logs

    def _drop_left_behind(self) -> None:
        """What stands beside the logs while no import runs is of one that died."""
        beside = self._rows(
            f"SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{BESIDE}')"  # noqa: S608
        )
        if beside and not self.busy():
            with self._session() as client:
                for (name,) in beside:
                    self._drop(client, name)

    def _drop(self, client: Any, table: str) -> None:
        client.command(f"DROP TABLE IF EXISTS {table}")

    def close(self) -> None:
        with self._writing:
            self._let_go()

    def append(self, table: pa.Table, now: datetime) -> Appended:
        """One block, which is stored whole or not at all, and on disk before this returns."""
        if not len(table):
            return Appended(0, frozenset())
        with self._writing, self._writing_session() as client:
            keys = keys_of(table, uuid.uuid4().bytes)
            duplicates = find_repeated(table, self._stored(client, table, keys))
            self._insert(client, RECORDS, table, keys, duplicates, now)
        return Appended(len(table) - len(duplicates), duplicates)

    def _stored(self, client: Any, table: pa.Table, keys: np.ndarray[Any, Any]) -> set[tuple[str, int | None]]:
        """Which of the table's ids and statuses are stored, and perhaps others with such a key."""
        asked = keys[table["request_id"].is_valid().to_numpy()]
        if not len(asked):
            return set()
        listed = ",".join(map(str, asked.tolist()))
        query = f"SELECT request_id, status_code FROM {RECORDS} WHERE key IN ({listed}) AND request_id IS NOT NULL"  # noqa: S608
        return set(client.query(query).result_rows)

    def _insert(
        self,
        client: Any,
        target: str,
        table: pa.Table,
        keys: np.ndarray[Any, Any],
        left_out: frozenset[int],
        now: datetime,
    ) -> None:
        batch = np.full(len(table), np.uint64(uuid.uuid4().int >> 64))
        arrived_at = pa.repeat(pa.scalar(naive_utc(now), pa.timestamp("us")), len(table))
        rows = (
            table.select(STORED_SCHEMA.names)
            .append_column("key", pa.array(keys))
            .append_column("batch", pa.array(batch))
            .append_column("arrived_at", arrived_at)
        )
        kept = np.ones(len(table), np.bool_)
        kept[list(left_out)] = False
        if kept.any():
            client.insert_arrow(target, rows.filter(kept).combine_chunks())
            self._counted = None

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While this lasts a row says so, with the time of its last beat; without it an import is held for dead."""
        name = uuid.uuid4()

        def beat(over: bool = False) -> None:
            with self._session() as client:
                client.command(f"INSERT INTO tallybook_imports_running SELECT '{name}', now64(3), {over}")

        beat()
        try:
            with beating(beat, BEAT_S):
                yield
        finally:
            beat(over=True)

    def desk(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return private_desk()

    def bring_in(self, desk: duckdb.DuckDBPyConnection, origin: Origin) -> int:
        """Fills a table beside the logs', and attaches what it holds at once; records have the keys of the content.

        Where two servers bring in the same content, or one dies before it is remembered, the keys are the same.
        """
        beside, accepted = f"{BESIDE}{uuid.uuid4().hex}", 0
        with self._session() as client:
            client.command(f"CREATE TABLE {beside} AS {RECORDS}")
            try:
                for batch in desk.sql(_TO_BRING_IN).to_arrow_reader(BROUGHT_AT_ONCE):
                    accepted += self._lay_beside(client, beside, pa.Table.from_batches([batch]), origin)
                if accepted:
                    client.command(f"ALTER TABLE {RECORDS} ATTACH PARTITION tuple() FROM {beside}")
            finally:
                self._drop(client, beside)
            _remember(client, origin)
        return accepted

    def _lay_beside(self, client: Any, beside: str, rows: pa.Table, origin: Origin) -> int:
        keys = keys_of(rows, bytes.fromhex(origin.content_sha256), rows["position"].to_pylist())
        duplicates = find_repeated(rows, self._stored(client, rows, keys))
        self._insert(client, beside, rows, keys, duplicates, origin.imported_at)
        return len(rows) - len(duplicates)

    def find_import(self, content_sha256: str) -> Origin | None:
        query = "SELECT * FROM tallybook_imports FINAL WHERE content_sha256 = {content:String}"
        with self._session() as client:
            rows = client.query(query, parameters={"content": content_sha256}).result_rows
        if not rows:
            return None
        found = Origin(*rows[0])
        return replace(found, imported_at=found.imported_at.replace(tzinfo=UTC))

    def note_import(self, content: str, records: int, now: datetime) -> None:
        with self._session() as client:
            _remember(client, Origin(content, content, "", records, now))

    def holds_import(self, content: str) -> bool:
        return self.find_import(content) is not None

    def imports_begun(self) -> int:
        return int(self._value("SELECT uniqExact(id) FROM tallybook_imports_running"))

    def busy(self) -> str | None:
        running = (
            "SELECT count() FROM tallybook_imports_running FINAL "  # noqa: S608 - a constant
            f"WHERE NOT over AND beat_at > now64(3) - INTERVAL {DEAD_S} SECOND"
        )
        return IMPORTING if self._value(running) else None

    def has_records(self) -> bool:
        return bool(self._rows(f"SELECT 1 FROM {RECORDS} LIMIT 1"))  # noqa: S608

    def first_day(self) -> date | None:
        rows = self._rows(f"SELECT created_at FROM {RECORDS} ORDER BY created_at LIMIT 1")  # noqa: S608
        return day_of(rows[0][0].replace(tzinfo=UTC)) if rows else None

    def known_first_day(self) -> date | None:
        return self.first_day()

    def counts(self) -> dict[date, int]:
        """As of at most `COUNTED_FOR_S` ago, but for what this server has written since."""
        if self._counted is None or time.monotonic() - self._counted[0] > COUNTED_FOR_S:
            query = f"SELECT toDate(created_at) AS day, count() FROM {RECORDS} FINAL GROUP BY day ORDER BY day"  # noqa: S608
            self._counted = (time.monotonic(), dict(self._rows(query)))
        return dict(self._counted[1])

    def arrived_at(self, day: date) -> datetime | None:
        return self._last_arrival(_within(day))

    def arrived_before(self, day: date) -> datetime | None:
        return self._last_arrival(f"created_at < {_instant(day)}")

    def _last_arrival(self, condition: str) -> datetime | None:
        rows = self._rows(f"SELECT max(arrived_at) FROM {RECORDS} WHERE {condition} HAVING count() > 0")  # noqa: S608
        return rows[0][0].replace(tzinfo=UTC) if rows else None

    def price_versions(self, day: date) -> tuple[str, ...]:
        query = f"SELECT DISTINCT {PRICED_BY} FROM {RECORDS} WHERE {_within(day)} AND {PRICED_BY} IS NOT NULL"  # noqa: S608
        return tuple(sorted(version for (version,) in self._rows(query)))

    @property
    def days_per_read(self) -> int:
        return self._table().days_per_read

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        yield from self._table().contents(days, slicing)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self._table().totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self._table().hours(day)

    def _table(self) -> Source:
        from tallybook.sources.own import clickhouse_table  # noqa: PLC0415 - as for the DuckDB file

        return clickhouse_table(self._url, RECORDS)

    def delete_days(
        self,
        before: date,
        why_keep: WhyKeep,
        archive: Archive | None = None,
        on_delete: OnDelete = tell_nobody,
    ) -> Deleted:
        """The day's batches are listed before its totals are read: what arrives meanwhile is of another batch."""
        pruning = Pruning(self.name, why_keep, archive, on_delete)
        for day in [day for day in self.counts() if day < before]:
            listed = self._listed(day)
            (totals,) = self.totals([day])
            if pruning.releases(day, totals, partial(self._records_of, listed)):
                with self._session() as client:
                    client.command(f"ALTER TABLE {RECORDS} DELETE WHERE {listed}")
        self._counted = None
        return pruning.deleted

    def _listed(self, day: date) -> str:
        """The condition that holds for the day's records that are there now, and for none that is still to come."""
        batches = self._rows(f"SELECT DISTINCT batch FROM {RECORDS} WHERE {_within(day)}")  # noqa: S608
        return f"{_within(day)} AND batch IN ({', '.join(str(batch) for (batch,) in batches)})"

    def _records_of(self, listed: str) -> Iterator[pa.RecordBatch]:
        """The records for which the condition holds, read as they are asked for."""
        query = f"SELECT {COLUMN_LIST} FROM {RECORDS} FINAL WHERE {listed}"  # noqa: S608
        with self._session() as client, client.query_arrow_stream(query, use_strings=True) as tables:
            for table in tables:
                yield from pa.table(table).to_batches(ROWS_AT_ONCE)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._session() as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]

    @contextmanager
    def _writing_session(self) -> Iterator[Any]:
        """One client for all that is appended, as opening one takes as long as a small batch; a fault ends it."""
        try:
            with self._errors():
                if self._writer is None:
                    self._writer = self._connect()
                yield self._writer
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _connect(self) -> Any:
        client = connect_to(self._url.expanded(), _SETTINGS)
        be_patient(client, PATIENCE_S)
        return client

    @contextmanager
    def _session(self) -> Iterator[Any]:
        with self._errors():
            client = self._connect()
            try:
                yield client
            finally:
                client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ClickHouseError, OSError) as error:
            message = f"The logs' ClickHouse failed: {first_line(error)}."
            raise LogsError(
                self._url.scrub(message), "Check --logs, and that it is up; the book is not touched."
            ) from None


def _remember(client: Any, origin: Origin) -> None:
    row = [origin.content_sha256, origin.file, origin.reading, origin.records, origin.imported_at]
    client.insert("tallybook_imports", [row])


def _instant(day: date) -> str:
    return f"toDateTime64('{midnight(day):%Y-%m-%d %H:%M:%S}', 6, 'UTC')"


def _within(day: date) -> str:
    return f"created_at >= {_instant(day)} AND created_at < {_instant(day + ONE_DAY)}"
