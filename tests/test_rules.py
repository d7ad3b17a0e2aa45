"""One test for each rule of the original that the engine room keeps; the server's are in the acceptance tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stories import (
    NOW,
    TODAY,
    YESTERDAY,
    at,
    facts,
    fetch,
    posted,
    postgres_table,
    put,
    record,
    relation,
    sqlite_table,
    stored,
    tamper,
)
from tallybook.book.ledger import Book
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.sources.engines.postgresql import PostgreSQL
from tallybook.sources.engines.sqlite import SQLite
from tallybook.sources.table import TableSource

LogLines = Callable[[], list[tuple[str, str, dict[str, Any]]]]


def close(book: Book, logs: LogStore, day: date = YESTERDAY) -> dict[str, Any]:
    """Closes the day and answers its row of `daily_stats`, if there is one."""
    list(DailyStatsJob(book, [logs]).close(day, NOW))
    with book._engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT * FROM daily_stats WHERE date = '{day}'").mappings().all()
    return dict(rows[0]) if rows else {}


def test_rule_1_log_records_has_the_originals_columns_one_row_per_request(logs: LogStore) -> None:
    put(logs, record("11-22 10:00:00.5", "gpt-5", 200, tokens_in=1, tokens_out=2, latency_ms=3))
    with logs.connect() as connection:
        rows = connection.execute(
            "SELECT created_at, model_name, status_code, tokens_in, tokens_out, latency_ms FROM log_records"
        ).fetchall()
    assert rows == [(datetime(2026, 11, 22, 10, 0, 0, 500_000), "gpt-5", 200, 1, 2, 3)]  # noqa: DTZ001 - stored as UTC


def test_rule_2_daily_stats_has_the_originals_columns(book: Book, logs: LogStore) -> None:
    put(
        logs,
        record("11-22 10:00", "a", 200, tokens_in=10, tokens_out=1, latency_ms=100),
        record("11-22 11:00", "b", 200, tokens_in=20, tokens_out=2, latency_ms=200),
        record("11-22 12:00", "a", 500, tokens_in=30, latency_ms=300),
    )
    row = close(book, logs)
    names = ["date", "requests", "success", "failed", "tokens_in", "tokens_out", "latency_sum_ms", "created_at"]
    assert [row[name] for name in names] == ["2026-11-22", 3, 2, 1, 60, 3, 600, "2026-11-23T01:00:00Z"]
    assert json.loads(row["top_models"]) == [
        {"model": "a", "requests": 2, "tokens": 41},
        {"model": "b", "requests": 1, "tokens": 22},
    ]


@pytest.mark.parametrize(
    ("status", "success", "failed"),
    [
        (0, 0, 1),
        (1, 0, 0),
        (100, 0, 0),
        (199, 0, 0),
        (200, 1, 0),
        (302, 1, 0),
        (399, 1, 0),
        (400, 0, 1),
        (500, 0, 1),
        (999, 0, 1),
        (None, 0, 0),
    ],
)
def test_rule_3_success_is_200_to_399(
    sqlite_book: Book, logs: LogStore, status: int | None, success: int, failed: int
) -> None:
    put(logs, record("11-22 10:00", "a", status))
    row = close(sqlite_book, logs)
    assert (row["requests"], row["success"], row["failed"]) == (1, success, failed)


def test_rule_3_unknown_tokens_and_latencies_add_nothing(sqlite_book: Book, logs: LogStore) -> None:
    put(
        logs,
        record("11-22 10:00", tokens_in=7),
        record("11-22 11:00", tokens_out=5),
        record("11-22 12:00", latency_ms=0),
    )
    row = close(sqlite_book, logs)
    names = ["tokens_in", "tokens_in_count", "tokens_out", "tokens_out_count", "latency_sum_ms", "latency_count"]
    assert [row[name] for name in names] == [7, 1, 5, 1, 0, 1]
    assert json.loads(row["top_models"]) == [{"model": "gpt-5", "requests": 3, "tokens": 12}]


def test_rule_4_a_day_is_half_open_in_utc(sqlite_book: Book, logs: LogStore) -> None:
    put(
        logs,
        record("11-21 23:59:59.999999", "before"),
        record("11-22 00:00:00", "first"),
        record("11-22 23:59:59.999999", "last"),
        record("11-23 00:00:00", "after"),
    )
    row = close(sqlite_book, logs)
    assert [entry["model"] for entry in json.loads(row["top_models"])] == ["first", "last"]


def test_rule_4_the_hosts_zone_moves_no_record(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "created_at,model_name,status_code\n"
        "2026-11-21 23:59:59.9999999,before,200\n"
        "2026-11-22 00:00:00,first,200\n"
        "2026-11-22T23:59:59.9999999,last,200\n"
        "2026-11-22T23:30:00-01:00,after,200\n"
    )
    program = (
        "import sys; from pathlib import Path; from datetime import *; from tallybook.logs.store import LogStore; "
        "from tallybook.logs.importing import *; from tallybook.book.ledger import Book; from tallybook.job import DailyStatsJob; "
        "home = Path(sys.argv[1]); now = datetime(2026, 11, 23, 1, tzinfo=UTC); store = LogStore.open(home / 'logs.duckdb'); "
        "list(import_files(store, [home / 'log.csv'], Reading(), now - timedelta(minutes=30))); "
        "book = Book.open(f'sqlite:///{home}/book.sqlite', now); "
        "print([(str(r.day), r.requests, r.digest) for r in DailyStatsJob(book, [store]).run_once(now)])"
    )
    answers = []
    for zone in ("UTC", "America/New_York", "Pacific/Kiritimati"):
        home = tmp_path / zone.replace("/", "-")
        home.mkdir()
        (home / "log.csv").write_bytes((tmp_path / "log.csv").read_bytes())
        ran = subprocess.run(
            [sys.executable, "-c", program, str(home)],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(ran.stdout)
    assert answers[0].count("'2026-11-22', 2") == 1
    assert answers == [answers[0]] * 3


def test_rule_4_the_database_sessions_zone_moves_no_record(sqlite_book: Book, postgres_url: str) -> None:
    records = [
        record("11-22 00:00:00", "first"),
        record("11-22 23:59:59.999999", "last"),
        record("11-23 00:00:00", "after"),
    ]
    postgres_table(postgres_url, records, "naive")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE log_records ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'"
        )
        connection.execute("ALTER ROLE postgres SET TimeZone = 'Asia/Tokyo'")
    source = TableSource("gateway", relation(), PostgreSQL(postgres_url))
    assert source.first_day() == YESTERDAY
    results = DailyStatsJob(sqlite_book, [source]).run_once(NOW)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE postgres RESET TimeZone")
    assert [(str(result.day), result.requests) for result in results] == [("2026-11-22", 2)]


def test_rule_5_top_models_are_ten_by_requests_then_by_name(sqlite_book: Book, logs: LogStore) -> None:
    records = [record("11-22 10:00", f"m{number:02d}", tokens_in=number, tokens_out=1) for number in range(12)]
    records += [record("11-22 11:00", "m11"), record("11-22 11:00", "m07", tokens_in=100)]
    put(logs, *records)
    assert json.loads(close(sqlite_book, logs)["top_models"]) == [
        {"model": "m07", "requests": 2, "tokens": 108},
        {"model": "m11", "requests": 2, "tokens": 12},
        {"model": "m00", "requests": 1, "tokens": 1},
        {"model": "m01", "requests": 1, "tokens": 2},
        {"model": "m02", "requests": 1, "tokens": 3},
        {"model": "m03", "requests": 1, "tokens": 4},
        {"model": "m04", "requests": 1, "tokens": 5},
        {"model": "m05", "requests": 1, "tokens": 6},
        {"model": "m06", "requests": 1, "tokens": 7},
        {"model": "m08", "requests": 1, "tokens": 9},
    ]


def test_rule_6_yesterday_is_closed_at_five_past_midnight(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    job = DailyStatsJob(sqlite_book, [logs])
    assert job.run_once(at("11-23 00:04:59.999999")) == []
    assert [(str(result.day), str(result.outcome)) for result in job.run_once(at("11-23 00:05:00"))] == [
        ("2026-11-22", "closed")
    ]


def test_rule_7_a_date_that_exists_is_skipped_and_its_row_never_changed(book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    first = close(book, logs)
    before = [
        fetch(book, f"SELECT * FROM {table}")
        for table in ("closings", "daily_stats", "daily_slices", "daily_histograms")
    ]
    put(logs, record("11-22 11:00"), record("11-22 12:00", "late"))
    results = list(DailyStatsJob(book, [logs]).backfill_range(YESTERDAY, YESTERDAY, NOW + timedelta(days=3)))
    assert [(str(result.outcome), result.requests) for result in results] == [("exists", 1)]
    assert results[0].digest == book.closings()[0].digest
    after = [
        fetch(book, f"SELECT * FROM {table}")
        for table in ("closings", "daily_stats", "daily_slices", "daily_histograms")
    ]
    assert after == before
    assert first["requests"] == 1


def test_rule_8_a_day_without_records_gets_no_daily_stats_row(book: Book, logs: LogStore) -> None:
    put(logs, record("11-20 10:00"), record("11-22 10:00"))
    assert close(book, logs, date(2026, 11, 21)) == {}
    assert facts(book) == [("2026-11-21", "zero", 0)]
    for table in ("daily_stats", "daily_slices", "daily_histograms"):
        assert fetch(book, f"SELECT COUNT(*) FROM {table}") == [(0,)]


def test_rule_12_a_closed_day_logs_its_date_requests_and_tokens(
    sqlite_book: Book, logs: LogStore, log_lines: LogLines
) -> None:
    put(logs, record("11-22 10:00", tokens_in=5, tokens_out=7))
    DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
    assert log_lines() == [
        (
            "INFO",
            "day closed",
            {"source": "local", "date": "2026-11-22", "requests": 1, "tokens_in": 5, "tokens_out": 7},
        )
    ]


def test_rule_12_a_skipped_day_logs_its_reason_once(sqlite_book: Book, logs: LogStore, log_lines: LogLines) -> None:
    put(logs, record("11-22 10:00"))
    list(DailyStatsJob(sqlite_book, [logs]).backfill_range(date(2026, 11, 21), TODAY, NOW))
    lines = [(level, message, facts.get("date"), facts.get("reason")) for level, message, facts in log_lines()]
    assert sorted(lines, key=lambda line: str(line[2])) == [
        ("INFO", "day skipped", "2026-11-21", "before the source's first record"),
        ("INFO", "day closed", "2026-11-22", None),
        (
            "INFO",
            "day refused",
            "2026-11-23",
            "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on",
        ),
    ]


def test_rule_12_a_failed_day_logs_a_warning_with_the_error(
    sqlite_book: Book, tmp_path: Path, log_lines: LogLines
) -> None:
    sqlite_table(tmp_path / "gateway.sqlite", [record("11-22 10:00")], "text")
    source = TableSource("gateway", relation("text"), SQLite(tmp_path / "gateway.sqlite"))
    job = DailyStatsJob(sqlite_book, [source])
    tamper(sqlite_book, "DROP TABLE daily_slices")
    list(job.backfill_range(YESTERDAY, YESTERDAY, NOW))
    warnings = [(message, facts["date"], facts["error"]) for level, message, facts in log_lines() if level == "WARNING"]
    assert [(message, day) for message, day, _ in warnings] == [("day failed", "2026-11-22")]
    assert "daily_slices" in warnings[0][2]


def test_the_records_of_these_tests_are_what_the_wire_makes_of_them() -> None:
    body = b'{"created_at": "2026-11-22T10:00:00Z", "model_name": "a", "status_code": 200, "tokens_in": 5}'
    assert posted(body, NOW).table == stored([record("11-22 10:00", "a", 200, tokens_in=5)])
