from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.page.scale import decades, every, round_number, round_time, spread, ticks


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (0, (0, 1)),
        (1, (0, 0.25, 0.5, 0.75, 1)),
        (4_865, (0, 2_000, 4_000, 6_000)),
        (8, (0, 2, 4, 6, 8)),
        (0.03, (0, 0.01, 0.02, 0.03)),
    ],
)
def test_lines_are_drawn_at_round_numbers_up_to_the_largest(largest: float, expected: tuple[float, ...]) -> None:
    assert ticks(largest) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("largest", "expected"), [(0, (0, 1)), (1, (0, 1)), (3, (0, 1, 2, 3)), (9, (0, 5, 10)), (250, (0, 100, 200, 300))]
)
def test_what_is_counted_has_no_lines_between_whole_numbers(largest: float, expected: tuple[float, ...]) -> None:
    assert ticks(largest, is_whole=True) == expected


@given(st.integers(1, 10**15))
def test_lines_of_what_is_counted_are_whole_and_end_above_the_largest(largest: int) -> None:
    found = ticks(largest, is_whole=True)
    assert all(value.is_integer() for value in found)
    assert found[-2] < largest <= found[-1]
    assert 2 <= len(found) <= 6


@given(st.floats(1e-6, 1e15))
def test_the_largest_value_is_below_the_last_line_and_there_are_a_few(largest: float) -> None:
    found = ticks(largest)
    assert found[-2] < largest <= found[-1] * (1 + 1e-9)
    assert 3 <= len(found) <= 6


@pytest.mark.parametrize(
    ("count", "wanted", "last_always", "first_always"),
    [
        (7, 10, [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]),
        (30, 10, [2, 5, 8, 11, 14, 17, 20, 23, 26, 29], [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]),
        (8, 4, [1, 3, 5, 7], [0, 2, 4, 6]),
        (1, 4, [0], [0]),
    ],
)
def test_labels_are_evenly_apart(count: int, wanted: int, last_always: list[int], first_always: list[int]) -> None:
    assert list(spread(count, wanted)) == last_always
    assert list(every(count, wanted)) == first_always


def test_ratios_are_read_at_one_two_and_five() -> None:
    assert decades(30, 2_500) == (50, 100, 200, 500, 1_000, 2_000)
    assert decades(1, 1) == (1,)
    assert decades(6, 9) == ()


@pytest.mark.parametrize(
    ("value_ms", "text"), [(0, "0"), (50, "50ms"), (1_000, "1s"), (2_500, "2.5s"), (5e6, "5,000s")]
)
def test_round_times_have_no_zeros_behind_the_point(value_ms: float, text: str) -> None:
    assert round_time(value_ms) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (500, "500"),
        (2_500, "2.5k"),
        (10_000, "10k"),
        (12_500, "12.5k"),
        (7_500_000, "7.5M"),
        (10_000_000, "10M"),
        (250_000_000, "250M"),
    ],
)
def test_round_numbers_have_no_zeros_behind_the_point_and_one_unit(value: float, text: str) -> None:
    assert round_number(value) == text
