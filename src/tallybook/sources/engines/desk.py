"""The desk: a private DuckDB, on which the rows of an engine that hands them over are grouped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from tallybook.measures import Totals
from tallybook.sources.engines.duck import group_in, in_memory, totals_in
from tallybook.sources.groupings import Groupings
from tallybook.sources.relation import Edges, Relation, window_of

TABLE = "handed_over"
MEMORY_LIMIT = "512MB"
_TYPES = {"int": "BIGINT", "bool": "BIGINT", "float": "DOUBLE", "naive": "TIMESTAMP"}
"""By kind; every other one is text."""


@dataclass(frozen=True)
class Desk:
    """Where rows are laid as records: each field is worked out once, and what it is made of is not kept.

    A gateway's row may hold hundreds of bytes of JSON of which two numbers count.
    """

    connection: duckdb.DuckDBPyConnection
    relation: Relation
    edges: Edges

    def clear(self) -> None:
        """Makes room for records, before any are laid."""
        none = self._columns(["NULL"] * len(self.relation.columns))
        self.connection.execute(f"CREATE TABLE {TABLE} AS {self._records(f'(SELECT {none} LIMIT 0)')}")

    def lay(self, rows: Any, expressions: Sequence[str], condition: str = "TRUE") -> None:  # noqa: ARG002 - named in SQL
        """Lays down rows that Arrow holds, `expressions` making the relation's columns of them; threads may at once."""
        columns = self._columns(expressions)
        with self.connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} {self._records(f'(SELECT {columns} FROM rows WHERE {condition})')}")

    def _columns(self, expressions: Sequence[str]) -> str:
        kinds = zip(self.relation.columns, expressions, strict=True)
        return ", ".join(f'CAST({made} AS {_TYPES.get(kind, "VARCHAR")}) AS "{name}"' for (name, kind), made in kinds)

    def _records(self, origin: str) -> str:
        return self.relation.at_hand(origin).select("duckdb", window_of(self.edges))

    def groupings(self, dimensions: tuple[str, ...]) -> Groupings:
        """Both groupings of all that was laid down."""
        return group_in(self.connection, self._laid_down(), dimensions, self.edges)

    def totals(self) -> list[Totals]:
        """The totals of all that was laid down."""
        return totals_in(self.connection, self._laid_down(), self.edges)

    def _laid_down(self) -> Relation:
        return Relation(
            origin=TABLE,
            time_column="created_at",
            time="zoned" if self.relation.time == "text" else self.relation.time,
            fields=tuple((name, f'"{name}"') for name, _ in self.relation.fields),
            checked=self.relation.checked,
        )


@contextmanager
def desk(relation: Relation, edges: Edges) -> Iterator[Desk]:
    """A desk for the relation's rows of the spans, empty; it spills to a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, in_memory() as connection:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = '{folder}'")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        opened = Desk(connection, relation, edges)
        opened.clear()
        yield opened
