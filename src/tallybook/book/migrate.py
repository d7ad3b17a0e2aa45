"""Applying the book's migrations, once, however many servers start together."""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from tallybook.book.engine import DIALECTS, reading, writing
from tallybook.book.schema import book
from tallybook.days import format_instant
from tallybook.errors import BookTooNew, NoBook

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0005"
KNOWN_REVISIONS = ("0001", "0002", "0003", "0004", "0005")


def migrate(engine: sa.Engine, now: datetime, must_exist: bool = False) -> None:
    """Brings the book to this version's schema and gives a new book its identity; does nothing to one that is there.

    Raises `BookTooNew` for a book that a later version has migrated, and `BookError` for none at all that `must_exist`.
    """
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if must_exist and file and not Path(file).exists():
        raise NoBook(f"There is no book at {file}.", "Close a day first, or name another with --home or --book.")
    with reading(engine) as connection:
        revision = revision_of(connection)
    if revision == HEAD:
        return
    if must_exist and revision is None:
        raise NoBook("There is no book in this database.", "Close a day first, or name another with --book.")
    with writing(engine) as connection:
        if lock := DIALECTS[engine.dialect.name].lock_migrations:
            connection.exec_driver_sql(lock)
        if revision_of(connection) != HEAD:
            _upgrade(connection)
            _identify(connection, now)


def revision_of(connection: sa.Connection) -> str | None:
    """The schema that the database says it has; None for none. Raises `BookTooNew` for one that is not known here."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision not in KNOWN_REVISIONS:
        raise BookTooNew(
            f"The book was written by a newer tallybook (schema {revision}, this one knows up to {HEAD}).",
            "Upgrade tallybook, or name another book with --book.",
        )
    return revision


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a tenth of a second that only a new book should pay
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _identify(connection: sa.Connection, now: datetime) -> None:
    if connection.scalar(sa.select(book.c.book_id)) is None:
        connection.execute(sa.insert(book).values(id=1, book_id=str(uuid.uuid4()), created_at=format_instant(now)))
