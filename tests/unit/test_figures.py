from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from stories import NOW, fetch, put, record, totals
from tallybook.book.ledger import Book
from tallybook.content import DayContent, Slice
from tallybook.figures import Breakdown, Buckets, Figures, dense_percentiles
from tallybook.histogram import BUCKETS, bucket_of
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import REQUESTS, TOKENS_IN

VALUES = st.none() | st.sampled_from(["", "a", "b", "(other)", "é"])
ROWS = st.dictionaries(st.tuples(st.integers(0, 20), VALUES), st.integers(0, 2**62), max_size=40)


@given(ROWS, st.integers(0, 20), st.integers(0, 20))
def test_running_sums_give_the_sum_of_any_range_even_when_they_wrap_around(
    rows: dict[tuple[int, str | None], int], first: int, last: int
) -> None:
    breakdown = Breakdown.of(
        [(day, value, totals(requests=1, tokens_in=tokens)) for (day, value), tokens in rows.items()]
    )
    expected: dict[str | None, int] = {}
    for (day, value), tokens in rows.items():
        if first <= day <= last:
            expected[value] = expected.get(value, 0) + tokens
    found = breakdown.between(first, last)
    assert set(found) == set(expected)
    for value, tokens in expected.items():
        if tokens < 2**63:
            assert int(found[value][TOKENS_IN]) == tokens


def test_nothing_has_no_breakdown_and_no_buckets() -> None:
    assert Breakdown.of([]).between(0, 10) == {}
    assert Buckets.of([]).between("model", 0, 10) == {}


def test_buckets_are_added_up_by_either_dimension() -> None:
    buckets = Buckets.of(
        [
            (1, "openai", "a", ((5, 2), (1069, 1))),
            (0, None, "a", ((5, 1),)),
            (2, "openai", "b", ((7, 4),)),
        ]
    )
    by_model = buckets.between("model", 0, 1)
    assert {value: (int(dense[5]), int(dense[1069]), int(dense.sum())) for value, dense in by_model.items()} == {
        "a": (3, 1, 4)
    }
    by_provider = buckets.between("provider", 0, 2)
    assert {value: int(dense.sum()) for value, dense in by_provider.items()} == {None: 1, "openai": 7}
    assert {value: int(dense.sum()) for value, dense in buckets.between("model", 2, 2).items()} == {"b": 4}


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=50), min_size=1, max_size=5))
def test_percentiles_of_many_rows_at_once_are_those_of_the_sorted_lists(rows: list[list[int]]) -> None:
    dense = np.zeros((len(rows), BUCKETS), dtype=np.int64)
    for place, values in enumerate(rows):
        for bucket, count in Counter(map(bucket_of, values)).items():
            dense[place, bucket] = count
    expected = []
    for values in rows:
        exact = [oracle.exact_percentile(values, percent) for percent in (1, 50, 95, 99, 100)]
        expected.append([-1 if value is None else oracle.bucket(value) for value in exact])
    assert dense_percentiles(dense, (1, 50, 95, 99, 100)).tolist() == expected


@pytest.fixture
def figures(sqlite_book: Book, logs: LogStore) -> Figures:
    put(logs, *(record(f"11-{day} 10:00", "a", tokens_in=day) for day in range(10, 23)))
    DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
    return Figures(sqlite_book)


def test_a_wider_range_than_the_one_read_before_reads_again(figures: Figures) -> None:
    local = figures.of()["local"]
    assert local.totals(date(2026, 11, 20), date(2026, 11, 21))[:, TOKENS_IN].tolist() == [20, 21]
    assert local.totals(date(2026, 11, 9), date(2026, 11, 11))[:, TOKENS_IN].tolist() == [0, 10, 11]
    assert local.totals(date(2026, 11, 22), date(2026, 11, 23))[:, TOKENS_IN].tolist() == [22, 0]
    assert int(local.breakdown("model", date(2026, 11, 10), date(2026, 11, 22))["a"][REQUESTS]) == 13


def test_a_range_is_read_from_the_book_once(figures: Figures) -> None:
    local = figures.of()["local"]
    local.totals(date(2026, 11, 10), date(2026, 11, 22))
    read = local._cached
    local.histograms(date(2026, 11, 12), date(2026, 11, 13))
    assert local._cached is read


def test_a_day_closed_later_is_seen_at_the_next_refresh(figures: Figures, sqlite_book: Book, logs: LogStore) -> None:
    span = (date(2026, 11, 22), date(2026, 11, 23))
    assert figures.of()["local"].totals(*span)[:, REQUESTS].tolist() == [1, 0]
    put(logs, record("11-23 02:00", "a"), record("11-23 03:00", "b"))
    DailyStatsJob(sqlite_book, [logs]).run_once(NOW + timedelta(days=1))
    assert figures.of()["local"].totals(*span)[:, REQUESTS].tolist() == [1, 2]
    assert {value: int(sums[REQUESTS]) for value, sums in figures.of()["local"].breakdown("model", *span).items()} == {
        "a": 2,
        "b": 1,
    }


def test_a_gap_closed_later_within_the_range_that_was_read_is_seen_too(sqlite_book: Book) -> None:
    figures = Figures(sqlite_book)

    def close(day: date, requests: int) -> None:
        sums = totals(requests=requests)
        sqlite_book.append("x", DayContent(day, ("model",), sums, (), (Slice(("m",), sums),), ()), NOW)

    close(date(2026, 11, 20), 1)
    close(date(2026, 11, 22), 3)
    span = (date(2026, 11, 20), date(2026, 11, 22))
    assert figures.of()["x"].totals(*span)[:, REQUESTS].tolist() == [1, 0, 3]
    assert int(figures.of()["x"].breakdown("model", *span)["m"][REQUESTS]) == 4
    close(date(2026, 11, 21), 2)
    assert figures.of()["x"].totals(*span)[:, REQUESTS].tolist() == [1, 2, 3]
    assert int(figures.of()["x"].breakdown("model", *span)["m"][REQUESTS]) == 6
    assert fetch(sqlite_book, "SELECT COUNT(*) FROM closings") == [(3,)]
