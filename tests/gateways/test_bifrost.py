"""Bifrost: one row for each attempt, made when the request begins and completed when it ends; times are UTC."""

from __future__ import annotations

from typing import Any

import oracle
from databases import Database, on
from gateways.gorm import Log, Table, written
from gateways.looking import attached, content, found, live_in_tokyo, pinned, slices, totals
from stories import YESTERDAY, pick, record
from tallybook.digest import digest_day

NAMED = ("virtual_key", "routing_rule", "user", "team", "customer", "business_unit")
PAYLOADS = (
    *("input_history", "responses_input_history", "output_message", "responses_output", "embedding_output"),
    *("rerank_output", "ocr_output", "params", "tools", "tool_calls", "speech_input", "transcription_input"),
    *("ocr_input", "image_generation_input", "image_edit_input", "image_variation_input", "video_generation_input"),
    *("speech_output", "transcription_output", "image_generation_output", "list_models_output"),
    *("video_generation_output", "video_retrieve_output", "video_download_output", "video_list_output"),
    *("video_delete_output", "cache_debug"),
)
INDEXED = (
    *("parent_request_id", "timestamp", "object_type", "provider", "model", "alias", "selected_key_id"),
    *("virtual_key_id", "routing_rule_id", "user_id", "team_id", "customer_id", "business_unit_id", "latency"),
    *("cost", "status", "stop_reason", "total_tokens", "created_at"),
)

LOGS = Table(
    "logs",
    {
        "id": "varchar(255) PRIMARY KEY",
        "inc_number": "number",
        "parent_request_id": "varchar(255)",
        "timestamp": "time",
        **dict.fromkeys(("object_type", "provider", "model", "alias"), "varchar(255)"),
        **dict.fromkeys(("canonical_model_name", "alias_model_family"), "varchar(255)"),
        **dict.fromkeys(("number_of_retries", "fallback_index"), "count"),
        **dict.fromkeys(("selected_key_id", "selected_key_name"), "varchar(255)"),
        "attempt_trail": "text",
        **{f"{name}_{part}": "varchar(255)" for name in NAMED for part in ("id", "name")},
        "routing_engines_used": "varchar(255)",
        "selected_prompt_name": "varchar(255)",
        "selected_prompt_version": "varchar(64)",
        "selected_prompt_id": "varchar(36)",
        **{f"{name}_{part}": "text" for name in NAMED[3:] for part in ("ids", "names")},
        **dict.fromkeys(PAYLOADS, "text"),
        "latency": "float",
        "token_usage": "text",
        "cost": "float",
        "status": "varchar(50)",
        "stop_reason": "varchar(50)",
        "error_details": "text",
        "stream": "flag",
        **dict.fromkeys(("content_summary", "raw_request", "raw_response"), "text"),
        **dict.fromkeys(("passthrough_request_body", "passthrough_response_body"), "text"),
        **dict.fromkeys(("routing_engine_logs", "plugin_logs", "metadata"), "text"),
        **dict.fromkeys(("is_large_payload_request", "is_large_payload_response", "has_object"), "flag"),
        "cluster_node_id": "varchar(255)",
        **dict.fromkeys(("budget_ids", "rate_limit_ids"), "text"),
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cached_read_tokens"), "count"),
        "created_at": "time",
    },
    usual={},
    indexes={
        **{f"idx_logs_{name}": [name] for name in INDEXED},
        "idx_logs_ts_provider_status": ["timestamp", "provider", "status"],
    },
)


def log(timestamp: str, **fields: Any) -> Log:
    """An attempt that succeeded and whose price is not known, as Bifrost writes it."""
    counts = dict.fromkeys((name for name, kind in LOGS.columns.items() if kind == "count"), 0)
    given = {"object_type": "chat.completion", "provider": "openai", "model": "gpt-5", "status": "success"}
    owner = {"virtual_key_id": "vk-web", "team_id": "team-a", "user_id": "ada"}
    times = {"timestamp": timestamp, "created_at": timestamp}
    return {**dict.fromkeys(LOGS.columns), **counts, **given, **owner, **times, "stream": False, **fields}


