"""TensorZero: one row for each call that a model answered, its time within its id; what no provider answered has none."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import oracle
from databases import Database, on
from gateways.looking import attached, content, found, live_in_tokyo, slices, totals
from gateways.rows import put
from stories import YESTERDAY, at, pick, record
from tallybook.days import epoch_us
from tallybook.digest import digest_day

POSTGRESQL = """
    id UUID NOT NULL,
    inference_id UUID NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    response_time_ms INTEGER,
    model_name TEXT NOT NULL,
    model_provider_name TEXT NOT NULL,
    ttft_ms INTEGER,
    cached BOOLEAN NOT NULL DEFAULT false,
    finish_reason TEXT,
    snapshot_hash BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    cost NUMERIC(18, 9),
    provider_cache_read_input_tokens INTEGER,
    provider_cache_write_input_tokens INTEGER,
    function_name TEXT NOT NULL DEFAULT '',
    variant_name TEXT NOT NULL DEFAULT '',
    provider_response_id TEXT,
    response_model_name TEXT,
    operation TEXT,
    PRIMARY KEY (id, created_at)
"""
CLICKHOUSE = """
    id UUID,
    inference_id UUID,
    raw_request String,
    raw_response String,
    model_name LowCardinality(String),
    model_provider_name LowCardinality(String),
    input_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    response_time_ms Nullable(UInt32),
    ttft_ms Nullable(UInt32),
    timestamp DateTime MATERIALIZED UUIDv7ToDateTime(id),
    system Nullable(String),
    input_messages String,
    output String,
    cached Bool DEFAULT false,
    finish_reason Nullable(Enum8('stop' = 1, 'length' = 2, 'tool_call' = 3, 'content_filter' = 4, 'unknown' = 5)),
    snapshot_hash Nullable(UInt256),
    cost Nullable(Decimal(18, 9)),
    provider_cache_read_input_tokens Nullable(UInt32),
    provider_cache_write_input_tokens Nullable(UInt32),
    function_name LowCardinality(String) DEFAULT '',
    variant_name LowCardinality(String) DEFAULT '',
    provider_response_id Nullable(String),
    response_model_name Nullable(String),
    operation LowCardinality(Nullable(String))
