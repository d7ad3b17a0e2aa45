"""A book in a SQLite file: copied while it is written, and replaced by such a copy."""

from __future__ import annotations

import itertools
import os
import shlex
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from tallybook.book.engine import parse_book_url
from tallybook.book.ledger import Book
from tallybook.book.migrate import HEAD
from tallybook.errors import BookError, DamagedBook, NoBook, UsageError, first_line

PAGES_AT_ONCE = 1_000
PAUSE_S = 0.005
"""Between pages, so that a server's own writing finds the disk free."""

BUSY_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 2.0

COMPANIONS = ("-wal", "-shm", "-journal")
"""Files that SQLite keeps beside a database; one beside a database that it is not of would be taken for its own."""

TABLES = {"alembic_version", "book", "closings"}
"""What every version of the book has, and no other database."""

POSTGRESQL = {
    "backup": "Run `pg_dump --format=custom --file={file} {url}`.",
    "restore": "Stop its servers and run, as the owner of its tables, "
    "`pg_restore --clean --if-exists --single-transaction --dbname={url} {file}`.",
}

PRIMARY = 0xFF
DAMAGE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
REASONS = {
    sqlite3.SQLITE_IOERR_READ: ("read", "its disk fails"),
    sqlite3.SQLITE_IOERR: ("written", "the disk is full, or fails"),
    sqlite3.SQLITE_FULL: ("written", "the disk is full"),
    sqlite3.SQLITE_NOTADB: ("read", "it is no SQLite database"),
    sqlite3.SQLITE_CORRUPT: ("read", "it is damaged"),
    sqlite3.SQLITE_BUSY: ("read", "another process has it locked"),
    sqlite3.SQLITE_CANTOPEN: ("read", "its permissions, or those of its folder, forbid it"),
    sqlite3.SQLITE_READONLY: ("read", "its permissions, or those of its folder, forbid it"),
}
"""By SQLite's code for an error, or that without its upper bits: what could not be done, and why."""

REMEDIES = {
    "read": "Mend that, or name another file.",
    "written": "Make room there or mend its permissions, or name another place; nothing was changed.",
}


def book_file(book: str, command: str, file: Path) -> Path:
    """The file of a book in SQLite; for another the `UsageError` has the command that does the same there."""
    url = parse_book_url(book)
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database))
    raise UsageError("The book is in PostgreSQL, which has a command of its own.", _line(url, command, file))


def _line(url: URL, command: str, file: Path) -> str:
    """What to do with PostgreSQL's own commands; a password is left to be asked for."""
    shown = url._replace(drivername="postgresql", password=None).difference_update_query(["password", "sslpassword"])
    return POSTGRESQL[command].format(url=shlex.quote(shown.render_as_string()), file=shlex.quote(str(file)))


def refuse_own(file: Path, book: Path) -> None:
    """A `UsageError` if the file is the book itself, by whatever name, or one that SQLite keeps beside it."""
    own = {Path(f"{book.resolve()}{suffix}") for suffix in ("", *COMPANIONS)}
    if file.resolve() in own or (file.exists() and book.exists() and file.samefile(book)):
        raise UsageError(f"{file} belongs to the book itself.", "Name another file.")


@contextmanager
def copied(source: Path, target: Path) -> Iterator[Path]:
    """A copy of the book in `source`, in a file beside `target` that lasts as long as this, or until it is renamed.

    It is one moment of the book, however much is written meanwhile, in one file that only its owner can read, synced,
    and physically sound. Raises `BookError` where there is no book, or no room.
    """
    if not source.is_file():
        raise NoBook(f"There is no book at {source}.", "Name another.")
    with _told(source, target):
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(descriptor)
    partial = Path(name)
    try:
        with _told(source, target):
            _copy(source, partial)
            _sync(partial)
        yield partial
    finally:
        for suffix in ("", *COMPANIONS):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)


def _copy(source: Path, partial: Path) -> None:
    with closing(_connect(source, BUSY_TIMEOUT_S)) as book, closing(_connect(partial, BUSY_TIMEOUT_S)) as copy:
        # One snapshot from the first page to the last: else each closing would make the copy begin anew.
        book.execute("BEGIN")
        tables = {name for (name,) in book.execute("SELECT name FROM sqlite_schema")}
        if not tables >= TABLES:
            raise NoBook(f"{source} is a SQLite database, but no book.", "Name another.")
        book.backup(copy, pages=PAGES_AT_ONCE, progress=lambda *_: time.sleep(PAUSE_S))
        # The copy took over the mark of a database with a -wal beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        (fault,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if fault != "ok":
        raise DamagedBook(f"{source} is damaged.", "Go back to an earlier backup.")


def _connect(file: Path, timeout_s: float) -> sqlite3.Connection:
    """The database in the file, which must be there, without transactions that the driver begins by itself."""
    return sqlite3.connect(f"{_uri(file)}?mode=rw", timeout=timeout_s, isolation_level=None, uri=True)


