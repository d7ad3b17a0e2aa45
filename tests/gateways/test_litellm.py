"""LiteLLM: one row for each attempt, in a table whose columns are named in camelCase, times being UTC without a zone."""

from __future__ import annotations

from typing import Any

import oracle
from databases import Database, on
from gateways.looking import attached, content, found, live_in_tokyo, slices, totals
from gateways.rows import put
from stories import YESTERDAY, pick, record
from tallybook.digest import digest_day

TABLE = '"LiteLLM_SpendLogs"'
COLUMNS = """
    "request_id" TEXT NOT NULL,
    "call_type" TEXT NOT NULL,
    "api_key" TEXT NOT NULL DEFAULT '',
    "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "total_tokens" INTEGER NOT NULL DEFAULT 0,
    "prompt_tokens" INTEGER NOT NULL DEFAULT 0,
    "completion_tokens" INTEGER NOT NULL DEFAULT 0,
    "startTime" TIMESTAMP(3) NOT NULL,
    "endTime" TIMESTAMP(3) NOT NULL,
    "request_duration_ms" INTEGER,
    "completionStartTime" TIMESTAMP(3),
    "model" TEXT NOT NULL DEFAULT '',
    "model_id" TEXT DEFAULT '',
    "model_group" TEXT DEFAULT '',
    "custom_llm_provider" TEXT DEFAULT '',
    "api_base" TEXT DEFAULT '',
    "user" TEXT DEFAULT '',
    "metadata" JSONB DEFAULT '{}',
    "cache_hit" TEXT DEFAULT '',
    "cache_key" TEXT DEFAULT '',
    "request_tags" JSONB DEFAULT '[]',
    "team_id" TEXT,
    "organization_id" TEXT,
    "end_user" TEXT,
    "requester_ip_address" TEXT,
    "messages" JSONB DEFAULT '{}',
    "response" JSONB DEFAULT '{}',
    "session_id" TEXT,
    "status" TEXT,
    "mcp_namespaced_tool_name" TEXT,
    "agent_id" TEXT,
    "proxy_server_request" JSONB DEFAULT '{}'
"""
LATER = ("request_duration_ms", "completionStartTime", "model_id", "model_group", "custom_llm_provider", "status")
"""Columns that the first version of the table had not."""

HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def gateway(database: Database, *logs: dict[str, Any]) -> Database:
    """The database as LiteLLM makes it, with these logs."""
    database.run(f'CREATE TABLE {TABLE} ({COLUMNS}, CONSTRAINT "LiteLLM_SpendLogs_pkey" PRIMARY KEY ("request_id"))')
    for name, columns in {
        "LiteLLM_SpendLogs_startTime_idx": '"startTime"',
        "LiteLLM_SpendLogs_startTime_request_id_idx": '"startTime", "request_id"',
        "LiteLLM_SpendLogs_end_user_idx": '"end_user"',
        "LiteLLM_SpendLogs_session_id_idx": '"session_id"',
    }.items():
        database.run(f'CREATE INDEX "{name}" ON {TABLE} ({columns})')
    put(database, TABLE, *logs)
    return database


def log(request_id: str, start: str, end: str, **fields: Any) -> dict[str, Any]:
    """An attempt that succeeded, as LiteLLM writes it; what is not given has its default."""
    given = {"call_type": "acompletion", "api_key": HASH, "model": "gpt-5", "model_group": "gpt-5", "status": "success"}
    owner = {"custom_llm_provider": "openai", "user": "ada", "team_id": "team-a"}
    return {"request_id": request_id, "startTime": start, "endTime": end, **given, **owner, **fields}