"""
TABLES = {"postgresql": "tensorzero.model_inferences", "clickhouse": "ModelInference"}


def gateway(database: Database, *calls: dict[str, Any]) -> Database:
    """The database as TensorZero makes it, with these calls; ClickHouse has the time from the id."""
    if database.family == "clickhouse":
        database.run(f"CREATE TABLE ModelInference ({CLICKHOUSE}) ENGINE = MergeTree ORDER BY inference_id")
    else:
        _create_parted(database)
    written = [
        {name: value for name, value in row.items() if name != "created_at" or database.family == "postgresql"}
        for row in calls
    ]
    put(database, TABLES[database.family], *written)
    return database


def _create_parted(database: Database) -> None:
    table = "tensorzero.model_inferences"
    database.run("CREATE SCHEMA tensorzero")
    database.run(f"CREATE TABLE {table} ({POSTGRESQL}) PARTITION BY RANGE (created_at)")
    bounds = "FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')"
    database.run(f"CREATE TABLE {table}_2026_11 PARTITION OF {table} FOR VALUES {bounds}")
    database.run(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    database.run(f"CREATE INDEX idx_model_inferences_inference_id ON {table} (inference_id, id)")
    database.run(f"CREATE INDEX idx_model_inferences_model_provider ON {table} (model_name, model_provider_name)")


def id_at(moment: datetime) -> str:
    """A UUIDv7: its first 48 bits are milliseconds since the epoch."""
    digits = f"{epoch_us(moment) // 1_000:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000001"


def call(moment: str, **fields: Any) -> dict[str, Any]:
    """A call that was answered; what is not given is not known."""
    given = {"model_name": "gpt-5", "model_provider_name": "openai", "finish_reason": "stop"}
    return {"id": id_at(at(moment)), "inference_id": id_at(at(moment)), "created_at": at(moment), **given, **fields}


DAY = (
    call(
        "11-22 00:00:00",
        input_tokens=100,
        output_tokens=20,
        provider_cache_read_input_tokens=60,
        response_time_ms=1_500,
        ttft_ms=200,
        cost=Decimal("0.123456789"),
    ),
    call("11-22 09:00:00", response_time_ms=800),
    call("11-22 12:00:00", input_tokens=1, output_tokens=1, response_time_ms=10, cost=Decimal("999999.999999999")),
    call(
        "11-22 23:59:59.999",
        model_name="claude",
        model_provider_name="anthropic",
        input_tokens=0,
        output_tokens=3,
        cost=Decimal("0.000000001"),
    ),
)
BEFORE, AFTER = call("11-21 23:59:59.999"), call("11-23 00:00:00")

MEANT = [
    record(
        "11-22 00:00:00",
        provider="openai",
        tokens_in=100,
        tokens_out=20,
        tokens_cached=60,
        latency_ms=1_500,
        ttft_ms=200,
        cost_nanousd=123_456_789,
    ),
    record("11-22 09:00:00", provider="openai", latency_ms=800),
    record(
        "11-22 12:00:00",
        provider="openai",
        tokens_in=1,
        tokens_out=1,
        latency_ms=10,
        cost_nanousd=999_999_999_999_999,
    ),
    record("11-22 23:59:59.999", "claude", provider="anthropic", tokens_in=0, tokens_out=3, cost_nanousd=1),
]
EXPECTED = oracle.digest({**oracle.payload(YESTERDAY, MEANT), "unknown": ["failed"]})


@on("postgresql", "clickhouse")
def test_a_day_of_calls(database: Database) -> None:
    day = content(attached(gateway(database, BEFORE, *DAY, AFTER), "tensorzero"))
    assert day.unknown == ("failed",)
    assert totals(day) == {
        "requests": 4,
        "success": 4,
        "status_count": 4,
        "tokens_in": 101,
        "tokens_in_count": 3,
        "tokens_out": 24,
        "tokens_out_count": 3,
        "tokens_cached": 60,
        "tokens_cached_count": 1,
        "latency_sum_ms": 2_310,
        "latency_count": 3,
        "ttft_sum_ms": 200,
        "ttft_count": 1,
        "cost_nanousd": 1_000_000_123_456_789,
        "priced_requests": 3,
    }
    assert {key: part["requests"] for key, part in slices(day).items()} == {
        ("claude", "anthropic", None, None): 1,
        ("gpt-5", "openai", None, None): 3,
    }
    assert digest_day(day) == EXPECTED


@on("postgresql")
def test_the_zone_of_the_database_moves_nothing(database: Database) -> None:
    live_in_tokyo(gateway(database, BEFORE, *DAY, AFTER))
    assert digest_day(content(attached(database, "tensorzero"))) == EXPECTED


@on("postgresql", "clickhouse")
def test_older_versions_know_no_cost(database: Database) -> None:
    gateway(database, *DAY)
    for column in ("cost", "provider_cache_read_input_tokens"):
        database.run(f"ALTER TABLE {TABLES[database.family]} DROP COLUMN {column}")
    day = totals(content(attached(database, "tensorzero")))
    assert pick(day, "requests tokens_in latency_sum_ms") == [4, 101, 2_310]
    assert not {"cost_nanousd", "priced_requests", "tokens_cached_count"} & set(day)


@on("postgresql", "clickhouse")
def test_what_attaching_finds(database: Database) -> None:
    findings = found(gateway(database, BEFORE, *DAY, AFTER), "tensorzero")
    time = {"postgresql": "created_at", "clickhouse": "timestamp"}[database.family]
    assert pick(findings, "table time") == [TABLES[database.family], {"column": time, "unit": "zoned"}]
    assert pick(findings, "first_record last_record") == ["2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 4}
    assert findings["fills"] == [
        *("model_name", "provider", "status_code", "tokens_in", "tokens_out", "tokens_cached"),
        *("latency_ms", "ttft_ms", "cost_usd"),
    ]
    assert findings["cannot_fill"] == ["team", "api_key", "user", "operation", "error_type", "tokens_reasoning"]
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "none",
        "whole milliseconds",
        "known",
        "attempt",
    ]


@on("postgresql")
def test_a_table_that_is_parted_by_time_needs_no_index(database: Database) -> None:
    assert pick(found(gateway(database, *DAY), "tensorzero"), "warnings create_index") == [[], None]


@on("clickhouse")
def test_without_an_index_on_time_attaching_says_how_to_make_one(database: Database) -> None:
    findings = found(gateway(database, *DAY), "tensorzero")
    assert findings["warnings"] == ["no index helps to find a day by timestamp: each closing reads the whole table"]
    create_index = 'ALTER TABLE "ModelInference" ADD INDEX ix_tallybook_timestamp "timestamp" TYPE minmax GRANULARITY 1, MATERIALIZE INDEX ix_tallybook_timestamp'
    assert findings["create_index"] == create_index
    database.run(create_index)
    assert pick(found(database, "tensorzero"), "warnings create_index") == [[], None]
