"""Our own log database, read as a source."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from tallybook.aggregate import STRING_FIELDS, RecordTable
from tallybook.measures import MEASURE_FIELDS
from tallybook.sources.readers import DuckDBReader
from tallybook.sources.table import TableSource

OWN_TABLE = RecordTable("log_records", "timestamp", frozenset((*STRING_FIELDS, *MEASURE_FIELDS)))


def own_table(connect: Callable[[], duckdb.DuckDBPyConnection]) -> TableSource:
    """The table of the log database that `connect` opens a connection to."""
    return TableSource("local", OWN_TABLE, DuckDBReader(connect))
