from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import totals
from tallybook.content import (
    DayContent,
    Slice,
    TopModel,
    build_content,
    canonical_order,
    empty_content,
    fold_smallest,
    rank_models,
)
from tallybook.errors import CloseFailed
from tallybook.measures import NOTHING, add_totals
from tallybook.shape import NO_LATENCY
from tallybook.sources.groupings import BucketTable

DAY = date(2026, 11, 22)
MODEL = ("model",)


def build(
    sums: list[tuple[Any, ...]],
    buckets: list[tuple[Any, ...]],
    dimensions: tuple[str, ...] = MODEL,
    max_slices: int = 100,
) -> DayContent:
    slices = [Slice(tuple(row[: len(dimensions)]), tuple(row[len(dimensions) :])) for row in sums]
    rows = [(0, provider, model, NO_LATENCY if bucket is None else bucket, n) for provider, model, bucket, n in buckets]
    return build_content(DAY, dimensions, slices, BucketTable.of(rows).day(0), max_slices)


def row(*key: str | None, **measures: int) -> tuple[Any, ...]:
    return (*key, *totals(**measures))


def test_a_day_of_two_models_by_hand() -> None:
    content = build(
        [
            row("b", requests=1, success=1, status_count=1, tokens_in=5, tokens_in_count=1),
            row("a", requests=3, failed=3, status_count=3, latency_sum_ms=120, latency_count=2),
        ],
        [(None, "a", 50, 1), (None, "a", 70, 1), (None, "a", None, 1), ("openai", "b", None, 1)],
    )
    assert content.records == 4
    assert content.totals == totals(
        requests=4,
        success=1,
        failed=3,
        status_count=4,
        tokens_in=5,
        tokens_in_count=1,
        latency_sum_ms=120,
        latency_count=2,
    )
    assert content.top_models == (TopModel("a", 3, 0), TopModel("b", 1, 5))
    assert [part.key for part in content.slices] == [("a",), ("b",)]
    assert [(part.key, part.counts) for part in content.histograms] == [((None, "a"), ((50, 1), (70, 1)))]
    assert content.latency_histogram == ((50, 1), (70, 1))


def test_a_day_without_records_is_empty_however_it_was_to_be_sliced() -> None:
    assert build([], []) == empty_content(DAY) == build([], [], dimensions=("team", "user"))
    assert empty_content(DAY).records == 0


def test_the_rows_may_come_in_any_order() -> None:
    sums = [row(name, requests=1, latency_count=1, latency_sum_ms=9) for name in "cab"]
    buckets = [(None, name, 9, 1) for name in "bca"]
    assert build(sums, buckets) == build(sums[::-1], buckets[::-1])


def test_unknown_comes_before_the_empty_string_and_that_before_any_name() -> None:
    keys: list[tuple[str | None, ...]] = [("é",), ("Z",), ("",), (None,), ("a",), ("😀",), ("\uffff",)]
    assert sorted(keys, key=canonical_order) == [(None,), ("",), ("Z",), ("a",), ("é",), ("\uffff",), ("😀",)]


class TestTopModels:
    def test_ties_are_broken_by_name_and_the_eleventh_is_left_out(self) -> None:
        ranked = rank_models({"z": (2, 7), **{f"m{number:02d}": (1, 0) for number in range(11)}})
        assert ranked == (TopModel("z", 2, 7), *(TopModel(f"m{number:02d}", 1, 0) for number in range(9)))

    def test_more_tokens_do_not_make_up_for_fewer_requests(self) -> None:
        assert rank_models({"few": (1, 10**12), "many": (2, 0)})[0].model == "many"

    def test_an_unknown_model_is_ranked_like_any_other(self) -> None:
        assert [top.model for top in rank_models({"": (1, 0), None: (1, 0), "a": (1, 0)})] == [None, "", "a"]

    def test_a_model_that_is_spread_over_slices_is_one_row(self) -> None:
        sums = [row("a", "t1", requests=1, tokens_in=1, tokens_out=2), row("a", "t2", requests=1, tokens_in=4)]
        content = build(sums, [(None, "a", None, 2)], dimensions=("model", "team"))
        assert content.top_models == (TopModel("a", 2, 7),)

    def test_without_the_dimension_model_there_are_none(self) -> None:
        assert build([row("t1", requests=1)], [(None, "a", None, 1)], dimensions=("team",)).top_models == ()


