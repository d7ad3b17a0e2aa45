"""Our own log database, read as a source."""

from __future__ import annotations

from tallybook.measures import MEASURE_FIELDS
from tallybook.shape import STRING_FIELDS
from tallybook.sources.engines.duck import Connect, DuckDB
from tallybook.sources.relation import Relation
from tallybook.sources.table import TableSource

OWN_RELATION = Relation(
    origin="log_records",
    time_column="created_at",
    time="naive",
    fields=tuple((name, f'"{name}"') for name in (*STRING_FIELDS, *MEASURE_FIELDS)),
    checked=True,
)


def own_table(connect: Connect) -> TableSource:
    """The table of the log database that `connect` opens a connection to."""
    return TableSource("local", OWN_RELATION, DuckDB(connect))
