from __future__ import annotations

from typing import Any

import pytest

from stories import totals
from tallybook.page.absence import Absence
from tallybook.page.figures import COST, P95, REQUESTS, SUCCESS
from tallybook.page.headline import Tile, against, headline
from tallybook.stats import as_row

FIGURES = (REQUESTS, SUCCESS, P95)


def stats(requests: int, success: int, p95: float | None, first: str, last: str, **days: int) -> dict[str, Any]:
    row = as_row(totals(requests=requests, success=success, failed=requests - success, status_count=requests))
    counted = {"closed": 0, "zero": 0, "missing": 0, "open": 0, **days}
    return {"from": first, "to": last, "days": counted, "totals": {**row, "latency_p95_ms": p95}}


def changes(now: dict[str, Any], before: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(tile.change.text if tile.change else None, tile.instead) for tile in headline(FIGURES, now, before)]


WEEK = stats(300, 297, 2_000, "2026-11-16", "2026-11-22", closed=6, zero=1)


def test_figures_are_compared_with_as_many_days_before() -> None:
    before = stats(200, 196, 1_000, "2026-11-09", "2026-11-15", closed=6, zero=1)
    assert next(headline(FIGURES, WEEK, before)).text == "300"
    assert changes(WEEK, before) == [("50.0 %", ""), ("1.0 points", ""), ("100.0 %", "")]


def test_nothing_is_compared_where_the_days_before_begin_before_the_first_record() -> None:
    before = stats(20, 20, 1_000, "2026-11-09", "2026-11-15", closed=1)
    assert changes(WEEK, before) == [(None, "no comparison")] * 3


@pytest.mark.parametrize(
    ("now", "earlier"), [({}, {"missing": 1}), ({"missing": 1}, {}), ({"missing": 2}, {"missing": 1})]
)
def test_a_missing_day_is_not_counted_as_nothing_so_sums_are_not_compared_but_rates_are(
    now: dict[str, int], earlier: dict[str, int]
) -> None:
    week = stats(300, 297, 2_000, "2026-11-16", "2026-11-22", **{"closed": 7 - now.get("missing", 0), **now})
    before = stats(200, 196, 1_000, "2026-11-09", "2026-11-15", **{"closed": 7 - earlier.get("missing", 0), **earlier})
    assert changes(week, before) == [(None, "no comparison"), ("1.0 points", ""), ("100.0 %", "")]


def test_sums_of_a_day_that_is_not_over_are_not_compared_but_rates_are() -> None:
    today = stats(30, 27, 2_000, "2026-11-23", "2026-11-23", open=1)
    yesterday = stats(300, 300, 1_000, "2026-11-22", "2026-11-22", closed=1)
    assert changes(today, yesterday) == [(None, "so far"), ("10.0 points", ""), ("100.0 %", "")]


def test_what_is_unknown_is_not_compared_and_is_no_zero() -> None:
    before = stats(300, 297, None, "2026-11-09", "2026-11-15", closed=7)
    assert list(headline((P95, COST), WEEK, before)) == [Tile("p95", "2.00s", None), Tile("Cost", None, None)]


def test_where_nothing_is_told_figures_are_not_called_zero() -> None:
    day = stats(0, 0, None, "2026-11-22", "2026-11-22", missing=1)
    tiles = list(headline((REQUESTS, P95), day, WEEK, Absence("not closed", "2026-11-22 is not closed yet.")))
    assert [(tile.text, tile.change, tile.word, tile.why) for tile in tiles] == [
        (None, None, "not closed", "2026-11-22 is not closed yet.")
    ] * 2


def test_latencies_that_a_filter_hides_say_so() -> None:
    narrowed = {**WEEK, "filters": ["team=search"]}
    assert [tile.why for tile in headline(FIGURES, narrowed, WEEK)] == [
        "",
        "",
        "Latencies are kept by provider and model only.",
    ]
    assert [tile.why for tile in headline(FIGURES, {**WEEK, "filters": ["model=o1"]}, WEEK)] == [""] * 3


def test_a_cost_of_some_requests_only_says_of_how_many() -> None:
    def part(priced: int) -> str:
        told = {**WEEK, "totals": {**WEEK["totals"], "priced_requests": priced, "cost_usd": "1"}}
        return next(headline((COST,), told, WEEK)).part

    assert [part(priced) for priced in (0, 1, 294, 299, 300)] == [
        "",
        "<1 % of requests priced",
        "98 % of requests priced",
        ">99 % of requests priced",
        "",
    ]


def test_what_is_compared_with_is_named_with_its_year_only_where_it_is_another() -> None:
    before = stats(200, 196, 1_000, "2026-11-09", "2026-11-15", closed=7)
    tiles = list(headline(FIGURES, WEEK, before))
    assert against(tiles, WEEK, before) == "against 9 Nov to 15 Nov"
    january = stats(300, 297, 2_000, "2027-01-01", "2027-01-01", closed=1)
    december = stats(200, 196, 1_000, "2026-12-31", "2026-12-31", closed=1)
    assert against(list(headline(FIGURES, january, december)), january, december) == "against 31 Dec 2026"


def test_where_nothing_is_compared_nothing_is_named() -> None:
    before = stats(20, 20, 1_000, "2026-11-09", "2026-11-15", closed=1)
    assert against(list(headline(FIGURES, WEEK, before)), WEEK, before) == ""
