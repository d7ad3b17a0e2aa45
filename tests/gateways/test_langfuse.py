"""Langfuse: one row for each observation in ClickHouse, written anew at each update; version 4 has a table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

import oracle
from databases import Database, on
from gateways.looking import attached, content, found, slices, totals
from gateways.rows import put
from stories import YESTERDAY, at, pick, record
from tallybook.digest import digest_day

OBSERVATIONS = """
CREATE TABLE observations (
    id String,
    trace_id String,
    project_id String,
    environment LowCardinality(String) DEFAULT 'default',
    type LowCardinality(String),
    parent_observation_id Nullable(String),
    start_time DateTime64(3),
    end_time Nullable(DateTime64(3)),
    name String,
    metadata Map(LowCardinality(String), String),
    level LowCardinality(String),
    status_message Nullable(String),
    version Nullable(String),
    input Nullable(String) CODEC(ZSTD(3)),
    output Nullable(String) CODEC(ZSTD(3)),
    provided_model_name Nullable(String),
    internal_model_id Nullable(String),
    model_parameters Nullable(String),
    provided_usage_details Map(LowCardinality(String), UInt64),
    usage_details Map(LowCardinality(String), UInt64),
    provided_cost_details Map(LowCardinality(String), Decimal64(12)),
    cost_details Map(LowCardinality(String), Decimal64(12)),
    total_cost Nullable(Decimal64(12)),
    usage_pricing_tier_id Nullable(String),
    usage_pricing_tier_name Nullable(String),
    tool_definitions Map(String, String),
    tool_calls Array(String),
    tool_call_names Array(String),
    completion_start_time Nullable(DateTime64(3)),
    prompt_id Nullable(String),
    prompt_name Nullable(String),
    prompt_version Nullable(UInt16),
    created_at DateTime64(3) DEFAULT now(),
    updated_at DateTime64(3) DEFAULT now(),
    event_ts DateTime64(3),
    is_deleted UInt8,
    INDEX idx_id id TYPE bloom_filter() GRANULARITY 1,
    INDEX idx_trace_id trace_id TYPE bloom_filter() GRANULARITY 1
)
ENGINE = ReplacingMergeTree(event_ts, is_deleted)
PARTITION BY toYYYYMM(start_time)
PRIMARY KEY (project_id, type, toDate(start_time))
ORDER BY (project_id, type, toDate(start_time), id)
"""
EVENTS_FULL = """
CREATE TABLE events_full (
    project_id String,
    trace_id String,
    span_id String,
    parent_span_id String,
    start_time DateTime64(6),
    end_time Nullable(DateTime64(6)),
    name String,
    type LowCardinality(String),
    environment LowCardinality(String) DEFAULT 'default',
    version String,
    release String,
    trace_name String,
    user_id String,
    session_id String,
    tags Array(String),
    level LowCardinality(String),
    status_message String,
    completion_start_time Nullable(DateTime64(6)),
    bookmarked Bool DEFAULT false,
    public Bool DEFAULT false,
    prompt_id String,
    prompt_name String,
    prompt_version Nullable(UInt16),
    model_id String,
    provided_model_name String,
    model_parameters String,
    provided_usage_details Map(LowCardinality(String), UInt64),
    usage_details Map(LowCardinality(String), UInt64),
    provided_cost_details Map(LowCardinality(String), Decimal(18, 12)),
    cost_details Map(LowCardinality(String), Decimal(18, 12)),
    total_cost Decimal(18, 12) ALIAS cost_details['total'],
    usage_pricing_tier_id Nullable(String),
    usage_pricing_tier_name Nullable(String),
    tool_definitions Map(String, String),
    tool_calls Array(String),
    tool_call_names Array(String),
    input String CODEC(ZSTD(3)),
    input_length UInt64 MATERIALIZED lengthUTF8(input),
    output String CODEC(ZSTD(3)),
    output_length UInt64 MATERIALIZED lengthUTF8(output),
    metadata_names Array(String),
    metadata_values Array(String),
    source LowCardinality(String),
    service_name String,
    blob_storage_file_path String,
    event_bytes UInt64,
    created_at DateTime64(6) DEFAULT now(),
    updated_at DateTime64(6) DEFAULT now(),
    event_ts DateTime64(6),
    is_deleted UInt8,
    INDEX idx_span_id span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_trace_id trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_user_id user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_created_at created_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(event_ts, is_deleted)
PARTITION BY toYYYYMM(start_time)
PRIMARY KEY (project_id, toStartOfMinute(start_time), xxHash32(trace_id))
ORDER BY (project_id, toStartOfMinute(start_time), xxHash32(trace_id), span_id, start_time)
SAMPLE BY xxHash32(trace_id)
SETTINGS index_granularity_bytes = '64Mi', enable_block_number_column = 1, enable_block_offset_column = 1
"""
TABLES = {"observations": OBSERVATIONS, "events_full": EVENTS_FULL}

both_tables = pytest.mark.parametrize("table", TABLES)


def observed(name: str, start: str, end: str | None = None, **fields: Any) -> dict[str, Any]:
    """A generation as an application reports it; what is not given is empty. Times after the first are within 11-22."""
    given = {"id": name, "trace_id": "trace", "project_id": "shop", "type": "GENERATION", "level": "DEFAULT"}
    ended = at(f"11-22 {end}") if end else None
    return {**given, "provided_model_name": "gpt-5", "start_time": at(start), "end_time": ended, **fields}


def _row(table: str, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The observation's latest version, deleted or not, as the table has it."""
    row = {"event_ts": observation["start_time"], "is_deleted": 0, **observation}
    cost = row.pop("cost", None)
    if cost is not None:
        row["cost_details"] = {"input": cost, "total": cost}
    if table == "observations":
        return {**row, "total_cost": cost}
    return {"span_id": row.pop("id"), "user_id": "ada", **row}


def gateway(database: Database, table: str, *observations: dict[str, Any]) -> Database:
    """The database as Langfuse makes it, with these versions of observations; nothing is merged unasked."""
    database.run(TABLES[table])
    database.run(f"SYSTEM STOP MERGES {table}")
    put(database, table, *(_row(table, each) for each in observations))
    return database


BEGUN = observed("streamed", "11-22 00:00:00", usage_details={})
STREAMED = {
    **BEGUN,
    "end_time": at("11-22 00:00:02.5"),
    "completion_start_time": at("11-22 00:00:00.4"),
    "usage_details": {
        "input": 100,
        "input_cached_tokens": 40,
        "output": 20,
        "output_reasoning_tokens": 5,
        "total": 165,
    },
    "cost": Decimal("0.0045"),
    "event_ts": at("11-22 00:00:03"),
}
CACHED = observed(
    "cached",
    "11-22 09:00:00",
    "09:00:01.001",
    provided_model_name="claude-sonnet-4-5",
    usage_details={"input": 10, "cache_read_input_tokens": 1_400, "cache_creation_input_tokens": 30, "output": 50},
    cost=Decimal("0.0000000015"),
)
FAILED = observed("failed", "11-22 10:00:00", "10:00:00.250", level="ERROR", usage_details={})
ENDLESS = observed("endless", "11-22 23:59:59.999", usage_details={"input": 7}, cost=Decimal(0))
DELETED = observed("deleted", "11-22 12:00:00", "12:00:01", usage_details={"input": 1_000})
NOT_CALLS = tuple(
    observed(kind, "11-22 13:00:00", "13:00:05", type=kind, usage_details={"input": 1_000})
    for kind in ("SPAN", "EVENT")
)
DAY = (
    *(BEGUN, STREAMED, CACHED, FAILED, ENDLESS),
    *(DELETED, {**DELETED, "event_ts": at("11-22 12:30:00"), "is_deleted": 1}),
    *NOT_CALLS,
)
BEFORE, AFTER = observed("before", "11-21 23:59:59.999"), observed("after", "11-23 00:00:00")

MEANT = [
    record(
        "11-22 00:00:00",
        team="shop",
        tokens_in=140,
        tokens_out=25,
        tokens_cached=40,
        tokens_reasoning=5,
        latency_ms=2_500,
        ttft_ms=400,
        cost_nanousd=4_500_000,
    ),
    record(
        "11-22 09:00:00",
        "claude-sonnet-4-5",
        team="shop",
        tokens_in=1_440,
        tokens_out=50,
        tokens_cached=1_400,
        latency_ms=1_001,
        cost_nanousd=2,
    ),
    record("11-22 10:00:00", status=500, team="shop", latency_ms=250),
    record("11-22 23:59:59.999", team="shop", tokens_in=7, cost_nanousd=0),
]
EXPECTED = oracle.digest(oracle.payload(YESTERDAY, MEANT))


@both_tables
@on("clickhouse")
def test_a_day_of_generations(database: Database, table: str) -> None:
    day = content(attached(gateway(database, table, BEFORE, *DAY, AFTER), "langfuse"))
    assert totals(day) == {
        "requests": 4,
        "success": 3,
        "failed": 1,
        "status_count": 4,
        "tokens_in": 1_587,
        "tokens_in_count": 3,
        "tokens_out": 75,
        "tokens_out_count": 2,
        "tokens_cached": 1_440,
        "tokens_cached_count": 2,
        "tokens_reasoning": 5,
        "tokens_reasoning_count": 1,
        "latency_sum_ms": 3_751,
        "latency_count": 3,
        "ttft_sum_ms": 400,
        "ttft_count": 1,
        "cost_nanousd": 4_500_002,
        "priced_requests": 3,
    }
    assert day.unknown == ()
    assert digest_day(day) == EXPECTED


@both_tables
@on("clickhouse")
def test_the_last_version_counts_in_whatever_order_they_came(database: Database, table: str) -> None:
    gateway(database, table, STREAMED, BEGUN, {**DELETED, "event_ts": at("11-22 12:30:00"), "is_deleted": 1}, DELETED)
    for _ in range(2):
        day = totals(content(attached(database, "langfuse")))
        assert pick(day, "requests tokens_in latency_sum_ms") == [1, 140, 2_500]
        database.run(f"SYSTEM START MERGES {table}")
        database.run(f"OPTIMIZE TABLE {table} FINAL")


@both_tables
@on("clickhouse")
def test_usage_is_told_by_what_the_keys_hold(database: Database, table: str) -> None:
    usages: dict[str, dict[str, int]] = {
        "none": {},
        "only a total": {"total": 9},
        "audio too": {"input": 1, "input_audio_tokens": 2, "output": 3, "output_audio_tokens": 4},
        "in capitals": {"Input": 5, "Output": 6, "INPUT_CACHED": 7},
        "nothing was cached": {"input": 8, "cache_read_input_tokens": 0, "output": 0},
    }
    calls = (
        observed(name, "11-22 12:00:00", provided_model_name=name, usage_details=usage)
        for name, usage in usages.items()
    )
    by_model = slices(content(attached(gateway(database, table, *calls), "langfuse"), YESTERDAY, "model"))
    told = {
        name: pick({**dict.fromkeys(TOKENS), **part}, " ".join(TOKENS)) for (name,), part in by_model.items() if name
    }
    assert told == {
        "none": [None, None, None, None, None, None],
        "only a total": [None, None, None, None, None, None],
        "audio too": [3, 1, 7, 1, None, None],
        "in capitals": [12, 1, 6, 1, 7, 1],
        "nothing was cached": [8, 1, None, 1, None, 1],
    }


TOKENS = ("tokens_in", "tokens_in_count", "tokens_out", "tokens_out_count", "tokens_cached", "tokens_cached_count")
"""A measure that is 0 is not in a slice's figures."""


@both_tables
@on("clickhouse")
def test_what_attaching_finds(database: Database, table: str) -> None:
    findings = found(gateway(database, table, BEFORE, *DAY, AFTER), "langfuse")
    assert pick(findings, "table time") == [table, {"column": "start_time", "unit": "zoned"}]
    assert pick(findings, "first_record last_record") == ["2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 4}
    user = ["user"] if table == "observations" else []
    assert findings["cannot_fill"] == ["provider", "api_key", *user, "operation", "error_type"]
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "full",
        "whole milliseconds",
        "known",
        "request",
    ]
    assert pick(findings, "warnings create_index") == [[], None]
