"""Our own log database, read as a source."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pyarrow as pa

from tallybook.measures import MEASURE_FIELDS, Totals
from tallybook.shape import STRING_FIELDS
from tallybook.sources.engines.duck import Connect, DuckDB, in_memory, totals_in
from tallybook.sources.places import open_place
from tallybook.sources.relation import Relation, edges_of
from tallybook.sources.table import TableSource
from tallybook.sources.urls import SourceUrl

OWN_RELATION = Relation(
    origin="log_records",
    time_column="created_at",
    time="naive",
    fields=tuple((name, f'"{name}"') for name in (*STRING_FIELDS, *MEASURE_FIELDS)),
    checked=True,
)


ARCHIVED_RELATION = replace(
    OWN_RELATION,
    origin="archived",
    time="zoned",
    fields=tuple(
        {
            **dict(OWN_RELATION.fields),
            "cost_nanousd": "CAST(CAST(cost_usd AS DECIMAL(38, 9)) * 1000000000 AS BIGINT)",
        }.items()
    ),
)
"""The records of a file of the archive."""


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


def archived_totals(rows: pa.RecordBatchReader, day: date) -> Totals:
    """The totals of a day's records, as its archive holds them."""
    with in_memory() as connection:
        connection.register(ARCHIVED_RELATION.origin, rows)
        (totals,) = totals_in(connection, ARCHIVED_RELATION.without_dimensions(), edges_of([day]))
    return totals
