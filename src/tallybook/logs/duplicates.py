"""Which records are stored already, by (`request_id`, `status_code`).

Nearly every record is new. So a set of 64-bit hashes in memory says no for certain, and the file is asked only about
records whose hash was seen before: first near their own time, where a record that is sent again has its twin and few
blocks need to be read, then everywhere.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tallybook.logs.keys import Keys, KeySet

Positions = NDArray[np.int64]

_KEY = "hash(request_id, status_code)"
_STORED_KEYS = f"SELECT DISTINCT {_KEY} AS key FROM {{table}} WHERE request_id IS NOT NULL"  # noqa: S608 - constants
_INCOMING_KEYS = f"SELECT {_KEY} AS key, position FROM incoming"  # noqa: S608
_REPEATED = (
    "SELECT position FROM suspects "
    "QUALIFY row_number() OVER (PARTITION BY request_id, status_code ORDER BY position) > 1"
)
_STORED = (
    "SELECT position FROM suspects WHERE EXISTS (SELECT 1 FROM log_records AS stored "
    "WHERE stored.request_id = suspects.request_id "
    "AND stored.status_code IS NOT DISTINCT FROM suspects.status_code {near})"
)
_NEAR = (
    "AND stored.created_at >= (SELECT MIN(created_at) FROM suspects) "
    "AND stored.created_at <= (SELECT MAX(created_at) FROM suspects)"
)
IDENTITY = ("request_id", "status_code", "created_at")


def load_keys(connection: duckdb.DuckDBPyConnection, table: str = "log_records") -> Keys:
    """The keys of the table's records that have a `request_id`."""
    return connection.execute(_STORED_KEYS.format(table=table)).fetchnumpy()["key"]


def find_duplicates(connection: duckdb.DuckDBPyConnection, stored: KeySet, table: pa.Table) -> Positions:
    """The ascending positions of records that are stored, or stand earlier in the table; notes the others as stored."""
    incoming = _identified(table)
    if not len(incoming):
        return np.array([], np.int64)
    connection.register("incoming", incoming)
    found = connection.execute(_INCOMING_KEYS).fetchnumpy()
    keys, members, counts = np.unique(found["key"], return_inverse=True, return_counts=True)
    held = stored.holds(keys)
    stored.add(keys[~held])
    suspected = (held | (counts > 1))[members]
    return _ask(connection, incoming, found["position"][suspected], bool(held.any()))


def _identified(table: pa.Table) -> pa.Table:
    """What tells the table's records apart, of those that can be told apart, with their positions."""
    positions = pa.array(np.arange(len(table), dtype=np.int64))
    return table.select(IDENTITY).append_column("position", positions).filter(table["request_id"].is_valid())


def _ask(connection: duckdb.DuckDBPyConnection, incoming: pa.Table, suspected: Positions, held: bool) -> Positions:
    """Those of the suspected that are duplicates in truth, by comparing what was hashed."""
    if not len(suspected):
        return suspected
    suspects = incoming.filter(np.isin(incoming["position"].to_numpy(), suspected))
    connection.register("suspects", suspects)
    duplicates = _positions(connection, _REPEATED)
    for near in (_NEAR, "") if held else ():
        left = suspects.filter(~np.isin(suspects["position"].to_numpy(), duplicates))
        if not len(left):
            break
        connection.register("suspects", left)
        duplicates = np.concatenate([duplicates, _positions(connection, _STORED.format(near=near))])
    return np.sort(duplicates)


def _positions(connection: duckdb.DuckDBPyConnection, query: str) -> Positions:
    return connection.execute(query).fetchnumpy()["position"]
