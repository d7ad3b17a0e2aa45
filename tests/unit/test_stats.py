from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import oracle
from stories import NOW, TODAY, YESTERDAY, Record, at, delete_days, pick, put, record, totals
from tallybook.book.ledger import Book
from tallybook.content import DayContent, Slice
from tallybook.days import days_between, last_closable
from tallybook.errors import UnknownName, UsageError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import DIMENSION_NAMES, MEASURE_NAMES
from tallybook.periods import parse_period
from tallybook.source import Slicing, Source
from tallybook.sources.engines.duck import DuckDB
from tallybook.sources.own import OWN_RELATION
from tallybook.sources.table import TableSource
from tallybook.stats import Sources, StatsQuery, StatsReader, daily_row, format_usd
from tallybook.vintage import Vintage

FIRST = date(2026, 10, 14)
EVERY_DIMENSION = Slicing(DIMENSION_NAMES)


def traffic(source: int) -> list[Record]:
    """Forty days of uneven traffic in which everything that may be unknown sometimes is."""
    records = []
    for number in range(1_200):
        mix = (number * 7919 + source * 104_729) % 1_009
        day = (number * 31 + source * 7) % 40
        if day in (11, 12):
            continue
        records.append(
            record(
                at("10-14 00:00") + timedelta(days=day, seconds=mix * 85 % 86_400, microseconds=mix),
                f"model-{mix % 13}",
                (200, 204, 302, 399, 400, 429, 500, 0, 102, None)[mix % 10],
                provider=(None, "openai", "anthropic")[mix % 3],
                team=(None, "", "search", "ads")[mix % 4],
                api_key=f"key-{mix % 5}",
                user=None if mix % 2 else f"user-{mix % 7}",
                operation="chat" if mix % 3 else None,
                error_type=("RateLimitError" if mix % 10 == 5 else None),
                tokens_in=None if mix % 6 == 0 else mix * 3,
                tokens_out=mix % 50,
                tokens_cached=None if mix % 6 == 0 or mix % 5 else mix,
                latency_ms=None if mix % 8 == 0 else mix * mix % 300_000,
                ttft_ms=mix % 90 if mix % 2 else None,
                cost_nanousd=None if mix % 4 == 0 else mix * 1_234_567,
            )
        )
    return records


@dataclass
class World:
    """A book with two sources, and everything that their records say."""

    book: Book
    sources: list[Source]
    records: dict[str, list[Record]]

    def answer(
        self,
        period: str,
        now: datetime = NOW,
        by: str | None = None,
        source: str | None = None,
        live: bool = False,
        basis: str = "adjusted",
    ) -> dict[str, Any]:
        first_days = {one.name: one.first_day() for one in self.sources}
        known = [day for day in first_days.values() if day]
        span = parse_period(period, now.date(), min(known, default=None))
        span = span.with_live(now.date()) if live else span
        today: dict[str, DayContent] = {}
        if span.live:
            today = {one.name: next(iter(one.contents([now.date()], EVERY_DIMENSION))) for one in self.sources}
        query = StatsQuery(span, by, source, Vintage(basis))
        return StatsReader(self.book).answer(query, Sources(first_days, today), last_closable(now))

    def of(self, first: date, last: date, source: str | None = None) -> list[Record]:
        return [
            entry
            for name, records in self.records.items()
            for entry in records
            if source in (None, name) and first <= entry["created_at"].date() <= last
        ]


@pytest.fixture
def world(sqlite_book: Book, tmp_path: Path) -> Iterator[World]:
    stores = {name: LogStore.open(tmp_path / f"{name}.duckdb") for name in ("local", "gateway")}
    records = {"local": traffic(0), "gateway": traffic(1)}
    for name, store in stores.items():
        put(store, *records[name])
    sources: list[Source] = [
        stores["local"],
        TableSource("gateway", OWN_RELATION, DuckDB(stores["gateway"].connect)),
    ]
    DailyStatsJob(sqlite_book, sources, EVERY_DIMENSION).run_once(NOW)
    yield World(sqlite_book, sources, records)
    for store in stores.values():
        store.close()


