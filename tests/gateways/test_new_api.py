"""new-api: one table for money, logins and requests; failures only where it is told to log them, one row an attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

import oracle
from databases import Database, on
from gateways.gorm import Log, Table
from gateways.looking import attached, content, found, pinned, slices, totals
from stories import TODAY, YESTERDAY, Record, at, record
from tallybook.content import DayContent
from tallybook.digest import digest_day
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource

everywhere = on("sqlite", "postgresql", "mysql", "clickhouse")

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
        "use_time": "count",
        "is_stream": "flag",
        "channel_id": "number",
        "token_id": "count",
        "group": "indexed text",
        "ip": "name",
        "request_id": "varchar(64) DEFAULT ''",
        "upstream_request_id": "varchar(128) DEFAULT ''",
        "other": "text",
    },
    usual={
        "user_id": 7,
        "content": "",
        "username": "ada",
        "model_name": "gpt-5",
        "quota": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "use_time": 0,
        "is_stream": True,
        "channel_id": 3,
        "token_id": 11,
        "group": "default",
        "ip": "",
        "request_id": "",
        "upstream_request_id": "",
        "other": "",
    },
    indexes={
        "idx_created_at_id": ("created_at", "id"),
        "idx_created_at_type": ("created_at", "type"),
        "idx_user_id_id": ("user_id", "id"),
        "idx_logs_user_id": ("user_id",),
        "idx_logs_username": ("username",),
        "idx_logs_token_name": ("token_name",),
        "idx_logs_model_name": ("model_name",),
        "index_username_model_name": ("model_name", "username"),
        "idx_logs_channel_id": ("channel_id",),
        "idx_logs_token_id": ("token_id",),
        "idx_logs_group": ("group",),
        "idx_logs_ip": ("ip",),
        "idx_logs_request_id": ("request_id",),
        "idx_logs_upstream_request_id": ("upstream_request_id",),
    },
)
NEWER = ("request_id", "upstream_request_id")
OLDER_LOGS = replace(
    LOGS,
    columns={name: kind for name, kind in LOGS.columns.items() if name not in NEWER},
    indexes={name: columns for name, columns in LOGS.indexes.items() if not set(columns) & set(NEWER)},
)
"""The table of a version that did not tell its requests apart."""

BY_TIME = ("idx_created_at_id", "idx_created_at_type")
CLICKHOUSE = """
    CREATE TABLE logs (
        id Int64 DEFAULT 0,
        user_id Int32 DEFAULT 0,
        created_at Int64 DEFAULT 0,
        type Int32 DEFAULT 0,
        content String DEFAULT '',
        username String DEFAULT '',
        token_name String DEFAULT '',
        model_name String DEFAULT '',
        quota Int32 DEFAULT 0,
        prompt_tokens Int32 DEFAULT 0,
        completion_tokens Int32 DEFAULT 0,
        use_time Int32 DEFAULT 0,
        is_stream UInt8 DEFAULT 0,
        channel_id Int32 DEFAULT 0,
        token_id Int32 DEFAULT 0,
        `group` String DEFAULT '',
        ip String DEFAULT '',
        request_id String DEFAULT '',
        upstream_request_id String DEFAULT '',
        other String DEFAULT ''
    )
    ENGINE = MergeTree()
"""
ORDERED = "PARTITION BY toYYYYMM(toDateTime(created_at)) ORDER BY (created_at, request_id)"


def log(kind: int, moment: str, key: str = "prod", **given: Any) -> Log:
    """A row of the kind, written at that second."""
    return {"created_at": int(at(moment).timestamp()), "type": kind, "token_name": key, **given}


def consumed(moment: str, **given: Any) -> Log:
    """The row of a request that was answered."""
    return log(2, moment, **given)


def failed(moment: str, **given: Any) -> Log:
    """The row of an attempt that failed: it has spent nothing, and its seconds are those until the error."""
    return log(5, moment, **{"use_time": 9, "content": "status_code=502, bad response", **given})


def keep(database: Database, *logs: Log) -> None:
    """The table as new-api's latest version has it, with these rows."""
    if database.family == "clickhouse":
        database.run(CLICKHOUSE + ORDERED)
        LOGS.insert(database, [{"id": 0, **each} for each in logs])
    else:
        LOGS.create(database)
        LOGS.insert(database, logs)


