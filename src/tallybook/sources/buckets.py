"""The rows by bucket, kept as compact columns until their day's turn: a year of them fits where tuples would not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tallybook.aggregate import NO_LATENCY
from tallybook.content import NO_BUCKETS, DayBuckets, Key
from tallybook.histogram import BUCKETS

COLUMNS = {
    "day": pa.int64(),
    "provider": pa.string(),
    "model": pa.string(),
    "bucket": pa.int64(),
    "records": pa.int64(),
}


class BucketTable:
    """Rows of day ordinal, provider, model, bucket and number of records, in any order."""

    def __init__(self, rows: pa.Table) -> None:
        table = rows.rename_columns(list(COLUMNS)).cast(pa.schema(COLUMNS))
        providers, provider = _encode(table["provider"])
        models, model = _encode(table["model"])
        days, buckets = (table[name].to_numpy() for name in ("day", "bucket"))
        pairs = provider * len(models) + model
        order = np.lexsort((buckets, pairs, days))
        self._days, self._pairs, self._buckets = days[order], pairs[order], buckets[order]
        self._records = table["records"].to_numpy()[order]
        self._names: list[Key] = [(name_p, name_m) for name_p in providers for name_m in models]
        if len(buckets) and not NO_LATENCY <= self._buckets.min() <= self._buckets.max() < BUCKETS:
            raise ValueError("a latency is below 0 or beyond the histogram")

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> BucketTable:
        """From rows as a driver gives them."""
        columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, COLUMNS.values(), strict=True)]
        return cls(pa.table(arrays, names=list(COLUMNS)))

    def day(self, index: int) -> DayBuckets:
        """The histograms of one day."""
        low, high = np.searchsorted(self._days, (index, index + 1))
        if low == high:
            return NO_BUCKETS
        pairs, records = self._pairs[low:high], self._records[low:high]
        known = self._buckets[low:high] != NO_LATENCY
        starts = np.flatnonzero(np.diff(pairs[known], prepend=-1))
        entries = tuple(zip(self._buckets[low:high][known].tolist(), records[known].tolist(), strict=True))
        ends = [*starts[1:].tolist(), len(entries)]
        names = pairs[known][starts].tolist()
        histograms = {
            self._names[name]: entries[start:end] for name, start, end in zip(names, starts.tolist(), ends, strict=True)
        }
        return DayBuckets(histograms, int(records.sum()))


def _encode(column: pa.ChunkedArray) -> tuple[list[str | None], npt.NDArray[np.int64]]:
    """The column's distinct values, None among them, and the place of each row's value in that list."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
