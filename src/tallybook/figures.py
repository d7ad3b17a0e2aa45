"""Closed days in memory, as arrays: what lets any range be answered without touching a raw record.

A rebuildable cache over the book, never its content. Closed days do not change, so what was read stays right; it is
read anew when a range reaches further, or a day in it has been closed since.
Sums wrap around in 64 bits and are exact all the same: a difference of two running sums is right whenever the true
difference fits, and `StatsReader` checks that the range's totals do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tallybook.book.ledger import Book, Closing
from tallybook.histogram import BUCKETS, Histogram
from tallybook.measures import HISTOGRAM_DIMENSIONS, MEASURES, Totals
from tallybook.periods import MAX_PERIOD_DAYS

Integers = npt.NDArray[np.int64]
_STRIDE = 1 << 20
"""More days than a book can have: value · stride + day is a sortable key."""


@dataclass(frozen=True)
class Breakdown:
    """One dimension's running sums, ordered by value, then day."""

    values: tuple[str | None, ...]
    keys: Integers
    sums: Integers

    @classmethod
    def of(cls, rows: Sequence[tuple[int, str | None, Totals]]) -> Breakdown:
        """From (day ordinal, value, totals) rows."""
        values = tuple(dict.fromkeys(value for _, value, _ in rows))
        place = {value: index for index, value in enumerate(values)}
        keys = np.array([place[value] * _STRIDE + day for day, value, _ in rows], dtype=np.int64)
        totals = np.array([totals for _, _, totals in rows], dtype=np.int64).reshape(len(rows), len(MEASURES))
        order = np.argsort(keys)
        sums = np.vstack([np.zeros((1, len(MEASURES)), dtype=np.int64), np.cumsum(totals[order], axis=0)])
        return cls(values, keys[order], sums)

    def between(self, first: int, last: int) -> dict[str | None, Integers]:
        """The totals of each value that occurs from day ordinal `first` to `last`."""
        starts = np.arange(len(self.values), dtype=np.int64) * _STRIDE
        low = np.searchsorted(self.keys, starts + first)
        high = np.searchsorted(self.keys, starts + last, side="right")
        sums = self.sums[high] - self.sums[low]
        return {value: sums[index] for index, value in enumerate(self.values) if high[index] > low[index]}


@dataclass(frozen=True)
class Buckets:
    """The histograms by provider and model, one entry a bucket, in order of day."""

    pairs: tuple[tuple[str | None, str | None], ...]
    days: Integers
    pair: Integers
    bucket: Integers
    count: Integers

    @classmethod
    def of(cls, rows: Sequence[tuple[int, str | None, str | None, Histogram]]) -> Buckets:
        """From (day ordinal, provider, model, counts) rows."""
        ordered = sorted(rows, key=lambda row: row[0])
        pairs = tuple(dict.fromkeys((provider, model) for _, provider, model, _ in ordered))
        place = {pair: index for index, pair in enumerate(pairs)}
        lengths = [len(counts) for *_, counts in ordered]
        entries = np.array([entry for *_, counts in ordered for entry in counts], dtype=np.int64).reshape(-1, 2)
        days = np.repeat(np.array([row[0] for row in ordered], dtype=np.int64), lengths)
        pair = np.repeat(np.array([place[row[1], row[2]] for row in ordered], dtype=np.int64), lengths)
        return cls(pairs, days, pair, entries[:, 0], entries[:, 1])

    def between(self, dimension: str, first: int, last: int) -> dict[str | None, Integers]:
        """The dense histogram of each value of the dimension from day ordinal `first` to `last`."""
        part = HISTOGRAM_DIMENSIONS.index(dimension)
        values = tuple(dict.fromkeys(pair[part] for pair in self.pairs))
        of_pair = np.array([values.index(pair[part]) for pair in self.pairs], dtype=np.int64)
        low, high = np.searchsorted(self.days, first), np.searchsorted(self.days, last, side="right")
        dense = np.zeros((len(values), BUCKETS), dtype=np.int64)
        np.add.at(dense, (of_pair[self.pair[low:high]], self.bucket[low:high]), self.count[low:high])
        return {value: dense[index] for index, value in enumerate(values) if dense[index].any()}


@dataclass
class _Cached:
    """What has been read of one source, and for which days."""

    first: date
    last: date
    totals: Integers
    histograms: Integers
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    buckets: Buckets | None = None


