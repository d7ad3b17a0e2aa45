"""Opening the book's database: the only place that names a dialect."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from tallybook.errors import BookError, DamagedBook, NoBook, UsageError, first_line

BUSY_TIMEOUT_MS = 30_000
PATIENCE_S = BUSY_TIMEOUT_MS / 1_000
MIGRATION_LOCK = 0x7A11_B00C
CHAIN_LOCK = 0x7A11_C4A1
SUPPORTED_BOOKS = ("sqlite:///FILE", "postgresql://USER@HOST/DATABASE")


@dataclass(frozen=True)
class Dialect:
    """What differs between the databases that can hold a book. A driver may begin transactions by itself."""

    driver: str
    on_connect: tuple[str, ...]
    begin_read: str | None
    begin_write: str | None
    lock_migrations: str | None
    lock_chain: str | None
    check: str | None
    read_only: tuple[str, ...]


DIALECTS = {
    "sqlite": Dialect(
        driver="sqlite+pysqlite",
        on_connect=(
            f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
        ),
        begin_read="BEGIN",
        begin_write="BEGIN IMMEDIATE",
        lock_migrations=None,
        lock_chain=None,
        check="PRAGMA integrity_check(20)",
        read_only=(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",),
    ),
    "postgresql": Dialect(
        driver="postgresql+psycopg",
        on_connect=(
            "SET TIME ZONE 'UTC'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ),
        begin_read=None,
        begin_write=None,
        lock_migrations=f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
        lock_chain=f"SELECT pg_advisory_xact_lock({CHAIN_LOCK})",
        check=None,
        read_only=(
            "SET TIME ZONE 'UTC'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        ),
    ),
}

NO_SPACE = (BookError, "The disk that holds the book is full.", "Free some space; nothing was half-written.")
FAULTS = (
    ("database or disk is full", *NO_SPACE),
    ("No space left", *NO_SPACE),
    ("disk I/O error", *NO_SPACE),
    ("readonly database", BookError, "The book cannot be written.", "Check the permissions of its file and folder."),
    (
        "unable to open database file",
        BookError,
        "The book cannot be opened.",
        "Check that its folder exists and can be written.",
    ),
    (
        "not a database",
        DamagedBook,
        "The book's file is not a SQLite database.",
        "Restore it from a backup, or name another with --book.",
    ),
    ("Could not decode to UTF-8", DamagedBook, "A text in the book is damaged.", "Restore it from a backup."),
    ("no such table", NoBook, "A table of the book is not there: {told}.", "Restore it from a backup."),
    ('relation "', NoBook, "A table of the book is not there: {told}.", "Restore it from a backup."),
    (
        "permission denied",
        BookError,
        "The book's database refused: {told}.",
        "Connect as the book's writer; `tallybook migrate` needs its owner.",
    ),
    (
        "must be owner",
        BookError,
        "The book's database refused: {told}.",
        "Connect as the owner of the book's tables.",
    ),
    (
        "password authentication failed",
        BookError,
        "The book's database refused: {told}.",
        "Check the user and the password that libpq is given.",
    ),
    ("malformed", DamagedBook, "The book's file is damaged.", "Restore it from a backup."),
    ("locked", BookError, "The book is locked by another process.", "Try again when it is done."),
)


def parse_book_url(text: str) -> URL:
    """The book's URL with the driver that we use; a `UsageError` names those supported."""
    remedy = f"Use one of: {', '.join(SUPPORTED_BOOKS)}."
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UsageError("The book's URL cannot be read.", remedy) from None
    name = url.get_backend_name()
    if name not in DIALECTS or (name == "sqlite" and not url.database):
        raise UsageError(f"A book cannot be kept in {name!r}.", remedy)
    return url.set(drivername=DIALECTS[name].driver)


