"""The totals of days: what `contents` says of them, on every engine, from one statement that reads less."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings

import oracle
from databases import Database, on
from engines.test_same_bytes import DAYS, RECORDS, TEXTS, TYPES, fill
from engines.test_text_times import keep as keep_texts
from gateways.looking import attached
from gateways.test_new_api import consumed, failed
from gateways.test_new_api import keep as keep_logs
from stories import ARRIVED, NOW, YESTERDAY, Record, at, put, record, relation, stored, totals
from tallybook.days import epoch_us
from tallybook.declaration import Declaration
from tallybook.errors import CloseFailed, LogsError
from tallybook.logs.store import LogStore
from tallybook.measures import NOTHING, Totals, add_totals
from tallybook.source import Slicing, Source
from tallybook.sources.attached import AttachedSource
from tallybook.sources.engines.sqlite import SQLite
from tallybook.sources.engines.statements import totals_of
from tallybook.sources.relation import edges_of, window_of
from test_closing_oracle import DIMENSIONS, WITH_FIXTURES
from test_closing_oracle import RECORDS as SOME_RECORDS

everywhere = on("sqlite", "duckdb", "postgresql", "mysql", "clickhouse", "spark")


def gateway(database: Database, **given: Any) -> AttachedSource:
    return AttachedSource(Declaration(name="gateway", url=database.url, **given))


def make_table(database: Database, *columns: str) -> None:
    """An empty table with a time in milliseconds, a model, and these columns of whole numbers."""
    types = TYPES[database.family]
    numbers = "".join(f", {name} {types['number']}" for name in columns)
    created_at = types["number"].removeprefix("Nullable(").removesuffix(")")
    database.run(
        f"CREATE TABLE log_records (created_at {created_at}, model_name {types['text']}{numbers}) {types['end']}"
    )


def ms(moment: str) -> int:
    return epoch_us(at(moment)) // 1_000


def by_contents(source: Source, days: Sequence[date], *dimensions: str) -> list[Totals]:
    """The totals as closing would write them."""
    return [content.totals for content in source.contents(days, Slicing(dimensions or ("model", "team")))]


def by_oracle(days: Sequence[date], records: list[Record]) -> list[Totals]:
    return [tuple(oracle.totals(oracle.on(day, records)).values()) for day in days]


@pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms", "naive", "zoned"])
@everywhere
def test_they_are_those_of_the_contents_and_of_the_oracle(database: Database, kind: str) -> None:
    fill(database, kind, "America/St_Johns")
    source = gateway(database)
    days = [date(2026, 11, 18), *(date(2026, 11, day) for day in range(19, 25))]
    assert source.totals(days) == by_contents(source, days) == by_oracle(days, RECORDS)
    assert source.totals(DAYS[:1]) == by_oracle(DAYS[:1], RECORDS)


HOURS = (
    ("11-22 00:00:00", 0),
    ("11-22 00:59:59", 0),
    ("11-22 01:00:00", 1),
    ("11-22 12:30:00", 12),
    ("11-22 23:59:59", 23),
)
"""Instants of a day, and the hour that each is of."""


@pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms", "naive", "zoned"])
@everywhere
def test_hours_are_those_of_the_day_in_utc(database: Database, kind: str) -> None:
    fill(database, kind, "America/St_Johns")
    source = gateway(database)
    hours = source.hours(YESTERDAY)
    assert [add_totals(hours)] == source.totals([YESTERDAY])
    assert hours == [
        tuple(oracle.totals(r for r in oracle.on(YESTERDAY, RECORDS) if r["created_at"].hour == hour).values())
        for hour in range(24)
    ]


@everywhere
def test_an_hour_ends_where_the_next_begins(database: Database) -> None:
    make_table(database, "tokens_in")
    around = [(ms("11-21 23:59:59"), "m", 1), (ms("11-23 00:00"), "m", 1)]
    database.fill("log_records", [*around, *((ms(moment), "m", 1) for moment, _ in HOURS)])
    counts = [totals[0] for totals in gateway(database).hours(YESTERDAY)]
    assert counts == [2, 1, *[0] * 10, 1, *[0] * 10, 1]


@everywhere
def test_days_without_records_have_nothing(database: Database) -> None:
    fill(database, "epoch_ms", "UTC")
    assert gateway(database).totals([date(2025, 1, 1), date(2025, 1, 2)]) == [NOTHING, NOTHING]


@everywhere
def test_text_is_read_as_the_instants_that_it_means(database: Database) -> None:
    source = keep_texts(
        database,
        "2026-11-20T23:00:00-05:00",
        "2026-11-21 02:00:00",
        "2026-11-21T08:00:00+09:00",
        "2026-11-22T12:00:00+00:00",
        "2026-11-22 what",
    )
    days = [date(2026, 11, day) for day in (20, 21, 22)]
    assert source.totals(days) == [totals(requests=1), totals(requests=2), totals(requests=1)]
    assert source.totals(days) == by_contents(source, days)


@everywhere
def test_a_value_that_no_record_may_have_is_unknown_and_so_is_a_status_that_is_null(database: Database) -> None:
    make_table(database, "status_code", "tokens_in", "latency_ms", "cost_nanousd")
    rows = [
        (200, 5, 7, 11),
        (None, -5, 2**31, 10**15 + 1),
        (1000, 10**9 + 1, -1, -1),
        (0, 10**9, 2**31 - 1, 10**15),
        (404, None, None, None),
    ]
    database.fill("log_records", [(ms("11-22 10:00"), "m", *row) for row in rows])
    (found,) = gateway(database).totals([YESTERDAY])
    assert found == totals(
        requests=5,
        success=1,
        failed=2,
        status_count=3,
        tokens_in=10**9 + 5,
        tokens_in_count=2,
        latency_sum_ms=2**31 + 6,
        latency_count=2,
        cost_nanousd=10**15 + 11,
        priced_requests=2,
    )
    assert [found] == by_contents(gateway(database), [YESTERDAY])


@everywhere
def test_a_sum_beyond_64_bits_is_refused_and_never_wrapped(database: Database) -> None:
    """9,224 requests of a million dollars each: of one model, or of two whose sums would fit."""
    make_table(database, "cost_nanousd")
    days = [date(2026, 11, 20), date(2026, 11, 21), YESTERDAY]
    one_model = [(ms("11-20 10:00"), "a", 10**15)] * 9_224
    two_models = [(ms("11-21 10:00"), name, 10**15) for name in "ab"] * 4_612
    just_fits = [(ms("11-22 10:00"), "a", 10**15)] * 9_223
    database.fill("log_records", [*one_model, *two_models, *just_fits])
    source = gateway(database)
    for day in days[:2]:
        with pytest.raises(CloseFailed, match="beyond 64 bits"):
            source.totals([day])
        with pytest.raises(CloseFailed, match="beyond 64 bits"):
            by_contents(source, [day])
    just = totals(requests=9_223, cost_nanousd=9_223 * 10**15, priced_requests=9_223)
    assert source.totals(days[2:]) == by_contents(source, days[2:]) == [just]


@on("sqlite", "postgresql", "mysql", "clickhouse")
def test_exclusions_and_attempts_are_those_of_the_contents(database: Database) -> None:
    """Of a request that failed twice and then succeeded only the success counts; top-ups never do."""
    keep_logs(
        database,
        failed("11-21 23:59:58", request_id="one"),
        failed("11-21 23:59:59", request_id="one"),
        consumed(
            "11-22 00:00:01", request_id="one", prompt_tokens=10, use_time=2, quota=500, other='{"cache_tokens":4}'
        ),
        failed("11-22 10:00", request_id="two"),
        failed("11-22 10:01", request_id="two"),
        failed("11-22 11:00", other="no json"),
        {**consumed("11-22 12:00", quota=10**6), "type": 1},
        consumed("11-22 23:59:59", completion_tokens=3, other=""),
    )
    source = attached(database, "new-api")
    days = [date(2026, 11, 21), YESTERDAY]
    assert source.totals(days) == [
        NOTHING,
        totals(
            requests=4,
            success=2,
            failed=2,
            status_count=4,
            tokens_in=10,
            tokens_in_count=2,
            tokens_out=3,
            tokens_out_count=2,
            tokens_cached=4,
            tokens_cached_count=1,
            latency_sum_ms=2_000,
            latency_count=2,
            cost_nanousd=1_000_000,
            priced_requests=2,
        ),
    ]
    assert source.totals(days) == by_contents(source, days)


@everywhere
def test_a_column_that_is_gone_is_told_as_for_contents(database: Database) -> None:
    fill(database, "epoch_ms", "UTC")
    source = AttachedSource(gateway(database).inspection().pinned(None))
    database.run("DROP TABLE log_records")
    make_table(database)
    with pytest.raises(LogsError, match="of log_records is gone, or its name or type has changed"):
        source.totals(DAYS)


def test_no_error_shows_a_password() -> None:
    source = AttachedSource(Declaration(name="gateway", url="postgresql://me:s3cr3t-word@127.0.0.1:1/logs"))
    with pytest.raises(LogsError) as down:
        source.totals(DAYS)
    assert "s3cr3t-word" not in down.value.message + down.value.remedy


@settings(WITH_FIXTURES)
@given(records=SOME_RECORDS, dimensions=DIMENSIONS)
def test_whatever_the_records_they_are_those_of_the_contents(
    logs: LogStore, records: list[Record], dimensions: tuple[str, ...]
) -> None:
    with logs.writing() as connection:
        connection.execute("DELETE FROM log_records")
    logs.append(stored(records), NOW)
    assert logs.totals(DAYS) == by_contents(logs, DAYS, *dimensions) == by_oracle(DAYS, records)


def test_a_year_is_one_statement(logs: LogStore) -> None:
    put(logs, record("01-01 00:00"), record("06-15 12:00", tokens_in=7), record("12-31 23:59:59.999999", status=None))
    days = [date.fromordinal(date(2026, 1, 1).toordinal() + offset) for offset in range(365)]
    found = logs.totals(days)
    assert {day: day_totals for day, day_totals in zip(days, found, strict=True) if day_totals != NOTHING} == {
        date(2026, 1, 1): totals(requests=1, success=1, status_count=1),
        date(2026, 6, 15): totals(requests=1, success=1, status_count=1, tokens_in=7, tokens_in_count=1),
        date(2026, 12, 31): totals(requests=1),
    }


def test_a_late_record_is_seen_at_once(logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    before = logs.totals([YESTERDAY])
    put(logs, record("11-22 10:00", "late", 500, tokens_out=3), now=ARRIVED)
    assert (before, logs.totals([YESTERDAY])) == (
        [totals(requests=1, success=1, status_count=1)],
        [totals(requests=2, success=1, failed=1, status_count=2, tokens_out=3, tokens_out_count=1)],
    )


class TestReading:
    """What a reading costs somebody else's database."""

    def test_no_text_and_no_histogram_is_read(self) -> None:
        cut = relation("epoch_ms").without_dimensions()
        assert [name for name, _ in cut.columns] == [
            *("created_at", "status_code", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning"),
            *("latency_ms", "ttft_ms", "cost_nanousd"),
        ]
        statement = totals_of(cut, edges_of(DAYS), "postgres")
        assert statement.count("GROUP BY") == 1
        assert not any(name in statement for name in (*TEXTS, "bucket"))

    @pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms", "naive", "zoned"])
    @on("postgresql")
    def test_postgresql_looks_for_the_days_in_the_index_on_time(self, database: Database, kind: str) -> None:
        fill(database, kind, "UTC")
        database.run("INSERT INTO log_records SELECT l.* FROM log_records AS l, generate_series(1, 50)")
        database.run("CREATE INDEX by_time ON log_records (created_at)")
        database.run("ANALYZE log_records")
        found = gateway(database).inspection().source
        statement = totals_of(found.relation.without_dimensions(), edges_of(DAYS[:1]), "postgres")
        with psycopg.connect(database.url) as connection:
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}".encode()).fetchall())
        assert "on by_time" in plan
        assert "Index Cond: ((created_at >= " in plan
        assert "Seq Scan" not in plan

    @pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms", "naive"])
    @on("sqlite")
    def test_sqlite_looks_for_the_days_in_the_index_on_time(self, database: Database, kind: str) -> None:
        fill(database, kind, "UTC")
        database.run("CREATE INDEX by_time ON log_records (created_at)")
        source = gateway(database).inspection().source
        cut = source.relation.without_dimensions()
        engine = SQLite(Path(database.url.removeprefix("sqlite:///")))
        plan = engine.rows(f"EXPLAIN QUERY PLAN {cut.select_columns('sqlite', window_of(edges_of(DAYS)))}")
        assert [detail for *_, detail in plan] == ["SEARCH t USING INDEX by_time (created_at>? AND created_at<?)"]
