"""Random records, closed by every engine, against the brute-force oracle: the same numbers, the same digest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import oracle
from stories import NOW, YESTERDAY, Record, at, postgres_table, record, relation, sqlite_table, stored
from tallybook.book.ledger import Book
from tallybook.content import DayContent
from tallybook.days import days_between
from tallybook.digest import day_payload, digest_day
from tallybook.histogram import BUCKETS, bounds_of
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import DEFAULT_DIMENSIONS, DIMENSION_NAMES
from tallybook.source import Slicing, Source
from tallybook.sources.engines.postgresql import PostgreSQL
from tallybook.sources.engines.sqlite import SQLite
from tallybook.sources.table import TableSource
from tallybook.verification import verify_book

FIRST, LAST = date(2026, 11, 20), YESTERDAY
DAYS = list(days_between(FIRST, LAST))

EDGES = [
    midnight + timedelta(microseconds=shift)
    for midnight in (at("11-20 00:00"), at("11-21 00:00"), at("11-22 00:00"), at("11-23 00:00"))
    for shift in (-1, 0, 1, 999_999)
]
MOMENTS = st.sampled_from(EDGES) | st.datetimes(datetime(2026, 11, 19, 22), datetime(2026, 11, 23, 0, 59)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=NOW.tzinfo)
)
STATUSES = st.none() | st.sampled_from([0, 1, 100, 199, 200, 204, 399, 400, 429, 500, 999])
NAMES = st.sampled_from(
    [
        *(
            "gpt-5",
            "GPT-5",
            "gpt-5 ",
            "",
            "é",
            "e\u0301",
            "😀",
            "\uffff",
            "a'b\"c\\",
            "(other)",
            "null",
            "\t\n",
            "\u2028",
        ),
        *("😀" * 512, "😀" * 512 + "a", "😀" * 512 + "b"),
    ]
)
SOME_NAME = st.none() | NAMES
COUNTS = st.none() | st.integers(0, 1_000_000_000) | st.sampled_from([0, 1, 1_000_000_000])
LATENCIES = (
    st.none()
    | st.integers(0, 2**31 - 1)
    | st.integers(0, BUCKETS - 1).map(lambda bucket: bounds_of(bucket)[0])
    | st.integers(0, BUCKETS - 1).map(lambda bucket: bounds_of(bucket)[1])
)
RECORDS = st.lists(
    st.builds(
        record,
        MOMENTS,
        NAMES.filter(bool),
        STATUSES,
        provider=SOME_NAME,
        team=SOME_NAME,
        api_key=SOME_NAME,
        user=SOME_NAME,
        tokens_in=COUNTS,
        tokens_out=COUNTS,
        tokens_cached=COUNTS,
        tokens_reasoning=COUNTS,
        latency_ms=LATENCIES,
        ttft_ms=LATENCIES,
        cost_nanousd=st.none() | st.integers(0, 10**15),
    ),
    max_size=40,
)
Fill = Callable[[list[Record]], LogStore]
DIMENSIONS = st.sampled_from([DEFAULT_DIMENSIONS, ("model",), ("provider", "model"), ("user", "team"), DIMENSION_NAMES])
WITH_FIXTURES = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=50,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
"""Without shrinking: with databases at work it takes minutes, and a list of records reads well as it is."""
FEWER = settings(WITH_FIXTURES, max_examples=25)


def contents(source: Source, dimensions: tuple[str, ...] = DEFAULT_DIMENSIONS) -> list[DayContent]:
    return list(source.contents(DAYS, Slicing(dimensions)))


def expected_digests(records: list[Record], dimensions: tuple[str, ...] = DEFAULT_DIMENSIONS) -> list[str]:
    return [oracle.digest(oracle.payload(day, records, dimensions)) for day in DAYS]


def digests(source: Source, dimensions: tuple[str, ...] = DEFAULT_DIMENSIONS) -> list[str]:
    return [digest_day(content) for content in contents(source, dimensions)]


@pytest.fixture
def emptied(logs: LogStore) -> Fill:
    """A function that fills our own logs with these records and no others."""

    def fill(records: list[Record]) -> LogStore:
        with logs.writing() as connection:
            connection.execute("DELETE FROM log_records")
        logs.append(stored(records), NOW)
        return logs

    return fill


@WITH_FIXTURES
@given(records=RECORDS, dimensions=DIMENSIONS)
def test_what_duckdb_counts_is_what_the_oracle_counts(
    emptied: Fill, records: list[Record], dimensions: tuple[str, ...]
) -> None:
    for day, content in zip(DAYS, contents(emptied(records), dimensions), strict=True):
        expected = oracle.payload(day, records, dimensions)
        payload = oracle_form(content)
        assert payload["totals"] == expected["totals"]
        assert payload["slices"] == expected["slices"]
        assert payload["histograms"] == expected["histograms"]
        if "model" in dimensions:
            assert payload["top_models"] == expected["top_models"]
            assert digest_day(content) == oracle.digest(expected)


def oracle_form(content: DayContent) -> dict[str, Any]:
    """The payload with lists where ours has tuples."""

    def listed(value: Any) -> Any:
        return [listed(item) for item in value] if isinstance(value, (list, tuple)) else value

    return {key: listed(value) for key, value in day_payload(content).items()}


@WITH_FIXTURES
@given(records=RECORDS)
def test_one_read_of_many_days_gives_the_digests_of_single_reads(emptied: Fill, records: list[Record]) -> None:
    source = emptied(records)
    single = [digest_day(next(iter(source.contents([day], Slicing())))) for day in DAYS]
    assert digests(source) == single == expected_digests(records)


@WITH_FIXTURES
@given(records=RECORDS, order=st.randoms())
def test_the_order_of_arrival_leaves_the_digest_alone(emptied: Fill, records: list[Record], order: Any) -> None:
    before = digests(emptied(records))
    shuffled = list(records)
    order.shuffle(shuffled)
    assert digests(emptied(shuffled)) == before


@pytest.mark.parametrize("time", ["text", "epoch_us"])
@FEWER
@given(records=RECORDS, dimensions=DIMENSIONS.filter(lambda names: "model" in names))
def test_sqlite_gives_the_same_digest(
    tmp_path: Path, time: str, records: list[Record], dimensions: tuple[str, ...]
) -> None:
    sqlite_table(tmp_path / "gateway.sqlite", records, time)
    source = TableSource("gateway", relation(time), SQLite(tmp_path / "gateway.sqlite"))
    assert digests(source, dimensions) == expected_digests(records, dimensions)


@pytest.mark.parametrize("time", ["epoch_s", "epoch_ms"])
@FEWER
@given(records=RECORDS)
def test_sqlite_with_coarser_times_gives_the_same_digest(tmp_path: Path, time: str, records: list[Record]) -> None:
    sqlite_table(tmp_path / "gateway.sqlite", records, time)
    source = TableSource("gateway", relation(time), SQLite(tmp_path / "gateway.sqlite"))
    assert digests(source) == expected_digests(records)


@pytest.mark.parametrize("time", ["naive", "epoch_ms"])
@FEWER
@given(records=RECORDS)
def test_postgresql_gives_the_same_digest(postgres_url: str, time: str, records: list[Record]) -> None:
    postgres_table(postgres_url, records, time)
    source = TableSource("gateway", relation(time), PostgreSQL(postgres_url))
    assert digests(source) == expected_digests(records)


@settings(WITH_FIXTURES, max_examples=20)
@given(records=RECORDS)
def test_closed_days_are_read_back_from_the_book_as_they_were_counted(
    emptied: Fill, tmp_path: Path, records: list[Record]
) -> None:
    book = Book.open(f"sqlite:///{tmp_path}/book-{next(_numbers)}.sqlite", NOW)
    source = emptied(records)
    results = list(DailyStatsJob(book, [source]).backfill_range(FIRST, LAST, NOW))
    closed = [result for result in results if str(result.outcome) in ("closed", "zero")]
    expected = dict(zip(DAYS, expected_digests(records), strict=True))
    assert [result.digest for result in closed] == [expected[result.day] for result in closed]
    assert all(
        result.outcome == "skipped" and not oracle.on(result.day, records) for result in results if result not in closed
    )
    for closing in book.closings():
        content, _ = book.content_of(closing)
        assert digest_day(content) == closing.digest == expected[closing.day]
    assert verify_book(book).verdict == "intact"
    book.close()


_numbers = itertools.count()


def test_every_engine_gives_the_same_digest_for_a_day_written_out(
    logs: LogStore, tmp_path: Path, postgres_url: str
) -> None:
    records = [
        record(
            "11-22 00:00:00", "a", 200, provider="openai", tokens_in=10, tokens_out=20, latency_ms=127, cost_nanousd=5
        ),
        record("11-22 12:00:00", "b", 0, team="", latency_ms=128),
        record("11-22 23:59:59.999999", "a", 399, provider="openai", tokens_in=1, latency_ms=3_600_000),
        record("11-23 00:00:00", "not today", 200),
    ]
    logs.append(stored(records), NOW)
    sqlite_table(tmp_path / "gateway.sqlite", records, "text")
    postgres_table(postgres_url, records, "naive")
    sources: list[Source] = [
        logs,
        TableSource("sqlite", relation("text"), SQLite(tmp_path / "gateway.sqlite")),
        TableSource("postgresql", relation(), PostgreSQL(postgres_url)),
    ]
    found = {source.name: digest_day(next(iter(source.contents([YESTERDAY], Slicing())))) for source in sources}
    assert set(found.values()) == {oracle.digest(oracle.payload(YESTERDAY, records))}
    assert {source.name: source.first_day() for source in sources} == dict.fromkeys(found, YESTERDAY)


def test_a_source_that_lacks_columns_leaves_them_unknown(tmp_path: Path, postgres_url: str) -> None:
    records = [record("11-22 10:00", "a", 200, tokens_in=5), record("11-22 11:00", "b", 500)]
    fields = frozenset({"model_name", "status_code", "tokens_in"})
    sqlite_table(tmp_path / "gateway.sqlite", records, "epoch_s")
    postgres_table(postgres_url, records, "naive")
    bare_sqlite = TableSource("x", relation("epoch_s", fields), SQLite(tmp_path / "gateway.sqlite"))
    bare_postgres = TableSource("x", relation("naive", fields), PostgreSQL(postgres_url))
    assert digests(bare_sqlite) == digests(bare_postgres) == expected_digests(records)


def test_a_year_is_one_read_with_every_record_on_its_own_day(logs: LogStore) -> None:
    start = at("11-22 00:00") - timedelta(days=365)
    records = [record(start + timedelta(days=offset, microseconds=-1 if offset % 2 else 0)) for offset in range(1, 366)]
    logs.append(stored(records), NOW)
    days = list(days_between(start.date(), YESTERDAY))
    counts = [content.records for content in logs.contents(days, Slicing())]
    assert counts == [len(oracle.on(day, records)) for day in days]
    assert sum(counts) == 365


def test_sums_beyond_64_bits_are_refused_by_every_engine_never_wrapped(
    sqlite_book: Book, tmp_path: Path, postgres_url: str
) -> None:
    records = [record("11-22 10:00", tokens_in=2**62) for _ in range(3)]
    sqlite_table(tmp_path / "gateway.sqlite", records, "text")
    postgres_table(postgres_url, records, "naive")
    sources: list[Source] = [
        TableSource("sqlite", relation("text"), SQLite(tmp_path / "gateway.sqlite")),
        TableSource("postgresql", relation(), PostgreSQL(postgres_url)),
    ]
    results = DailyStatsJob(sqlite_book, sources).run_once(NOW)
    assert [(result.source, str(result.outcome), result.reason) for result in results] == [
        (name, "failed", "A total is beyond 64 bits.") for name in ("sqlite", "postgresql")
    ]
