"""What a source's two groupings brought, as compact columns until each day's turn comes: a year fits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tallybook.content import NO_BUCKETS, DayBuckets, Key, Slice
from tallybook.errors import CloseFailed
from tallybook.histogram import BUCKETS
from tallybook.measures import MAX_TOTAL, MEASURE_NAMES, NOTHING, Totals
from tallybook.records import keep_name
from tallybook.shape import NO_LATENCY

Integers = npt.NDArray[np.int64]
BUCKET_COLUMNS = {
    "day": pa.int64(),
    "provider": pa.string(),
    "model": pa.string(),
    "bucket": pa.int64(),
    "records": pa.int64(),
}


def totals_by_span(rows: Iterable[Sequence[Any]], spans: int) -> list[Totals]:
    """The totals of so many spans, from rows of ordinal and measures; nothing of a span that has no row."""
    found = {int(ordinal): tuple(map(int, measures)) for ordinal, *measures in rows}
    if any(abs(value) > MAX_TOTAL for totals in found.values() for value in totals):
        raise CloseFailed(*_BEYOND_64_BITS)
    return [found.get(index, NOTHING) for index in range(spans)]


def slice_columns(dimensions: Sequence[str]) -> dict[str, pa.DataType]:
    """The columns of the grouping by slice."""
    return {"day": pa.int64(), **dict.fromkeys(dimensions, pa.string()), **dict.fromkeys(MEASURE_NAMES, pa.int64())}


def as_columns(rows: Iterable[Sequence[Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    """Rows as a driver gives them, as columns of those types; a number that does not fit is an `OverflowError`."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    numbers = [
        map(int, column) if kind == pa.int64() else column
        for column, kind in zip(values, columns.values(), strict=True)
    ]
    arrays = [pa.array(column, kind) for column, kind in zip(numbers, columns.values(), strict=True)]
    return pa.table(arrays, names=list(columns))


_BEYOND_64_BITS = ("A total is beyond 64 bits.", "Look for absurd values in the source.")


@contextmanager
def _within_64_bits() -> Iterator[None]:
    """A sum that does not fit makes the day fail; it is never rounded or wrapped."""
    try:
        yield
    except (OverflowError, pa.ArrowInvalid) as error:
        raise CloseFailed(*_BEYOND_64_BITS) from error


def _tidy(rows: pa.Table, names: Sequence[str], sums: Sequence[str]) -> pa.Table:
    """The rows with names as they may be kept, those that are alike by then added up."""
    changed = False
    for name in names:
        encoded = rows[name].combine_chunks().dictionary_encode()
        raw = encoded.dictionary.to_pylist()
        kept = [keep_name(name, value) for value in raw]
        if kept != raw:
            column = pa.array(kept, pa.string()).take(encoded.indices)
            rows, changed = rows.set_column(rows.column_names.index(name), name, column), True
    if not changed:
        return rows
    keys = [name for name in rows.column_names if name not in sums]
    for name in sums:  # Arrow adds whole numbers modulo 2^64, decimals exactly
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.decimal128(38)))
    grouped = rows.group_by(keys).aggregate([(name, "sum") for name in sums])
    added = grouped.select([*keys, *(f"{name}_sum" for name in sums)]).rename_columns([*keys, *sums])
    with _within_64_bits():
        return added.cast(
            pa.schema([(name, pa.int64() if name in sums else rows[name].type) for name in [*keys, *sums]])
        )


class SliceTable:
    """Rows of day ordinal, dimension values and measures, in any order."""

    def __init__(self, rows: pa.Table, dimensions: Sequence[str]) -> None:
        columns = slice_columns(dimensions)
        with _within_64_bits():
            table = rows.rename_columns(list(columns)).cast(pa.schema(columns))
        table = _tidy(table, dimensions, MEASURE_NAMES)
        order = np.argsort(table["day"].to_numpy(), kind="stable")
        self._rows = table.take(pa.array(order))
        self._days: Integers = self._rows["day"].to_numpy()
        self._width = len(dimensions)

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]], dimensions: Sequence[str]) -> SliceTable:
        """From rows as a driver gives them."""
        with _within_64_bits():
            columns = as_columns(rows, slice_columns(dimensions))
        return cls(columns, dimensions)

    def day(self, index: int) -> list[Slice]:
        """The slices of one day, in any order."""
        low, high = np.searchsorted(self._days, (index, index + 1)).tolist()
        columns = [column.to_pylist() for column in self._rows.slice(low, high - low).columns[1:]]
        keys = zip(*columns[: self._width], strict=True)
        measures = zip(*columns[self._width :], strict=True)
        return [Slice(key, totals) for key, totals in zip(keys, measures, strict=True)]


class BucketTable:
    """Rows of day ordinal, provider, model, bucket and number of records, in any order."""

    def __init__(self, rows: pa.Table) -> None:
        table = rows.rename_columns(list(BUCKET_COLUMNS)).cast(pa.schema(BUCKET_COLUMNS))
        table = _tidy(table, ("provider", "model"), ("records",))
        providers, provider = _encode(table["provider"])
        models, model = _encode(table["model"])
        days, buckets = (table[name].to_numpy() for name in ("day", "bucket"))
        pairs = provider * len(models) + model
        if len(buckets) and not NO_LATENCY <= buckets.min() <= buckets.max() < BUCKETS:
            raise ValueError("a latency is below 0 or beyond the histogram")
        order = np.argsort((days * len(providers) * len(models) + pairs) * (BUCKETS + 1) + buckets - NO_LATENCY)
        self._days, self._pairs, self._buckets = days[order], pairs[order], buckets[order]
        self._records = table["records"].to_numpy()[order]
        self._names: list[Key] = [(provider, model) for provider in providers for model in models]

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> BucketTable:
        """From rows as a driver gives them."""
        return cls(as_columns(rows, BUCKET_COLUMNS))

    def day(self, index: int) -> DayBuckets:
        """The histograms of one day."""
        low, high = np.searchsorted(self._days, (index, index + 1))
        if low == high:
            return NO_BUCKETS
        pairs, records = self._pairs[low:high], self._records[low:high]
        known = self._buckets[low:high] != NO_LATENCY
        starts = np.flatnonzero(np.diff(pairs[known], prepend=-1))
        buckets, counts = self._buckets[low:high][known].tolist(), records[known].tolist()
        ends = [*starts.tolist(), len(buckets)][1:]
        names = pairs[known][starts].tolist()
        histograms = {
            self._names[name]: tuple(zip(buckets[start:end], counts[start:end], strict=True))
            for name, start, end in zip(names, starts.tolist(), ends, strict=True)
        }
        return DayBuckets(histograms, int(records.sum()))


@dataclass(frozen=True)
class Groupings:
    """Both groupings of the same records."""

    buckets: BucketTable
    slices: SliceTable


def _encode(column: pa.ChunkedArray) -> tuple[list[str | None], Integers]:
    """The column's distinct values, None among them, and the place of each row's value in that list."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
