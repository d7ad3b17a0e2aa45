"""Helicone: one row for each request in ClickHouse, written again with a newer version when something is added to it."""

from __future__ import annotations

from typing import Any

import oracle
from databases import Database, on
from gateways.looking import attached, content, found, slices, totals
from gateways.rows import put
from stories import YESTERDAY, at, pick, record
from tallybook.digest import digest_day

TABLE = """
CREATE TABLE request_response_rmt (
    response_id Nullable(UUID),
    response_created_at Nullable(DateTime64(3)),
    latency Nullable(Int64),
    ref_latency Int64 DEFAULT 0,
    status Int64,
    completion_tokens Nullable(Int64),
    ref_completion_tokens Int64 DEFAULT 0,
    completion_audio_tokens Int64 DEFAULT 0,
    ref_completion_audio_tokens Int64 DEFAULT 0,
    prompt_tokens Nullable(Int64),
    ref_prompt_tokens Int64 DEFAULT 0,
    prompt_cache_write_tokens Int64 DEFAULT 0,
    ref_prompt_cache_write_tokens Int64 DEFAULT 0,
    prompt_cache_read_tokens Int64 DEFAULT 0,
    ref_prompt_cache_read_tokens Int64 DEFAULT 0,
    prompt_audio_tokens Int64 DEFAULT 0,
    ref_prompt_audio_tokens Int64 DEFAULT 0,
    model LowCardinality(String) CODEC(ZSTD(1)),
    request_id UUID,
    request_created_at DateTime64(3),
    user_id LowCardinality(String) CODEC(ZSTD(1)),
    organization_id UUID,
    proxy_key_id Nullable(UUID),
    threat Nullable(Bool),
    time_to_first_token Nullable(Int64),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    target_url Nullable(String),
    country_code Nullable(String),
    cache_enabled Bool DEFAULT false,
    cache_reference_id UUID,
    gateway_router_id String DEFAULT '',
    gateway_deployment_target String DEFAULT '',
    request_referrer String DEFAULT '',
    is_passthrough_billing Bool DEFAULT false,
    properties Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scores Map(LowCardinality(String), Int64) CODEC(ZSTD(1)),
    request_body String DEFAULT '',
    response_body String DEFAULT '',
    cost UInt64 DEFAULT 0,
    assets Array(String) CODEC(ZSTD(1)),
    prompt_id String MATERIALIZED properties['Helicone-Prompt-Id'],
    updated_at DateTime64(3, 'UTC') DEFAULT now(),
    INDEX idx_properties_key mapKeys(properties) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_properties_value mapValues(properties) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_request_id_bf request_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(updated_at)
PARTITION BY toYYYYMM(request_created_at)
PRIMARY KEY (organization_id, provider, model, user_id, request_created_at, request_id)
ORDER BY (organization_id, provider, model, user_id, request_created_at, request_id)
"""
UUID = "00000000-0000-4000-8000-{:012}"
PROXY_KEY = "5f0c7c1e-8a3b-4d52-9f6e-2b1d3c4a5e6f"


def request(number: int, moment: str, **fields: Any) -> dict[str, Any]:
    """A request that succeeded, as it is first written; what is not given has its default."""
    ids = {"request_id": UUID.format(number), "organization_id": UUID.format(0), "proxy_key_id": PROXY_KEY}
    given = {"model": "gpt-5", "provider": "OPENAI", "user_id": "ada", "status": 200}
    times = {"request_created_at": at(moment), "updated_at": at(moment)}
    return {**ids, **given, **times, "properties": {"Helicone-Prompt-Id": "greeting"}, **fields}


def gateway(database: Database, *requests: dict[str, Any]) -> Database:
    """The database as Helicone makes it, with these requests; nothing is merged while nobody asks for it."""
    database.run(TABLE)
    database.run("SYSTEM STOP MERGES request_response_rmt")
    put(database, "request_response_rmt", *requests)
    return database


ANSWERED = request(
    1,
    "11-22 00:00:00",
    latency=1_200,
    time_to_first_token=150,
    prompt_tokens=100,
    completion_tokens=20,
    prompt_cache_read_tokens=40,
    cost=4_500_000,
)
SCORED = {**ANSWERED, "completion_tokens": 25, "latency": 1_300, "cost": 4_600_000, "updated_at": at("11-22 00:05")}
DAY = (
    ANSWERED,
    SCORED,
    request(2, "11-22 09:00:00", status=429, latency=90, proxy_key_id=None),
    request(3, "11-22 10:00:00", status=-2),
    request(4, "11-22 11:00:00", status=-3, latency=5_000),
    request(
        5,
        "11-22 23:59:59.999",
        status=500,
        model="claude",
        provider="ANTHROPIC",
        user_id="",
        latency=700,
        time_to_first_token=0,
        prompt_tokens=8,
        completion_tokens=0,
        cost=1,
    ),
)
BEFORE, AFTER = request(6, "11-21 23:59:59.999"), request(7, "11-23 00:00:00")

