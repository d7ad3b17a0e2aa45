"""Today is 23 November."""

from __future__ import annotations

from typing import Any

import pytest

from stories import TODAY
from tallybook.page.absence import Absence, absence, why_no_latency


def stats(first: str, last: str, *states: str, requests: int = 0, **more: Any) -> dict[str, Any]:
    series = [{"state": state} for state in states]
    return {"from": first, "to": last, "series": series, "totals": {"requests": requests}, "sources": ["local"], **more}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (stats("2026-11-20", "2026-11-20", "missing"), Absence("not closed", "2026-11-20 is not closed yet.")),
        (
            stats("2026-11-20", "2026-11-21", "before", "missing"),
            Absence("not closed", "2026-11-20 to 2026-11-21 is not closed yet."),
        ),
        (stats("2026-11-22", "2026-11-22", "open"), Absence("not closed", "2026-11-22 is not closed yet.")),
        (stats("2026-01-01", "2026-01-01", "before"), Absence("unknown", "2026-01-01 is before the first record.")),
        (stats("2027-11-17", "2027-11-17", "open"), Absence("unknown", "2027-11-17 is not here yet.")),
        (
            stats("2026-11-23", "2026-11-23", "open", unreachable={"local": "It is away."}),
            Absence("unknown", "No source answers today."),
        ),
    ],
)
def test_of_days_that_nobody_tells_of_it_is_said_why(told: dict[str, Any], expected: Absence) -> None:
    assert absence(told, TODAY) == expected


@pytest.mark.parametrize(
    "told",
    [
        stats("2026-11-21", "2026-11-22", "missing", "zero"),
        stats("2026-11-22", "2026-11-22", "source-gone"),
        stats("2026-11-22", "2026-11-22", "missing", requests=5),
        stats("2026-11-23", "2026-11-23", "open"),
        stats("2026-11-23", "2026-11-24", "open", "open"),
    ],
)
def test_one_day_that_is_told_of_is_enough_and_its_zero_is_known(told: dict[str, Any]) -> None:
    assert absence(told, TODAY) is None


def test_latencies_are_known_by_provider_and_model_and_nothing_else() -> None:
    assert why_no_latency(["model=o1", "provider"]) == ""
    assert why_no_latency(["model=o1", "team"]) == "Latencies are kept by provider and model only."
