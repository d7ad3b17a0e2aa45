from __future__ import annotations

from typing import Any

from stories import totals
from tallybook.page.figures import COST, P95, REQUESTS, SUCCESS
from tallybook.page.headline import Tile, headline
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
    before = stats(200, 196, 1_000, "2026-11-09", "2026-11-15", closed=6, missing=1)
    assert next(headline(FIGURES, WEEK, before)).text == "300"
    assert changes(WEEK, before) == [("50.0 %", ""), ("1.0 points", ""), ("100.0 %", "")]


def test_nothing_is_compared_where_the_days_before_begin_before_the_first_record() -> None:
    before = stats(20, 20, 1_000, "2026-11-09", "2026-11-15", closed=1)
    assert changes(WEEK, before) == [(None, "no comparison")] * 3


def test_sums_of_a_day_that_is_not_over_are_not_compared_but_rates_are() -> None:
    today = stats(30, 27, 2_000, "2026-11-23", "2026-11-23", open=1)
    yesterday = stats(300, 300, 1_000, "2026-11-22", "2026-11-22", closed=1)
    assert changes(today, yesterday) == [(None, "so far"), ("10.0 points", ""), ("100.0 %", "")]


def test_what_is_unknown_is_not_compared_and_is_no_zero() -> None:
    before = stats(300, 297, None, "2026-11-09", "2026-11-15", closed=7)
    assert list(headline((P95, COST), WEEK, before)) == [Tile("p95", "2.00s", None), Tile("Cost", None, None)]
