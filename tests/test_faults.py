"""One test for each fault of the original that the engine room removes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
import sqlalchemy as sa
from adbc_driver_sqlite.dbapi import Cursor

import oracle
from stories import (
    NOW,
    TODAY,
    YESTERDAY,
    at,
    facts,
    fetch,
    pick,
    postgres_table,
    put,
    record,
    relation,
    sqlite_table,
)
from tallybook.book.ledger import AlreadyClosed, Book
from tallybook.closing import Outcome, Result
from tallybook.content import DayContent, empty_content
from tallybook.errors import LogsError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import Totals
from tallybook.periods import parse_period
from tallybook.source import Slicing
from tallybook.sources.engines.duck import DuckDB
from tallybook.sources.engines.postgresql import PostgreSQL
from tallybook.sources.engines.sqlite import SQLite
from tallybook.sources.own import OWN_RELATION
from tallybook.sources.table import TableSource
from tallybook.stats import Sources, StatsQuery, StatsReader
from tallybook.verification import verify_book


def outcomes(results: Sequence[Result]) -> list[tuple[str, str]]:
    return [(str(result.day), str(result.outcome)) for result in results]


def answer(book: Book, period: str, by: str | None = None) -> dict[str, Any]:
    return StatsReader(book).answer(StatsQuery(parse_period(period, TODAY, None), by), Sources({}, {}), YESTERDAY)


def test_fault_1_a_week_of_outage_is_made_up_at_the_next_tick(book: Book, logs: LogStore) -> None:
    put(logs, *(record(f"11-{day} 10:00") for day in range(15, 23)))
    job = DailyStatsJob(book, [logs])
    job.run_once(at("11-16 00:05"))
    assert facts(book) == [("2026-11-15", "closed", 1)]
    results = job.run_once(NOW)
    assert outcomes(results) == [(f"2026-11-{day}", "closed") for day in range(16, 23)]


def test_fault_2_half_a_day_is_refused_and_stays_open(book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"), record("11-23 00:30"))
    results = list(DailyStatsJob(book, [logs]).backfill_range(YESTERDAY, date(2026, 11, 25), NOW))
    assert outcomes(results) == [
        ("2026-11-22", "closed"),
        ("2026-11-23", "refused"),
        ("2026-11-24", "refused"),
        ("2026-11-25", "refused"),
    ]
    assert results[1].reason == "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on"
    assert facts(book) == [("2026-11-22", "closed", 1)]


@dataclass
class FailingStatements:
    """Makes the k-th statement of every write to the book fail, as a disk or a network would."""

    engine: sa.Engine
    fail_at: int = 0
    seen: int = 0

    def __enter__(self) -> Self:
        sa.event.listen(self.engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self.engine, "before_cursor_execute", self._count)

    def _count(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT"):
            self.seen += 1
            if self.seen == self.fail_at:
                raise sa.exc.OperationalError(statement, {}, OSError("I/O error"))


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4])
def test_fault_3_when_any_statement_of_a_closing_fails_nothing_is_stored_and_the_next_run_closes_it(
    book: Book, logs: LogStore, fail_at: int
) -> None:
    put(logs, record("11-22 10:00", latency_ms=5))
    job = DailyStatsJob(book, [logs])
    with FailingStatements(book._engine, fail_at) as failing:
        (result,) = job.run_once(NOW)
        assert failing.seen == fail_at
    assert result.outcome is Outcome.FAILED
    assert "I/O error" in str(result.reason)
    for table in ("closings", "daily_stats", "daily_slices", "daily_histograms"):
        assert fetch(book, f"SELECT COUNT(*) FROM {table}") == [(0,)]
    assert outcomes(job.run_once(NOW)) == [("2026-11-22", "closed")]
    assert verify_book(book).verdict == "intact"


@dataclass
class HalfBlindSource:
    """A source whose second grouping fails, as the original's top-models query did."""

    source: LogStore
    failures: int = 1
    name: str = "local"
    days_per_read: int = 366

    def first_day(self) -> date | None:
        return self.source.first_day()

    def known_first_day(self) -> date | None:
        return self.source.known_first_day()

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        if self.failures:
            self.failures -= 1
            raise LogsError("DuckDB could not read the logs: out of memory")
        yield from self.source.contents(days, slicing)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self.source.totals(days)

    def hours(self, day: date) -> list[Totals]:
        return self.source.hours(day)

    def arrived_at(self, day: date) -> datetime | None:
        return self.source.arrived_at(day)

    def arrived_before(self, day: date) -> datetime | None:
        return self.source.arrived_before(day)

    def price_versions(self, day: date) -> tuple[str, ...]:
        return self.source.price_versions(day)

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return None