def check_row(row: dict[str, Any], records: list[Record], percentiles: bool = True) -> None:
    """The row must say of the records what the oracle says."""
    sums = oracle.totals(records)
    for total, count in {**dict(oracle.SUMS.values()), "success": "status_count", "failed": "status_count"}.items():
        if total == "cost_nanousd":
            continue
        unknown = not sums[count] and total in ("tokens_cached", "tokens_reasoning", "ttft_sum_ms")
        assert row[total] == (None if unknown else sums[total]), total
        assert row[count] == sums[count]
    assert row["requests"] == len(records)
    if sums["priced_requests"]:
        assert round(float(row["cost_usd"]) * 1e9) == sums["cost_nanousd"]
    else:
        assert row["cost_usd"] is None
    if sums["latency_count"]:
        assert row["latency_avg_ms"] == pytest.approx(sums["latency_sum_ms"] / sums["latency_count"], abs=0.0051)
    else:
        assert row["latency_avg_ms"] is None
    for percent in (50, 95, 99):
        expected = oracle.percentile(records, percent) if percentiles else None
        assert row[f"latency_p{percent}_ms"] == expected, percent


PERIODS = (
    "last7d",
    "last30d",
    "last90d",
    "all",
    "yesterday",
    "2026-10-25",
    "2026-10-14..2026-10-14",
    "2026-10-24..2026-11-02",
)


@pytest.mark.parametrize("source", [None, "local", "gateway"])
def test_any_range_of_closed_days_says_what_the_records_say(world: World, source: str | None) -> None:
    for name in PERIODS:
        answer = world.answer(name, source=source)
        first, last = date.fromisoformat(answer["from"]), date.fromisoformat(answer["to"])
        records = world.of(first, last, source)
        check_row(answer["totals"], records)
        assert answer["top_models"] == oracle.top_models(records)
        assert [row["date"] for row in answer["series"]] == [str(day) for day in days_between(first, last)]
        for row in answer["series"]:
            day = date.fromisoformat(row["date"])
            check_row(row, world.of(day, day, source))


@pytest.mark.parametrize("dimension", DIMENSION_NAMES)
def test_every_dimension_breaks_the_range_down_completely(world: World, dimension: str) -> None:
    for name in PERIODS:
        answer = world.answer(name, by=dimension)
        records = world.of(date.fromisoformat(answer["from"]), date.fromisoformat(answer["to"]))
        expected = oracle.groups(records, (dimension,))
        rows = answer["by"]["rows"]
        assert answer["by"]["dimension"] == dimension
        assert {row["value"] for row in rows} == {value for (value,) in expected}
        assert len(rows) == len(expected)
        for row in rows:
            check_row(row, expected[(row["value"],)], percentiles=dimension in ("model", "provider"))
        order = [(-row["requests"], row["value"] is not None, row["value"] or "") for row in rows]
        assert order == sorted(order)


