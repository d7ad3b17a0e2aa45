"""Every statement of a writer fails once, before it has an effect; a COMMIT also after it; and the process dies there.

Whatever the writer is told, nothing is half-written, the book is intact and guarded, and doing the same again ends where
a run that never failed ends.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import duckdb
import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine.default import DefaultDialect

from reliability.figures import report
from stories import NOW, TODAY, YESTERDAY, put, record
from tallybook.adjusting import adjust_day
from tallybook.book.engine import create_engine, parse_book_url, writing
from tallybook.book.ledger import Book
from tallybook.book.migrate import HEAD, KNOWN_REVISIONS, MIGRATIONS
from tallybook.errors import TallybookError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.pruning import prune
from tallybook.source import DEFAULT_SLICING, Slicing
from tallybook.verification import verify_book

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LATER = NOW + timedelta(hours=5)
EMPTY_DAY = date(2026, 11, 21)
ERRORS: dict[str, Callable[[str], Exception]] = {
    "sqlite": lambda sql: sqlite3.OperationalError(f"disk I/O error at {sql[:20]}"),
    "postgresql": lambda sql: psycopg.OperationalError(f"server closed the connection at {sql[:20]}"),
}


class Died(BaseException):
    """The process died: nothing may catch it."""


@dataclass
class Failing:
    """Fails at a point: a statement, a COMMIT, or just after one, of the book and of the logs, while this lasts."""

    point: int = 0
    dies: bool = False
    seen: int = 0
    _undone: list[Callable[[], None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement)
        self._undone.append(partial(sa.event.remove, sa.Engine, "before_cursor_execute", self._statement))
        self._wrap_commits()
        self._wrap_logs()
        return self

    def __exit__(self, *_: object) -> None:
        for undo in reversed(self._undone):
            undo()

    def _statement(self, connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        """The error is as the driver would raise it, in the dress that SQLAlchemy gives it."""
        if self._strikes():
            raise Died if self.dies else sa.exc.OperationalError(sql, {}, ERRORS[connection.dialect.name](sql))

    def _strikes(self) -> bool:
        self.seen += 1
        return self.seen == self.point

    def _wrap_commits(self) -> None:
        do_commit: Any = DefaultDialect.do_commit

        def commit(dialect: Any, connection: Any) -> None:
            """Twice a point: before it, and when it is done and the caller hears otherwise."""
            self._commit(dialect)
            do_commit(dialect, connection)
            self._commit(dialect)

        DefaultDialect.do_commit = commit  # type: ignore[method-assign]
        self._undone.append(partial(setattr, DefaultDialect, "do_commit", do_commit))

    def _commit(self, dialect: Any) -> None:
        if self._strikes():
            raise Died if self.dies else ERRORS[dialect.name]("COMMIT")

    def _wrap_logs(self) -> None:
        connect: Any = LogStore.connect
        LogStore.connect = lambda store: _Connection(connect(store), self)  # type: ignore[method-assign, assignment, return-value]
        self._undone.append(partial(setattr, LogStore, "connect", connect))

    def in_logs(self, sql: str) -> None:
        """What the logs execute."""
        if self._strikes():
            raise Died if self.dies else duckdb.IOException(f"IO Error: disk failed at {sql[:20]}")


@dataclass
class _Connection:
    """A connection to the logs, each of whose statements can fail; undoing cannot."""

    connection: Any
    failing: Failing

    def execute(self, sql: str, *values: Any) -> Any:
        if sql != "ROLLBACK":
            self.failing.in_logs(sql)
        done = self.connection.execute(sql, *values)
        if sql == "COMMIT":
            self.failing.in_logs(sql)
        return done

    def __enter__(self) -> Self:
        self.connection.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self.connection.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@dataclass
class Place:
    """Where copies of one beginning are made: a book and logs, each time as they were."""

    dialect: str
    url: str
    folder: Path
    server: str = ""
    _number: int = 0

    @property
    def logs(self) -> Path:
        return self.folder / "logs.duckdb"

    @contextmanager
    def copy(self) -> Iterator[Place]:
        """A copy of book and logs, which goes at the end."""
        self._number += 1
        folder = self.folder / f"copy{self._number}"
        folder.mkdir()
        if self.logs.exists():
            shutil.copy(self.logs, folder)
        if self.dialect == "sqlite":
            for file in self.folder.glob("book.sqlite*"):
                shutil.copy(file, folder)
            yield Place("sqlite", f"sqlite:///{folder}/book.sqlite", folder)
        else:
            name = f"{self.url.partition('?')[0].rpartition('/')[2]}_{self._number}"
            template = self.url.partition("?")[0].rpartition("/")[2]
            self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
            yield Place("postgresql", self.server.replace("/postgres?", f"/{name}?"), folder)
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(folder)

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.encode())

    @contextmanager
    def opened(self) -> Iterator[tuple[Book, LogStore]]:
        book, logs = Book.open(self.url, NOW), LogStore.open(self.logs)
        try:
            yield book, logs
        finally:
            logs.close()
            book.close()

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, its schema and the records that are left in the logs."""
        engine = create_engine(parse_book_url(self.url))
        with engine.connect() as connection:
            names = sa.inspect(connection).get_table_names()
            found = {name: _rows(connection, name) for name in sorted(names)}
        engine.dispose()
        if self.logs.exists():
            with duckdb.connect(self.logs) as logs:
                found["in logs"] = logs.execute(
                    "SELECT created_at, model_name FROM log_records ORDER BY ALL"
                ).fetchall()
        return {name: [_named_from(self.folder, row) for row in rows] for name, rows in found.items()}


