"""What an owner of the book's database may do to it, which tables must then be named, and how it is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import oracle
from stories import tamper
from tallybook.book.ledger import Book
from tallybook.book.schema import metadata

TABLES = ("closings", "daily_stats", "daily_slices", "daily_histograms", "adjustments", "book")
ACTS = ("change", "change", "change", "delete", "copy")
DAY_OF = {
    "closings": "day",
    "adjustments": "day",
    "daily_stats": "date",
    "daily_slices": "date",
    "daily_histograms": "date",
}
"""The column of each table that names the row's day."""

ELSEWHERE = "2020-01-01"
NAMED = ("user", "operation", "error_type", *oracle.DIMENSIONS)


@dataclass(frozen=True)
class Tampering:
    """A row of the book and what is done to it: `change` of a field, `delete`, or a `copy` of it on another day."""

    table: str
    row: dict[str, Any]
    act: str
    column: str = ""

    @property
    def day(self) -> str | None:
        return self.row.get(DAY_OF.get(self.table, ""))

    @contextmanager
    def done(self, book: Book) -> Iterator[None]:
        """While this lasts the row is tampered with, and the guards are down."""
        tamper(book, *self._do())
        try:
            yield
        finally:
            tamper(book, *self._undo())
            book.raise_guards()

    def refused(self, book: Book) -> bool:
        """Whether the database refuses it, as long as its guards are up."""
        try:
            with book._engine.connect().execution_options(writes=True) as connection, connection.begin():
                for statement in self._do():
                    connection.execute(sa.text(statement))
        except sa.exc.DBAPIError:
            return True
        return False

    def witnesses(self) -> set[str]:
        """The tables of which one must be named: where only a sum or a digest tells, it is that of the sum or digest."""
        if self.act == "delete" or self.table == "book":
            return {self.table, "closings", "daily_stats", "adjustments"}
        if self.table == "daily_stats" and self.column in oracle.MEASURES:
            return {"daily_stats", "daily_slices"}
        if self.column in ("top_models", "histogram", *NAMED) and self.table != "adjustments":
            return {self.table, "closings"}
        return {self.table}

    def _do(self) -> list[str]:
        if self.act == "delete":
            return [f"DELETE FROM {self.table} WHERE {_where(self._key())}"]
        if self.act == "copy":
            return [_insert(self.table, self._altered())]
        return [f"UPDATE {self.table} SET {_set(self._altered(), self.column)} WHERE {_where(self._key())}"]

    def _undo(self) -> list[str]:
        if self.act == "delete":
            return [_insert(self.table, self.row)]
        key = {name: self._altered()[name] for name in self._key()}
        if self.act == "copy":
            return [f"DELETE FROM {self.table} WHERE {_where(key)}"]
        return [f"UPDATE {self.table} SET {_set(self.row, self.column)} WHERE {_where(key)}"]

    def _key(self) -> dict[str, Any]:
        return {column.name: self.row[column.name] for column in metadata.tables[self.table].primary_key.columns}

    def _altered(self) -> dict[str, Any]:
        if self.act == "copy":
            return {
                **self.row,
                DAY_OF[self.table]: ELSEWHERE,
                **({"seq": self.row["seq"] + 1000} if "seq" in self.row else {}),
            }
        return {**self.row, self.column: _other(self.column, self.row[self.column])}


def choose(book: Book, table: str, number: int, act: str) -> Tampering | None:
    """The tampering of that number, among those with a row of the table; None where there is none.

    What an empty book says of itself nothing bears witness to.
    """
    keys = [column.name for column in metadata.tables[table].primary_key.columns]
    with book._engine.connect() as connection:
        rows = connection.execute(metadata.tables[table].select()).mappings().all()
    if not rows or (table == "book" and (act != "change" or not book.last_seq())):
        return None
    place, column = number % len(rows), number // len(rows)
    row = dict(sorted(rows, key=lambda row: [str(row[name]) for name in keys])[place])
    return Tampering(table, row, act, list(row)[column % len(row)])


def _other(column: str, value: Any) -> Any:
    """Another value of the same kind; a text differs in its last letter or digit, so that JSON mostly stays JSON."""
    if column in ("day", "date"):
        return ELSEWHERE
    if value is None:
        return "x"
    if isinstance(value, int):
        return value + (1000 if column in ("seq", "position") else 1)
    place = max((place for place, letter in enumerate(value) if letter.isalnum()), default=None)
    if place is None:
        return f"{value} "
    return f"{value[:place]}{'1' if value[place] == '0' else '0'}{value[place + 1 :]}"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''").replace(":", "\\:") + "'"


def _where(key: dict[str, Any]) -> str:
    return " AND ".join(f'"{name}" = {_literal(value)}' for name, value in key.items())


def _set(row: dict[str, Any], column: str) -> str:
    return f'"{column}" = {_literal(row[column])}'


def _insert(table: str, row: dict[str, Any]) -> str:
    names = ", ".join(f'"{name}"' for name in row)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(map(_literal, row.values()))})"