STREAMED = log(
    "a",
    "2026-11-22 00:00:00",
    "2026-11-22 00:00:02.750",
    completionStartTime="2026-11-22 00:00:00.400",
    request_duration_ms=2_800,
    prompt_tokens=1_200,
    completion_tokens=300,
    spend=0.00403,
    metadata={
        "status": "success",
        "usage_object": {
            "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 1_024},
            "completion_tokens_details": {"reasoning_tokens": 128},
        },
    },
)
FAILED = log(
    "b",
    "2026-11-22 09:00:00",
    "2026-11-22 09:00:01.001",
    completionStartTime="2026-11-22 09:00:01.001",
    request_duration_ms=1_001,
    status="failure",
    metadata={
        "status": "failure",
        "usage_object": None,
        "additional_usage_values": {},
        "error_information": {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai"},
    },
)
FALLBACK = log(
    "c",
    "2026-11-22 09:00:01.002",
    "2026-11-22 09:00:03.002",
    completionStartTime="2026-11-22 09:00:03.002",
    model="claude-sonnet-4-5",
    custom_llm_provider="anthropic",
    prompt_tokens=1_500,
    completion_tokens=50,
    spend=0.000000001,
    metadata={
        "usage_object": {"prompt_tokens_details": None},
        "additional_usage_values": {"cache_read_input_tokens": 1_400, "cache_creation_input_tokens": 20},
    },
)
MIGRATED = log(
    "d",
    "2026-11-22 23:59:59.999",
    "2026-11-23 00:00:00.250",
    api_key="sk-proxy-0123456789abcdef",
    model="",
    model_group="the house's own",
    custom_llm_provider="",
    user="",
    team_id=None,
    prompt_tokens=5,
    completion_tokens=7,
    spend=0.1 + 0.2,
    metadata=None,
    status=None,
)
DAY = (STREAMED, FAILED, FALLBACK, MIGRATED)
BEFORE = log("before", "2026-11-21 23:59:59.999", "2026-11-22 00:00:09")
AFTER = log("after", "2026-11-23 00:00:00", "2026-11-23 00:00:01")

_KNOWN: dict[str, Any] = {"provider": "openai", "team": "team-a", "api_key": HASH}
MEANT = [
    record(
        "11-22 00:00:00",
        tokens_in=1_200,
        tokens_out=300,
        tokens_cached=1_024,
        tokens_reasoning=128,
        latency_ms=2_800,
        ttft_ms=400,
        cost_nanousd=4_030_000,
        **_KNOWN,
    ),
    record("11-22 09:00:00", status=500, tokens_in=0, tokens_out=0, latency_ms=1_001, cost_nanousd=0, **_KNOWN),
    record(
        "11-22 09:00:01.002",
        "claude-sonnet-4-5",
        tokens_in=1_500,
        tokens_out=50,
        tokens_cached=1_400,
        latency_ms=2_000,
        cost_nanousd=1,
        **_KNOWN | {"provider": "anthropic"},
    ),
    record(
        "11-22 23:59:59.999",
        "the house's own",
        status=None,
        tokens_in=5,
        tokens_out=7,
        latency_ms=251,
        cost_nanousd=300_000_000,
        api_key="fp_ed2722cc2bd6af85",
    ),
]


@on("postgresql")
def test_a_day_of_attempts(database: Database) -> None:
    day = content(attached(gateway(database, BEFORE, *DAY, AFTER), "litellm"))
    assert totals(day) == {
        "requests": 4,
        "success": 2,
        "failed": 1,
        "status_count": 3,
        "tokens_in": 2_705,
        "tokens_in_count": 4,
        "tokens_out": 357,
        "tokens_out_count": 4,
        "tokens_cached": 2_424,
        "tokens_cached_count": 2,
        "tokens_reasoning": 128,
        "tokens_reasoning_count": 1,
        "latency_sum_ms": 6_052,
        "latency_count": 4,
        "ttft_sum_ms": 400,
        "ttft_count": 1,
        "cost_nanousd": 304_030_001,
        "priced_requests": 4,
    }
    assert day.unknown == ()
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("postgresql")
def test_a_hash_is_kept_and_what_looks_like_a_secret_becomes_a_fingerprint(database: Database) -> None:
    day = content(attached(gateway(database, STREAMED, MIGRATED), "litellm"), YESTERDAY, "api_key", "user", "team")
    assert {key for key, in_it in slices(day).items()} == {
        (HASH, "ada", "team-a"),
        ("fp_ed2722cc2bd6af85", None, None),
    }


@on("postgresql")
def test_a_failure_has_its_error_and_its_fallback_is_a_request_too(database: Database) -> None:
    day = content(attached(gateway(database, FAILED, FALLBACK), "litellm"), YESTERDAY, "operation", "error_type")
    assert {key: (part.get("success"), part.get("failed")) for key, part in slices(day).items()} == {
        ("acompletion", "RateLimitError"): (None, 1),
        ("acompletion", None): (1, None),
    }


@on("postgresql")
def test_versions_before_the_usage_object_keep_the_details_elsewhere(database: Database) -> None:
    usage = {
        "prompt_tokens_details": {"cached_tokens": 640},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }
    moments = ("2026-11-22 12:00:00", "2026-11-22 12:00:01")
    gateway(database, log("a", *moments, metadata={"additional_usage_values": usage}))
    assert pick(totals(content(attached(database, "litellm"))), "tokens_cached tokens_reasoning") == [640, 64]


@on("postgresql")
def test_without_a_column_of_the_duration_it_is_the_time_from_start_to_end(database: Database) -> None:
    gateway(database, *DAY).run(f'ALTER TABLE {TABLE} DROP COLUMN "request_duration_ms"')
    assert pick(totals(content(attached(database, "litellm"))), "latency_sum_ms latency_count") == [6_002, 4]


@on("postgresql")
def test_the_first_version_of_the_table_tells_no_failures(database: Database) -> None:
    gateway(database, *DAY)
    for column in LATER:
        database.run(f'ALTER TABLE {TABLE} DROP COLUMN "{column}"')
    day = content(attached(database, "litellm"))
    assert day.unknown == ("failed",)
    assert totals(day) == {
        "requests": 4,
        "tokens_in": 2_705,
        "tokens_in_count": 4,
        "tokens_out": 357,
        "tokens_out_count": 4,
        "tokens_cached": 2_424,
        "tokens_cached_count": 2,
        "tokens_reasoning": 128,
        "tokens_reasoning_count": 1,
        "latency_sum_ms": 6_002,
        "latency_count": 4,
        "cost_nanousd": 304_030_001,
        "priced_requests": 4,
    }
    findings = found(database, "litellm")
    assert findings["cannot_fill"] == ["provider", "status_code", "ttft_ms"]
    assert pick(findings["limits"], "failures ttft") == ["none", "none"]


@on("postgresql")
def test_the_zone_of_the_database_moves_nothing(database: Database) -> None:
    live_in_tokyo(gateway(database, BEFORE, *DAY, AFTER))
    day = content(attached(database, "litellm"))
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))
    assert found(database, "litellm")["first_record"] == "2026-11-21T23:59:59Z"