def yesterday(database: Database, *dimensions: str, **settings: str) -> DayContent:
    return content(attached(database, "new-api", **settings), YESTERDAY, *dimensions)


A_DAY = (
    consumed(
        "11-22 09:00:04",
        prompt_tokens=1200,
        completion_tokens=300,
        use_time=4,
        quota=2500,
        request_id="20261122090000one",
        other='{"admin_info":{"use_channel":["3"]},"cache_ratio":0.1,"cache_tokens":200,"frt":640,"model_ratio":0.625}',
    ),
    consumed(
        "11-22 09:00:05",
        model_name="claude-sonnet-4-5",
        channel_id=9,
        key="batch",
        group="vip",
        prompt_tokens=10,
        completion_tokens=20,
        quota=1,
        is_stream=False,
        request_id="20261122090005two",
        other='{"cache_tokens":0,"frt":-1000,"group_ratio":1}',
    ),
    failed("11-22 10:00", channel_id=9, request_id="20261122100000three", other='{"error_code":"bad_response"}'),
    log(1, "11-22 11:00", quota=5_000_000, model_name="", key=""),
    log(3, "11-22 11:01", model_name="", key=""),
    log(4, "11-22 11:02", quota=100, model_name="", key=""),
    log(6, "11-22 11:03", quota=2500, prompt_tokens=1200),
    log(7, "11-22 11:04", model_name="", key=""),
)


@everywhere
def test_a_day_of_requests_among_topups_settings_refunds_and_logins(database: Database) -> None:
    keep(database, *A_DAY)
    day = yesterday(database)
    assert totals(day) == {
        "requests": 3,
        "success": 2,
        "failed": 1,
        "status_count": 3,
        "tokens_in": 1210,
        "tokens_in_count": 2,
        "tokens_out": 320,
        "tokens_out_count": 2,
        "tokens_cached": 200,
        "tokens_cached_count": 2,
        "latency_sum_ms": 4000,
        "latency_count": 2,
        "ttft_sum_ms": 640,
        "ttft_count": 1,
        "cost_nanousd": 5_002_000,
        "priced_requests": 2,
    }
    assert day.unknown == ()


@everywhere
def test_a_day_by_model_channel_group_and_token(database: Database) -> None:
    keep(database, *A_DAY)
    day = yesterday(database)
    assert slices(day) == {
        ("claude-sonnet-4-5", "9", "vip", "batch"): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 10,
            "tokens_in_count": 1,
            "tokens_out": 20,
            "tokens_out_count": 1,
            "tokens_cached_count": 1,
            "latency_count": 1,
            "cost_nanousd": 2_000,
            "priced_requests": 1,
        },
        ("gpt-5", "3", "default", "prod"): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 1200,
            "tokens_in_count": 1,
            "tokens_out": 300,
            "tokens_out_count": 1,
            "tokens_cached": 200,
            "tokens_cached_count": 1,
            "latency_sum_ms": 4000,
            "latency_count": 1,
            "ttft_sum_ms": 640,
            "ttft_count": 1,
            "cost_nanousd": 5_000_000,
            "priced_requests": 1,
        },
        ("gpt-5", "9", "default", "prod"): {"requests": 1, "failed": 1, "status_count": 1},
    }
    assert set(slices(yesterday(database, "user"))) == {("ada",)}


THE_SAME_DAY: list[Record] = [
    record(
        "11-22 09:00:04",
        tokens_in=1200,
        tokens_out=300,
        tokens_cached=200,
        latency_ms=4000,
        ttft_ms=640,
        cost_nanousd=5_000_000,
        provider="3",
        api_key="prod",
        team="default",
    ),
    record(
        "11-22 09:00:05",
        "claude-sonnet-4-5",
        tokens_in=10,
        tokens_out=20,
        tokens_cached=0,
        latency_ms=0,
        cost_nanousd=2_000,
        provider="9",
        api_key="batch",
        team="vip",
    ),
    record("11-22 10:00", status=500, provider="9", api_key="prod", team="default"),
]


