"""The picture of a latency histogram: its buckets, a quarter of an octave to a bar, as short latencies and long ones
can be looked at side by side only on a scale of ratios."""

from __future__ import annotations

import math

from tallybook import wording
from tallybook.histogram import Histogram, midpoint_of, percentile, total
from tallybook.page.chart import SIZES, Chart, Column, Series
from tallybook.page.figures import as_short, as_whole
from tallybook.page.scale import decades, round_time

PER_OCTAVE = 4
PERCENTS = (50, 95, 99)


def latency_charts(histogram: Histogram) -> list[Chart]:
    """The chart in each size; none where no latency is known."""
    if not histogram:
        return []
    counts: dict[int, int] = {}
    for bucket, count in histogram:
        place = _place(midpoint_of(bucket))
        counts[place] = counts.get(place, 0) + count
    first, last = min(counts) - 1, max(counts) + 1
    places = range(first, last + 1)
    columns = [_column(place, counts.get(place, 0), total(histogram)) for place in places]
    series = Series("requests", "first", [counts.get(place, 0) for place in places])
    marks = [(_exact(percentile(histogram, percent) or 0) - first, f"p{percent}") for percent in PERCENTS]
    return [Chart(size, columns, [series], as_short, marked=marks, axis=_axis(first, last)) for size in SIZES]


def _axis(first: int, last: int) -> list[tuple[float, str]]:
    """Round latencies and where they stand; none where they are too few to read a scale from."""
    round_ones = decades(_bound(first) + 1, _bound(last))
    return [(_exact(value) - first, round_time(value)) for value in round_ones if len(round_ones) > 1]


def _exact(latency_ms: float) -> float:
    return PER_OCTAVE * math.log2(latency_ms + 1)


def _place(latency_ms: float) -> int:
    return math.floor(_exact(latency_ms))


def _bound(place: int) -> float:
    """The latency at which a bar begins."""
    return max(0.0, 2 ** (place / PER_OCTAVE) - 1)


def _column(place: int, count: int, whole: int) -> Column:
    lower, upper = (wording.milliseconds(_bound(edge)) for edge in (place, place + 1))
    told = (("Requests", as_whole(count)), ("Share", wording.percent(count, whole)))
    return Column(lower, f"{lower} to {upper}", told=told if count else ())
