"""Closed days in memory, as arrays: what lets any range be answered without touching a raw record.

A rebuildable cache over the book, never its content. Closed days do not change, so what was read stays right; it is
read anew when a range reaches further, or a day in it has been closed or adjusted since. An adjustment is more rows of
its day, with signed numbers, so that running sums and histograms have it in them like any other.
Sums wrap around in 64 bits and are exact all the same: a difference of two running sums is right whenever the true
difference fits, and `StatsReader` checks that the range's totals do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from tallybook.book.entries import AdjustmentMark, Closing
from tallybook.book.ledger import Book
from tallybook.change import Change
from tallybook.content import Key
from tallybook.filters import NO_FILTERS, Filters
from tallybook.histogram import BUCKETS, Histogram
from tallybook.measures import HISTOGRAM_DIMENSIONS, MEASURES, NOTHING, REQUESTS, Totals
from tallybook.periods import MAX_PERIOD_DAYS
from tallybook.vintage import CURRENT, Vintage

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
        """The totals of each value that has any from day ordinal `first` to `last`."""
        starts = np.arange(len(self.values), dtype=np.int64) * _STRIDE
        low = np.searchsorted(self.keys, starts + first)
        high = np.searchsorted(self.keys, starts + last, side="right")
        sums = self.sums[high] - self.sums[low]
        occurs = (high > low) & sums.any(axis=1)
        return {value: sums[index] for index, value in enumerate(self.values) if occurs[index]}


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
    changes: list[Change]
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    unsliced: dict[str, set[date]] = field(default_factory=dict)
    buckets: Buckets | None = None


class SourceFigures:
    """The closed days of one source in one vintage, of what filters let through. Not thread-safe: its owner holds the
    lock."""

    def __init__(self, book: Book, source: str, vintage: Vintage = CURRENT, filters: Filters = NO_FILTERS) -> None:
        self._book = book
        self._source = source
        self._vintage = vintage
        self._filters = filters
        self._cached: _Cached | None = None
        self.closings: dict[date, Closing] = {}
        self.adjusted: Counter[date] = Counter()

    def note(self, closings: Iterable[Closing], adjustments: Iterable[AdjustmentMark] = ()) -> None:
        """Takes in entries that are new in the book, as far as they are of this vintage."""
        closed = {closing.day: closing for closing in closings if self._vintage.has(closing.closed_at)}
        adjusted = [mark.day for mark in adjustments if self._vintage.has_adjustment(mark.recorded_at)]
        self.closings |= closed
        self.adjusted.update(adjusted)
        cached = self._cached
        if cached and any(cached.first <= day <= cached.last for day in (*closed, *adjusted)):
            self._cached = None

    def adjustments(self, first: date, last: date) -> int:
        """How many adjustments are in the figures of the range."""
        return sum(count for day, count in self.adjusted.items() if first <= day <= last)

    def has_records(self, day: date) -> bool:
        """Whether a closed day has any record by now, whatever filters let through."""
        cached, *_ = self._span(day, day)
        changed = sum(change.totals[REQUESTS] for change in cached.changes if change.day == day)
        return self.closings[day].records + changed > 0

    def totals(self, first: date, last: date) -> Integers:
        """The measures of each day of the range: an array of days by `MEASURES`."""
        cached, low, high = self._span(first, last)
        return cached.totals[low : high + 1]

    def histograms(self, first: date, last: date) -> Integers:
        """The dense histogram of each day of the range: an array of days by buckets."""
        cached, low, high = self._span(first, last)
        return cached.histograms[low : high + 1]

    def unsliced(self, dimension: str, first: date, last: date) -> int:
        """Of how many days of the range that were closed with records nothing is kept by the dimension."""
        cached, *_ = self._span(first, last)
        if dimension not in cached.unsliced:
            unsliced = self._book.days_not_sliced_by(self._source, dimension, cached.first, cached.last)
            cached.unsliced[dimension] = unsliced & self.closings.keys()
        return sum(first <= day <= last for day in cached.unsliced[dimension])

    def breakdown(self, dimension: str, first: date, last: date) -> dict[str | None, Integers]:
        """The totals of the range by value of the dimension."""
        cached, low, high = self._span(first, last)
        if dimension not in cached.breakdowns:
            rows = [
                (_ordinal(cached, day), value, totals)
                for day, value, totals in self._slices_by(dimension, cached.first, cached.last)
            ]
            cached.breakdowns[dimension] = Breakdown.of([*rows, *self._changes_by(dimension, cached)])
        return cached.breakdowns[dimension].between(low, high)

    def buckets(self, dimension: str, first: date, last: date) -> dict[str | None, Integers]:
        """The dense histogram of the range by value of a dimension that histograms are kept by."""
        cached, low, high = self._span(first, last)
        if cached.buckets is None:
            rows = [
                (_ordinal(cached, day), provider, model, counts)
                for day, provider, model, counts in self._book.histograms(self._source, cached.first, cached.last)
                if date.fromisoformat(day) in self.closings and self._has_latencies((provider, model))
            ]
            changes = [
                (_ordinal(cached, str(change.day)), part.key[0], part.key[1], part.counts)
                for change in cached.changes
                for part in change.histograms
                if self._has_latencies(part.key)
            ]
            cached.buckets = Buckets.of([*rows, *changes])
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
        for day, measures, counts in self._closed(first, last):
            _add(totals, histograms, (day - first).days, measures, counts)
        changes = self._read_changes(first, last)
        for change in changes:
            ordinal = (change.day - first).days
            for part in change.slices:
                if self._filters.take(change.dimensions, part.key):
                    _add(totals, histograms, ordinal, part.totals, ())
            for latencies in change.histograms:
                if self._has_latencies(latencies.key):
                    _add(totals, histograms, ordinal, NOTHING, latencies.counts)
        return _Cached(first, last, totals, histograms, changes)

    def _closed(self, first: date, last: date) -> Iterator[tuple[date, Totals, Histogram]]:
        """What was closed: totals and histograms of days, which come in pieces where filters are set."""
        if not self._filters:
            days = self._book.daily_stats(self._source, first, last)
            yield from ((stat.day, stat.totals, stat.histogram) for stat in days if stat.day in self.closings)
            return
        for text, _, totals in self._slices_by(None, first, last):
            yield date.fromisoformat(text), totals, ()
        for text, provider, model, counts in self._book.histograms(self._source, first, last):
            if date.fromisoformat(text) in self.closings and self._has_latencies((provider, model)):
                yield date.fromisoformat(text), NOTHING, counts

    def _slices_by(self, dimension: str | None, first: date, last: date) -> Iterator[tuple[str, str | None, Totals]]:
        rows = self._book.breakdown(self._source, dimension, first, last, self._filters.wanted)
        return (row for row in rows if date.fromisoformat(row[0]) in self.closings)

    def _has_latencies(self, pair: Key) -> bool:
        """Whether filters let the latencies of a provider and model through."""
        return self._filters.knows_latencies and self._filters.take(HISTOGRAM_DIMENSIONS, pair)

    def _changes_by(self, dimension: str, cached: _Cached) -> Iterator[tuple[int, str | None, Totals]]:
        for change in cached.changes:
            place = change.dimensions.index(dimension) if dimension in change.dimensions else None
            for part in change.slices:
                if self._filters.take(change.dimensions, part.key):
                    yield (change.day - cached.first).days, None if place is None else part.key[place], part.totals

    def _read_changes(self, first: date, last: date) -> list[Change]:
        if not self.adjustments(first, last):
            return []
        entries = self._book.adjustments(self._source, first, last)
        return [entry.change for entry in entries if self._vintage.has_adjustment(entry.recorded_at)]


def _ordinal(cached: _Cached, day: str) -> int:
    return (date.fromisoformat(day) - cached.first).days


def _add(totals: Integers, histograms: Integers, ordinal: int, more: Totals, counts: Histogram) -> None:
    totals[ordinal] += more
    if counts:
        buckets, numbers = np.array(counts, dtype=np.int64).T
        histograms[ordinal, buckets] += numbers


MAX_VIEWS = 8
"""How many other views than today's of everything are kept in memory."""