class SourceFigures:
    """The closed days of one source. Not thread-safe: its owner holds the lock."""

    def __init__(self, book: Book, source: str) -> None:
        self._book = book
        self._source = source
        self._cached: _Cached | None = None
        self.closings: dict[date, Closing] = {}

    def note(self, closings: Sequence[Closing]) -> None:
        """Takes in closings that are new in the book."""
        self.closings |= {closing.day: closing for closing in closings}
        cached = self._cached
        if cached and any(cached.first <= closing.day <= cached.last for closing in closings):
            self._cached = None

    def totals(self, first: date, last: date) -> Integers:
        """The measures of each day of the range: an array of days by `MEASURES`."""
        cached, low, high = self._span(first, last)
        return cached.totals[low : high + 1]

    def histograms(self, first: date, last: date) -> Integers:
        """The dense histogram of each day of the range: an array of days by buckets."""
        cached, low, high = self._span(first, last)
        return cached.histograms[low : high + 1]

    def breakdown(self, dimension: str, first: date, last: date) -> dict[str | None, Integers]:
        """The totals of the range by value of the dimension."""
        cached, low, high = self._span(first, last)
        if dimension not in cached.breakdowns:
            rows = self._book.breakdown(self._source, dimension, cached.first, cached.last)
            cached.breakdowns[dimension] = Breakdown.of(
                [(_ordinal(cached, day), value, totals) for day, value, totals in rows]
            )
        return cached.breakdowns[dimension].between(low, high)

    def buckets(self, dimension: str, first: date, last: date) -> dict[str | None, Integers]:
        """The dense histogram of the range by value of a dimension that histograms are kept by."""
        cached, low, high = self._span(first, last)
        if cached.buckets is None:
            rows = self._book.histograms(self._source, cached.first, cached.last)
            cached.buckets = Buckets.of(
                [(_ordinal(cached, day), provider, model, counts) for day, provider, model, counts in rows]
            )
        return cached.buckets.between(dimension, low, high)

    def _span(self, first: date, last: date) -> tuple[_Cached, int, int]:
        cached = self._cached
        if cached is None or first < cached.first or last > cached.last:
            hull = (min(first, cached.first), max(last, cached.last)) if cached else (first, last)
            if (hull[1] - hull[0]).days >= MAX_PERIOD_DAYS:
                hull = (first, last)
            cached = self._cached = self._read(*hull)
        return cached, (first - cached.first).days, (last - cached.first).days

    def _read(self, first: date, last: date) -> _Cached:
        length = (last - first).days + 1
        totals = np.zeros((length, len(MEASURES)), dtype=np.int64)
        histograms = np.zeros((length, BUCKETS), dtype=np.int64)
        for stat in self._book.daily_stats(self._source, first, last):
            ordinal = (stat.day - first).days
            totals[ordinal] = stat.totals
            if stat.histogram:
                buckets, counts = np.array(stat.histogram, dtype=np.int64).T
                histograms[ordinal, buckets] = counts
        return _Cached(first, last, totals, histograms)


def _ordinal(cached: _Cached, day: str) -> int:
    return (date.fromisoformat(day) - cached.first).days


class Figures:
    """Every source's closed days, kept up with the book by its sequence number."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._seq = 0
        self._by_source: dict[str, SourceFigures] = {}

    def refresh(self) -> dict[str, SourceFigures]:
        """The figures by source, as the book now is."""
        if self._book.last_seq() > self._seq:
            news = self._book.closings(after_seq=self._seq)
            for source, closings in groupby(
                sorted(news, key=lambda closing: closing.source), key=lambda closing: closing.source
            ):
                self._by_source.setdefault(source, SourceFigures(self._book, source)).note(list(closings))
            self._seq = max(closing.seq for closing in news)
        return self._by_source


def dense_percentiles(histograms: Integers, percents: Sequence[int]) -> Integers:
    """The bucket of each nearest-rank percentile of each row; -1 where a row is empty."""
    running = np.cumsum(histograms, axis=1)
    counts = running[:, -1:]
    ranks = -(-counts * np.array(percents, dtype=np.int64) // 100)
    buckets = (running[:, None, :] < ranks[:, :, None]).sum(axis=2)
    return np.where(counts > 0, buckets, -1)