def test_series_and_by_rows_carry_every_key_of_totals(world: World) -> None:
    answer = world.answer("last7d", by="team")
    keys = set(answer["totals"])
    assert keys >= {
        *(
            [
                "requests",
                "success",
                "failed",
                "tokens_in",
                "tokens_out",
                "latency_sum_ms",
                "latency_count",
                "latency_avg_ms",
            ]
        ),
        *(["latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "cost_usd", "priced_requests"]),
    }
    assert all(set(row) == keys | {"date", "state"} for row in answer["series"])
    assert all(set(row) == keys | {"value"} for row in answer["by"]["rows"])


def test_today_is_live_and_comes_from_the_logs(world: World) -> None:
    logs = world.sources[0]
    assert isinstance(logs, LogStore)
    late = [
        record("11-23 00:10", "now", 200, tokens_in=3, latency_ms=40),
        record("11-23 00:20", "now", 500, latency_ms=60),
    ]
    put(logs, *late)
    answer = world.answer("today", by="model")
    check_row(answer["totals"], late)
    assert answer["days"] == {"closed": 0, "zero": 0, "missing": 0, "open": 1}
    assert answer["series"][0]["state"] == "open"
    assert answer["top_models"] == [{"model": "now", "requests": 2, "tokens": 3}]
    assert pick(answer["by"]["rows"][0], "value requests latency_p50_ms latency_p99_ms") == ["now", 2, 40, 60]


def test_live_adds_today_to_the_closed_days(world: World) -> None:
    logs = world.sources[0]
    assert isinstance(logs, LogStore)
    late = [record("11-23 00:10", "now", 200, tokens_in=3, latency_ms=40)]
    put(logs, *late)
    closed, live = world.answer("last7d"), world.answer("last7d", by="provider", live=True)
    check_row(closed["totals"], world.of(date(2026, 11, 16), YESTERDAY))
    check_row(live["totals"], [*world.of(date(2026, 11, 16), YESTERDAY), *late])
    assert (live["to"], live["days"]["open"], live["series"][-1]["state"]) == ("2026-11-23", 1, "open")
    assert sum(row["requests"] for row in live["by"]["rows"]) == live["totals"]["requests"]


def test_live_adds_nothing_to_a_range_that_ended_earlier(world: World) -> None:
    logs = world.sources[0]
    assert isinstance(logs, LogStore)
    put(logs, record("11-23 00:10", "now"))
    name = "2026-11-01..2026-11-03"
    assert world.answer(name, by="model", live=True) == world.answer(name, by="model")


def test_without_live_today_is_not_in_last7d(world: World) -> None:
    logs = world.sources[0]
    assert isinstance(logs, LogStore)
    before = world.answer("last7d")
    put(logs, record("11-23 00:10", "now"))
    assert world.answer("last7d") == before


class TestStates:
    @pytest.fixture
    def bare(self, sqlite_book: Book, logs: LogStore) -> World:
        return World(sqlite_book, [logs], {})

    def states(self, world: World, period: str, now: datetime = NOW) -> dict[str, str]:
        return {row["date"][5:]: row["state"] for row in world.answer(period, now)["series"]}

    def test_an_empty_house_has_no_missing_days(self, bare: World) -> None:
        answer = bare.answer("last7d")
        assert answer["days"] == {"closed": 0, "zero": 0, "missing": 0, "open": 0}
        assert answer["totals"]["requests"] == 0
        assert answer["totals"]["latency_p50_ms"] is None
        assert answer["totals"]["cost_usd"] is None
        assert answer["top_models"] == []

    def test_before_closed_zero_missing_and_open_are_told_apart(self, bare: World) -> None:
        logs = bare.sources[0]
        assert isinstance(logs, LogStore)
        put(logs, record("11-18 10:00"), record("11-20 10:00"))
        job = DailyStatsJob(bare.book, [logs])
        list(job.backfill_range(date(2026, 11, 18), date(2026, 11, 20), NOW))
        expected = {
            "11-16": "before",
            "11-17": "before",
            "11-18": "closed",
            "11-19": "zero",
            "11-20": "closed",
            "11-21": "missing",
            "11-22": "missing",
        }
        assert self.states(bare, "last7d") == expected
        assert bare.answer("last7d")["days"] == {"closed": 2, "zero": 1, "missing": 2, "open": 0}
        assert self.states(bare, "2026-11-22..2026-11-25") == {
            "11-22": "missing",
            "11-23": "open",
            "11-24": "open",
            "11-25": "open",
        }

    def test_in_the_five_minutes_of_grace_yesterday_is_open(self, bare: World) -> None:
        logs = bare.sources[0]
        assert isinstance(logs, LogStore)
        put(logs, record("11-22 10:00"))
        assert self.states(bare, "yesterday", at("11-23 00:04:59")) == {"11-22": "open"}
        assert self.states(bare, "yesterday", at("11-23 00:05:00")) == {"11-22": "missing"}

    def test_a_day_stays_closed_when_its_logs_are_pruned(self, bare: World) -> None:
        logs = bare.sources[0]
        assert isinstance(logs, LogStore)
        put(logs, record("11-21 10:00"), record("11-22 10:00"))
        DailyStatsJob(bare.book, [logs]).run_once(NOW)
        before = bare.answer("last7d")
        delete_days(logs, date(2026, 11, 21), date(2026, 11, 22))
        assert bare.answer("last7d") == before
        assert before["days"] == {"closed": 2, "zero": 0, "missing": 0, "open": 0}

    def test_of_two_sources_the_least_finished_decides(self, world: World) -> None:
        gateway = world.sources[1]
        now = NOW + timedelta(days=1)
        list(DailyStatsJob(world.book, [gateway], EVERY_DIMENSION).backfill_range(TODAY, TODAY, now))
        assert world.answer("yesterday", now)["series"][0]["state"] == "missing"
        assert world.answer("yesterday", now, source="gateway")["series"][0]["state"] == "zero"


EVERYTHING = {
    "tokens_in": 5,
    "tokens_out": 3,
    "tokens_cached": 2,
    "tokens_reasoning": 1,
    "latency_ms": 40,
    "ttft_ms": 4,
    "cost_nanousd": 500_000_000,
}
"""A record with these fields leaves no measure unknown."""


class TestWhatASourceCannotKnow:
    """The proxy logged no failures until the 21st, on which nothing came, and does so again today.

    What is logged of model a comes through both sources, b through the proxy only, c through our own logs only.
    """

    @pytest.fixture
    def mixed(self, sqlite_book: Book, tmp_path: Path) -> Iterator[World]:
        stores = {name: LogStore.open(tmp_path / f"{name}.duckdb") for name in ("local", "proxy")}
        put(
            stores["local"],
            record("11-20 10:00", "a", 200, **EVERYTHING),
            record("11-20 11:00", "c", 500, **EVERYTHING),
            record("11-21 10:00", "c", 429, **EVERYTHING),
            record("11-22 10:00", "c", 200, **EVERYTHING),
            record("11-23 00:10", "c", 500, **EVERYTHING),
        )
        put(
            stores["proxy"],
            record("11-20 12:00", "a", 200, **EVERYTHING),
            record("11-20 13:00", "b", 200, **EVERYTHING),
            record("11-22 13:00", "b", 500, **EVERYTHING),
            record("11-23 00:20", "b", 200, **EVERYTHING),
        )
        blind = TableSource("proxy", replace(OWN_RELATION, unknown=("failed",)), DuckDB(stores["proxy"].connect))
        seeing = TableSource("proxy", OWN_RELATION, DuckDB(stores["proxy"].connect))
        list(DailyStatsJob(sqlite_book, [stores["local"]]).backfill_range(date(2026, 11, 20), YESTERDAY, NOW))
        for day, source in ((20, blind), (21, blind), (22, seeing)):
            list(DailyStatsJob(sqlite_book, [source]).close(date(2026, 11, day), NOW))
        yield World(sqlite_book, [stores["local"], blind], {})
        for store in stores.values():
            store.close()

    def test_what_it_cannot_know_is_null_wherever_it_adds_and_the_rest_is_told(self, mixed: World) -> None:
        answer = mixed.answer("2026-11-20..2026-11-22", by="model")
        assert answer["unknown"] == {"failed": ["proxy"]}
        assert pick(answer["totals"], "requests success failed tokens_in cost_usd") == [7, 4, None, 35, "3.5"]
        assert [pick(row, "date state requests success failed") for row in answer["series"]] == [
            ["2026-11-20", "closed", 4, 3, None],
            ["2026-11-21", "closed", 1, 0, None],
            ["2026-11-22", "closed", 2, 1, 1],
        ]
        assert [pick(row, "value requests success failed") for row in answer["by"]["rows"]] == [
            ["c", 3, 1, 2],
            ["a", 2, 2, None],
            ["b", 2, 1, None],
        ]

    def test_by_a_dimension_that_nobody_fills_the_one_row_is_null(self, mixed: World) -> None:
        answer = mixed.answer("2026-11-20", by="team")
        assert [pick(row, "value requests failed") for row in answer["by"]["rows"]] == [[None, 4, None]]

    def test_of_the_other_source_alone_the_number_is_known(self, mixed: World) -> None:
        answer = mixed.answer("2026-11-20..2026-11-22", by="model", source="local")
        assert answer["unknown"] == {}
        assert pick(answer["totals"], "requests success failed") == [4, 2, 2]
        assert [row["failed"] for row in answer["series"]] == [1, 1, 0]
        assert [pick(row, "value failed") for row in answer["by"]["rows"]] == [["c", 2], ["a", 0]]

    def test_of_that_source_alone_it_is_null(self, mixed: World) -> None:
        answer = mixed.answer("2026-11-20..2026-11-22", by="model", source="proxy")
        assert answer["unknown"] == {"failed": ["proxy"]}
        assert pick(answer["totals"], "requests success failed") == [3, 2, None]
        assert [row["failed"] for row in answer["series"]] == [None, None, 1]
        assert [pick(row, "value failed") for row in answer["by"]["rows"]] == [["b", None], ["a", None]]

    def test_on_days_that_it_could_tell_the_number_is_known(self, mixed: World) -> None:
        answer = mixed.answer("yesterday", by="model")
        assert answer["unknown"] == {}
        assert answer["totals"]["failed"] == 1
        assert [pick(row, "value failed") for row in answer["by"]["rows"]] == [["b", 1], ["c", 0]]

    def test_a_day_without_records_of_it_is_no_day_without_failures(self, mixed: World) -> None:
        answer = mixed.answer("2026-11-21", by="model")
        assert answer["unknown"] == {"failed": ["proxy"]}
        assert pick(answer["totals"], "requests failed") == [1, None]
        assert [pick(row, "value failed") for row in answer["by"]["rows"]] == [["c", 1]]
        assert mixed.answer("2026-11-21", source="proxy")["totals"]["failed"] is None

    def test_today_is_told_alike(self, mixed: World) -> None:
        answer = mixed.answer("today", by="model")
        assert answer["unknown"] == {"failed": ["proxy"]}
        assert pick(answer["totals"], "requests failed") == [2, None]
        assert answer["series"][0]["failed"] is None
        assert [pick(row, "value failed") for row in answer["by"]["rows"]] == [["b", None], ["c", 1]]
        assert mixed.answer("today", source="local")["totals"]["failed"] == 1
        live = mixed.answer("yesterday", live=True)
        assert [pick(row, "date failed") for row in live["series"]] == [["2026-11-22", 1], ["2026-11-23", None]]
        assert (live["totals"]["failed"], live["unknown"]) == (None, {"failed": ["proxy"]})

    def test_a_closed_day_s_row_is_null_too(self, mixed: World) -> None:
        rows = {}
        for source in ("local", "proxy"):
            unknown = {closing.day: closing.unknown_measures for closing in mixed.book.closings(source)}
            for stat in mixed.book.daily_stats(source, date(2026, 11, 20), YESTERDAY):
                rows[source, stat.day.day] = pick(
                    daily_row(stat, unknown[stat.day]), "requests success failed status_count"
                )
        assert rows == {
            ("local", 20): [2, 1, 1, 2],
            ("local", 21): [1, 0, 1, 1],
            ("local", 22): [1, 1, 0, 1],
            ("proxy", 20): [2, 2, None, 2],
            ("proxy", 22): [1, 0, 1, 1],
        }

    def test_a_source_none_of_whose_records_tells_a_measure_is_named_with_it(self, mixed: World) -> None:
        logs = mixed.sources[0]
        assert isinstance(logs, LogStore)
        put(logs, record("11-19 10:00", "a", None, **(EVERYTHING | {"cost_nanousd": None, "ttft_ms": None})))
        list(DailyStatsJob(mixed.book, [logs]).close(date(2026, 11, 19), NOW))
        alone = mixed.answer("2026-11-19")
        assert set(alone["unknown"]) == {"cost_usd", "failed", "success", "ttft_sum_ms"}
        assert list(alone["unknown"].values()) == [["local"]] * 4
        assert pick(alone["totals"], "cost_usd ttft_sum_ms success failed") == [None, None, 0, 0]
        assert mixed.answer("2026-11-19..2026-11-20")["unknown"] == {"failed": ["proxy"]}


class TestBigNumbers:
    def close(self, book: Book, source: str, day: int, tokens_in: int) -> None:
        sums = totals(requests=1, tokens_in=tokens_in, tokens_in_count=1)
        content = DayContent(date(2026, 11, day), ("model",), sums, (), (Slice(("m",), sums),), ())
        book.append(source, content, NOW)

    def test_totals_beyond_53_bits_come_as_strings(self, sqlite_book: Book) -> None:
        self.close(sqlite_book, "a", 21, 2**53)
        self.close(sqlite_book, "a", 22, 5)
        answer = World(sqlite_book, [], {}).answer("last7d", by="model")
        assert answer["totals"]["tokens_in"] == "9007199254740997"
        assert answer["top_models"] == [{"model": "m", "requests": 2, "tokens": "9007199254740997"}]
        assert answer["by"]["rows"][0]["tokens_in"] == "9007199254740997"
        assert [row["tokens_in"] for row in answer["series"][-2:]] == ["9007199254740992", 5]

    def test_days_that_each_fit_64_bits_but_not_together_are_refused_not_wrapped(self, sqlite_book: Book) -> None:
        for day in (20, 21, 22):
            self.close(sqlite_book, "a", day, 2**63 - 1)
        world = World(sqlite_book, [], {})
        assert world.answer("yesterday")["totals"]["tokens_in"] == "9223372036854775807"
        with pytest.raises(UsageError, match="beyond 64 bits"):
            world.answer("last7d")

    def test_sums_that_wrap_around_before_the_range_are_still_exact_in_it(self, sqlite_book: Book) -> None:
        for day, tokens in ((17, 2**63 - 1), (18, 2**63 - 1), (19, 2**62), (20, 3), (21, 4), (22, 5)):
            self.close(sqlite_book, "a", day, tokens)
        world = World(sqlite_book, [], {})
        reader = StatsReader(sqlite_book)
        with pytest.raises(UsageError):
            reader.answer(StatsQuery(parse_period("last7d", TODAY, None)), Sources({}, {}), YESTERDAY)
        last3 = StatsQuery(parse_period("2026-11-20..2026-11-22", TODAY, None), by="model")
        answer = reader.answer(last3, Sources({}, {}), YESTERDAY)
        assert answer["totals"]["tokens_in"] == 12
        assert answer["by"]["rows"][0]["tokens_in"] == 12
        assert world.answer("2026-11-20..2026-11-22")["totals"]["tokens_in"] == 12

    def test_two_sources_that_fit_64_bits_each_but_not_together_are_refused(self, sqlite_book: Book) -> None:
        self.close(sqlite_book, "a", 22, 2**63 - 1)
        self.close(sqlite_book, "b", 22, 2**63 - 1)
        with pytest.raises(UsageError, match="beyond 64 bits"):
            World(sqlite_book, [], {}).answer("yesterday")


def test_a_name_that_does_not_exist_is_answered_with_those_that_do(world: World) -> None:
    with pytest.raises(UnknownName, match="There is no source 'x'") as source:
        world.answer("last7d", source="x")
    assert source.value.remedy == "Use one of: gateway, local."
    with pytest.raises(UnknownName, match="There is no dimension 'colour'") as dimension:
        world.answer("last7d", by="colour")
    assert "model, provider, team, api_key" in dimension.value.remedy
    with pytest.raises(UnknownName, match="There is no basis 'wish'"):
        world.answer("last7d", basis="wish")


def test_a_day_that_was_not_sliced_by_a_dimension_counts_as_unknown_there(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-21 10:00", user="ann"), record("11-22 10:00", user="ann"))
    list(
        DailyStatsJob(sqlite_book, [logs], Slicing(("model",))).backfill_range(
            date(2026, 11, 21), date(2026, 11, 21), NOW
        )
    )
    list(DailyStatsJob(sqlite_book, [logs], Slicing(("model", "user"))).backfill_range(YESTERDAY, YESTERDAY, NOW))
    rows = World(sqlite_book, [logs], {}).answer("last7d", by="user")["by"]["rows"]
    assert [(row["value"], row["requests"]) for row in rows] == [(None, 1), ("ann", 1)]


def test_daily_rows_have_the_originals_columns(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00", "a", 200, tokens_in=1, tokens_out=2, latency_ms=3), record("11-22 11:00", "b", 0))
    DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
    (stat,) = sqlite_book.daily_stats("local", YESTERDAY, YESTERDAY)
    row = daily_row(stat, ())
    names = "date requests success failed tokens_in tokens_out latency_sum_ms created_at"
    assert pick(row, names) == ["2026-11-22", 2, 1, 1, 1, 2, 3, "2026-11-23T01:00:00Z"]
    assert row["top_models"] == [{"model": "a", "requests": 1, "tokens": 3}, {"model": "b", "requests": 1, "tokens": 0}]
    assert set(MEASURE_NAMES) <= set(row)


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (10_000_000_000, "10"), (123_456_789_012, "123.456789012")],
)
def test_money_is_written_as_a_decimal_string(nanousd: int, text: str) -> None:
    assert format_usd(nanousd) == text


def test_averages_are_rounded_to_two_digits(sqlite_book: Book, logs: LogStore) -> None:
    put(logs, *(record("11-22 10:00", latency_ms=value, ttft_ms=value) for value in (1, 1, 2)))
    DailyStatsJob(sqlite_book, [logs]).run_once(NOW)
    answer = World(sqlite_book, [logs], {}).answer("yesterday")
    assert pick(answer["totals"], "latency_avg_ms ttft_avg_ms latency_p50_ms") == [1.33, 1.33, 1]