def test_fault_3_when_the_second_read_fails_no_empty_top_models_are_stored(book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00", "a"))
    job = DailyStatsJob(book, [HalfBlindSource(logs)])
    assert outcomes(job.run_once(NOW)) == [("2026-11-22", "failed")]
    assert facts(book) == []
    assert outcomes(job.run_once(NOW)) == [("2026-11-22", "closed")]
    assert fetch(book, "SELECT top_models FROM daily_stats") == [('[{"model":"a","requests":1,"tokens":0}]',)]


def test_fault_4_two_servers_that_race_close_each_day_once(book: Book, book_url: str, logs: LogStore) -> None:
    put(logs, *(record(f"11-{day:02d} {hour}:00", f"m{hour}") for day in range(1, 23) for hour in (10, 11)))
    other = Book.open(book_url, NOW)
    barrier = threading.Barrier(4)
    results: list[list[Result]] = []

    def serve(own_book: Book) -> None:
        job = DailyStatsJob(own_book, [logs])
        barrier.wait()
        results.append(list(job.backfill_range(date(2026, 11, 1), YESTERDAY, NOW)))

    threads = [threading.Thread(target=serve, args=(own_book,)) for own_book in (book, other, book, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert [len(each) for each in results] == [22, 22, 22, 22]
    winners = [result for each in results for result in each if result.outcome is Outcome.CLOSED]
    assert sorted(result.day for result in winners) == [date(2026, 11, day) for day in range(1, 23)]
    assert {result.outcome for each in results for result in each} == {Outcome.CLOSED, Outcome.EXISTS}
    assert len({(result.day, result.digest) for each in results for result in each}) == 22
    assert [closing.seq for closing in book.closings()] == list(range(1, 23))
    assert verify_book(book).verdict == "intact"


RACER = """
import sys
from datetime import UTC, date, datetime, timedelta
from tallybook.book.ledger import AlreadyClosed, Book
from tallybook.content import empty_content
now = datetime(2026, 11, 23, 1, tzinfo=UTC)
book = Book.open(sys.argv[1], now)
print("ready", flush=True)
sys.stdin.readline()
won = 0
for offset in range(60):
    try:
        book.append("local", empty_content(date(2026, 9, 1) + timedelta(days=offset)), now)
        won += 1
    except AlreadyClosed:
        pass
print(won)
"""


def test_fault_4_two_processes_that_race_leave_one_gapless_chain(book: Book, book_url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, book_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [int(racer.communicate()[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sum(won) == 60
    assert [closing.seq for closing in book.closings()] == list(range(1, 61))
    assert len({closing.day for closing in book.closings()}) == 60
    assert verify_book(book).verdict == "intact"


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_fault_4_a_database_that_is_stricter_by_default_changes_nothing(
    postgres_url: str, logs: LogStore, isolation: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        database = connection.info.dbname
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'".encode())
    put(logs, *(record(f"11-{day:02d} 10:00") for day in range(1, 23)))
    books = [Book.open(postgres_url, NOW) for _ in range(4)]
    barrier = threading.Barrier(4)
    results: list[Result] = []

    def serve(own_book: Book, name: str) -> None:
        source = TableSource(name, OWN_RELATION, DuckDB(logs.connect))
        barrier.wait()
        results.extend(DailyStatsJob(own_book, [source]).backfill_range(date(2026, 11, 1), YESTERDAY, NOW))

    threads = [threading.Thread(target=serve, args=pair) for pair in zip(books, "aabb", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sequence, verdict = [closing.seq for closing in books[0].closings()], verify_book(books[0]).verdict
    for own_book in books:
        own_book.close()
    assert {(result.outcome, result.reason) for result in results} <= {(Outcome.CLOSED, None), (Outcome.EXISTS, None)}
    assert sequence == list(range(1, 45))
    assert verdict == "intact"


def test_fault_4_the_loser_is_told_which_closing_is_there(book: Book) -> None:
    closing = book.append("local", empty_content(YESTERDAY), NOW)
    with pytest.raises(AlreadyClosed) as lost:
        book.append("local", empty_content(YESTERDAY), NOW + timedelta(hours=1))
    assert lost.value.closing == closing


@dataclass
class Counted:
    """A DuckDB connection that notes every statement sent through it."""

    connection: Any
    statements: list[str] = field(default_factory=list)

    def execute(self, sql: str, *args: Any) -> Any:
        self.statements.append(sql)
        return self.connection.execute(sql, *args)

    def sql(self, sql: str) -> Any:
        self.statements.append(sql)
        return self.connection.sql(sql)

    def __enter__(self) -> Self:
        self.connection.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.__exit__(*error)


def queries(statements: list[str]) -> list[str]:
    """Those that read log records by day, not only the first of all."""
    return [sql for sql in statements if "log_records" in sql and not sql.endswith("ASC LIMIT 1")]


def test_fault_5_a_backfill_of_30_days_sends_two_statements(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, *(record(f"11-{day:02d} {hour}:00", f"m{hour}") for day in range(1, 23) for hour in range(10, 20)))
    put(logs, *(record(f"10-{day} 10:00") for day in range(20, 32)))
    sent: list[Counted] = []

    def connect() -> Any:
        sent.append(Counted(logs.connect()))
        return sent[-1]

    job = DailyStatsJob(sqlite_book, [TableSource("local", OWN_RELATION, DuckDB(connect))])
    results = list(job.backfill_range(date(2026, 10, 24), YESTERDAY, NOW))
    assert [str(result.outcome) for result in results] == ["closed"] * 30
    assert len(queries([sql for each in sent for sql in each.statements])) == 2


def test_fault_5_one_day_takes_two_statements_too_and_in_one_snapshot(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    sent: list[Counted] = []

    def connect() -> Any:
        sent.append(Counted(logs.connect()))
        return sent[-1]

    DailyStatsJob(sqlite_book, [TableSource("local", OWN_RELATION, DuckDB(connect))]).run_once(NOW)
    (session,) = [each for each in sent if queries(each.statements)]
    assert session.statements[0] == "BEGIN TRANSACTION"
    assert len(queries(session.statements)) == 2


def test_fault_5_records_that_arrive_between_the_two_statements_are_not_seen_by_the_second(
    sqlite_book: Book, logs: LogStore
) -> None:
    put(logs, record("11-22 10:00", latency_ms=5))

    @dataclass
    class Interrupted(Counted):
        def sql(self, sql: str) -> Any:
            answer = super().sql(sql).to_arrow_table()
            put(logs, record("11-22 11:00", latency_ms=7))
            return type("Answer", (), {"to_arrow_table": lambda _: answer})()

    def connect() -> Any:
        return Interrupted(logs.connect())

    job = DailyStatsJob(sqlite_book, [TableSource("local", OWN_RELATION, DuckDB(connect))])
    assert [(result.outcome, result.requests) for result in job.run_once(NOW)] == [(Outcome.CLOSED, 1)]
    assert logs.counts() == {YESTERDAY: 3}


def test_fault_5_on_postgresql_a_backfill_of_30_days_sends_two_statements(
    sqlite_book: Book, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_table(postgres_url, [record(at("10-24 10:00") + timedelta(days=offset)) for offset in range(30)], "naive")
    statements: list[str] = []
    original = psycopg.Cursor.stream

    def noted(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(str(query))
        return original(cursor, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Cursor, "stream", noted)
    source = TableSource("gateway", relation(), PostgreSQL(postgres_url))
    results = list(DailyStatsJob(sqlite_book, [source]).backfill_range(date(2026, 10, 24), YESTERDAY, NOW))
    assert [str(result.outcome) for result in results] == ["closed"] * 30
    assert len(statements) == 2


def test_fault_5_on_sqlite_a_backfill_of_30_days_reads_the_file_once(
    sqlite_book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.sqlite"
    sqlite_table(file, [record(at("10-24 10:00") + timedelta(days=offset)) for offset in range(30)], "epoch_ms")
    looked: list[str] = []
    handed_over: list[str] = []
    look, hand_over = SQLite.rows, Cursor.execute

    def noted_look(engine: SQLite, sql: str) -> list[tuple[Any, ...]]:
        looked.append(sql)
        return look(engine, sql)

    def noted_hand_over(cursor: Any, sql: str, *args: Any) -> Any:
        handed_over.append(sql)
        return hand_over(cursor, sql, *args)

    monkeypatch.setattr(SQLite, "rows", noted_look)
    monkeypatch.setattr(Cursor, "execute", noted_hand_over)
    source = TableSource("gateway", relation("epoch_ms"), SQLite(file))
    results = list(DailyStatsJob(sqlite_book, [source]).backfill_range(date(2026, 10, 24), YESTERDAY, NOW))
    assert [str(result.outcome) for result in results] == ["closed"] * 30
    assert [sql.split(maxsplit=1)[0] for sql in looked if "log_records" in sql] == ["SELECT", "EXPLAIN"]
    assert looked[0].endswith("ASC LIMIT 1"), "once for the first day, and once for all thirty"
    assert len([sql for sql in handed_over if "witness" in sql]) == 1


def test_fault_6_no_records_and_never_closed_are_told_apart(book: Book, logs: LogStore) -> None:
    put(logs, record("11-18 10:00"), record("11-20 10:00"))
    list(DailyStatsJob(book, [logs]).backfill_range(date(2026, 11, 18), date(2026, 11, 20), NOW))
    assert facts(book) == [("2026-11-18", "closed", 1), ("2026-11-19", "zero", 0), ("2026-11-20", "closed", 1)]
    stats = StatsReader(book).answer(
        StatsQuery(parse_period("last7d", TODAY, None)), Sources({"local": logs.first_day()}, {}), YESTERDAY
    )
    assert [row["state"] for row in stats["series"]] == [
        "before",
        "before",
        "closed",
        "zero",
        "closed",
        "missing",
        "missing",
    ]


def test_fault_7_a_record_that_arrives_late_leaves_the_closed_row_byte_for_byte(book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    job = DailyStatsJob(book, [logs])
    job.run_once(NOW)
    before = fetch(book, "SELECT * FROM daily_stats"), fetch(book, "SELECT * FROM closings")
    put(logs, record("11-22 23:59:59.999999"))
    assert job.run_once(NOW + timedelta(minutes=1)) == []
    assert (fetch(book, "SELECT * FROM daily_stats"), fetch(book, "SELECT * FROM closings")) == before
    assert logs.counts() == {YESTERDAY: 2}


def test_fault_8_percentiles_of_any_range_are_those_of_the_merged_days(book: Book, logs: LogStore) -> None:
    records = [
        record(f"11-{day} 10:00", latency_ms=(day * 7919 + number * number * 13) % 50_000)
        for day in range(10, 23)
        for number in range(40)
    ]
    put(logs, *records)
    DailyStatsJob(book, [logs]).run_once(NOW)
    for period in ("last7d", "2026-11-12..2026-11-15", "2026-11-10"):
        stats = answer(book, period)
        first, last = date.fromisoformat(stats["from"]), date.fromisoformat(stats["to"])
        within = [entry for entry in records if first <= entry["created_at"].date() <= last]
        assert pick(stats["totals"], "latency_p50_ms latency_p95_ms latency_p99_ms") == [
            oracle.percentile(within, percent) for percent in (50, 95, 99)
        ]


def test_fault_9_a_model_ranked_eleventh_every_day_is_in_the_30_days_top_list(book: Book, logs: LogStore) -> None:
    records = []
    for offset in range(30):
        noon = at("10-24 12:00") + timedelta(days=offset)
        for rank in range(10):
            records += [record(noon, f"day{offset}-rank{rank}")] * 6
        records += [record(noon, "steady", tokens_in=2)] * 5
    put(logs, *records)
    DailyStatsJob(book, [logs]).run_once(NOW)
    assert fetch(book, "SELECT COUNT(*) FROM daily_stats WHERE top_models LIKE '%steady%'") == [(0,)]
    stats = answer(book, "last30d")
    assert stats["top_models"][0] == {"model": "steady", "requests": 150, "tokens": 300}
    assert stats["top_models"][1:] == oracle.top_models(records)[1:]


def test_fault_10_keys_teams_providers_cost_cache_and_first_token_are_kept_unknown_apart_from_zero(
    book: Book, logs: LogStore
) -> None:
    put(
        logs,
        record(
            "11-22 10:00",
            provider="openai",
            team="search",
            api_key="k1",
            tokens_in=10,
            tokens_cached=4,
            ttft_ms=50,
            cost_nanousd=2_500_000,
        ),
        record("11-22 11:00", provider="openai", team="search", api_key="k2", tokens_in=1, cost_nanousd=0),
        record("11-22 12:00", provider=None, team="", tokens_in=1),
    )
    DailyStatsJob(book, [logs]).run_once(NOW)
    names = "value requests tokens_cached cost_usd priced_requests ttft_avg_ms"
    assert [pick(row, names) for row in answer(book, "yesterday", "api_key")["by"]["rows"]] == [
        [None, 1, None, None, 0, None],
        ["k1", 1, 4, "0.0025", 1, 50.0],
        ["k2", 1, None, "0", 1, None],
    ]
    assert [row["value"] for row in answer(book, "yesterday", "team")["by"]["rows"]] == ["search", None]
    assert [row["value"] for row in answer(book, "yesterday", "provider")["by"]["rows"]] == ["openai", None]
