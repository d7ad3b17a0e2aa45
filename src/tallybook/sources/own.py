"""Our own log database, read as a source."""

from __future__ import annotations

from dataclasses import replace

from tallybook.measures import MEASURE_FIELDS
from tallybook.shape import STRING_FIELDS
from tallybook.sources.engines.duck import Connect, DuckDB
from tallybook.sources.places import open_place
from tallybook.sources.relation import Relation
from tallybook.sources.table import TableSource
from tallybook.sources.urls import SourceUrl

OWN_RELATION = Relation(
    origin="log_records",
    time_column="created_at",
    time="naive",
    fields=tuple((name, f'"{name}"') for name in (*STRING_FIELDS, *MEASURE_FIELDS)),
    checked=True,
)


def own_table(connect: Connect) -> TableSource:
    """The table of the DuckDB file that `connect` opens a connection to."""
    return TableSource("local", OWN_RELATION, DuckDB(connect))


def postgresql_table(url: SourceUrl, origin: str) -> TableSource:
    """The table in the PostgreSQL of the URL."""
    return TableSource("local", replace(OWN_RELATION, origin=origin, time="zoned"), open_place(url).engine)


def clickhouse_table(url: SourceUrl, origin: str) -> TableSource:
    """The table in the ClickHouse of the URL, of whose rows with one key the last counts."""
    relation = replace(OWN_RELATION, origin=origin, time="zoned", final=True)
    return TableSource("local", relation, open_place(url).engine)
