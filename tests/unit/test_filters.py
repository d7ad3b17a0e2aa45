from __future__ import annotations

import pytest

from stories import YESTERDAY, totals
from tallybook.content import DayBuckets, Slice, build_content
from tallybook.errors import UnknownName, UsageError
from tallybook.filters import NO_FILTERS, Filters, parse_filters


def test_a_filter_is_a_dimension_and_its_value_or_the_dimension_alone_for_unknown() -> None:
    filters = parse_filters(["team=a=b", "model", "user="])
    assert filters == Filters((("model", None), ("team", "a=b"), ("user", "")))
    assert filters.as_texts() == ["model", "team=a=b", "user="]
    assert parse_filters([]) == NO_FILTERS


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["region=eu"], UnknownName, "There is no dimension 'region'"),
        (["=x"], UnknownName, "There is no dimension ''"),
        (["team=a", "team=b"], UsageError, "Two filters are given for team"),
        (["team=" + "x" * 10_000], UsageError, "is too long"),
    ],
)
def test_what_is_no_filter_is_refused(texts: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_filters(texts)


def test_what_is_not_cut_by_a_dimension_is_unknown_there() -> None:
    assert parse_filters(["team"]).take(("model",), ("a",))
    assert not parse_filters(["team=t"]).take(("model",), ("a",))
    assert parse_filters(["team=t", "model"]).take(("model", "team"), (None, "t"))


def test_a_day_is_narrowed_to_what_is_wanted_and_tells_latencies_only_by_provider_and_model() -> None:
    slices = [
        Slice(("a", "t"), totals(requests=2, latency_sum_ms=10, latency_count=2)),
        Slice(("b", "t"), totals(requests=1)),
    ]
    day = build_content(YESTERDAY, ("model", "team"), slices, DayBuckets({(None, "a"): ((5, 2),)}, 3), 10)
    by_model, by_team = (parse_filters([text]).narrow(day) for text in ("model=a", "team=t"))
    assert (by_model.records, [part.key for part in by_model.slices], len(by_model.histograms)) == (2, [("a", "t")], 1)
    assert [top.model for top in by_model.top_models] == ["a"]
    assert (by_team.records, by_team.histograms) == (3, ())
    assert parse_filters(["model=b"]).narrow(day).histograms == ()