@everywhere
def test_a_day_has_the_same_digest_on_every_database(database: Database) -> None:
    keep(database, *A_DAY)
    assert digest_day(yesterday(database)) == oracle.digest(oracle.payload(YESTERDAY, THE_SAME_DAY))


@everywhere
def test_two_failed_attempts_and_a_success_are_one_success(database: Database) -> None:
    keep(
        database,
        failed("11-22 09:00:01", channel_id=1, request_id="abc"),
        failed("11-22 09:00:02", channel_id=2, request_id="abc"),
        consumed("11-22 09:00:03", channel_id=3, request_id="abc", prompt_tokens=50, completion_tokens=5),
    )
    assert slices(yesterday(database, "provider")) == {
        ("3",): {
            "requests": 1,
            "success": 1,
            "status_count": 1,
            "tokens_in": 50,
            "tokens_in_count": 1,
            "tokens_out": 5,
            "tokens_out_count": 1,
            "latency_count": 1,
            "priced_requests": 1,
        }
    }


@everywhere
def test_three_failed_attempts_are_one_failure_of_the_last_channel(database: Database) -> None:
    keep(
        database,
        failed("11-22 09:00:01", channel_id=4, request_id="abc"),
        failed("11-22 09:00:02", channel_id=9, request_id="abc"),
        failed("11-22 09:00:03", channel_id=5, request_id="abc"),
    )
    assert slices(yesterday(database, "provider")) == {("5",): {"requests": 1, "failed": 1, "status_count": 1}}


@everywhere
def test_failed_attempts_of_one_second_on_one_channel_are_one_failure(database: Database) -> None:
    keep(database, *[failed("11-22 09:00", request_id="abc")] * 3, *[failed("11-22 09:00", request_id="xyz")] * 2)
    assert totals(yesterday(database)) == {"requests": 2, "failed": 2, "status_count": 2}


@everywhere
def test_attempts_on_both_sides_of_midnight_count_once_on_the_day_of_the_last(database: Database) -> None:
    keep(
        database,
        failed("11-21 23:59:58", request_id="made good"),
        failed("11-21 23:59:59", request_id="given up"),
        consumed("11-22 00:00:01", request_id="made good"),
        failed("11-22 00:00:02", request_id="given up"),
    )
    source = attached(database, "new-api")
    day_before = YESTERDAY.replace(day=21)
    together = list(source.contents([day_before, YESTERDAY], Slicing()))
    for before, after in (together, [content(source, day_before), content(source)]):
        assert totals(before) == {}
        assert (totals(after)["success"], totals(after)["failed"], totals(after)["requests"]) == (1, 1, 2)


@everywhere
def test_rows_without_a_request_id_stand_for_themselves(database: Database) -> None:
    keep(database, failed("11-22 09:00"), failed("11-22 09:00"), consumed("11-22 09:00"), consumed("11-22 09:00"))
    day = totals(yesterday(database))
    assert (day["requests"], day["failed"], day["success"]) == (4, 2, 2)


@on("sqlite", "postgresql", "mysql")
def test_rows_of_before_the_request_id_was_added_stand_for_themselves(database: Database) -> None:
    keep(database, *[failed("11-22 09:00", request_id=None)] * 2, consumed("11-22 09:00", request_id=None))
    day = totals(yesterday(database))
    assert (day["requests"], day["failed"], day["success"]) == (3, 2, 1)


@on("sqlite", "postgresql", "mysql")
def test_an_older_version_counts_attempts_and_says_so(database: Database) -> None:
    OLDER_LOGS.create(database)
    OLDER_LOGS.insert(database, [failed("11-22 09:00:01"), failed("11-22 09:00:02"), consumed("11-22 09:00:03")])
    day = totals(yesterday(database))
    assert (day["requests"], day["failed"], day["success"]) == (3, 2, 1)
    assert found(database, "new-api")["limits"]["count_by"] == "attempt"


