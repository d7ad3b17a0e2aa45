"""The one aggregate: from log records to the rows of a day, as Ibis expressions that any engine can run.

Two groupings, because all dimensions by all buckets would be nearly as many groups as there are records, and a third
that is asked often and has one group a day:

    by slice     day, dimensions…, measures…
    by bucket    day, provider, model, bucket (-1: no latency), records
    by day       day, measures…

`day` counts from 0 within the window. Only integers, comparisons and CASE on constants: no date function, no logarithm,
no float, nothing that a session's time zone or an engine's taste could move.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ibis
import ibis.expr.types as ir

from tallybook.histogram import MAX_LATENCY_MS, PRECISION_BITS, SHIFT_BOUNDS_MS
from tallybook.measures import DIMENSION_FIELDS, HISTOGRAM_DIMENSIONS, MEASURE_FIELDS, MEASURES, Kind, Measure
from tallybook.shape import LARGEST, NO_LATENCY, STRING_FIELDS, Shape

RECORDS = "tallybook_records"
"""The name under which every statement knows the log records; `compile_for` puts what they are in its place."""


def _records(shape: Shape) -> ir.Table:
    """The records as Ibis sees them, before any database is asked; instants are numbers to it, whatever they are."""
    present = [field for field in (*STRING_FIELDS, *MEASURE_FIELDS) if field in shape.fields]
    types = {field: "string" if field in STRING_FIELDS else "int64" for field in present}
    return ibis.table({"created_at": "int64", **types}, name=RECORDS)


def staircase(value: ir.Value, bounds: Sequence[Any], steps: Sequence[Any]) -> Any:
    """`steps[i]` for the i that counts the ascending bounds not above the value, as a balanced tree of CASEs."""
    if len(steps) == 1:
        return steps[0]
    middle = len(steps) // 2
    below = staircase(value, bounds[: middle - 1], steps[:middle])
    above = staircase(value, bounds[middle:], steps[middle:])
    return ibis.ifelse(value < bounds[middle - 1], below, above)


def bucket_expression(latency_ms: ir.IntegerValue, checked: bool = True, dialect: str = "") -> ir.IntegerValue:
    """`histogram.bucket_of` as a CASE on constants; `NO_LATENCY` where the latency is unknown.

    Where latencies are not checked it begins by leaving out those that break the rules: PostgreSQL would copy an
    expression that did so before into every branch.
    """
    unknown = latency_ms.isnull()
    if not checked:
        unknown = unknown | (latency_ms < 0) | (latency_ms > MAX_LATENCY_MS)
    of_shift = _chosen_first if dialect in _EVERY_BRANCH else _shifted_in_branch
    return ibis.ifelse(unknown, NO_LATENCY, of_shift(latency_ms))


_EVERY_BRANCH = ("clickhouse",)
"""Engines that work out every branch of a CASE for every row: there it chooses between constants only."""


def _shifted_in_branch(latency_ms: ir.IntegerValue) -> ir.IntegerValue:
    """A plain chain, since most latencies leave it early: DuckDB takes two thirds of a tree's time, others the same."""
    return _chain(latency_ms, lambda shift: (shift << PRECISION_BITS) + (latency_ms >> shift) if shift else latency_ms)


def _chosen_first(latency_ms: ir.IntegerValue) -> ir.IntegerValue:
    shift = _chain(latency_ms, lambda shift: shift)
    return shift * (1 << PRECISION_BITS) + (latency_ms >> shift)


def _chain(latency_ms: ir.IntegerValue, step: Callable[[int], Any]) -> ir.IntegerValue:
    chain = [(latency_ms < bound, step(shift)) for shift, bound in enumerate(SHIFT_BOUNDS_MS)]
    return ibis.cases(*chain, else_=step(len(SHIFT_BOUNDS_MS)))


def select_days(shape: Shape, dimensions: Iterable[str], midnights: Sequence[int]) -> ir.Table:
    """The records, cut down to `day`, the dimensions' fields and the measures' fields.

    `midnights` part one day from the next; the window's own bounds are the business of whoever hands the records over.
    """
    records = _records(shape)
    wanted = dict.fromkeys(DIMENSION_FIELDS[name] for name in dimensions)
    columns = {field: _column(records, shape, field) for field in (*wanted, *MEASURE_FIELDS)}
    day = staircase(records.created_at, midnights, range(len(midnights) + 1))
    return records.select(day=day if midnights else ibis.literal(0), **columns)


def _column(records: ir.Table, shape: Shape, field: str) -> ir.Value:
    if field not in shape.fields:
        return ibis.null("string" if field in STRING_FIELDS else "int64")
    column = records[field]
    if shape.checked or field in STRING_FIELDS:
        return column
    return ibis.ifelse((column >= 0) & (column <= LARGEST[field]), column, ibis.null("int64"))


