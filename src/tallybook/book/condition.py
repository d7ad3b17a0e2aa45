"""The condition of the database that holds a book, whatever is written in it: is everything there, and sound?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from tallybook.book.engine import DIALECTS
from tallybook.book.migrate import HEAD, KNOWN_REVISIONS, revision_of
from tallybook.book.schema import metadata
from tallybook.errors import BookTooOld, NoBook

CHAINED = ("book", "closings", "daily_stats", "daily_slices", "daily_histograms", "adjustments")
"""The tables that are verified row by row."""


@dataclass(frozen=True)
class Flaw:
    """Something that is not as tallybook made it: a verdict, where, and what."""

    verdict: str
    table: str
    field: str | None
    fault: str


def flaws_of(connection: sa.Connection) -> list[Flaw]:
    """What is wrong with tables and columns, with the version that they claim, and with the file itself.

    Raises `NoBook` where there never was one, and `BookTooOld` for one that an earlier version wrote.
    """
    revision, lacking = revision_of(connection), list(_lacking(connection))
    if revision is None and {flaw.table for flaw in lacking} >= set(CHAINED):
        raise NoBook("There is no book in this database.", "Close a day first, or name another with --book.")
    if lacking and revision in KNOWN_REVISIONS and revision != HEAD:
        raise BookTooOld(
            f"The book has schema {revision}, and is verified from {HEAD} on.",
            "Bring it there by `tallybook migrate`, on a copy if it is evidence.",
        )
    if revision != HEAD:
        told = "says nothing" if revision is None else f"says {revision}"
        lacking.append(Flaw("altered", "alembic_version", "version_num", f"{told}, and the tables are of {HEAD}"))
    return [*lacking, *_damage(connection)]


def _lacking(connection: sa.Connection) -> Iterator[Flaw]:
    catalog = sa.inspect(connection)
    for name, table in metadata.tables.items():
        if not catalog.has_table(name):
            yield Flaw("missing", name, None, "there is no such table")
            continue
        there = {column["name"] for column in catalog.get_columns(name)}
        for column in table.columns:
            if column.name not in there:
                yield Flaw("missing", name, str(column.name), f"there is no column {column.name}")


def _damage(connection: sa.Connection) -> Iterator[Flaw]:
    """What the database's own checks find: an index that leaves rows out makes it answer what is not in the table."""
    check = DIALECTS[connection.dialect.name].check
    for (told,) in connection.exec_driver_sql(check) if check else ():
        if told != "ok":
            yield Flaw("unreadable", "book", None, f"the database finds: {told}")