@everywhere
@pytest.mark.parametrize(
    ("other", "cached", "first_token"),
    [
        pytest.param("", None, None, id="empty"),
        pytest.param("{}", None, None, id="without keys"),
        pytest.param("null", None, None, id="null"),
        pytest.param("[]", None, None, id="a list"),
        pytest.param('{"cache_tokens":7,"frt":12', None, None, id="cut off"),
        pytest.param("{'cache_tokens': 7}", None, None, id="no JSON"),
        pytest.param('{"cache_tokens":null,"frt":"12"}', None, None, id="no numbers"),
        pytest.param('{"cache_tokens":true,"frt":[12]}', None, None, id="no numbers either"),
        pytest.param('{"cache_tokens":1e30,"frt":-1000}', None, None, id="no tokens, no first token"),
        pytest.param('{"cache_tokens":0,"frt":0}', 0, 0, id="zero"),
        pytest.param('{"cache_tokens":7,"frt":12.5}', 7, 13, id="half a millisecond"),
        pytest.param('{"cache_creation_tokens":9,"other":{"cache_tokens":8},"cache_tokens":7}', 7, None, id="nested"),
    ],
)
def test_what_other_may_hold(database: Database, other: str, cached: int | None, first_token: int | None) -> None:
    keep(database, consumed("11-22 09:00", other=other), consumed("11-22 09:01", other='{"cache_tokens":1,"frt":100}'))
    day = totals(yesterday(database))
    assert day["requests"] == 2
    assert (day["tokens_cached"], day["tokens_cached_count"]) == (1 + (cached or 0), 1 + (cached is not None))
    assert (day["ttft_sum_ms"], day["ttft_count"]) == (100 + (first_token or 0), 1 + (first_token is not None))


@everywhere
def test_a_failure_has_no_tokens_no_latency_and_no_price(database: Database) -> None:
    keep(database, failed("11-22 09:00", other='{"cache_tokens":5,"frt":5}', prompt_tokens=5, quota=5))
    assert totals(yesterday(database)) == {"requests": 1, "failed": 1, "status_count": 1}


@everywhere
def test_latency_is_in_whole_seconds(database: Database) -> None:
    keep(database, consumed("11-22 09:00", use_time=61), consumed("11-22 09:01", use_time=0))
    day = totals(yesterday(database))
    assert (day["latency_sum_ms"], day["latency_count"]) == (61_000, 2)
    assert found(database, "new-api")["limits"]["latency_resolution"] == "whole seconds"


@everywhere
def test_half_a_million_of_quota_is_a_dollar_unless_said_otherwise(database: Database) -> None:
    keep(database, consumed("11-22 09:00", quota=500_000), consumed("11-22 09:01", quota=3))
    assert totals(yesterday(database))["cost_nanousd"] == 1_000_006_000
    assert totals(yesterday(database, quota_per_usd="1000000"))["cost_nanousd"] == 500_003_000


@everywhere
def test_what_is_below_zero_is_unknown(database: Database) -> None:
    """A task that came cheaper than it was reckoned is corrected by a row with a negative quota."""
    keep(database, consumed("11-22 09:00", prompt_tokens=-1, completion_tokens=-5, quota=-700, use_time=-2))
    assert totals(yesterday(database)) == {"requests": 1, "success": 1, "status_count": 1}


@everywhere
def test_a_second_belongs_to_the_day_that_it_begins(database: Database) -> None:
    seconds = ("11-21 23:59:59", "11-22 00:00:00", "11-22 23:59:59", "11-23 00:00:00")
    keep(database, *(consumed(second, prompt_tokens=10**place) for place, second in enumerate(seconds)))
    source = attached(database, "new-api")
    days = source.contents([YESTERDAY.replace(day=21), YESTERDAY, TODAY], Slicing())
    assert [totals(day)["tokens_in"] for day in days] == [1, 110, 1000]


@everywhere
def test_failures_are_unknown_where_none_was_ever_logged(database: Database) -> None:
    keep(database, consumed("11-22 09:00"))
    assert yesterday(database).unknown == ("failed",)
    assert found(database, "new-api")["limits"]["failures"] == "opt-in, none logged"


@everywhere
def test_failures_are_known_where_the_user_says_that_they_are_logged(database: Database) -> None:
    keep(database, consumed("11-22 09:00"))
    assert yesterday(database, failures="logged").unknown == ()
    assert found(database, "new-api", failures="logged")["limits"]["failures"] == "opt-in, logged"


