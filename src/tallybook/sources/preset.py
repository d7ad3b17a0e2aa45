"""A preset: what the log table of a gateway means.

It is a table, the column of its time, conditions, and an expression for each field of the record. Where versions
of a gateway differ, a field has several expressions; the first whose columns are all there counts. Expressions are
portable SQL (`sources.portable`); ClickHouse's own where a gateway runs on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tallybook.sources.relation import Attempts

Expressions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Limits:
    """What a gateway can tell at all, whatever its table holds.

    `failures` is `full`; `opt-in` where it logs them only when told to; or `none`. `count_by` says whether a row is a
    request or one attempt at it.
    """

    failures: str = "full"
    latency_resolution: str = "whole milliseconds"
    ttft: str = "known"
    count_by: str = "request"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """How to read one gateway's log table on each of the databases that it may use.

    `tables` are the names that it may have, by database; the empty name stands for all others. So with `time_columns`.
    `where` lists conditions, `where_known` those that are left out where their columns are not there. `failure` tells
    the rows of failed requests, where they are logged only sometimes. `orders` says, by database, how attempts are
    ordered where not as `attempts` has it. `index` are the columns of an index that would help. `options` are settings
    of the preset with their defaults, put into expressions where `:name` stands.
    """

    name: str
    title: str
    databases: tuple[str, ...]
    tables: Mapping[str, tuple[str, ...]]
    time_columns: Mapping[str, tuple[str, ...]]
    fields: Expressions
    limits: Limits
    time: str | None = None
    where: tuple[str, ...] = ()
    where_known: tuple[str, ...] = ()
    failure: str | None = None
    attempts: Attempts | None = None
    orders: Mapping[str, str] = field(default_factory=dict)
    final: bool = False
    written_in: str = "duckdb"
    index: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def tables_on(self, database: str) -> tuple[str, ...]:
        """The names that the table may have on the database."""
        return self.tables.get(database, self.tables[""])

    def time_columns_on(self, database: str) -> tuple[str, ...]:
        """The columns that may hold the time, on the database."""
        return self.time_columns.get(database, self.time_columns[""])
