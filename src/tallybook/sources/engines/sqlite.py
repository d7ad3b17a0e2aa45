"""SQLite: hands rows over, since it sorts to group.

Handing the selected columns over as Arrow to a DuckDB in this process takes less than half the time of grouping in
SQLite. Where an index keeps each to its own part of the window, several connections read at once.

The file is opened by the driver's SQLite alone, and never by Python's: a process's locks on a file are one set, so that
two libraries in it let go of each other's, and a gateway would write over what is being read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi
import duckdb

from tallybook.days import ONE_DAY
from tallybook.errors import SourceFault
from tallybook.measures import Totals
from tallybook.sources.engines.desk import Desk, desk
from tallybook.sources.engines.engine import ROW_DAYS, check_file, connecting, engine_errors
from tallybook.sources.groupings import Groupings
from tallybook.sources.portable import quote
from tallybook.sources.relation import Edges, Relation, Window, window_of

SAMPLE_ROWS = 200
READERS = min(4, os.cpu_count() or 1)
STEADY_TRIES = 20
_BATCHED = {"adbc.sqlite.query.batch_rows": "16384"}
_WITNESS = {"int": "0", "float": "0.0"}
_NO_TEXT = "''"
_KIND_OF_VALUE = {"integer": "int", "real": "float", "text": "text"}


@dataclass(frozen=True)
class SQLite:
    """Log records in a SQLite file, opened to read only."""

    path: Path
    title: str = "SQLite"
    dialect: str = "sqlite"
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
        window = window_of(edges)
        split = not self.scans_all(relation, window)
        with desk(relation, edges) as laid, _sqlite_errors():
            with self._same_snapshot(READERS if split else 1) as sources:
                _hand_over(sources, laid, _selects(relation, window, len(sources)))
            yield laid

    def describe(self, origin: str) -> dict[str, str]:
        with self._look() as look:
            look.execute(f"SELECT * FROM {origin} LIMIT 0")
            names = [column[0] for column in look.description]
            types = ", ".join(f'typeof("{name}")' for name in names)
            look.execute(f"SELECT {types} FROM {origin} LIMIT {SAMPLE_ROWS}")
            sample = look.fetchall()
            declared = _declared_types(look, origin)
        found = {name: _kind({row[place] for row in sample}) for place, name in enumerate(names)}
        return {name: kind or _kind_of_type(declared.get(name, "")) for name, kind in found.items()}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._look() as look:
            look.execute(sql)
            return list(look.fetchall())

    def scans_all(self, relation: Relation, window: Window) -> bool:
        plan = self.rows(f"EXPLAIN QUERY PLAN {relation.select_columns(self.dialect, window)}")
        return not any(f"({relation.time_column}>" in detail or "(rowid>" in detail for *_, detail in plan)

    @contextmanager
    def _look(self) -> Iterator[Any]:
        """A cursor for small questions."""
        with self._uri() as uri, _sqlite_errors(), _connected(uri) as connection, connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def _same_snapshot(self, count: int) -> Iterator[list[Any]]:
        """Connections that all see the file at the same moment; one alone where others write too often for more.

        Each has begun to read, and a watcher that has not tells whether anyone has committed meanwhile.
        """
        with self._look() as watcher, self._uri() as uri:
            for _ in range(STEADY_TRIES):
                with ExitStack() as stack:
                    before = _version(watcher)
                    sources = [stack.enter_context(_begun(uri)) for _ in range(count)]
                    if count == 1 or _version(watcher) == before:
                        yield sources
                        return
            with _begun(uri) as source:
                yield [source]

    @contextmanager
    def _uri(self) -> Iterator[str]:
        """The file's URI, to read only. One in WAL mode that nobody has open is read as it lies.

        SQLite would else make the two files that belong to that mode, and leave them behind, or fail where it may not.
        Nothing keeps the owner from writing meanwhile, so that is looked for at the end.
        """
        check_file(self.path)
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        with connecting("SQLite", OSError):
            before, is_at_rest = _stamp(self.path), _is_at_rest(self.path)
        if not is_at_rest:
            yield uri
            return
        yield f"{uri}&immutable=1"
        if _stamp(self.path) != before:
            raise SourceFault(f"{self.path} was written while it was read.", "It is tried again.")


PATIENCE_MS = 5_000
_WRAPPED = re.compile(r"^[A-Z_]+: (\[SQLite\] )?(failed to \w+ query: )?", re.IGNORECASE)


class _Refused(Exception):
    """What SQLite itself said, without what its driver puts before it."""


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    with engine_errors("SQLite", _Refused, duckdb.Error):
        try:
            yield
        except adbc_driver_sqlite.dbapi.Error as error:
            raise _Refused(_WRAPPED.sub("", str(error))) from error


@contextmanager
def _connected(uri: str) -> Iterator[Any]:
    """A connection that waits a while for a writer that keeps everybody out, as without WAL each does."""
    with connecting("SQLite", adbc_driver_sqlite.dbapi.Error):
        connection = adbc_driver_sqlite.dbapi.connect(uri)
    with connection:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
            cursor.fetchall()
        yield connection


@contextmanager
def _begun(uri: str) -> Iterator[Any]:
    """A connection that has begun to read."""
    with _connected(uri) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM sqlite_master")
            cursor.fetchall()
        yield connection


_IN_WAL_MODE = b"\x02\x02"
"""The bytes 18 and 19 of such a file."""


def _is_at_rest(path: Path) -> bool:
    return not path.with_name(f"{path.name}-wal").exists() and _is_in_wal_mode(path, path.stat().st_ino)


@lru_cache(maxsize=256)
def _is_in_wal_mode(path: Path, inode: int) -> bool:  # noqa: ARG001 - another file of that name is asked anew
    """Asked once, before anything else: whoever closes a file lets go of all locks that the process has on it."""
    with path.open("rb") as file:
        return file.read(20)[18:] == _IN_WAL_MODE


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _version(watcher: Any) -> int:
    watcher.execute("PRAGMA data_version")
    return int(watcher.fetchall()[0][0])


def _selects(relation: Relation, window: Window, count: int) -> list[str]:
    """The window's rows in parts that no row is in two of.

    Of text a day more is read on both sides, since its offset may put it anywhere in there; the outer parts read that
    too, and all leave out at once what has no offset and therefore lies where it says.
    """
    start, end = window
    more = ONE_DAY if relation.time == "text" else timedelta(0)
    inner = [start + place * (end - start) // count for place in range(1, count)]
    parts = pairwise([start - more, *inner, end + more])
    selects = [relation.select_columns("sqlite", (first + more, last - more)) for first, last in parts]
    if relation.time != "text":
        return selects
    near = _NEAR.format(column=quote(relation.time_column, "sqlite"), first=start.date(), last=end.date())
    return [f"SELECT * FROM ({select}) WHERE {near}" for select in selects]


_NEAR = "({column} >= '{first}' AND {column} < '{last}' OR {column} GLOB '*[^-0-9 T:.Z]*' OR {column} GLOB '*-*-*-*')"
"""Whether text lies within the days, or has an offset, as `+08:00`, `-0300` or ` CET`."""


def _hand_over(sources: Sequence[Any], laid: Desk, selects: Sequence[str]) -> None:
    columns = [f'"{name}"' for name, _ in laid.relation.columns]

    def read(source: Any, select: str) -> None:
        with source.cursor(adbc_stmt_kwargs=_BATCHED) as cursor:
            cursor.execute(_with_witness(laid.relation, select))
            laid.lay(cursor.fetch_record_batch(), columns, "NOT witness")

    with ThreadPoolExecutor(len(sources)) as pool:
        for reading in [pool.submit(read, source, select) for source, select in zip(sources, selects, strict=True)]:
            reading.result()


def _with_witness(relation: Relation, selected: str) -> str:
    """The statement with a first row that has a value in each column.

    SQLite has no column types and the driver takes them from the first rows: a column that is null there and text
    later would be read wrongly.
    """
    values = ", ".join(f'{_WITNESS.get(kind, _NO_TEXT)} AS "{name}"' for name, kind in relation.columns)
    return f"SELECT {values}, 1 AS witness UNION ALL SELECT *, 0 FROM ({selected})"


def _kind(types: set[str]) -> str | None:
    """The kind of a column from its values; None where all are null."""
    known = {_KIND_OF_VALUE.get(name, "other") for name in types - {"null"}}
    if known == {"int", "float"}:
        return "float"
    if not known:
        return None
    return known.pop() if len(known) == 1 else "text"


def _declared_types(look: Any, origin: str) -> dict[str, str]:
    """The columns' types as the table declares them; values need not heed them, so they only tell what to expect."""
    if origin.startswith("("):
        return {}
    _, _, table = origin.rpartition(".")
    look.execute(f"PRAGMA table_info({table})")
    return {name: kind for _, name, kind, *_ in look.fetchall()}


def _kind_of_type(declared: str) -> str:
    """What SQLite itself makes of a declared type: `BIGINT` holds INT, `VARCHAR(64)` CHAR."""
    parts = {"INT": "int", "CHAR": "text", "TEXT": "text", "REAL": "float", "FLOA": "float", "DOUB": "float"}
    return next((kind for part, kind in parts.items() if part in declared.upper()), "unknown")
