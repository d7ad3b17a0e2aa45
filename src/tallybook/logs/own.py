"""Our own logs: what the rest asks of them, whichever database keeps them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

import duckdb
import pyarrow as pa

from tallybook.logs.archive import Archive
from tallybook.logs.columns import STORED_SCHEMA
from tallybook.logs.pruning import Deleted, OnDelete, WhyKeep, tell_nobody
from tallybook.source import Source

LOCAL = "local"
"""The name under which they are a source."""

COLUMN_LIST = ", ".join(f'"{name}"' for name in STORED_SCHEMA.names)
FIRST_OF_ITS_REQUEST = (
    "(request_id IS NULL OR row_number() OVER (PARTITION BY request_id, status_code ORDER BY position) = 1)"
)
"""Of the rows of an import's `incoming`, in DuckDB's SQL."""

IMPORTING = "an import is running"


@dataclass(frozen=True)
class Appended:
    """What became of the rows: which of them, by position, were duplicates."""

    accepted: int
    duplicates: frozenset[int]


@dataclass(frozen=True)
class Origin:
    """What was brought in whole: its content, the name it had, how it was read, how many records it has."""

    content_sha256: str
    file: str
    reading: str
    records: int
    imported_at: datetime


class OwnLogs(Source, Protocol):
    """The open log database, and as such the source named `local`. Thread-safe. Faults are raised as `LogsError`."""

    def append(self, table: pa.Table, now: datetime) -> Appended:
        """Stores the records that are not there yet, in one durable transaction; columns as in `STORED_SCHEMA`.

        A record is a duplicate of one stored, or earlier in the table, of the same `request_id` and `status_code`.
        """

    def has_records(self) -> bool:
        """Whether there is any record; always asked of the database, so that it also tells whether that answers."""

    def counts(self) -> dict[date, int]:
        """How many records there now are on each day that has any."""

    def importing(self) -> AbstractContextManager[None]:
        """While this lasts no day is closed, by whichever server: it might be half filled."""

    def desk(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A DuckDB in which a file is read into a table `incoming`, checked and changed, before it is brought in."""

    def bring_in(self, desk: duckdb.DuckDBPyConnection, origin: Origin) -> int | None:
        """Stores the desk's `incoming`, whole or not at all, and answers how many of its records were not there yet.

        None where the same content has been brought in meanwhile.
        """

    def find_import(self, content_sha256: str) -> Origin | None:
        """What is remembered of this content, if it was ever brought in."""

    def note_import(self, content: str, records: int, now: datetime) -> None:
        """Remembers something that was brought in whole, by a name of its own."""

    def holds_import(self, content: str) -> bool:
        """Whether this content was ever brought in."""

    def delete_days(
        self,
        before: date,
        why_keep: WhyKeep,
        archive: Archive | None = None,
        on_delete: OnDelete = tell_nobody,
    ) -> Deleted:
        """Deletes the records of each day before `before` for which `why_keep` has no reason against it, day by day.

        Before they go they are written to the archive, if there is one, and then `on_delete` is told; where either
        fails that day and all after it stay as they are. A record that arrives meanwhile is not deleted unseen.
        """

    def close(self) -> None:
        """Lets go of the database, after the writer at work has finished."""


def naive_utc(instant: datetime) -> datetime:
    """The instant as DuckDB's TIMESTAMP has it: in UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)