_KEY = "fp_77d25fee3c534aeb"
_KNOWN: dict[str, Any] = {"provider": "OPENAI", "api_key": _KEY, "tokens_cached": 0, "cost_nanousd": 0}
MEANT = [
    record(
        "11-22 00:00:00",
        provider="OPENAI",
        api_key=_KEY,
        tokens_in=100,
        tokens_out=25,
        tokens_cached=40,
        latency_ms=1_300,
        ttft_ms=150,
        cost_nanousd=4_600_000,
    ),
    record("11-22 09:00:00", status=429, latency_ms=90, **_KNOWN | {"api_key": None}),
    record("11-22 10:00:00", status=None, **_KNOWN),
    record("11-22 11:00:00", status=None, latency_ms=5_000, **_KNOWN),
    record(
        "11-22 23:59:59.999",
        "claude",
        status=500,
        provider="ANTHROPIC",
        api_key=_KEY,
        tokens_in=8,
        tokens_out=0,
        tokens_cached=0,
        latency_ms=700,
        cost_nanousd=1,
    ),
]
EXPECTED = oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("clickhouse")
def test_a_day_of_requests(database: Database) -> None:
    day = content(attached(gateway(database, BEFORE, *DAY, AFTER), "helicone"))
    assert totals(day) == {
        "requests": 5,
        "success": 1,
        "failed": 2,
        "status_count": 3,
        "tokens_in": 108,
        "tokens_in_count": 2,
        "tokens_out": 25,
        "tokens_out_count": 2,
        "tokens_cached": 40,
        "tokens_cached_count": 5,
        "latency_sum_ms": 7_090,
        "latency_count": 4,
        "ttft_sum_ms": 150,
        "ttft_count": 1,
        "cost_nanousd": 4_600_001,
        "priced_requests": 5,
    }
    assert day.unknown == ()
    assert digest_day(day) == EXPECTED


@on("clickhouse")
def test_the_newest_version_counts_in_whatever_order_they_came(database: Database) -> None:
    gateway(database, SCORED, ANSWERED)
    for _ in range(2):
        day = totals(content(attached(database, "helicone")))
        assert pick(day, "requests tokens_out latency_sum_ms cost_nanousd") == [1, 25, 1_300, 4_600_000]
        database.run("SYSTEM START MERGES request_response_rmt")
        database.run("OPTIMIZE TABLE request_response_rmt FINAL")


@on("clickhouse")
def test_rows_that_are_marked_as_deleted_are_gone(database: Database) -> None:
    gateway(database, BEFORE, *DAY, AFTER)
    database.run("ALTER TABLE request_response_rmt ADD COLUMN is_deleted UInt8 DEFAULT 0")
    source = attached(database, "helicone")
    assert digest_day(content(source)) == EXPECTED
    put(database, "request_response_rmt", {**SCORED, "updated_at": at("11-22 00:10"), "is_deleted": 1})
    assert pick(totals(content(source)), "requests failed tokens_in") == [4, 2, 8]


@on("clickhouse")
def test_what_attaching_finds(database: Database) -> None:
    findings = found(gateway(database, BEFORE, *DAY, AFTER), "helicone")
    assert pick(findings, "engine table time") == [
        "ClickHouse",
        "request_response_rmt",
        {"column": "request_created_at", "unit": "zoned"},
    ]
    assert pick(findings, "first_record last_record") == ["2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 5}
    assert findings["cannot_fill"] == ["team", "operation", "error_type", "tokens_reasoning"]
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "full",
        "whole milliseconds",
        "known",
        "request",
    ]
    assert pick(findings, "warnings create_index") == [[], None]


@on("clickhouse")
def test_users_are_told_apart(database: Database) -> None:
    by_user = slices(content(attached(gateway(database, *DAY), "helicone"), YESTERDAY, "user", "model"))
    assert {key: part["requests"] for key, part in by_user.items()} == {("ada", "gpt-5"): 4, (None, "claude"): 1}


@on("clickhouse")
def test_a_cost_beyond_all_reason_is_unknown(database: Database) -> None:
    gateway(database, request(1, "11-22 12:00:00", cost=2**64 - 1), request(2, "11-22 12:00:00", cost=10**15))
    day = totals(content(attached(database, "helicone")))
    assert pick(day, "requests priced_requests cost_nanousd") == [2, 1, 1_000_000_000_000_000]