def gateway(database: Database, *logs: Log) -> Database:
    """The database as Bifrost makes it, with these logs."""
    LOGS.create(database)
    LOGS.insert(database, [{**entry, "id": f"log-{number}"} for number, entry in enumerate(written(database, *logs))])
    return database


DAY = (
    log(
        "2026-11-22 00:00:00+00:00",
        latency=1234.5,
        prompt_tokens=100,
        completion_tokens=20,
        total_tokens=120,
        cached_read_tokens=64,
        cost=0.00401,
    ),
    log("2026-11-22 09:00:00.123456789+00:00", status="error", latency=250.49),
    log(
        "2026-11-22 09:00:00.4+00:00",
        parent_request_id="log-2",
        fallback_index=1,
        provider="anthropic",
        model="claude",
        latency=1999.5,
        prompt_tokens=80,
        completion_tokens=30,
        total_tokens=110,
        cost=0.00015,
    ),
    log("2026-11-22 10:00:00+00:00", status="cancelled", latency=2.5),
    log("2026-11-22 11:00:00+00:00", status="processing"),
    log("2026-11-22 23:59:59.999999999+00:00", latency=0.4999, prompt_tokens=10, completion_tokens=5, cost=0.0),
)
BEFORE = log("2026-11-21 23:59:59.999999999+00:00")
AFTER = log("2026-11-23 00:00:00+00:00")

_KNOWN: dict[str, Any] = {"provider": "openai", "team": "team-a", "api_key": "vk-web"}
_NO_TOKENS: dict[str, Any] = {"tokens_in": 0, "tokens_out": 0, "tokens_cached": 0}
MEANT = [
    record(
        "11-22 00:00:00",
        tokens_in=100,
        tokens_out=20,
        tokens_cached=64,
        latency_ms=1_235,
        cost_nanousd=4_010_000,
        **_KNOWN,
    ),
    record("11-22 09:00:00", status=500, latency_ms=250, **_KNOWN, **_NO_TOKENS),
    record(
        "11-22 09:00:00",
        "claude",
        provider="anthropic",
        team="team-a",
        api_key="vk-web",
        tokens_in=80,
        tokens_out=30,
        tokens_cached=0,
        latency_ms=2_000,
        cost_nanousd=150_000,
    ),
    record("11-22 10:00:00", status=499, latency_ms=3, **_KNOWN, **_NO_TOKENS),
    record("11-22 23:59:59", tokens_in=10, tokens_out=5, tokens_cached=0, latency_ms=0, cost_nanousd=0, **_KNOWN),
]


@on("sqlite", "postgresql")
def test_a_day_of_attempts(database: Database) -> None:
    day = content(attached(gateway(database, BEFORE, *DAY, AFTER), "bifrost"))
    assert totals(day) == {
        "requests": 5,
        "success": 3,
        "failed": 2,
        "status_count": 5,
        "tokens_in": 190,
        "tokens_in_count": 5,
        "tokens_out": 55,
        "tokens_out_count": 5,
        "tokens_cached": 64,
        "tokens_cached_count": 5,
        "latency_sum_ms": 3_488,
        "latency_count": 5,
        "cost_nanousd": 4_160_000,
        "priced_requests": 3,
    }
    assert day.unknown == ()
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("sqlite", "postgresql")
def test_a_fallback_counts_beside_the_attempt_that_failed(database: Database) -> None:
    _, failed, fallback, *_ = DAY
    day = content(attached(gateway(database, failed, fallback), "bifrost"))
    assert {key: (part.get("success"), part.get("failed")) for key, part in slices(day).items()} == {
        ("gpt-5", "openai", "team-a", "vk-web"): (None, 1),
        ("claude", "anthropic", "team-a", "vk-web"): (1, None),
    }


