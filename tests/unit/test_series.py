from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from stories import totals
from tallybook.page.asked import Asked
from tallybook.page.series import day_charts, hour_charts, legend
from tallybook.stats import as_row


def rows(count: int) -> list[dict[str, Any]]:
    first = date(2025, 11, 1)
    return [
        {"date": str(first + timedelta(days=day)), "state": "closed", **as_row(totals(requests=1, success=1))}
        for day in range(count)
    ]


def test_days_are_labelled_by_their_month_and_year_where_there_are_many() -> None:
    assert day_charts(Asked(), rows(300))[0].columns[0].label == "1 Nov"
    wide, narrow = day_charts(Asked(), rows(301))
    assert [label for _, label in narrow.labels] == ["Jan 2026", "Mar 2026", "Jun 2026", "Aug 2026"]
    assert len({label for _, label in wide.labels}) == len(wide.labels) == 10


@pytest.mark.parametrize(
    ("asked", "nothing"),
    [
        (Asked(), "nothing to draw"),
        (Asked(measure="cost"), "No price is known"),
        (Asked(measure="latency"), "No latency is known"),
        (Asked(measure="latency", filter=("model=o1",)), "No latency is known"),
        (Asked(measure="latency", filter=("team=search",)), "Latencies are kept by provider and model only"),
    ],
)
def test_an_empty_chart_says_what_is_not_known(asked: Asked, nothing: str) -> None:
    assert [chart.nothing for chart in day_charts(asked, rows(2))] == [nothing] * 2


@pytest.mark.parametrize(
    ("measure", "unknown"),
    [
        ("requests", []),
        ("tokens", ["Tokens in", "Tokens out"]),
        ("cost", ["Cost"]),
        ("latency", ["p50", "p95", "p99"]),
    ],
)
def test_what_is_unknown_of_the_measure_is_told_on_hover(measure: str, unknown: list[str]) -> None:
    told = as_row(totals(requests=1, success=1, status_count=1))
    day = {"date": "2026-11-22", "state": "closed", **told}
    known = [("Requests", "1"), ("Failed", "0")]
    assert list(day_charts(Asked(measure=measure), [day])[0].columns[0].told) == [
        *known,
        *((name, "unknown") for name in unknown),
    ]
    if measure != "latency":
        assert (
            hour_charts(measure, [told])[0].columns[0].told
            == day_charts(Asked(measure=measure), [day])[0].columns[0].told
        )


def test_a_legend_without_totals_tells_none() -> None:
    assert [
        (entry.name, entry.text) for entry in legend("requests", rows(1), as_row(totals(success=5, requests=5)))
    ] == [("succeeded", "5")]
    assert [(entry.name, entry.text) for entry in legend("requests", rows(1), None)] == [("succeeded", None)]