@everywhere
def test_failures_of_another_day_show_that_they_are_logged(database: Database) -> None:
    keep(database, failed("11-01 09:00"), consumed("11-22 09:00"))
    assert yesterday(database).unknown == ()
    assert yesterday(database, failures="unknown").unknown == ("failed",)
    assert found(database, "new-api")["limits"]["failures"] == "opt-in, logged since 2026-11-01"


def told(source: AttachedSource, *days: int) -> list[bool]:
    """Of each of these consecutive days of November whether it knows its failures."""
    chosen = [YESTERDAY.replace(day=day) for day in days]
    return [day.unknown == () for day in source.contents(chosen, Slicing())]


@everywhere
def test_failures_are_known_from_the_first_day_that_has_one(database: Database) -> None:
    keep(database, *(consumed(f"11-{day} 09:00") for day in (18, 19, 20, 21, 22)), failed("11-20 23:59"))
    assert told(attached(database, "new-api"), 18, 19, 20, 21, 22) == [False, False, True, True, True]
    assert told(attached(database, "new-api"), 18, 19) == [False, False]
    assert told(attached(database, "new-api"), 22) == [True]


@everywhere
def test_the_first_day_that_has_one_may_be_years_ago(database: Database) -> None:
    keep(
        database,
        consumed("11-22 09:00"),
        {**failed("11-22 09:00"), "created_at": int(at("11-22 09:00").timestamp()) - 900 * 86_400},
    )
    assert told(attached(database, "new-api"), 21, 22) == [True, True]


@everywhere
def test_logging_that_is_switched_on_after_attaching_is_known_from_that_day(database: Database) -> None:
    keep(database, consumed("11-20 09:00"))
    source = pinned(attached(database, "new-api"))
    assert told(source, 20, 21) == [False, False]
    LOGS.insert(database, [{"id": 2, **failed("11-22 09:00")}])
    assert told(source, 21, 22) == [False, True]
    assert told(pinned(source), 21, 22) == [False, True]
    assert told(source, 20) == [False]


@everywhere
def test_the_user_s_word_holds_for_every_day(database: Database) -> None:
    keep(database, consumed("11-20 09:00"), failed("11-22 09:00"))
    assert told(attached(database, "new-api", failures="logged"), 20, 21, 22) == [True, True, True]
    assert told(attached(database, "new-api", failures="unknown"), 20, 21, 22) == [False, False, False]


@everywhere
def test_names_that_differ_in_case_or_by_a_space_stay_apart(database: Database) -> None:
    """MySQL's collations would put them together; they would even take `é` for `e`."""
    names = ["gpt-5", "GPT-5", "gpt-5 ", "gpt-é", "gpt-e"]
    keep(database, *(consumed("11-22 09:00", model_name=name) for name in names))
    assert {key: part["requests"] for key, part in slices(yesterday(database, "model")).items()} == {
        ("gpt-5",): 1,
        ("GPT-5",): 1,
        ("gpt-5 ",): 1,
        ("gpt-é",): 1,
        ("gpt-e",): 1,
    }


@everywhere
def test_a_token_named_by_its_secret_is_kept_as_a_fingerprint(database: Database) -> None:
    keep(
        database,
        consumed("11-22 09:00", key="sk-0123456789abcdefghijklmnopqrstuv"),
        consumed("11-22 09:00", key="the team's key"),
        consumed("11-22 09:00", key="", group="", username="", model_name=""),
    )
    assert set(slices(yesterday(database, "api_key"))) == {("fp_989176f55d88124e",), ("the team's key",), (None,)}
    assert (None, None, None) in slices(yesterday(database, "model", "team", "user"))


