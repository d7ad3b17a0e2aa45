"""The latency histogram: integer, log-linear, mergeable.

A value below 128 ms is its own bucket. Above, each doubling is cut into 64 equal buckets:

    s = floor(log2 v) - 6,   bucket = (s << 6) + (v >> s)

so that a bucket is at most 1/64 of its lower bound wide and its midpoint is off by at most 1/128, 0.78 %. No logarithm
and no float: in SQL it is a CASE on constants, and every engine gives the same integers. Histograms are sparse, as
pairs of (bucket, count) in order of bucket; they add, and subtract, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

PRECISION_BITS = 6
MAX_LATENCY_MS = (1 << 31) - 1
STEPS = MAX_LATENCY_MS.bit_length() - PRECISION_BITS
SHIFT_BOUNDS_MS = tuple(1 << (PRECISION_BITS + step) for step in range(1, STEPS))
"""Below the k-th bound, and not below the one before, a value is shifted right by k bits."""

Histogram = tuple[tuple[int, int], ...]


def shift_of(value_ms: int) -> int:
    """How many low bits of the value its bucket leaves out."""
    return max(value_ms.bit_length() - 1 - PRECISION_BITS, 0)


def bucket_of(value_ms: int) -> int:
    """The bucket of a whole number of milliseconds from 0 to `MAX_LATENCY_MS`."""
    shift = shift_of(value_ms)
    return (shift << PRECISION_BITS) + (value_ms >> shift)


BUCKETS = bucket_of(MAX_LATENCY_MS) + 1


def bounds_of(bucket: int) -> tuple[int, int]:
    """The lowest and the highest value, both included, that fall into the bucket."""
    shift = max((bucket >> PRECISION_BITS) - 1, 0)
    low = (bucket - (shift << PRECISION_BITS)) << shift
    return low, low + (1 << shift) - 1


def midpoint_of(bucket: int) -> int:
    """The whole millisecond that stands for the bucket."""
    low, high = bounds_of(bucket)
    return (low + high) // 2


def merge(histograms: Iterable[Iterable[Sequence[int]]]) -> Histogram:
    """The sum of the histograms; buckets whose counts cancel out are dropped."""
    counts: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram:
            counts[bucket] = counts.get(bucket, 0) + count
    return tuple(sorted((bucket, count) for bucket, count in counts.items() if count))


def total(histogram: Iterable[Sequence[int]]) -> int:
    """How many values the histogram holds."""
    return sum(count for _, count in histogram)


def percentile(histogram: Histogram, percent: int) -> int | None:
    """The nearest-rank percentile, the ⌈percent · n / 100⌉-th smallest value, as its bucket's midpoint."""
    rank = -(-total(histogram) * percent // 100)
    if rank == 0:
        return None
    running = accumulate(count for _, count in histogram)
    return next(midpoint_of(bucket) for (bucket, _), seen in zip(histogram, running, strict=True) if seen >= rank)