class Figures:
    """Every source's closed days, kept up with the book by its sequence number."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._seq = 0
        self._closings: list[Closing] = []
        self._adjustments: list[AdjustmentMark] = []
        self._by_source: dict[str, SourceFigures] = {}
        self._views: dict[tuple[Vintage, Filters], dict[str, SourceFigures]] = {}

    def of(self, vintage: Vintage = CURRENT, filters: Filters = NO_FILTERS) -> dict[str, SourceFigures]:
        """The figures by source, as the book now is, in the vintage, of what filters let through."""
        self._refresh()
        view = (vintage, filters)
        if view == (CURRENT, NO_FILTERS):
            return self._by_source
        if view not in self._views:
            if len(self._views) >= MAX_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._views[view] = {}
            self._note(self._views[view], view, self._closings, self._adjustments)
        return self._views[view]

    def _refresh(self) -> None:
        if self._book.last_seq() <= self._seq:
            return
        closings = self._book.closings(after_seq=self._seq)
        adjustments = self._book.adjustment_marks(after_seq=self._seq)
        self._note(self._by_source, (CURRENT, NO_FILTERS), closings, adjustments)
        self._closings += closings
        self._adjustments += adjustments
        self._views.clear()
        self._seq = max([*(closing.seq for closing in closings), *(mark.seq for mark in adjustments)])

    def _note(
        self,
        figures: dict[str, SourceFigures],
        view: tuple[Vintage, Filters],
        closings: Sequence[Closing],
        adjustments: Sequence[AdjustmentMark],
    ) -> None:
        for source in {closing.source for closing in closings} | {mark.source for mark in adjustments}:
            figures.setdefault(source, SourceFigures(self._book, source, *view)).note(
                [entry for entry in closings if entry.source == source],
                [entry for entry in adjustments if entry.source == source],
            )


def dense_percentiles(histograms: Integers, percents: Sequence[int]) -> Integers:
    """The bucket of each nearest-rank percentile of each row; -1 where a row is empty."""
    running = np.cumsum(histograms, axis=1)
    counts = running[:, -1:]
    ranks = -(-counts * np.array(percents, dtype=np.int64) // 100)
    buckets = (running[:, None, :] < ranks[:, :, None]).sum(axis=2)
    return np.where(counts > 0, buckets, -1)