@on("postgresql")
def test_what_attaching_finds(database: Database) -> None:
    findings = found(gateway(database, BEFORE, *DAY, AFTER), "litellm")
    assert pick(findings, "engine table time") == [
        "PostgreSQL",
        "LiteLLM_SpendLogs",
        {"column": "startTime", "unit": "naive"},
    ]
    assert pick(findings, "first_record last_record") == ["2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 4}
    assert findings["cannot_fill"] == []
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "full",
        "whole milliseconds",
        "known",
        "attempt",
    ]
    assert pick(findings, "warnings create_index") == [[], None]


@on("postgresql")
def test_without_an_index_on_time_attaching_says_how_to_make_one(database: Database) -> None:
    gateway(database, *DAY)
    database.run('DROP INDEX "LiteLLM_SpendLogs_startTime_idx", "LiteLLM_SpendLogs_startTime_request_id_idx"')
    findings = found(database, "litellm")
    assert findings["warnings"] == ["no index helps to find a day by startTime: each closing reads the whole table"]
    create_index = 'CREATE INDEX CONCURRENTLY ix_tallybook_starttime ON "LiteLLM_SpendLogs" ("startTime")'
    assert findings["create_index"] == create_index
    database.run(create_index)
    assert pick(found(database, "litellm"), "warnings create_index") == [[], None]


@on("postgresql")
def test_a_table_that_is_parted_by_time_needs_no_index(database: Database) -> None:
    key = 'PRIMARY KEY ("request_id", "startTime")'
    database.run(f'CREATE TABLE {TABLE} ({COLUMNS}, {key}) PARTITION BY RANGE ("startTime")')
    bounds = "FROM ('2026-11-22') TO ('2026-11-23')"
    database.run(f'CREATE TABLE "LiteLLM_SpendLogs_p20261122" PARTITION OF {TABLE} FOR VALUES {bounds}')
    database.run(f'CREATE TABLE "LiteLLM_SpendLogs_pdefault" PARTITION OF {TABLE} DEFAULT')
    put(database, TABLE, BEFORE, *DAY, AFTER)
    assert pick(found(database, "litellm"), "warnings create_index") == [[], None]
    assert digest_day(content(attached(database, "litellm"))) == oracle.digest(oracle.payload(YESTERDAY, MEANT))