def by_slice(selected: ir.Table, dimensions: Sequence[str], dialect: str = "") -> ir.Table:
    """The measures of each day and combination of dimension values; without dimensions, of each day."""
    keys = [selected.day, *(selected[DIMENSION_FIELDS[name]].name(f"by_{name}") for name in dimensions)]
    sums = {measure.name: _measure(selected, measure, dialect) for measure in MEASURES}
    return selected.group_by(keys).aggregate(**sums)


def by_bucket(selected: ir.Table, checked: bool = True, dialect: str = "") -> ir.Table:
    """The records of each day, provider, model and latency bucket; latencies may be as they lie in the source."""
    keys = [selected[DIMENSION_FIELDS[name]].name(f"by_{name}") for name in HISTOGRAM_DIMENSIONS]
    bucket = bucket_expression(selected.latency_ms, checked, dialect).name("bucket")
    return selected.group_by([selected.day, *keys, bucket]).aggregate(records=selected.count())


_AGGREGATES: dict[Kind, Callable[[ir.Table, Any, str], ir.Value]] = {
    Kind.COUNT: lambda table, *_: table.count(),
    Kind.KNOWN: lambda _table, field, _: field.count(),
    Kind.SUM: lambda _, field, dialect: _widened(field, dialect).sum().fill_null(0),
    Kind.SUCCESS: lambda table, status, _: table.count(where=(status >= 200) & (status < 400)).fill_null(0),
    Kind.FAILED: lambda table, status, _: table.count(where=(status >= 400) | (status == 0)).fill_null(0),
}


def _measure(table: ir.Table, measure: Measure, dialect: str) -> ir.Value:
    return _AGGREGATES[measure.kind](table, table[measure.field] if measure.field else None, dialect)


_SUMS_IN_64_BITS = ("clickhouse", "pyspark")
"""Engines whose sum of whole numbers is no wider: it would wrap around, or fail, where it is to be refused."""


def _widened(field: ir.IntegerValue, dialect: str) -> ir.NumericValue:
    return field.cast("decimal(28, 0)") if dialect in _SUMS_IN_64_BITS else field


_PLACEHOLDER = 7_700_000_000_000_000_000
_PLACEHOLDERS = re.compile(r"77000000000000\d{5}")
_NAMED = re.compile(rf"""["`]?{RECORDS}["`]?""")


@lru_cache(maxsize=64)
def _compile(shape: Shape, dimensions: tuple[str, ...], days: int, dialect: str) -> tuple[str, ...]:
    midnights = _placeholders(days)
    as_they_lie = select_days(replace(shape, checked=True), HISTOGRAM_DIMENSIONS, midnights)
    statements = (
        by_bucket(as_they_lie, shape.checked, dialect),
        by_slice(select_days(shape, dimensions, midnights), dimensions, dialect),
    )
    return tuple(str(ibis.to_sql(statement, dialect=dialect)) for statement in statements)


@lru_cache(maxsize=64)
def _compile_totals(shape: Shape, days: int, dialect: str) -> str:
    by_day = by_slice(select_days(shape, (), _placeholders(days)), (), dialect)
    return str(ibis.to_sql(by_day, dialect=dialect))


def _placeholders(days: int) -> list[int]:
    return [_PLACEHOLDER + day for day in range(days - 1)]


def compile_for(
    shape: Shape, select: str, dimensions: tuple[str, ...], midnights: Sequence[str], dialect: str
) -> tuple[str, ...]:
    """Both groupings, by bucket and by slice, in the engine's dialect.

    `select` is a SELECT of the window's records in the engine's own SQL: `created_at` and the shape's fields.
    `midnights` are the literals, in the unit of its `created_at`, that part the window's days, or other spans of time.
    Compiling takes longer than closing a million records, so a statement is compiled once, with placeholders.
    """
    compiled = _compile(shape, dimensions, len(midnights) + 1, dialect)
    return tuple(_put_in(sql, select, midnights) for sql in compiled)


def compile_totals(shape: Shape, select: str, midnights: Sequence[str], dialect: str) -> str:
    """The grouping by day alone, in the engine's dialect; the arguments are those of `compile_for`."""
    return _put_in(_compile_totals(shape, len(midnights) + 1, dialect), select, midnights)


def _put_in(sql: str, select: str, midnights: Sequence[str]) -> str:
    dated = _PLACEHOLDERS.sub(lambda match: midnights[int(match.group()) - _PLACEHOLDER], sql)
    return _NAMED.sub(lambda _: f"({select})", dated)
