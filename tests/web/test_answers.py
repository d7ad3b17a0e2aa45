"""`GET /v1/stats` and what else is read, for one small history.

15 gpt-5 · 16 nothing · 17 claude, failed · 18 to 20 nothing · 21 not closed · 22 gpt-5 twice · 23 today, claude
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from stories import ARRIVED, NOW, delete_days, posted, totals
from tallybook.bookkeeper import Bookkeeper
from tallybook.content import DayContent, Slice, empty_content
from tallybook.logs.store import LogStore
from web.asking import GOOD, Client, ask, error, on, take_logs_away

HISTORY = (
    on("15", tokens_in=100, tokens_out=10, latency_ms=120, cost_usd="0.5", team="search", provider="openai"),
    on("17", model_name="claude", status_code=500, api_key="key-1"),
    on("22", tokens_in=7, tokens_out=3, latency_ms=100, user="ann", operation="chat"),
    on("22", tokens_in=8, latency_ms=127, status_code=0, error_type="timeout"),
    {**on("23", model_name="claude", tokens_in=5), "created_at": "2026-11-23T00:30:00Z"},
)


@pytest.fixture
def history(keeper: Bookkeeper, fill: Callable[..., None]) -> None:
    """Every day up to yesterday closed but the 21st, whose one record came too late to be closed by itself."""
    fill(*HISTORY)
    for day in ("15", "16", "17", "18", "19", "20", "22"):
        keeper.close(day=f"2026-11-{day}")
    late = posted(b'{"created_at": "2026-11-21T10:00:00Z", "model_name": "gpt-5", "status_code": 200}', NOW)
    keeper.logs.append(late.table, NOW)


pytestmark = pytest.mark.usefixtures("history")


@pytest.mark.parametrize(
    ("period", "first", "last", "days", "requests"),
    [
        ("today", "2026-11-23", "2026-11-23", (0, 0, 0, 1), 1),
        ("yesterday", "2026-11-22", "2026-11-22", (1, 0, 0, 0), 2),
        ("last7d", "2026-11-16", "2026-11-22", (2, 4, 1, 0), 3),
        ("last30d", "2026-10-24", "2026-11-22", (3, 4, 1, 0), 4),
        ("last90d", "2026-08-25", "2026-11-22", (3, 4, 1, 0), 4),
        ("week", "2026-11-23", "2026-11-23", (0, 0, 0, 1), 0),
        ("month", "2026-11-01", "2026-11-23", (3, 4, 1, 1), 4),
        ("year", "2026-01-01", "2026-11-23", (3, 4, 1, 1), 4),
        ("all", "2026-11-15", "2026-11-22", (3, 4, 1, 0), 4),
        ("2026-11-15", "2026-11-15", "2026-11-15", (1, 0, 0, 0), 1),
        ("2026-11-10..2026-11-17", "2026-11-10", "2026-11-17", (2, 1, 0, 0), 2),
        ("2026-11-23..2026-11-25", "2026-11-23", "2026-11-25", (0, 0, 0, 3), 0),
    ],
)
def test_every_period_has_its_days_and_counts_them_by_state(
    client: Client, period: str, first: str, last: str, days: tuple[int, ...], requests: int
) -> None:
    answer = ask(client, "/v1/stats", period=period)
    assert (answer["period"], answer["from"], answer["to"]) == (period, first, last)
    assert (answer["timezone"], answer["basis"], answer["adjustments"]) == ("UTC", "adjusted", 0)
    assert answer["days"] == dict(zip(("closed", "zero", "missing", "open"), days, strict=True))
    assert answer["totals"]["requests"] == requests
    assert sum(row["requests"] for row in answer["series"]) == requests


def test_a_range_by_from_and_to_is_inclusive(client: Client) -> None:
    answer = ask(client, "/v1/stats", **{"from": "2026-11-15", "to": "2026-11-17"})
    assert (answer["from"], answer["to"], answer["totals"]["requests"]) == ("2026-11-15", "2026-11-17", 2)


def test_an_answer_has_every_key_of_the_contract_and_unknown_is_null(client: Client) -> None:
    answer = ask(client, "/v1/stats", **{"from": "2026-11-15", "to": "2026-11-17", "by": "model"})
    contract = {
        "requests": 2,
        "success": 1,
        "failed": 1,
        "tokens_in": 100,
        "tokens_out": 10,
        "latency_sum_ms": 120,
        "latency_count": 1,
        "latency_avg_ms": 120.0,
        "latency_p50_ms": 120,
        "latency_p95_ms": 120,
        "latency_p99_ms": 120,
        "cost_usd": "0.5",
        "priced_requests": 1,
    }
    assert {name: answer["totals"][name] for name in contract} == contract
    assert answer["top_models"] == [
        {"model": "claude", "requests": 1, "tokens": 0},
        {"model": "gpt-5", "requests": 1, "tokens": 110},
    ]
    assert [(row["date"], row["state"]) for row in answer["series"]] == [
        ("2026-11-15", "closed"),
        ("2026-11-16", "zero"),
        ("2026-11-17", "closed"),
    ]
    keys = set(answer["totals"])
    assert [set(row) - {"date", "state"} for row in answer["series"]] == [keys] * 3
    assert [set(row) - {"value"} for row in answer["by"]["rows"]] == [keys] * 2
    failed = answer["series"][2]
    unknown = ("latency_avg_ms", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "cost_usd")
    assert [failed[name] for name in unknown] == [None] * 5


@pytest.mark.parametrize(
    ("dimension", "rows"),
    [
        ("model", [("gpt-5", 3), ("claude", 1)]),
        ("provider", [(None, 3), ("openai", 1)]),
        ("team", [(None, 3), ("search", 1)]),
        ("api_key", [(None, 3), ("key-1", 1)]),
        ("user", [(None, 4)]),
        ("operation", [(None, 4)]),
        ("error_type", [(None, 4)]),
    ],
)
def test_by_each_dimension(client: Client, dimension: str, rows: list[tuple[str | None, int]]) -> None:
    by = ask(client, "/v1/stats", period="last30d", by=dimension)["by"]
    assert by["dimension"] == dimension
    assert [(row["value"], row["requests"]) for row in by["rows"]] == rows


def test_live_adds_today_marked_open(client: Client) -> None:
    closed, live = (ask(client, "/v1/stats", period="last7d", live=live, by="model") for live in ("false", "true"))
    assert (closed["to"], closed["totals"]["requests"]) == ("2026-11-22", 3)
    assert (live["to"], live["totals"]["requests"], live["totals"]["tokens_in"]) == ("2026-11-23", 4, 20)
    assert live["days"] == {"closed": 2, "zero": 4, "missing": 1, "open": 1}
    assert (live["series"][-1]["date"], live["series"][-1]["state"], live["series"][-1]["requests"]) == (
        "2026-11-23",
        "open",
        1,
    )
    assert [(row["value"], row["requests"]) for row in live["by"]["rows"]] == [("claude", 2), ("gpt-5", 2)]
    assert live["top_models"] == [
        {"model": "claude", "requests": 2, "tokens": 5},
        {"model": "gpt-5", "requests": 2, "tokens": 18},
    ]


def test_a_period_that_reaches_today_has_it_only_when_asked_live(client: Client) -> None:
    assert ask(client, "/v1/stats", period="month")["totals"]["requests"] == 4
    assert ask(client, "/v1/stats", period="month", live="true")["totals"]["requests"] == 5
    assert ask(client, "/v1/stats", period="week", live="true")["totals"]["requests"] == 1


def test_one_source_and_one_basis(client: Client) -> None:
    named = ask(client, "/v1/stats", period="last7d", source="local", basis="original")
    assert (named["basis"], named["totals"]["requests"]) == ("original", 3)


def test_daily_stats_are_the_original_s_rows(client: Client) -> None:
    days = ask(client, "/v1/daily-stats", **{"from": "2026-11-22", "to": "2026-11-23"})["days"]
    original = (
        *("date", "requests", "success", "failed", "tokens_in", "tokens_out"),
        *("latency_sum_ms", "top_models", "created_at"),
    )
    assert [{name: day[name] for name in original} for day in days] == [
        {
            "date": "2026-11-22",
            "requests": 2,
            "success": 1,
            "failed": 1,
            "tokens_in": 15,
            "tokens_out": 3,
            "latency_sum_ms": 227,
            "top_models": [{"model": "gpt-5", "requests": 2, "tokens": 18}],
            "created_at": "2026-11-23T01:00:00Z",
        }
    ]
    assert [day["date"] for day in ask(client, "/v1/daily-stats")["days"]] == ["2026-11-15", "2026-11-17", "2026-11-22"]


def test_closings_come_in_order_and_chained(client: Client) -> None:
    closings = ask(client, "/v1/closings")["closings"]
    assert [(closing["seq"], closing["day"], closing["state"], closing["records"]) for closing in closings] == [
        (1, "2026-11-15", "closed", 1),
        (2, "2026-11-16", "zero", 0),
        (3, "2026-11-17", "closed", 1),
        (4, "2026-11-18", "zero", 0),
        (5, "2026-11-19", "zero", 0),
        (6, "2026-11-20", "zero", 0),
        (7, "2026-11-22", "closed", 2),
    ]
    assert [closing["prev_chain"] for closing in closings[1:]] == [closing["chain"] for closing in closings[:-1]]
    assert ask(client, "/v1/closings", source="elsewhere") == {"closings": []}


def test_status_says_how_the_source_stands(client: Client, keeper: Bookkeeper) -> None:
    assert ask(client, "/v1/status") == {
        "now": "2026-11-23T01:00:00+00:00",
        "closings": 7,
        "sources": [
            {
                "source": "local",
                "first_day": "2026-11-15",
                "closed_through": "2026-11-20",
                "days_closed": 3,
                "days_zero": 4,
                "missing": ["2026-11-21"],
                "failed": [],
                "drift": [],
                "source_gone": [],
                "late_after_pruning": [],
                "compared_at": None,
                "adjustments": 0,
                "days_pruned": 0,
                "pruned_through": None,
                "records_in_logs": 6,
                "safe_to_prune_before": "2026-11-21",
                "synthetic": False,
            }
        ],
        "chain": {
            "entries": 7,
            "head": keeper.book.closings()[-1].chain,
            "anchors": [{"to": "file", "through_seq": 7, "waiting": 0, "failing": None}],
        },
    }


def test_status_says_why_a_day_failed_until_it_is_closed(client: Client, keeper: Bookkeeper) -> None:
    with keeper.logs.importing():
        (result,) = client.post("/v1/close", json={"day": "2026-11-21"}).json()["results"]
        assert (result["outcome"], result["reason"]) == ("failed", "an import is running")
    (source,) = ask(client, "/v1/status")["sources"]
    assert source["missing"] == ["2026-11-21"]
    assert source["failed"] == [{"day": "2026-11-21", "reason": "an import is running"}]
    client.post("/v1/close", json={"day": "2026-11-21"})
    (source,) = ask(client, "/v1/status")["sources"]
    assert (source["missing"], source["failed"]) == ([], [])


def test_what_a_source_could_not_know_is_null_and_told(client: Client, keeper: Bookkeeper) -> None:
    keeper.book.append("proxy", empty_content(date(2026, 11, 15), ("failed",)), NOW)
    sums = totals(requests=2, success=2, status_count=2)
    day = DayContent(date(2026, 11, 17), ("model",), sums, (), (Slice(("claude",), sums),), (), ("failed",))
    keeper.book.append("proxy", day, NOW)
    both = ask(client, "/v1/stats", **{"from": "2026-11-15", "to": "2026-11-17", "by": "model"})
    assert (both["totals"]["requests"], both["totals"]["success"], both["totals"]["failed"]) == (4, 3, None)
    assert [row["failed"] for row in both["series"]] == [None, 0, None]
    assert [(row["value"], row["failed"]) for row in both["by"]["rows"]] == [("claude", None), ("gpt-5", 0)]
    assert both["unknown"]["failed"] == ["proxy"]
    alone = ask(client, "/v1/stats", **{"from": "2026-11-15", "to": "2026-11-17", "source": "local"})
    assert alone["totals"]["failed"] == 1
    assert "failed" not in alone["unknown"]
    days = ask(client, "/v1/daily-stats", **{"from": "2026-11-15", "to": "2026-11-17"})["days"]
    assert [(row["date"], row["source"], row["requests"], row["failed"]) for row in days] == [
        ("2026-11-15", "local", 1, 0),
        ("2026-11-17", "local", 1, 1),
        ("2026-11-17", "proxy", 2, None),
    ]


def test_health_and_readiness(client: Client, keeper: Bookkeeper) -> None:
    assert ask(client, "/healthz")["status"] == "ok"
    assert ask(client, "/readyz") == {"status": "ready", "closings": 7, "has_records": True}
    take_logs_away(keeper)
    assert error(client.get("/readyz"), 503)[0] == "logs"
    assert ask(client, "/healthz")["status"] == "ok"


def test_closed_days_are_answered_while_the_logs_are_away(client: Client, keeper: Bookkeeper) -> None:
    before = ask(client, "/v1/stats", period="last7d")
    take_logs_away(keeper)
    assert ask(client, "/v1/stats", period="last7d") == before
    assert 'tallybook_missing_days{source="local"}' in client.get("/metrics").text
    assert error(client.get("/v1/status"), 503)[0] == "logs"
    assert ask(client, "/v1/stats", period="today")["unreachable"].keys() == {"local"}


def test_close_and_backfill_take_a_body_query_parameters_or_nothing(client: Client) -> None:
    def outcomes(answer: Any) -> list[tuple[str, str]]:
        assert answer.status_code == 200, answer.text
        return [(result["day"], result["outcome"]) for result in answer.json()["results"]]

    assert outcomes(client.post("/v1/close")) == [("2026-11-22", "exists")]
    assert outcomes(client.post("/v1/close", json={"day": "2026-11-21"})) == [("2026-11-21", "closed")]
    assert outcomes(client.post("/v1/close?day=2026-11-14&source=local")) == [("2026-11-14", "skipped")]
    assert outcomes(client.post("/v1/close", json={"day": "2026-11-23"})) == [("2026-11-23", "refused")]
    assert outcomes(client.post("/v1/backfill?from=2026-11-20&to=2026-11-21")) == [
        ("2026-11-20", "exists"),
        ("2026-11-21", "exists"),
    ]


def test_every_number_comes_from_the_days_as_they_were_closed(
    client: Client, keeper: Bookkeeper, fill: Callable[..., None]
) -> None:
    fill({**GOOD, "created_at": "2026-11-22T12:00:00Z"})
    assert ask(client, "/v1/stats", period="yesterday")["totals"]["requests"] == 2
    assert isinstance(keeper.logs, LogStore)
    delete_days(keeper.logs, ARRIVED.date().replace(day=22))
    assert ask(client, "/v1/stats", period="yesterday")["totals"]["requests"] == 2