class TestFolding:
    def slices(self, *requests: int) -> list[Slice]:
        return [
            Slice((f"m{place}", "p"), totals(requests=count, tokens_in=10 * count))
            for place, count in enumerate(requests)
        ]

    def test_up_to_the_limit_nothing_is_folded(self) -> None:
        slices = self.slices(5, 4, 3)
        assert fold_smallest(slices, 3) == slices

    def test_the_smallest_become_one_other_slice_and_the_total_stays(self) -> None:
        folded = fold_smallest(self.slices(1, 50, 2, 40), 3)
        assert folded == [
            Slice(("m1", "p"), totals(requests=50, tokens_in=500)),
            Slice(("m3", "p"), totals(requests=40, tokens_in=400)),
            Slice(("(other)", "(other)"), totals(requests=3, tokens_in=30)),
        ]

    def test_of_equally_small_slices_the_first_by_name_is_kept(self) -> None:
        folded = fold_smallest(self.slices(1, 1, 1, 1), 2)
        assert [part.key for part in folded] == [("m0", "p"), ("(other)", "(other)")]
        assert fold_smallest(self.slices(1, 1, 1, 1)[::-1], 2) == folded

    def test_a_limit_of_one_leaves_the_total_alone(self) -> None:
        assert fold_smallest(self.slices(1, 2), 1) == [Slice(("(other)", "(other)"), totals(requests=3, tokens_in=30))]

    def test_a_source_that_uses_the_name_other_itself_gets_one_slice_of_that_name(self) -> None:
        theirs = Slice(("(other)", "(other)"), totals(requests=9))
        folded = fold_smallest([theirs, *self.slices(1, 1)], 2)
        assert folded == [Slice(("(other)", "(other)"), totals(requests=11, tokens_in=20))]

    def test_histograms_of_folded_pairs_are_folded_with_them(self) -> None:
        sums = [
            row("big", "openai", requests=5, latency_count=5, latency_sum_ms=50),
            row("a", "openai", requests=1, latency_count=1, latency_sum_ms=10),
            row("b", None, requests=1, latency_count=1, latency_sum_ms=20),
        ]
        buckets = [("openai", "big", 10, 5), ("openai", "a", 10, 1), (None, "b", 20, 1)]
        content = build(sums, buckets, dimensions=("model", "provider"), max_slices=2)
        assert [part.key for part in content.slices] == [("(other)", "(other)"), ("big", "openai")]
        assert [(part.key, part.counts) for part in content.histograms] == [
            (("(other)", "(other)"), ((10, 1), (20, 1))),
            (("openai", "big"), ((10, 5),)),
        ]
        assert content.latency_histogram == ((10, 6), (20, 1))

    def test_top_models_are_taken_before_folding(self) -> None:
        sums = [row(f"m{number}", requests=number + 1) for number in range(12)]
        buckets = [(None, f"m{number}", None, number + 1) for number in range(12)]
        content = build(sums, buckets, max_slices=3)
        assert [top.model for top in content.top_models] == [f"m{number}" for number in range(11, 1, -1)]
        assert [part.key for part in content.slices] == [("(other)",), ("m10",), ("m11",)]

    @given(
        st.dictionaries(st.tuples(st.text(max_size=2), st.none() | st.text(max_size=2)), st.integers(1, 5)),
        st.integers(1, 8),
    )
    def test_folding_never_loses_a_record_nor_exceeds_the_limit(self, requests: dict[Any, int], limit: int) -> None:
        slices = [Slice(key, totals(requests=count, tokens_out=count * 3)) for key, count in requests.items()]
        folded = fold_smallest(slices, limit)
        assert len(folded) <= max(limit, 1)
        assert len({part.key for part in folded}) == len(folded)
        assert add_totals(part.totals for part in folded) == (
            add_totals(part.totals for part in slices) if slices else NOTHING
        )


class TestChecks:
    def test_a_record_that_came_between_the_two_reads_means_try_again(self) -> None:
        with pytest.raises(CloseFailed, match="source changed while 2026-11-22"):
            build([row("a", requests=2)], [(None, "a", None, 3)])

    def test_so_does_a_latency_that_was_filled_in_between(self) -> None:
        with pytest.raises(CloseFailed, match="changed while"):
            build([row("a", requests=2, latency_count=1)], [(None, "a", 5, 2)])

    def test_histograms_of_nothing_at_all_are_a_change_too(self) -> None:
        with pytest.raises(CloseFailed, match="changed while"):
            build([row("a", requests=2)], [])

    def test_a_total_of_64_bits_is_the_last_that_fits(self) -> None:
        assert build([row("a", requests=1, tokens_in=2**63 - 1)], [(None, "a", None, 1)]).totals[4] == 2**63 - 1
        with pytest.raises(CloseFailed, match="total tokens_in of 2026-11-22 is 9223372036854775808, beyond 64 bits"):
            build(
                [row("a", requests=1, tokens_in=2**63 - 1), row("b", requests=1, tokens_in=1)], [(None, "a", None, 2)]
            )