def create_engine(url: URL, make_folder: bool = True) -> sa.Engine:
    """An engine whose every transaction begins as the dialect says; a SQLite file's folder is made if wanted."""
    if url.get_backend_name() == "sqlite" and make_folder and not str(url.database).startswith("file:"):
        _make_folder(Path(str(url.database)).parent)
    engine = sa.create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite", pool_size=5, max_overflow=20)
    _listen(engine, DIALECTS[url.get_backend_name()].on_connect)
    return engine


def create_reader(url: URL) -> sa.Engine:
    """An engine that leaves the book, and on SQLite its folder, as they are.

    Texts that are no UTF-8 come with surrogates in them, so that one does not hide all the others. A SQLite file
    without a -wal beside it is written by nobody, and `immutable` then makes none.
    """
    opened: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite" and not str(url.database).startswith("file:"):
        file = Path(str(url.database)).absolute()
        if not file.is_file():
            raise NoBook(f"There is no book at {file}.", "Close a day first, or name another with --home or --book.")
        opened["creator"] = lambda: _open_still(file)
    engine = sa.create_engine(url, **opened)
    _listen(engine, DIALECTS[url.get_backend_name()].read_only)
    return engine


def _open_still(file: Path) -> sqlite3.Connection:
    still = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro{still}", uri=True, check_same_thread=False)
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")
    return connection


def _listen(engine: sa.Engine, on_connect: Sequence[str]) -> None:
    dialect, is_sqlite = DIALECTS[engine.dialect.name], engine.dialect.name == "sqlite"

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        if is_sqlite:
            connection.isolation_level = None
        cursor = connection.cursor()
        for statement in on_connect:
            _execute_patiently(cursor, statement)
        cursor.close()
        if not is_sqlite:
            connection.commit()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if statement := dialect.begin_write if writes else dialect.begin_read:
            connection.exec_driver_sql(statement)


def _execute_patiently(cursor: Any, statement: str) -> None:
    """SQLite does not wait for its lock while processes that start together each choose the journal of a new book."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            cursor.execute(statement)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BookError(f"The folder {folder} cannot be made: {error.strerror}.", "Name another with --home.") from None


@contextmanager
def book_errors() -> Iterator[None]:
    """Turns the drivers' exceptions into `BookError`s with a remedy."""
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig)
        for sign, kind, message, remedy in FAULTS:
            if sign in text:
                raise kind(message.format(told=first_line(error.orig or error)), remedy) from error
        raise BookError(
            f"The book's database refused: {first_line(error.orig or error)}.", "Check that it is up."
        ) from error
    except SQLAlchemyError as error:
        raise BookError(
            f"The book's database failed: {first_line(error)}.", "Check that it is up and try again."
        ) from error


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that other writers wait for, committed at the end or rolled back whole."""
    with book_errors(), engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


@contextmanager
def appending(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A writing transaction that no other of its kind runs beside, so that an entry goes to the end of the chain."""
    with writing(engine) as connection:
        if lock := DIALECTS[engine.dialect.name].lock_chain:
            connection.exec_driver_sql(lock)
        yield connection


def insert_rows(
    connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Inserts rows of plain values as they are; SQLAlchemy's own insert of many doubles the time of writing a day."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in columns)
    marks = ", ".join([mark] * len(columns))
    sql = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our names
    _check_taken(table, connection.exec_driver_sql(sql, list(rows)), len(rows))


def insert_row(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """Inserts a row."""
    _check_taken(table, connection.execute(sa.insert(table), row), 1)


def _check_taken(table: sa.Table, result: sa.CursorResult[Any], rows: int) -> None:
    """A trigger of somebody else's may drop a row without a word; then nothing of it is to be kept."""
    if result.rowcount not in (rows, -1):
        raise BookError(
            f"The book's database did not take what was written to {table.name}.",
            "Look for a trigger on it that is none of tallybook's: `tallybook verify` names them.",
        )


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that only reads."""
    with book_errors(), engine.connect() as connection, connection.begin():
        yield connection
