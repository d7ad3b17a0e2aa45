from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from tallybook.histogram import (
    BUCKETS,
    MAX_LATENCY_MS,
    SHIFT_BOUNDS_MS,
    Histogram,
    bounds_of,
    bucket_of,
    merge,
    midpoint_of,
    percentile,
    total,
)

LATENCIES = st.one_of(st.integers(0, 300), st.integers(0, MAX_LATENCY_MS))


def of(values: list[int]) -> Histogram:
    return tuple(sorted(Counter(map(bucket_of, values)).items()))


@pytest.mark.parametrize(
    ("value", "bucket", "low", "high"),
    [
        (0, 0, 0, 0),
        (1, 1, 1, 1),
        (127, 127, 127, 127),
        (128, 128, 128, 129),
        (129, 128, 128, 129),
        (130, 129, 130, 131),
        (255, 191, 254, 255),
        (256, 192, 256, 259),
        (1000, 317, 1000, 1007),
        (3_600_000, 1069, 3_571_712, 3_604_479),
        (2_147_483_647, 1663, 2_130_706_432, 2_147_483_647),
    ],
)
def test_buckets_by_hand(value: int, bucket: int, low: int, high: int) -> None:
    assert bucket_of(value) == bucket
    assert bounds_of(bucket) == (low, high)


def test_the_buckets_cover_every_latency_without_gap_or_overlap() -> None:
    assert bounds_of(0) == (0, 0)
    for bucket in range(1, BUCKETS):
        assert bounds_of(bucket)[0] == bounds_of(bucket - 1)[1] + 1
    assert bounds_of(BUCKETS - 1)[1] == MAX_LATENCY_MS == 2_147_483_647


def test_both_edges_of_every_bucket_fall_into_it() -> None:
    for bucket in range(BUCKETS):
        low, high = bounds_of(bucket)
        assert bucket_of(low) == bucket_of(high) == bucket_of(midpoint_of(bucket)) == bucket


def test_every_value_up_to_20_seconds_is_in_the_bucket_of_the_formula() -> None:
    for value in range(20_000):
        shift = max(math.floor(math.log2(value)) - 6, 0) if value >= 128 else 0
        assert bucket_of(value) == (shift << 6) + (value >> shift) == oracle.bucket(value)


def test_an_hour_takes_1070_buckets() -> None:
    assert bucket_of(3_600_000) == 1069


def test_the_bounds_of_the_sql_case_are_where_the_shift_changes() -> None:
    assert SHIFT_BOUNDS_MS[:3] == (128, 256, 512)
    assert SHIFT_BOUNDS_MS[-1] == 1_073_741_824
    for place, bound in enumerate(SHIFT_BOUNDS_MS):
        assert bounds_of(bucket_of(bound - 1))[1] == bound - 1
        assert bounds_of(bucket_of(bound))[1] - bound + 1 == 2 ** (place + 1)


def test_below_128_ms_a_midpoint_is_exact_and_above_at_most_one_in_128_off() -> None:
    for bucket in range(BUCKETS):
        low, high = bounds_of(bucket)
        for value in (low, high):
            assert abs(midpoint_of(bucket) - value) * 128 <= (0 if value < 128 else value)


@given(LATENCIES)
def test_the_midpoint_of_any_latency_is_within_its_error_bound(value: int) -> None:
    decoded = midpoint_of(bucket_of(value))
    assert decoded == oracle.bucketed(value)
    assert abs(decoded - value) <= value / 128


@given(LATENCIES, LATENCIES)
def test_buckets_keep_the_order_of_values(one: int, other: int) -> None:
    assert (bucket_of(one) <= bucket_of(other)) or one > other


@given(st.lists(st.lists(LATENCIES, max_size=30), max_size=5))
def test_merging_is_counting_all_at_once(parts: list[list[int]]) -> None:
    together = [value for part in parts for value in part]
    assert merge(of(part) for part in parts) == of(together)
    assert total(merge(of(part) for part in parts)) == len(together)


@given(st.lists(LATENCIES, max_size=30), st.lists(LATENCIES, max_size=30))
def test_what_was_added_can_be_taken_away_again(kept: list[int], taken: list[int]) -> None:
    negative = tuple((bucket, -count) for bucket, count in of(taken))
    assert merge([of(kept + taken), negative]) == of(kept)


@given(st.lists(LATENCIES, min_size=1, max_size=300), st.integers(1, 100))
def test_a_percentile_is_the_nearest_rank_of_the_sorted_list(values: list[int], percent: int) -> None:
    exact = oracle.exact_percentile(values, percent)
    assert exact is not None
    assert percentile(of(values), percent) == oracle.bucketed(exact)


def test_percentiles_by_hand() -> None:
    hundred = of(list(range(1, 101)))
    assert [percentile(hundred, percent) for percent in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile(of(list(range(1, 102))), 99) == 100
    assert [percentile(of([7]), percent) for percent in (1, 50, 99)] == [7, 7, 7]
    assert percentile(of([1, 2]), 50) == 1
    assert percentile(of([1, 2]), 51) == 2
    assert percentile(((5, 1), (6, 10**15)), 99) == 6


def test_nothing_has_no_percentile() -> None:
    assert percentile((), 50) is None