@everywhere
def test_what_attaching_shows(database: Database) -> None:
    keep(
        database,
        log(1, "11-01 00:00"),
        consumed("11-20 08:00"),
        failed("11-22 09:00:01", request_id="abc"),
        consumed("11-22 09:00:03", request_id="abc"),
        consumed("11-23 00:30"),
        log(7, "11-23 00:45"),
    )
    shown = found(database, "new-api")
    assert (shown["preset"], shown["table"], shown["time"]) == (
        "new-api",
        "logs",
        {"column": "created_at", "unit": "epoch_s"},
    )
    assert (shown["first_record"], shown["last_record"]) == ("2026-11-20T08:00:00Z", "2026-11-23T00:30:00Z")
    assert shown["yesterday"] == {"day": "2026-11-22", "requests": 1}
    assert shown["fills"] == [
        *("model_name", "provider", "team", "api_key", "user", "status_code", "tokens_in", "tokens_out"),
        *("tokens_cached", "latency_ms", "ttft_ms", "cost_usd"),
    ]
    assert shown["cannot_fill"] == ["operation", "error_type", "tokens_reasoning"]
    assert shown["limits"] == {
        "failures": "opt-in, logged since 2026-11-22",
        "latency_resolution": "whole seconds",
        "ttft": "known",
        "count_by": "request",
        "notes": [
            "failures are logged only with ERROR_LOG_ENABLED=true",
            "provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
            "refunds are left out",
        ],
    }
    assert (shown["warnings"], shown["create_index"]) == ([], None)


@everywhere
@pytest.mark.parametrize("logs", [(), (log(1, "11-22 09:00"),)], ids=["empty", "a top-up"])
def test_a_table_without_a_request_yet(database: Database, logs: tuple[Log, ...]) -> None:
    keep(database, *logs)
    shown = found(database, "new-api")
    assert (shown["first_record"], shown["last_record"], shown["yesterday"]["requests"]) == (None, None, 0)
    assert shown["warnings"] == ["there is no record yet; it counts as a source from its first record on"]
    assert shown["create_index"] is None


CREATE_INDEX = {
    "sqlite": 'CREATE INDEX ix_tallybook_created_at ON "logs" ("created_at", "type")',
    "postgresql": 'CREATE INDEX CONCURRENTLY ix_tallybook_created_at ON "logs" ("created_at", "type")',
    "mysql": "CREATE INDEX ix_tallybook_created_at ON `logs` (`created_at`, `type`)",
    "clickhouse": 'ALTER TABLE "logs" ADD INDEX ix_tallybook_created_at "created_at" TYPE minmax GRANULARITY 1, MATERIALIZE INDEX ix_tallybook_created_at',
}


def keep_without_index(database: Database, *logs: Log) -> None:
    """The table without what helps to find a day, but with all its other indexes."""
    if database.family == "clickhouse":
        database.run(f"{CLICKHOUSE} ORDER BY request_id")
        LOGS.insert(database, [{"id": 0, **each} for each in logs])
    else:
        unhelpful = {name: columns for name, columns in LOGS.indexes.items() if name not in BY_TIME}
        replace(LOGS, indexes=unhelpful).create(database)
        LOGS.insert(database, logs)


@everywhere
def test_a_missing_index_is_told_and_its_statement_mends_it(database: Database) -> None:
    keep_without_index(database, *A_DAY)
    shown = found(database, "new-api")
    assert shown["create_index"] == CREATE_INDEX[database.family]
    assert shown["warnings"] == [
        "no index helps to find a day by created_at: each closing reads the whole table",
    ]
    database.run(shown["create_index"])
    mended = found(database, "new-api")
    assert (mended["create_index"], mended["warnings"]) == (None, [])
    assert totals(yesterday(database))["requests"] == 3


@on("mysql")
def test_a_view_has_the_indexes_of_its_table(database: Database) -> None:
    keep(database, *A_DAY)
    database.run("CREATE VIEW requests AS SELECT * FROM logs")
    assert found(database, "new-api", table="requests")["create_index"] is None


@on("postgresql")
def test_a_server_before_16_reads_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot say whether a text is JSON, but what was cut off does not end as JSON does."""
    keep(database, *A_DAY, consumed("11-22 12:00", other='{"cache_tokens":7,"frt":12'), consumed("11-22 12:01"))
    newer = yesterday(database)
    database.run("ALTER FUNCTION pg_input_is_valid(text, text) RENAME TO unheard_of_before_16")
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 150_004)
    assert yesterday(database) == newer
