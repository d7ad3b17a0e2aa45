"""one-api: only what was answered leaves a row; type 5, elsewhere an error, is the test of a channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import oracle
from databases import Database, on
from gateways.gorm import Log, Table
from gateways.looking import attached, content, found, slices, totals
from stories import TODAY, YESTERDAY, Record, at, record
from tallybook.content import DayContent
from tallybook.declaration import Declaration
from tallybook.digest import digest_day
from tallybook.errors import UsageError
from tallybook.source import Slicing
from tallybook.sources.matching import check

everywhere = on("sqlite", "postgresql", "mysql")

LOGS = Table(
    "logs",
    columns={
        "id": "id",
        "user_id": "number",
        "created_at": "number",
        "type": "number",
        "content": "text",
        "username": "name",
        "token_name": "name",
        "model_name": "name",
        "quota": "count",
        "prompt_tokens": "count",
        "completion_tokens": "count",
        "channel_id": "number",
        "request_id": "name",
        "elapsed_time": "count",
        "is_stream": "flag",
        "system_prompt_reset": "flag",
    },
    usual={
        "user_id": 1,
        "content": "",
        "username": "root",
        "model_name": "gpt-4o",
        "quota": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "channel_id": 2,
        "request_id": "",
        "elapsed_time": 0,
        "is_stream": False,
        "system_prompt_reset": False,
    },
    indexes={
        "idx_logs_user_id": ("user_id",),
        "idx_created_at_type": ("created_at", "type"),
        "index_username_model_name": ("model_name", "username"),
        "idx_logs_token_name": ("token_name",),
        "idx_logs_model_name": ("model_name",),
        "idx_logs_channel_id": ("channel_id",),
    },
)
NEWER = ("request_id", "elapsed_time", "is_stream", "system_prompt_reset")
OLDER_LOGS = replace(LOGS, columns={name: kind for name, kind in LOGS.columns.items() if name not in NEWER})
"""The table of a version that measured no time."""


def log(kind: int, moment: str, key: str = "prod", **given: Any) -> Log:
    """A row of the kind, written at that second."""
    return {"created_at": int(at(moment).timestamp()), "type": kind, "token_name": key, **given}


def consumed(moment: str, **given: Any) -> Log:
    """The row of a request that was answered."""
    return log(2, moment, **given)


def keep(database: Database, *logs: Log, table: Table = LOGS) -> None:
    """The table as one-api makes it, with these rows."""
    table.create(database)
    table.insert(database, logs)


def yesterday(database: Database, *dimensions: str, **settings: str) -> DayContent:
    return content(attached(database, "one-api", **settings), YESTERDAY, *dimensions)


A_DAY = (
    consumed(
        "11-22 09:00",
        prompt_tokens=900,
        completion_tokens=100,
        quota=1250,
        elapsed_time=2345,
        request_id="2026112209one",
    ),
    consumed(
        "11-22 09:01",
        model_name="claude-3-5-sonnet",
        channel_id=8,
        key="batch",
        username="eve",
        prompt_tokens=40,
        completion_tokens=60,
        quota=1,
        elapsed_time=0,
    ),
    log(1, "11-22 10:00", quota=5_000_000, model_name="", key=""),
    log(3, "11-22 10:01", model_name="", key=""),
    log(4, "11-22 10:02", quota=100, model_name="", key=""),
    log(5, "11-22 10:03", prompt_tokens=7, completion_tokens=3, elapsed_time=800, key=""),
)


@everywhere
def test_a_day_of_requests_among_topups_settings_and_tests_of_channels(database: Database) -> None:
    keep(database, *A_DAY)
    day = yesterday(database)
    assert totals(day) == {
        "requests": 2,
        "success": 2,
        "status_count": 2,
        "tokens_in": 940,
        "tokens_in_count": 2,
        "tokens_out": 160,
        "tokens_out_count": 2,
        "latency_sum_ms": 2345,
        "latency_count": 1,
        "cost_nanousd": 2_502_000,
        "priced_requests": 2,
    }
    assert day.unknown == ("failed",)


@everywhere
def test_a_day_by_model_channel_token_and_user(database: Database) -> None:
    keep(database, *A_DAY)
    assert slices(yesterday(database, "model", "provider", "team", "api_key", "user")) == {
        ("claude-3-5-sonnet", "8", None, "batch", "eve"): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 40,
            "tokens_in_count": 1,
            "tokens_out": 60,
            "tokens_out_count": 1,
            "cost_nanousd": 2_000,
            "priced_requests": 1,
        },
        ("gpt-4o", "2", None, "prod", "root"): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 900,
            "tokens_in_count": 1,
            "tokens_out": 100,
            "tokens_out_count": 1,
            "latency_sum_ms": 2345,
            "latency_count": 1,
            "cost_nanousd": 2_500_000,
            "priced_requests": 1,
        },
    }


THE_SAME_DAY: list[Record] = [
    record(
        "11-22 09:00",
        "gpt-4o",
        tokens_in=900,
        tokens_out=100,
        latency_ms=2345,
        cost_nanousd=2_500_000,
        provider="2",
        api_key="prod",
    ),
    record(
        "11-22 09:01",
        "claude-3-5-sonnet",
        tokens_in=40,
        tokens_out=60,
        cost_nanousd=2_000,
        provider="8",
        api_key="batch",
    ),
]


@everywhere
def test_a_day_has_the_same_digest_on_every_database(database: Database) -> None:
    keep(database, *A_DAY)
    expected = {**oracle.payload(YESTERDAY, THE_SAME_DAY), "unknown": ["failed"]}
    assert digest_day(yesterday(database)) == oracle.digest(expected)


@everywhere
def test_an_older_version_measured_no_time(database: Database) -> None:
    keep(database, *A_DAY, table=OLDER_LOGS)
    day = totals(yesterday(database))
    assert (day["requests"], day.get("latency_count", 0)) == (2, 0)
    shown = found(database, "one-api")
    assert shown["limits"]["latency_resolution"] == "none"
    assert "latency_ms" in shown["cannot_fill"]


@everywhere
def test_the_rows_of_one_request_id_are_requests_each(database: Database) -> None:
    """A row is written once a request is done, so that an id that comes again was sent again."""
    keep(database, *[consumed("11-22 09:00", request_id="abc")] * 3)
    assert totals(yesterday(database))["requests"] == 3


@everywhere
def test_half_a_million_of_quota_is_a_dollar_unless_said_otherwise(database: Database) -> None:
    keep(database, consumed("11-22 09:00", quota=500_000), consumed("11-22 09:01", quota=3))
    assert totals(yesterday(database))["cost_nanousd"] == 1_000_006_000
    assert totals(yesterday(database, quota_per_usd="1000000"))["cost_nanousd"] == 500_003_000


@everywhere
def test_what_is_below_zero_is_unknown(database: Database) -> None:
    keep(database, consumed("11-22 09:00", prompt_tokens=-1, completion_tokens=-1, quota=-1, elapsed_time=-1))
    assert totals(yesterday(database)) == {"requests": 1, "success": 1, "status_count": 1}


@everywhere
def test_a_second_belongs_to_the_day_that_it_begins(database: Database) -> None:
    seconds = ("11-21 23:59:59", "11-22 00:00:00", "11-22 23:59:59", "11-23 00:00:00")
    keep(database, *(consumed(second, prompt_tokens=10**place) for place, second in enumerate(seconds)))
    days = attached(database, "one-api").contents([YESTERDAY.replace(day=21), YESTERDAY, TODAY], Slicing())
    assert [totals(day)["tokens_in"] for day in days] == [1, 110, 1000]


@everywhere
def test_names_that_differ_in_case_or_by_a_space_stay_apart(database: Database) -> None:
    names = ["gpt-4o", "GPT-4o", "gpt-4o "]
    keep(database, *(consumed("11-22 09:00", model_name=name) for name in names))
    requests = {key: part["requests"] for key, part in slices(yesterday(database, "model")).items()}
    assert requests == {("gpt-4o",): 1, ("GPT-4o",): 1, ("gpt-4o ",): 1}


@everywhere
def test_a_token_named_by_its_secret_is_kept_as_a_fingerprint(database: Database) -> None:
    keep(
        database,
        consumed("11-22 09:00", key="sk-0123456789abcdefghijklmnopqrstuv"),
        consumed("11-22 09:00", key=""),
    )
    assert set(slices(yesterday(database, "api_key"))) == {("fp_989176f55d88124e",), (None,)}


@everywhere
def test_what_attaching_shows(database: Database) -> None:
    keep(database, log(1, "11-01 00:00"), consumed("11-20 08:00"), consumed("11-22 09:00"), log(5, "11-23 00:45"))
    shown = found(database, "one-api")
    assert (shown["first_record"], shown["last_record"]) == ("2026-11-20T08:00:00Z", "2026-11-22T09:00:00Z")
    assert shown["time"] == {"column": "created_at", "unit": "epoch_s"}
    assert shown["yesterday"] == {"day": "2026-11-22", "requests": 1}
    assert shown["fills"] == [
        *("model_name", "provider", "api_key", "user", "status_code", "tokens_in", "tokens_out"),
        *("latency_ms", "cost_usd"),
    ]
    assert shown["cannot_fill"] == ["team", "operation", "error_type", "tokens_cached", "tokens_reasoning", "ttft_ms"]
    assert shown["limits"] == {
        "failures": "none",
        "latency_resolution": "whole milliseconds",
        "ttft": "none",
        "count_by": "request",
        "notes": [
            "a request that failed leaves no row",
            "provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
        ],
    }
    assert (shown["warnings"], shown["create_index"]) == ([], None)


CREATE_INDEX = {
    "sqlite": 'CREATE INDEX ix_tallybook_created_at ON "logs" ("created_at", "type")',
    "postgresql": 'CREATE INDEX CONCURRENTLY ix_tallybook_created_at ON "logs" ("created_at", "type")',
    "mysql": "CREATE INDEX ix_tallybook_created_at ON `logs` (`created_at`, `type`)",
}


@everywhere
def test_a_missing_index_is_told_and_its_statement_mends_it(database: Database) -> None:
    others = {name: columns for name, columns in LOGS.indexes.items() if name != "idx_created_at_type"}
    keep(database, *A_DAY, table=replace(LOGS, indexes=others))
    shown = found(database, "one-api")
    assert shown["create_index"] == CREATE_INDEX[database.family]
    assert shown["warnings"] == ["no index helps to find a day by created_at: each closing reads the whole table"]
    database.run(shown["create_index"])
    assert found(database, "one-api")["create_index"] is None


def test_failures_cannot_be_said_to_be_logged() -> None:
    said = Declaration(name="gateway", url="sqlite:///one-api.db", preset="one-api", settings={"failures": "logged"})
    with pytest.raises(UsageError, match="one-api has no rows for failures"):
        check(said)


@pytest.mark.parametrize("quota", ["0", "-1", "half", ""])
def test_a_dollar_is_some_quota(quota: str) -> None:
    said = Declaration(name="gateway", url="sqlite:///one-api.db", preset="one-api", settings={"quota_per_usd": quota})
    with pytest.raises(UsageError, match="quota_per_usd"):
        check(said)
