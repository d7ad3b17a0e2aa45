"""The one aggregate: from log records to the rows of a day, as Ibis expressions that any engine can run.

Two groupings, because all dimensions by all buckets would be nearly as many groups as there are records:

    by slice     day, dimensions…, measures…
    by bucket    day, provider, model, bucket (-1: no latency), records

`day` counts from 0 within the window. Only integers, comparisons and CASE on constants: no date function, no logarithm,
no float, nothing that a session's time zone or an engine's taste could move.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import ibis
import ibis.expr.types as ir

from tallybook.days import ONE_DAY, consecutive_runs, epoch_us, midnight
from tallybook.histogram import PRECISION_BITS, SHIFT_BOUNDS_MS
from tallybook.measures import DIMENSION_FIELDS, HISTOGRAM_DIMENSIONS, MEASURE_FIELDS, MEASURES, Kind, Measure

NO_LATENCY = -1


@dataclass(frozen=True)
class TimeColumn:
    """How a source stores `created_at`: the column's Ibis type, and the midnight of a day as a literal in its unit."""

    column_type: str
    literal: Callable[[date], str | int]


TIME_COLUMNS = {
    "timestamp": TimeColumn("timestamp", lambda day: f"{day} 00:00:00"),
    "text": TimeColumn("string", lambda day: f"{day}"),
    "epoch_s": TimeColumn("int64", lambda day: epoch_us(midnight(day)) // 1_000_000),
    "epoch_ms": TimeColumn("int64", lambda day: epoch_us(midnight(day)) // 1_000),
    "epoch_us": TimeColumn("int64", lambda day: epoch_us(midnight(day))),
}

STRING_FIELDS = tuple(DIMENSION_FIELDS.values())


@dataclass(frozen=True)
class RecordTable:
    """A table of log records: its name, how it stores time, and which of the record's fields it has."""

    name: str
    time: str
    fields: frozenset[str]

    def expression(self) -> ir.Table:
        """The table as Ibis sees it, before any database is asked."""
        present = [field for field in (*STRING_FIELDS, *MEASURE_FIELDS) if field in self.fields]
        types = {field: "string" if field in STRING_FIELDS else "int64" for field in present}
        return ibis.table({"created_at": TIME_COLUMNS[self.time].column_type, **types}, name=self.name)


def staircase(value: ir.Value, bounds: Sequence[Any], steps: Sequence[Any]) -> Any:
    """`steps[i]` for the i that counts the ascending bounds not above the value, as a balanced tree of CASEs."""
    if len(steps) == 1:
        return steps[0]
    middle = len(steps) // 2
    below = staircase(value, bounds[: middle - 1], steps[:middle])
    above = staircase(value, bounds[middle:], steps[middle:])
    return ibis.ifelse(value < bounds[middle - 1], below, above)


def bucket_expression(latency_ms: ir.IntegerValue) -> ir.IntegerValue:
    """`histogram.bucket_of` as a CASE on constants; `NO_LATENCY` where the latency is unknown.

    A plain chain, since most latencies leave it early: columnar engines take two thirds of the time of a tree, others
    the same.
    """
    largest = len(SHIFT_BOUNDS_MS)
    steps = [latency_ms, *((shift << PRECISION_BITS) + (latency_ms >> shift) for shift in range(1, largest + 1))]
    chain = [(latency_ms < bound, step) for bound, step in zip(SHIFT_BOUNDS_MS, steps, strict=False)]
    return ibis.cases((latency_ms.isnull(), NO_LATENCY), *chain, else_=steps[largest])


def select_days(records: ir.Table, table: RecordTable, dimensions: Sequence[str], days: Sequence[date]) -> ir.Table:
    """The records of consecutive days, cut down to `day`, the dimensions' fields and the measures' fields."""
    time = TIME_COLUMNS[table.time]
    bounds = [_instant(time, day) for day in (*days, days[-1] + ONE_DAY)]
    created_at = records.created_at
    window = records.filter(created_at >= bounds[0], created_at < bounds[-1])
    wanted = dict.fromkeys(DIMENSION_FIELDS[name] for name in (*dimensions, *HISTOGRAM_DIMENSIONS))
    columns = {
        field: window[field] if field in table.fields else ibis.null("string" if field in STRING_FIELDS else "int64")
        for field in (*wanted, *MEASURE_FIELDS)
    }
    day = staircase(window.created_at, bounds[1:-1], range(len(days)))
    return window.select(day=day if len(days) > 1 else ibis.literal(0), **columns)


def _instant(time: TimeColumn, day: date) -> ir.Value:
    literal = ibis.literal(time.literal(day))
    return literal.cast("timestamp") if time.column_type == "timestamp" else literal


def by_slice(selected: ir.Table, dimensions: Sequence[str]) -> ir.Table:
    """The measures of each day and combination of dimension values."""
    keys = [selected.day, *(selected[DIMENSION_FIELDS[name]].name(f"by_{name}") for name in dimensions)]
    sums = {measure.name: _measure(selected, measure) for measure in MEASURES}
    return selected.group_by(keys).aggregate(**sums)


def by_bucket(selected: ir.Table) -> ir.Table:
    """The records of each day, provider, model and latency bucket."""
    keys = [selected[DIMENSION_FIELDS[name]].name(f"by_{name}") for name in HISTOGRAM_DIMENSIONS]
    bucket = bucket_expression(selected.latency_ms).name("bucket")
    return selected.group_by([selected.day, *keys, bucket]).aggregate(records=selected.count())


_AGGREGATES: dict[Kind, Callable[[ir.Table, Any], ir.Value]] = {
    Kind.COUNT: lambda table, _: table.count(),
    Kind.KNOWN: lambda _, field: field.count(),
    Kind.SUM: lambda _, field: field.sum().fill_null(0),
    Kind.SUCCESS: lambda table, status: table.count(where=(status >= 200) & (status < 400)),
    Kind.FAILED: lambda table, status: table.count(where=(status >= 400) | (status == 0)),
}


def _measure(table: ir.Table, measure: Measure) -> ir.Value:
    return _AGGREGATES[measure.kind](table, table[measure.field] if measure.field else None)


PLACEHOLDER_DAY = date(9000, 1, 1)
"""Compiling takes longer than closing a million records, so a statement is compiled once, for days that no log holds,
and the window's real literals are put in their place."""


@lru_cache(maxsize=64)
def _compile(
    statement: Callable[..., tuple[ir.Table, ...]],
    table: RecordTable,
    dimensions: tuple[str, ...],
    count: int,
    dialect: str,
) -> tuple[str, ...]:
    days = [PLACEHOLDER_DAY + offset * ONE_DAY for offset in range(count)]
    return tuple(str(ibis.to_sql(expression, dialect=dialect)) for expression in statement(table, dimensions, days))


def compile_for(
    statement: Callable[..., tuple[ir.Table, ...]],
    table: RecordTable,
    dimensions: tuple[str, ...],
    days: Sequence[date],
    dialect: str,
) -> tuple[str, ...]:
    """The SQL of a statement over consecutive days, in the engine's dialect.

    A gap would silently add its records to the day before it, so days that are not consecutive are a `ValueError`.
    """
    if len(list(consecutive_runs(days))) != 1:
        raise ValueError("the days of one statement must be consecutive")
    literal = TIME_COLUMNS[table.time].literal
    bounds = [*days, days[-1] + ONE_DAY]
    real = {str(literal(PLACEHOLDER_DAY + offset * ONE_DAY)): str(literal(day)) for offset, day in enumerate(bounds)}
    pattern = re.compile("|".join(map(re.escape, real)))
    compiled = _compile(statement, table, dimensions, len(days), dialect)
    return tuple(pattern.sub(lambda match: real[match.group()], sql) for sql in compiled)


def grouped(table: RecordTable, dimensions: Sequence[str], days: Sequence[date]) -> tuple[ir.Table, ...]:
    """Both groupings, for an engine that runs them where the logs are."""
    selected = select_days(table.expression(), table, dimensions, days)
    return by_bucket(selected), by_slice(selected, dimensions)


def selected_only(table: RecordTable, dimensions: Sequence[str], days: Sequence[date]) -> tuple[ir.Table, ...]:
    """The records alone, for an engine that is quicker at handing rows over than at grouping them."""
    return (select_days(table.expression(), table, dimensions, days),)


def grouped_from(selected: ir.Table, dimensions: Sequence[str]) -> tuple[ir.Table, ...]:
    """Both groupings over records that `selected_only` brought."""
    return by_bucket(selected), by_slice(selected, dimensions)
