"""one-hub: a row for each request that was answered, its cached tokens and first token in a column of JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import oracle
from databases import Database, on
from gateways.gorm import Log, Table
from gateways.looking import attached, content, found, slices, totals
from stories import TODAY, YESTERDAY, Record, at, record
from tallybook.content import DayContent
from tallybook.digest import digest_day
from tallybook.source import Slicing

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
        "request_time": "count",
        "is_stream": "flag",
        "source_ip": "name",
        "metadata": "json",
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
        "request_time": 0,
        "is_stream": False,
        "source_ip": "",
        "metadata": "null",
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
NEWER = ("is_stream", "source_ip", "metadata")
OLDER_LOGS = replace(LOGS, columns={name: kind for name, kind in LOGS.columns.items() if name not in NEWER})
"""The table of a version that kept no metadata."""

PRICES = {"group_name": "default", "group_ratio": 1, "input_ratio": 1.25, "output_ratio": 5, "price_type": "tokens"}


def log(kind: int, moment: str, key: str = "prod", **given: Any) -> Log:
    """A row of the kind, written at that second."""
    return {"created_at": int(at(moment).timestamp()), "type": kind, "token_name": key, **given}


def consumed(moment: str, metadata: dict[str, Any] | None = None, **given: Any) -> Log:
    """The row of a request that was answered, with its prices and this in its metadata."""
    return log(2, moment, **{"metadata": json.dumps({**PRICES, **(metadata or {})}), **given})


def keep(database: Database, *logs: Log, table: Table = LOGS) -> None:
    """The table as one-hub makes it, with these rows."""
    table.create(database)
    table.insert(database, logs)


def yesterday(database: Database, *dimensions: str, **settings: str) -> DayContent:
    return content(attached(database, "one-hub", **settings), YESTERDAY, *dimensions)


A_DAY = (
    consumed(
        "11-22 09:00",
        {"cached_tokens": 512, "cached_tokens_ratio": 0.5, "first_response": 410},
        prompt_tokens=900,
        completion_tokens=100,
        quota=1250,
        request_time=2345,
        is_stream=True,
    ),
    consumed(
        "11-22 09:01",
        {"cached_read_tokens": 30, "cached_write_tokens": 10},
        model_name="claude-sonnet-4-5",
        channel_id=8,
        key="batch",
        username="eve",
        prompt_tokens=50,
        completion_tokens=60,
        quota=1,
    ),
    consumed("11-22 09:02", {"first_response": 0}, prompt_tokens=1, request_time=7),
    log(1, "11-22 10:00", quota=5_000_000, model_name="", key=""),
    log(3, "11-22 10:01", model_name="", key=""),
    log(4, "11-22 10:02", quota=100, model_name="", key=""),
    log(5, "11-22 10:03", model_name="", key=""),
    log(6, "11-22 10:04", model_name="", key=""),
)


@everywhere
def test_a_day_of_requests_among_topups_settings_and_logins(database: Database) -> None:
    keep(database, *A_DAY)
    day = yesterday(database)
    assert totals(day) == {
        "requests": 3,
        "success": 3,
        "status_count": 3,
        "tokens_in": 951,
        "tokens_in_count": 3,
        "tokens_out": 160,
        "tokens_out_count": 3,
        "tokens_cached": 542,
        "tokens_cached_count": 2,
        "latency_sum_ms": 2352,
        "latency_count": 2,
        "ttft_sum_ms": 410,
        "ttft_count": 1,
        "cost_nanousd": 2_502_000,
        "priced_requests": 3,
    }
    assert day.unknown == ("failed",)


@everywhere
def test_a_day_by_model_channel_token_and_user(database: Database) -> None:
    keep(database, *A_DAY)
    assert slices(yesterday(database, "model", "provider", "team", "api_key", "user")) == {
        ("claude-sonnet-4-5", "8", None, "batch", "eve"): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 50,
            "tokens_in_count": 1,
            "tokens_out": 60,
            "tokens_out_count": 1,
            "tokens_cached": 30,
            "tokens_cached_count": 1,
            "cost_nanousd": 2_000,
            "priced_requests": 1,
        },
        ("gpt-4o", "2", None, "prod", "root"): {
            "requests": 2,
            "success": 2,
            "status_count": 2,
            "tokens_in": 901,
            "tokens_in_count": 2,
            "tokens_out": 100,
            "tokens_out_count": 2,
            "tokens_cached": 512,
            "tokens_cached_count": 1,
            "latency_sum_ms": 2352,
            "latency_count": 2,
            "ttft_sum_ms": 410,
            "ttft_count": 1,
            "cost_nanousd": 2_500_000,
            "priced_requests": 2,
        },
    }


THE_SAME_DAY: list[Record] = [
    record(
        "11-22 09:00",
        "gpt-4o",
        tokens_in=900,
        tokens_out=100,
        tokens_cached=512,
        latency_ms=2345,
        ttft_ms=410,
        cost_nanousd=2_500_000,
        provider="2",
        api_key="prod",
    ),
    record(
        "11-22 09:01",
        "claude-sonnet-4-5",
        tokens_in=50,
        tokens_out=60,
        tokens_cached=30,
        cost_nanousd=2_000,
        provider="8",
        api_key="batch",
    ),
    record(
        "11-22 09:02",
        "gpt-4o",
        tokens_in=1,
        tokens_out=0,
        latency_ms=7,
        cost_nanousd=0,
        provider="2",
        api_key="prod",
    ),
]


@everywhere
def test_a_day_has_the_same_digest_on_every_database(database: Database) -> None:
    keep(database, *A_DAY)
    expected = {**oracle.payload(YESTERDAY, THE_SAME_DAY), "unknown": ["failed"]}
    assert digest_day(yesterday(database)) == oracle.digest(expected)


@everywhere
@pytest.mark.parametrize("metadata", [None, "null", "{}", "[]", '{"cached_tokens":null,"first_response":"soon"}'])
def test_metadata_that_tells_nothing(database: Database, metadata: str | None) -> None:
    keep(
        database,
        log(2, "11-22 09:00", metadata=metadata),
        consumed("11-22 09:00", {"cached_tokens": 5, "first_response": 100}),
    )
    day = totals(yesterday(database))
    assert (day["requests"], day["tokens_cached"], day["tokens_cached_count"]) == (2, 5, 1)
    assert (day["ttft_sum_ms"], day["ttft_count"]) == (100, 1)


@everywhere
def test_an_older_version_kept_no_metadata(database: Database) -> None:
    keep(database, *A_DAY, table=OLDER_LOGS)
    day = totals(yesterday(database))
    assert (day["requests"], day["latency_sum_ms"], day["latency_count"]) == (3, 2352, 2)
    assert not {"tokens_cached_count", "ttft_count"} & set(day)
    shown = found(database, "one-hub")
    assert shown["limits"]["ttft"] == "none"
    assert {"tokens_cached", "ttft_ms"} <= set(shown["cannot_fill"])


@everywhere
def test_half_a_million_of_quota_is_a_dollar_unless_said_otherwise(database: Database) -> None:
    keep(database, consumed("11-22 09:00", quota=500_000), consumed("11-22 09:01", quota=3))
    assert totals(yesterday(database))["cost_nanousd"] == 1_000_006_000
    assert totals(yesterday(database, quota_per_usd="1000000"))["cost_nanousd"] == 500_003_000


@everywhere
def test_what_is_below_zero_is_unknown(database: Database) -> None:
    keep(
        database,
        consumed(
            "11-22 09:00",
            {"cached_tokens": -1, "first_response": -1},
            prompt_tokens=-1,
            completion_tokens=-1,
            quota=-1,
            request_time=-1,
        ),
    )
    assert totals(yesterday(database)) == {"requests": 1, "success": 1, "status_count": 1}


@everywhere
def test_a_second_belongs_to_the_utc_day_that_it_begins(database: Database) -> None:
    """Its own statistics cut days at the midnight of the server's zone."""
    seconds = ("11-21 23:59:59", "11-22 00:00:00", "11-22 23:59:59", "11-23 00:00:00")
    keep(database, *(consumed(second, prompt_tokens=10**place) for place, second in enumerate(seconds)))
    days = attached(database, "one-hub").contents([YESTERDAY.replace(day=21), YESTERDAY, TODAY], Slicing())
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
    keep(database, log(1, "11-01 00:00"), consumed("11-20 08:00"), consumed("11-22 09:00"), log(6, "11-23 00:45"))
    shown = found(database, "one-hub")
    assert (shown["first_record"], shown["last_record"]) == ("2026-11-20T08:00:00Z", "2026-11-22T09:00:00Z")
    assert shown["time"] == {"column": "created_at", "unit": "epoch_s"}
    assert shown["yesterday"] == {"day": "2026-11-22", "requests": 1}
    assert shown["fills"] == [
        *("model_name", "provider", "api_key", "user", "status_code", "tokens_in", "tokens_out"),
        *("tokens_cached", "latency_ms", "ttft_ms", "cost_usd"),
    ]
    assert shown["cannot_fill"] == ["team", "operation", "error_type", "tokens_reasoning"]
    assert shown["limits"] == {
        "failures": "none",
        "latency_resolution": "whole milliseconds",
        "ttft": "known",
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
    shown = found(database, "one-hub")
    assert shown["create_index"] == CREATE_INDEX[database.family]
    assert shown["warnings"] == ["no index helps to find a day by created_at: each closing reads the whole table"]
    database.run(shown["create_index"])
    assert found(database, "one-hub")["create_index"] is None
