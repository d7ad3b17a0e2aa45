from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import YESTERDAY, totals
from tallybook.change import apply_changes, change_between
from tallybook.content import DayBuckets, DayContent, Key, Slice, build_content, empty_content
from tallybook.histogram import Histogram, merge

DIMENSIONS = ("model", "provider")
REQUEST = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["p", None]), st.sampled_from([0, 5, 130, 131]))


def day_of(requests: Sequence[tuple[str | None, str | None, int]]) -> DayContent:
    """The content of a day of these requests: model, provider, latency."""
    slices: dict[tuple[str | None, ...], list[int]] = {}
    for model, provider, latency_ms in requests:
        slices.setdefault((model, provider), []).append(latency_ms)
    rows = [
        Slice(key, totals(requests=len(found), latency_sum_ms=sum(found), latency_count=len(found)))
        for key, found in slices.items()
    ]
    histograms: dict[Key, Histogram] = {
        (provider, model): merge([[(latency_ms, 1)] for latency_ms in found])
        for (model, provider), found in slices.items()
    }
    return build_content(YESTERDAY, DIMENSIONS, rows, DayBuckets(histograms, len(requests)), 100)


CONTENTS = st.lists(REQUEST, max_size=5).map(day_of)


@given(CONTENTS, CONTENTS)
def test_a_change_makes_the_one_of_the_other(before: DayContent, now: DayContent) -> None:
    change = change_between(before, now)
    assert apply_changes(before, [change]) == now
    assert bool(change) == (before != now)


@given(st.lists(CONTENTS, min_size=2, max_size=4), st.randoms())
def test_changes_add_up_in_any_order(contents: list[DayContent], order: random.Random) -> None:
    changes = [change_between(*pair) for pair in pairwise(contents)]
    order.shuffle(changes)
    assert apply_changes(contents[0], changes) == contents[-1]


def test_numbers_are_signed_and_what_does_not_change_is_left_out() -> None:
    change = change_between(day_of([("a", "p", 5), ("b", None, 130)]), day_of([("a", "p", 5), ("c", None, 131)]))
    assert [(part.key, part.totals[0]) for part in change.slices] == [(("b", None), -1), (("c", None), 1)]
    assert [(part.key, part.counts) for part in change.histograms] == [
        ((None, "b"), ((130, -1),)),
        ((None, "c"), ((131, 1),)),
    ]
    assert change.totals == totals(latency_sum_ms=1)


def test_a_day_without_records_takes_the_dimensions_of_what_comes() -> None:
    now = day_of([("a", "p", 5)])
    change = change_between(empty_content(YESTERDAY), now)
    assert change.dimensions == DIMENSIONS
    assert apply_changes(empty_content(YESTERDAY), [change]) == now


def test_what_a_source_cannot_know_stays_unknown() -> None:
    before = empty_content(YESTERDAY, ("failed",))
    assert apply_changes(before, [change_between(before, day_of([("a", "p", 5)]))]).unknown == ("failed",)


def test_changes_of_another_day_or_sliced_otherwise_are_refused() -> None:
    now = day_of([("a", "p", 5)])
    change = change_between(empty_content(YESTERDAY), now)
    with pytest.raises(ValueError, match="a change of 2026-11-22 is none of 2026-11-21"):
        apply_changes(empty_content(date(2026, 11, 21)), [change])
    other = build_content(YESTERDAY, ("team",), [Slice(("t",), totals(requests=1))], DayBuckets({}, 1), 100)
    with pytest.raises(ValueError, match="sliced by team and by model, provider"):
        change_between(other, now)
    with pytest.raises(ValueError, match="sliced by model, provider and by team"):
        apply_changes(now, [change_between(empty_content(YESTERDAY), other)])