def _rows(connection: sa.Connection, table: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in connection.execute(sa.text(f'SELECT * FROM "{table}"'))), key=repr)


def _named_from(folder: Path, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row, with the names of archived files from the folder on."""
    return tuple(value.removeprefix(str(folder)) if isinstance(value, str) else value for value in row)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place on either database."""
    if request.param == "sqlite":
        return Place("sqlite", f"sqlite:///{tmp_path}/book.sqlite", tmp_path)
    url, server = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_server")
    return Place("postgresql", url, tmp_path, server)


Act = Callable[[Book, LogStore, Path], Any]


def close(day: date) -> Act:
    def act(book: Book, logs: LogStore, _: Path) -> None:
        (result,) = DailyStatsJob(book, [logs]).close(day, NOW)
        if result.outcome == "failed":
            raise TallybookError(result.reason or "")

    return act


def adjust(book: Book, logs: LogStore, _: Path) -> None:
    adjust_day(book, logs, YESTERDAY, LATER, DEFAULT_SLICING)


def prune_all(book: Book, logs: LogStore, _: Path) -> None:
    prune(book, logs, TODAY, LATER, Slicing(), None)


def prune_into_archive(book: Book, logs: LogStore, folder: Path) -> None:
    prune(book, logs, TODAY, LATER, Slicing(), folder / "archive")


@dataclass(frozen=True)
class Writer:
    """What is done to a book in which so much has been done before."""

    name: str
    before: tuple[Act, ...]
    act: Act
    late: bool = False


WRITERS = (
    Writer("closing a day", (), close(YESTERDAY)),
    Writer("closing a day without records", (close(YESTERDAY),), close(EMPTY_DAY)),
    Writer("adjusting", (close(YESTERDAY),), adjust, late=True),
    Writer("pruning", (close(date(2026, 11, 20)), close(EMPTY_DAY), close(YESTERDAY)), prune_all),
    Writer("pruning into an archive", (close(date(2026, 11, 20)), close(YESTERDAY)), prune_into_archive),
)


def begin(place: Place, writer: Writer) -> None:
    """What was there before: three records of two days, and perhaps one that came late."""
    with place.opened() as (book, logs):
        put(
            logs,
            record("11-20 09:00", "a"),
            record("11-22 10:00", "a", tokens_in=5, latency_ms=100, provider="p"),
            record("11-22 11:00", "b", 500, latency_ms=300),
        )
        for act in writer.before:
            act(book, logs, place.folder)
        if writer.late:
            put(logs, record("11-22 23:00", "c", latency_ms=5), now=LATER)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_statement_that_fails_leaves_nothing_half_written(place: Place, writer: Writer) -> None:
    begin(place, writer)
    before = place.rows()
    with place.copy() as copy:
        with copy.opened() as (book, logs), Failing() as counting:
            writer.act(book, logs, copy.folder)
        after = copy.rows()
    assert after != before
    faults = 0
    for point in range(1, counting.seen + 1):
        for dies in (False, True):
            faults += 1
            with place.copy() as copy:
                _fail_and_go_on(copy, writer, Failing(point, dies), before, after)
    where = f"{writer.name}, {place.dialect}"
    report(f"fail at every statement, {where}: {counting.seen} points, {faults} faults, 0 half-written")


def _fail_and_go_on(
    place: Place, writer: Writer, failing: Failing, before: dict[str, Any], after: dict[str, Any]
) -> None:
    with place.opened() as (book, logs), suppress(Died, TallybookError), failing:
        writer.act(book, logs, place.folder)
    assert failing.seen >= failing.point
    _check_whole(place.rows(), before, after)
    with place.opened() as (book, logs):
        assert verify_book(book).verdict == "intact"
        assert book.missing_guards() == []
        writer.act(book, logs, place.folder)
        assert verify_book(book).verdict == "intact"
    assert place.rows() == after


def _check_whole(rows: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    """A transaction is there or it is not; days are pruned one by one, each noted before its records go."""
    entries = {name: found for name, found in rows.items() if name not in ("prunings", "in logs")}
    assert entries in [{name: state[name] for name in entries} for state in (before, after)]
    assert set(before["prunings"]) <= set(rows["prunings"]) <= set(after["prunings"])
    assert set(after["in logs"]) <= set(rows["in logs"]) <= set(before["in logs"])
    pruned = {day for _, day, *_ in rows["prunings"]}
    gone = {str(instant.date()) for instant, _ in set(before["in logs"]) - set(rows["in logs"])}
    assert gone <= pruned


EARLIER = [each for each in KNOWN_REVISIONS if each != HEAD]
MIGRATED = [
    ("sqlite", None),
    *(("sqlite", each) for each in EARLIER),
    ("postgresql", None),
    ("postgresql", EARLIER[-1]),
]
"""Those that begin later are made of the same statements as the one from nothing."""


@pytest.mark.parametrize(("place", "revision"), MIGRATED, indirect=["place"])
def test_a_migration_that_fails_leaves_the_book_as_it_was(place: Place, revision: str | None) -> None:
    if revision:
        _make_old_book(place, revision)
    before = place.rows()
    with place.copy() as copy:
        with Failing() as counting:
            Book.open(copy.url, NOW).close()
        after = _but_identity(copy.rows())
    faults = 0
    for point in range(1, counting.seen + 1):
        for dies in (False, True):
            faults += 1
            with place.copy() as copy:
                with suppress(Died, TallybookError), Failing(point, dies):
                    Book.open(copy.url, NOW).close()
                assert copy.rows() == before or _but_identity(copy.rows()) == after
                book = Book.open(copy.url, NOW)
                assert verify_book(book).verdict == "intact"
                assert book.missing_guards() == []
                book.close()
                assert _but_identity(copy.rows()) == after
    where = f"migrating from {revision or 'nothing'}, {place.dialect}"
    report(f"fail at every statement, {where}: {counting.seen} points, {faults} faults, 0 half-written")


def _make_old_book(place: Place, revision: str) -> None:
    """A book as it was at a revision: of today's, with a closed day where its tables are the same."""
    engine = create_engine(parse_book_url(place.url))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def _but_identity(rows: dict[str, Any]) -> dict[str, Any]:
    """A new book's name is drawn anew each time."""
    return {**rows, "book": len(rows["book"])}