@on("sqlite", "postgresql")
def test_only_what_is_over_counts(database: Database) -> None:
    states = ("processing", "success", "error", "cancelled", "something new")
    gateway(database, *(log("2026-11-22 12:00:00+00:00", status=state, model=state) for state in states))
    assert slices(content(attached(database, "bifrost"), YESTERDAY, "model")) == {
        (model,): {"requests": 1, **counted, "tokens_in_count": 1, "tokens_out_count": 1, "tokens_cached_count": 1}
        for model, counted in {
            "success": {"success": 1, "status_count": 1},
            "error": {"failed": 1, "status_count": 1},
            "cancelled": {"failed": 1, "status_count": 1},
            "something new": {},
        }.items()
    }


@on("sqlite", "postgresql")
def test_latencies_go_to_the_nearest_millisecond_halves_up(database: Database) -> None:
    latencies = {0.49: 0, 0.5: 1, 1.5: 2, 2.5: 3, 1234.499: 1234, 86_400_000.5: 86_400_001}
    gateway(database, *(log("2026-11-22 12:00:00+00:00", latency=given, model=str(given)) for given in latencies))
    by_model = slices(content(attached(database, "bifrost"), YESTERDAY, "model"))
    assert {float(str(key[0])): part.get("latency_sum_ms", 0) for key, part in by_model.items()} == latencies


@on("postgresql")
def test_the_zone_of_the_database_moves_nothing(database: Database) -> None:
    live_in_tokyo(gateway(database, BEFORE, *DAY, AFTER))
    day = content(attached(database, "bifrost"))
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("sqlite", "postgresql")
def test_what_attaching_finds(database: Database) -> None:
    findings = found(gateway(database, BEFORE, *DAY, AFTER), "bifrost")
    assert pick(findings, "table first_record last_record") == ["logs", "2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["time"] == {"column": "timestamp", "unit": {"sqlite": "text"}.get(database.family, "zoned")}
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 5}
    assert findings["fills"] == [
        *("model_name", "provider", "team", "api_key", "user", "status_code"),
        *("tokens_in", "tokens_out", "tokens_cached", "latency_ms", "cost_usd"),
    ]
    assert findings["cannot_fill"] == ["operation", "error_type", "tokens_reasoning", "ttft_ms"]
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "full",
        "whole milliseconds",
        "none",
        "attempt",
    ]
    assert pick(findings, "warnings create_index") == [[], None]


@on("sqlite", "postgresql")
def test_without_an_index_on_time_attaching_says_how_to_make_one(database: Database) -> None:
    gateway(database, *DAY).run("DROP INDEX idx_logs_timestamp")
    assert found(database, "bifrost")["create_index"] is None, "the compound index begins with the time"
    database.run("DROP INDEX idx_logs_ts_provider_status")
    findings = found(database, "bifrost")
    assert findings["warnings"] == ["no index helps to find a day by timestamp: each closing reads the whole table"]
    concurrently = {"postgresql": "CONCURRENTLY "}.get(database.family, "")
    create_index = f'CREATE INDEX {concurrently}ix_tallybook_timestamp ON "logs" ("timestamp")'
    assert findings["create_index"] == create_index
    database.run(create_index)
    assert pick(found(database, "bifrost"), "warnings create_index") == [[], None]


@on("sqlite", "postgresql")
def test_it_may_be_attached_before_the_first_request(database: Database) -> None:
    gateway(database)
    assert found(database, "bifrost")["cannot_fill"] == ["operation", "error_type", "tokens_reasoning", "ttft_ms"]
    source = pinned(attached(database, "bifrost"))
    LOGS.insert(database, [{**entry, "id": f"log-{number}"} for number, entry in enumerate(written(database, *DAY))])
    assert digest_day(content(source)) == oracle.digest(oracle.payload(YESTERDAY, MEANT))
