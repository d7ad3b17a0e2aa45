"""aiproxy: one row for each request, its status the HTTP code, its times as Go writes them in the server's own zone.

SQLite keeps them as text with offset and nanoseconds, PostgreSQL as instants.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import oracle
from databases import Database, on
from gateways.gorm import Log, Table, written
from gateways.looking import attached, content, found, live_in_tokyo, pinned, slices, totals
from stories import TODAY, YESTERDAY, pick, record
from tallybook.digest import digest_day

PRICES = ("input", "image_input", "audio_input", "output", "image_output", "thinking_mode_output")
MORE_PRICES = ("cached", "cache_creation", "web_search")
USAGES = ("input", "image_input", "audio_input", "output", "image_output", "cached", "cache_creation", "reasoning")
AMOUNTS = ("input", "image_input", "audio_input", "output", "image_output", "cached", "cache_creation", "web_search")

LOGS = Table(
    "logs",
    {
        "request_at": "time",
        "retry_at": "time",
        "ttfb_milliseconds": "number",
        "created_at": "time",
        "token_name": "varchar(32)",
        "endpoint": "varchar(64)",
        "content": "text",
        "group_id": "varchar(64)",
        "model": "varchar(64)",
        "request_id": "char(16)",
        "upstream_id": "varchar(256)",
        "id": "id",
        "token_id": "number",
        "channel_id": "number",
        "code": "number",
        "mode": "number",
        "ip": "varchar(45)",
        "retry_times": "number",
        "per_request_price": "float",
        **{
            f"{name}_price{unit}": "number" if unit else "float"
            for name in (*PRICES, *MORE_PRICES)
            for unit in ("", "_unit")
        },
        "conditional_prices": "text",
        **dict.fromkeys([*(f"{name}_tokens" for name in USAGES), "total_tokens", "web_search_count"], "number"),
        **dict.fromkeys([*(f"{name}_amount" for name in AMOUNTS), "used_amount"], "float"),
        "service_tier": "varchar(16)",
        "user": "text",
        "metadata": "text",
    },
    usual={},
    indexes={
        "idx_logs_created_at": ["created_at"],
        "idx_logs_token_id": ["token_id"],
        "idx_logs_code": ["code"],
    },
)
COMPOUND = {
    "idx_model_creat": "model",
    "idx_channel_creat": "channel_id",
    "idx_channel_model_creat": "channel_id, model",
    "idx_group_creat": "group_id",
    "idx_group_token_creat": "group_id, token_name",
    "idx_group_model_creat": "group_id, model",
    "idx_group_token_model_creat": "group_id, token_name, model",
}
"""Each of these goes on with `created_at DESC`."""


def log(created_at: str, request_at: str | None = None, **fields: Any) -> Log:
    """A request that succeeded, as aiproxy writes it: what was 0 is NULL, but not the amounts."""
    unset = dict.fromkeys(LOGS.columns)
    amounts = {name: 0.0 for name in LOGS.columns if name.endswith("_amount")}
    given = {"token_name": "web", "token_id": 3, "group_id": "team-a", "model": "gpt-5", "channel_id": 7, "code": 200}
    times = {"created_at": created_at, "request_at": request_at or created_at, "retry_at": "0001-01-01 00:00:00+00:00"}
    return {**unset, **amounts, **given, **times, "service_tier": "", **fields}


def gateway(database: Database, *logs: Log) -> Database:
    """The database as aiproxy makes it, with these logs."""
    LOGS.create(database)
    include = " INCLUDE (code)" if database.family == "postgresql" else ""
    for name, columns in COMPOUND.items():
        database.run(f"CREATE INDEX {name} ON logs ({columns}, created_at DESC){include}")
    LOGS.insert(database, [{**entry, "id": number} for number, entry in enumerate(written(database, *logs), 1)])
    return database


DAY = (
    log(
        "2026-11-22 08:00:00+08:00",
        request_at="2026-11-22 07:59:59.5+08:00",
        ttfb_milliseconds=120,
        input_tokens=100,
        output_tokens=20,
        cached_tokens=40,
        reasoning_tokens=5,
        used_amount=0.000125001,
    ),
    log("2026-11-22 09:30:00.25+01:00", request_at="2026-11-22 09:30:00+01:00", code=429),
    log("2026-11-22 12:00:30+08:00", request_at="2026-11-22 12:00:00+08:00", code=0),
    log("2026-11-22 13:00:00.9999+08:00", request_at="2026-11-22 13:00:00.0005+08:00", code=204, input_tokens=7),
    log(
        "2026-11-23 07:59:59.999999999+08:00",
        request_at="2026-11-23 07:59:57.999999999+08:00",
        model="claude",
        channel_id=9,
        ttfb_milliseconds=0,
        input_tokens=1000,
        output_tokens=300,
        used_amount=0.1 + 0.2,
    ),
)
BEFORE = log("2026-11-22 07:59:59.999999999+08:00")
AFTER = log("2026-11-23 08:00:00+08:00")

_KNOWN: dict[str, Any] = {"provider": "7", "team": "team-a", "api_key": "web", "cost_nanousd": 0}
MEANT = [
    record(
        "11-22 00:00:00",
        **_KNOWN
        | {
            "tokens_in": 100,
            "tokens_out": 20,
            "tokens_cached": 40,
            "tokens_reasoning": 5,
            "latency_ms": 500,
            "ttft_ms": 120,
            "cost_nanousd": 125_001,
        },
    ),
    record("11-22 08:30:00.25", status=429, latency_ms=250, **_KNOWN),
    record("11-22 04:00:30", status=0, latency_ms=30_000, **_KNOWN),
    record("11-22 05:00:00.9999", status=500, tokens_in=7, latency_ms=999, **_KNOWN),
    record(
        "11-22 23:59:59.999999",
        "claude",
        **_KNOWN
        | {
            "provider": "9",
            "tokens_in": 1_000,
            "tokens_out": 300,
            "latency_ms": 2_000,
            "cost_nanousd": 300_000_000,
        },
    ),
]


@on("sqlite", "postgresql")
def test_a_day_of_requests(database: Database) -> None:
    day = content(attached(gateway(database, BEFORE, *DAY, AFTER), "aiproxy"))
    assert totals(day) == {
        "requests": 5,
        "success": 2,
        "failed": 3,
        "status_count": 5,
        "tokens_in": 1_107,
        "tokens_in_count": 3,
        "tokens_out": 320,
        "tokens_out_count": 2,
        "tokens_cached": 40,
        "tokens_cached_count": 1,
        "tokens_reasoning": 5,
        "tokens_reasoning_count": 1,
        "latency_sum_ms": 33_749,
        "latency_count": 5,
        "ttft_sum_ms": 120,
        "ttft_count": 1,
        "cost_nanousd": 300_125_001,
        "priced_requests": 5,
    }
    assert {key: part["requests"] for key, part in slices(day).items()} == {
        ("claude", "9", "team-a", "web"): 1,
        ("gpt-5", "7", "team-a", "web"): 4,
    }
    assert day.unknown == ()
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("sqlite", "postgresql")
def test_only_code_200_is_a_success(database: Database) -> None:
    codes = (200, 201, 204, 302, 399, 400, 429, 500, 0)
    gateway(database, *(log("2026-11-22 20:00:00+08:00", code=code, model=f"answered {code}") for code in codes))
    by_model = slices(content(attached(database, "aiproxy"), YESTERDAY, "model"))
    assert {key for key, part in by_model.items() if "success" in part} == {("answered 200",)}
    assert sum(part["failed"] for part in by_model.values() if "failed" in part) == 8


@on("sqlite", "postgresql")
def test_every_offset_lands_on_its_utc_day(database: Database) -> None:
    gateway(
        database,
        log("2026-11-21 18:59:59.999999999-05:00", model="21st"),
        log("2026-11-21 19:00:00-05:00", model="22nd"),
        log("2026-11-23 08:59:59.999999999+09:00", model="22nd"),
        log("2026-11-22 23:59:59.999999999+00:00", model="22nd"),
        log("2026-11-23 09:00:00+09:00", model="23rd"),
        log("2026-11-22 20:00:00-05:00", model="23rd"),
    )
    source = attached(database, "aiproxy")
    counted = {day: slices(content(source, day, "model")) for day in (date(2026, 11, 21), YESTERDAY, TODAY)}
    assert {day: {model: part["requests"] for (model,), part in parts.items()} for day, parts in counted.items()} == {
        date(2026, 11, 21): {"21st": 1},
        YESTERDAY: {"22nd": 3},
        TODAY: {"23rd": 2},
    }


@on("sqlite")
def test_a_driver_that_writes_times_as_go_prints_them(database: Database) -> None:
    gateway(
        database,
        log("2026-11-22 07:59:59.999999999 +0800 CST", model="21st"),
        log("2026-11-22 08:00:00.25 +0800 CST", request_at="2026-11-22 08:00:00 +0800 CST", model="22nd"),
        log("2026-11-22 23:59:59.999999999 +0000 UTC", model="22nd"),
        log("2026-11-23 00:00:00 +0000 UTC m=+0.000000001", model="23rd"),
    )
    by_model = slices(content(attached(database, "aiproxy"), YESTERDAY, "model"))
    assert by_model == {
        ("22nd",): {
            "requests": 2,
            "success": 2,
            "status_count": 2,
            "priced_requests": 2,
            "latency_sum_ms": 250,
            "latency_count": 2,
        }
    }


@on("postgresql")
def test_the_zone_of_the_database_moves_nothing(database: Database) -> None:
    live_in_tokyo(gateway(database, BEFORE, *DAY, AFTER))
    day = content(attached(database, "aiproxy"))
    assert digest_day(day) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("sqlite", "postgresql")
def test_what_attaching_finds(database: Database) -> None:
    findings = found(gateway(database, BEFORE, *DAY, AFTER), "aiproxy")
    assert pick(findings, "table first_record last_record") == ["logs", "2026-11-21T23:59:59Z", "2026-11-23T00:00:00Z"]
    assert findings["time"] == {"column": "created_at", "unit": {"sqlite": "text"}.get(database.family, "zoned")}
    assert findings["yesterday"] == {"day": "2026-11-22", "requests": 5}
    assert findings["fills"] == [
        *("model_name", "provider", "team", "api_key", "status_code"),
        *("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "latency_ms", "ttft_ms", "cost_usd"),
    ]
    assert findings["cannot_fill"] == ["user", "operation", "error_type"]
    assert pick(findings["limits"], "failures latency_resolution ttft count_by") == [
        "full",
        "whole milliseconds",
        "known",
        "request",
    ]
    assert pick(findings, "warnings create_index") == [[], None]


@on("sqlite", "postgresql")
def test_an_index_that_begins_with_another_column_is_no_help(database: Database) -> None:
    gateway(database, *DAY).run("DROP INDEX idx_logs_created_at")
    findings = found(database, "aiproxy")
    assert findings["warnings"] == ["no index helps to find a day by created_at: each closing reads the whole table"]
    concurrently = {"postgresql": "CONCURRENTLY "}.get(database.family, "")
    create_index = f'CREATE INDEX {concurrently}ix_tallybook_created_at ON "logs" ("created_at")'
    assert findings["create_index"] == create_index
    database.run(create_index)
    assert pick(found(database, "aiproxy"), "warnings create_index") == [[], None]


@on("sqlite", "postgresql")
def test_it_may_be_attached_before_the_first_request(database: Database) -> None:
    gateway(database)
    findings = found(database, "aiproxy")
    assert pick(findings, "first_record last_record yesterday") == [None, None, {"day": "2026-11-22", "requests": 0}]
    assert findings["warnings"] == ["there is no record yet; it counts as a source from its first record on"]
    assert findings["cannot_fill"] == ["user", "operation", "error_type"]
    source = pinned(attached(database, "aiproxy"))
    LOGS.insert(database, [{**entry, "id": number} for number, entry in enumerate(written(database, *DAY), 1)])
    assert digest_day(content(source)) == oracle.digest(oracle.payload(YESTERDAY, MEANT))


@on("sqlite", "postgresql")
def test_a_column_without_a_value_so_far_may_have_one_later(database: Database) -> None:
    source = pinned(attached(gateway(database, log("2026-11-22 20:00:00+08:00")), "aiproxy"))
    database.run("UPDATE logs SET ttfb_milliseconds = 300, reasoning_tokens = 2")
    assert pick(totals(content(source)), "ttft_sum_ms tokens_reasoning") == [300, 2]
    database.run("UPDATE logs SET ttfb_milliseconds = NULL, reasoning_tokens = NULL")
    assert "ttft_count" not in totals(content(source))
