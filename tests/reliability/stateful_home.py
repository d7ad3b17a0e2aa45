"""A real home that may crash: book and logs in files of its own, which somebody else may change while it is closed."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import duckdb
import psycopg
import sqlalchemy as sa

from tallybook.anchoring.log import ANCHOR_FILE
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import Settings, load_settings

GUARDED_BY_SHM = "*-shm"
"""What SQLite makes anew after a crash; a copy of it would say what is no longer so."""


class Crash(BaseException):
    """The process died here: nothing may catch it, as nothing catches kill -9."""


@dataclass
class Writes:
    """Strikes at a point of the writes to a book: before a statement, before a COMMIT, or just after it.

    `committed` counts the inserts into each table that are in the book for good, whatever the writer was told.
    """

    engine: sa.Engine
    strike: Callable[[], None] = lambda: None
    point: int = 0
    seen: int = 0
    committed: Counter[str] = field(default_factory=Counter)
    _written: Counter[str] = field(default_factory=Counter)
    _is_write: bool = False

    def __enter__(self) -> Self:
        sa.event.listen(self.engine, "begin", self._begin)
        sa.event.listen(self.engine, "before_cursor_execute", self._statement)
        sa.event.listen(self.engine, "commit", self._commit)
        self._do_commit = self.engine.dialect.do_commit
        self.engine.dialect.do_commit = self._committed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self.engine, "begin", self._begin)
        sa.event.remove(self.engine, "before_cursor_execute", self._statement)
        sa.event.remove(self.engine, "commit", self._commit)
        self.engine.dialect.do_commit = self._do_commit  # type: ignore[method-assign]

    @property
    def struck(self) -> bool:
        return 0 < self.point <= self.seen

    def _begin(self, connection: sa.Connection) -> None:
        self._written.clear()
        self._is_write = bool(connection.get_execution_options().get("writes"))

    def _statement(self, _connection: sa.Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if self._is_write:
            self._pass()
            if sql.startswith("INSERT INTO "):
                self._written[sql.split()[2]] += 1

    def _commit(self, _: sa.Connection) -> None:
        if self._is_write:
            self._pass()

    def _committed(self, connection: Any) -> None:
        self._do_commit(connection)
        if self._is_write:
            self._is_write = False
            self.committed += self._written
            self._pass()

    def _pass(self) -> None:
        self.seen += 1
        if self.seen == self.point:
            self.strike()


def refuse() -> None:
    """The database fails, once."""
    raise sa.exc.OperationalError("a statement", {}, OSError("I/O error"))


class Books(Protocol):
    """Where books of homes lie. A copy is made while the book is closed."""

    def new(self, folder: Path, /) -> str:
        """The URL of a new book for the home in the folder, which is a copy of the template."""

    def copy(self, url: str, folder: Path, /) -> str:
        """The URL of a copy of the book for a copy of its home."""

    def drop(self, url: str, /) -> None:
        """Deletes the book, unless that goes with its home."""


class SQLiteBooks:
    """Books that lie in their homes."""

    def new(self, folder: Path) -> str:
        return f"sqlite:///{folder}/book.sqlite"

    def copy(self, _url: str, folder: Path) -> str:
        return self.new(folder)

    def drop(self, url: str) -> None:
        """Nothing: it goes with its home."""


class PostgreSQLBooks:
    """Books that are databases of one server."""

    def __init__(self, server_url: str) -> None:
        self._server = server_url
        self._numbers = itertools.count()
        self._template: str | None = None

    def new(self, _folder: Path) -> str:
        """The first is the template of all others."""
        url = self._create(self._template or "template0")
        self._template = self._template or url
        return url

    def copy(self, url: str, _folder: Path) -> str:
        return self._create(url)

    def drop(self, url: str) -> None:
        if url != self._template:
            self._execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def _create(self, template: str) -> str:
        name = f"m{os.getpid()}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {_name(template)} STRATEGY FILE_COPY")
        return self._server.replace("/postgres?", f"/{name}?")

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.encode())


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True)
class Homes:
    """Makes homes as copies of one that was opened once, in a folder that is better in memory than on a disk."""

    root: Path
    books: Books

    def template(self, now: datetime) -> None:
        """The home that others are copies of."""
        home = Home(self, self.root / "template", lambda: now)
        home.folder.mkdir()
        home.book_url = self.books.new(home.folder)
        home.open()
        home.keeper.close_all()

    def new(self, clock: Callable[[], datetime]) -> Home:
        home = Home(self, self.root / f"home-{next(_numbers)}", clock)
        shutil.copytree(self.root / "template", home.folder)
        home.book_url = self.books.new(home.folder)
        return home


_numbers = itertools.count()


@dataclass
class Home:
    """A folder, the book that goes with it, and the bookkeeper that holds both while the home is open."""

    homes: Homes
    folder: Path
    clock: Callable[[], datetime]
    flags: dict[str, Any] = field(default_factory=dict)
    book_url: str = ""
    keeper: Bookkeeper = field(init=False)

    @property
    def archive(self) -> Path:
        """Where the records of days that are pruned may go."""
        return self.folder / "archive"

    @property
    def anchors(self) -> Path:
        """The file of heads."""
        return self.folder / ANCHOR_FILE

    def settings(self) -> Settings:
        return load_settings({"home": str(self.folder), "book": self.book_url, **self.flags}, {})

    def open(self, **flags: Any) -> None:
        """Opens the home, with settings that may have changed."""
        self.flags |= flags
        self.keeper = Bookkeeper(self.settings(), self.clock)

    def close(self) -> None:
        self.keeper.close_all()

    def erase(self) -> None:
        self.homes.books.drop(self.book_url)
        shutil.rmtree(self.folder)

    def copy(self) -> Home:
        """A copy of the closed home, which goes on by itself."""
        other = Home(self.homes, self.homes.root / f"home-{next(_numbers)}", self.clock, dict(self.flags))
        shutil.copytree(self.folder, other.folder)
        other.book_url = self.homes.books.copy(self.book_url, other.folder)
        return other

    @contextmanager
    def behind_our_back(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """While the home is closed, somebody opens the file of its logs."""
        self.close()
        with duckdb.connect(self.folder / "logs.duckdb") as connection:
            yield connection
        self.open()

    @contextmanager
    def failing(self, point: int, dies: bool) -> Iterator[Writes]:
        """While this lasts, the write that comes to the point fails; or the process dies, and what is on disk is left.

        After a crash the home is open again, in the folder as it then was.
        """
        left = self.folder.with_name(f"home-{next(_numbers)}")

        def die() -> None:
            shutil.copytree(self.folder, left, ignore=shutil.ignore_patterns(GUARDED_BY_SHM))
            raise Crash

        try:
            with Writes(self.keeper.book._engine, die if dies else refuse, point) as writes:
                yield writes
        finally:
            if left.exists():
                self._go_on_in(left)

    def _go_on_in(self, folder: Path) -> None:
        self.close()
        shutil.rmtree(self.folder)
        if self.book_url.startswith("sqlite"):
            self.book_url = self.homes.books.new(folder)
        self.folder = folder
        self.open()
