"""Days closed by command and over HTTP: one answer, once and for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from acceptance.running import Home, ago, serving


@pytest.fixture
def three_days(home: Home) -> Home:
    """Three requests around a midnight, then a day of nothing: 2026-03-02, 2026-03-03 and, later, 2026-03-05."""
    file = home.file(
        "days.csv",
        "created_at,model_name,status_code,tokens_in,tokens_out,latency_ms",
        "2026-03-02T23:59:59.999999Z,gpt-5,200,100,10,100",
        "2026-03-03T00:00:00Z,gpt-5,500,,,200",
        "2026-03-03T08:30:00+09:00,claude,302,7,3,120",
        "2026-03-05T10:00:00Z,gpt-5,0,,,",
    )
    home.do("import", file)
    return home


CLOSED_DAYS = [
    {"source": "local", "day": "2026-03-02", "outcome": "closed", "requests": 2},
    {"source": "local", "day": "2026-03-03", "outcome": "closed", "requests": 1},
    {"source": "local", "day": "2026-03-04", "outcome": "zero", "requests": 0},
    {"source": "local", "day": "2026-03-05", "outcome": "closed", "requests": 1},
]


def without_digests(answer: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in result.items() if name != "digest"} for result in answer["results"]]


def test_days_closed_by_command_have_the_rows_that_the_records_come_to(three_days: Home) -> None:
    assert without_digests(three_days.ask("backfill", "2026-03-02", "2026-03-05")) == CLOSED_DAYS
    series = three_days.ask("stats", "2026-03-02..2026-03-05")["series"]
    names = ("date", "state", "requests", "success", "failed", "tokens_in", "tokens_out", "latency_sum_ms")
    assert [tuple(row[name] for name in names) for row in series] == [
        ("2026-03-02", "closed", 2, 2, 0, 107, 13, 220),
        ("2026-03-03", "closed", 1, 0, 1, 0, 0, 200),
        ("2026-03-04", "zero", 0, 0, 0, 0, 0, 0),
        ("2026-03-05", "closed", 1, 0, 1, 0, 0, 0),
    ]
    assert three_days.is_intact(4)


def test_a_closed_day_answers_exists_and_changes_no_more(three_days: Home) -> None:
    (first,) = three_days.ask("close", "2026-03-03")["results"]
    late = three_days.file("late.csv", "created_at,model_name,status_code", "2026-03-03T12:00:00Z,gpt-5,200")
    three_days.do("import", late)
    (again,) = three_days.ask("close", "2026-03-03")["results"]
    assert again == {**first, "outcome": "exists"}
    assert three_days.ask("stats", "2026-03-03")["totals"]["requests"] == 1
    assert three_days.ask("reconcile")["results"] == [
        {
            "source": "local",
            "day": "2026-03-03",
            "state": "drift",
            "change": {"requests": 1, "success": 1, "status_count": 1},
        }
    ]


def test_csv_has_a_column_for_adjustments_once_there_is_one(three_days: Home) -> None:
    three_days.do("backfill", "2026-03-02", "2026-03-05")
    late = three_days.file("late.csv", "created_at,model_name,status_code", "2026-03-03T12:00:00Z,gpt-5,200")
    three_days.do("import", late)
    three_days.do("reconcile", "--post")
    lines = [line.split(",") for line in three_days.do("stats", "2026-03-02..2026-03-05", "--csv").splitlines()]
    places = [lines[0].index(name) for name in ("date", "requests", "adjustments")]
    assert [[line[place] for place in places] for line in lines[1:3]] == [
        ["2026-03-02", "2", ""],
        ["2026-03-03", "2", "1"],
    ]


def test_a_day_that_is_not_over_is_refused_on_standard_error_and_nothing_is_frozen(three_days: Home) -> None:
    today, tomorrow = ago(0), ago(-1)
    for day in (today, tomorrow):
        refused = three_days.run("close", day, "--json")
        assert refused.code == 2
        assert f"{day} is not over" in refused.err
        assert "Traceback" not in refused.err
    assert three_days.ask("stats", today)["days"] == {"closed": 0, "zero": 0, "missing": 0, "open": 1}


def test_a_day_before_the_first_record_is_left_open_for_older_logs(three_days: Home) -> None:
    three_days.do("backfill", "2026-03-02", "2026-03-02")
    (skipped,) = three_days.ask("close", "2026-02-28")["results"]
    assert skipped == {
        "source": "local",
        "day": "2026-02-28",
        "outcome": "skipped",
        "requests": None,
        "digest": None,
        "reason": "before the source's first record",
    }
    older = three_days.file("older.csv", "created_at,model_name,status_code", "2026-02-28T12:00:00Z,gpt-5,200")
    three_days.do("import", older)
    assert without_digests(three_days.ask("close", "2026-02-28")) == [
        {"source": "local", "day": "2026-02-28", "outcome": "closed", "requests": 1}
    ]


def test_over_http_the_answer_is_the_command_s(three_days: Home) -> None:
    with serving(three_days) as server:
        assert server.post("/v1/close", {"day": "2026-03-02"})["results"][0]["outcome"] == "closed"
        answer = server.post("/v1/backfill", {"from": "2026-03-02", "to": "2026-03-05"})
        assert [result["day"] for result in answer["results"]] == [result["day"] for result in CLOSED_DAYS]
        assert [result["requests"] for result in answer["results"]] == [2, 1, 0, 1]

        refused = server.post("/v1/close", {"day": ago(0)})["results"]
        assert [(result["outcome"], result["digest"]) for result in refused] == [("refused", None)]

        days = server.get("/v1/daily-stats", **{"from": "2026-03-01", "to": "2026-03-31"})["days"]
        assert [(day["date"], day["requests"], day["top_models"]) for day in days] == [
            (
                "2026-03-02",
                2,
                [{"model": "claude", "requests": 1, "tokens": 10}, {"model": "gpt-5", "requests": 1, "tokens": 110}],
            ),
            ("2026-03-03", 1, [{"model": "gpt-5", "requests": 1, "tokens": 0}]),
            ("2026-03-05", 1, [{"model": "gpt-5", "requests": 1, "tokens": 0}]),
        ]
        closings = server.get("/v1/closings", source="local")["closings"]
        by_day = {closing["day"]: (closing["state"], closing["records"], closing["digest"]) for closing in closings}
        assert by_day["2026-03-04"][:2] == ("zero", 0)
    listed = three_days.ask("backfill", "2026-03-02", "2026-03-05")["results"]
    assert [(result["outcome"], result["digest"]) for result in listed] == [
        ("exists", by_day[result["day"]][2]) for result in listed
    ]


def test_the_same_records_give_the_same_digest_imported_or_posted(new_home: Callable[[], Home]) -> None:
    imported, posted = new_home(), new_home()
    file = imported.file(
        "records.csv",
        "created_at,model_name,status_code,latency_ms,cost_usd,team",
        "2026-03-03T00:00:00Z,gpt-5,500,200,,",
        "2026-03-03T23:59:59Z,gpt-5,200,1400,0.000000001,search",
    )
    imported.do("import", file)
    with serving(posted) as server:
        records = [
            {"created_at": 1772495999000 + 86_400_000, "model_name": "gpt-5", "status_code": 200, "latency_ms": 1400},
            {"created_at": "2026-03-03T01:00:00+01:00", "model_name": "gpt-5", "status_code": 500, "latency_ms": 200},
        ]
        server.post("/v1/log-records", [{**records[0], "cost_usd": "0.000000001", "team": "search"}, records[1]])
    (first,) = imported.ask("close", "2026-03-03")["results"]
    (second,) = posted.ask("close", "2026-03-03")["results"]
    assert (first["outcome"], first["requests"]) == ("closed", 2)
    assert first == second


def test_pruning_keeps_what_came_after_closing_even_where_the_rest_is_pruned_already(home: Home) -> None:
    def line(day: int, hour: int) -> str:
        return f'{{"created_at": "2026-11-{day}T{hour}:00:00Z", "model_name": "m", "status_code": 200}}'

    home.do("import", home.file("old.jsonl", line(18, 10), line(18, 12), line(19, 10)))
    home.do("backfill", "2026-11-18", "2026-11-19")
    time.sleep(1.1)
    assert home.ask("prune", "--before", "2026-11-20")["deleted_records"] == 3
    home.do("import", home.file("late.jsonl", line(18, 11)))
    assert home.ask("prune", "--before", "2026-11-20") == {
        "deleted_records": 0,
        "deleted_days": [],
        "kept": [{"day": "2026-11-18", "reason": "records came after it was pruned"}],
    }