def _uri(file: Path) -> str:
    return f"file:{quote(str(file.absolute()))}"


@contextmanager
def opened_copy(copy: Path, now: datetime) -> Iterator[Book]:
    """The book in a copy, which stays as it is: one of an older schema is migrated in a copy of its own."""
    with ExitStack() as stack:
        file, how = copy, {"mode": "ro", "immutable": "1", "uri": "true"}
        if _revision(copy) != HEAD:
            file, how = stack.enter_context(copied(copy, copy)), {"mode": "rw", "uri": "true"}
        url = URL.create("sqlite", database=_uri(file), query=how)
        book = Book.open(url.render_as_string(), now)
        stack.callback(book.close)
        yield book


def _revision(copy: Path) -> str | None:
    with _told(copy, copy), closing(_connect(copy, BUSY_TIMEOUT_S)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def publish(copy: Path, target: Path) -> None:
    """Gives the copy its name, in the place of a file that has it, at once and for good."""
    with _told(copy, target):
        copy.replace(target)
        _sync(target.parent)


def replace_book(copy: Path, book: Path, now: datetime) -> Path | None:
    """Puts the copy in the book's place; answers where the book that was there is kept, if one was.

    Raises `UsageError` while another process has the book open, and `BookError` where the disk refuses. In what order,
    so that a crash at any moment leaves the old book or the copy in place, whole:

    1. The old book is ours alone, with its -wal written back into it and deleted. One that is too damaged for that
       keeps it.
    2. The old book gets a second name, and what SQLite left beside it goes along. From here on it cannot be lost.
    3. Those names are synced.
    4. The copy, which is whole and synced, takes the book's name in one step, and finds nothing of the old book there.
    5. That name is synced.
    6. The old book is let go. Whoever opened it meanwhile and waits to write is refused by SQLite, as it has moved.
    """
    with _told(book, book), _alone(book) as is_there:
        _take_owner(copy, book if is_there else book.parent)
        aside = _set_aside(book, is_there, now)
        _sync(book.parent)
        if is_there:
            copy.replace(book)
        else:
            _name_also(copy, book)
        _sync(book.parent)
    return aside if is_there else None


@contextmanager
def _alone(book: Path) -> Iterator[bool]:
    """Whether there is a book; if so, nobody else has it open as long as this lasts, and it is one file.

    Of one that is no database, or a damaged one, that cannot be said; but neither can others work with it.
    """
    if not book.exists():
        yield False
        return
    with closing(_connect(book, LOCK_TIMEOUT_S)) as connection:
        try:
            _lock(connection, book)
        except sqlite3.DatabaseError as error:
            if _code(error) & PRIMARY not in DAMAGE:
                raise
        yield True


def _lock(connection: sqlite3.Connection, book: Path) -> None:
    """Only who is alone may leave the mode with a -wal; another might have gone back to it before we have the lock."""
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    except sqlite3.OperationalError as error:
        if _code(error) & PRIMARY != sqlite3.SQLITE_BUSY:
            raise
        mode = "busy"
    if mode != "delete":
        raise UsageError(f"Another process has {book} open.", "Stop it, or wait until it is done.")


def _set_aside(book: Path, is_there: bool, now: datetime) -> Path:
    left = [suffix for suffix in COMPANIONS if Path(f"{book}{suffix}").exists()]
    aside = _free_name(book, now)
    if is_there:
        _name_also(book, aside)
    for suffix in left:
        Path(f"{book}{suffix}").rename(f"{aside}{suffix}")
    return aside


def _free_name(book: Path, now: datetime) -> Path:
    name = f"{book.name}.before-restore-{now:%Y%m%dT%H%M%SZ}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in map(book.with_name, names) if not path.exists())


def _name_also(file: Path, name: Path) -> None:
    """A second name for the file; where the file system has none, its only one, and for a moment the old is missing."""
    try:
        name.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:
        file.rename(name)


def _take_owner(copy: Path, like: Path) -> None:
    """Lets the owner of the book have it: who restores may be root, and the server is not."""
    owner = like.stat()
    with suppress(PermissionError):
        os.chown(copy, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _code(error: sqlite3.Error) -> int:
    """SQLite's extended code; 0 for an error of the driver's own."""
    return getattr(error, "sqlite_errorcode", 0)


@contextmanager
def _told(source: Path, target: Path) -> Iterator[None]:
    """Turns the errors of SQLite and of the system into `BookError`s that say which of the two is concerned."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        act, reason = REASONS.get(code) or REASONS.get(code & PRIMARY) or ("read", first_line(error))
        kind = DamagedBook if code & PRIMARY in DAMAGE else BookError
        raise kind(f"{source if act == 'read' else target} cannot be {act}: {reason}.", REMEDIES[act]) from error
    except OSError as error:
        raise BookError(f"{target} cannot be written: {error.strerror}.", REMEDIES["written"]) from error
