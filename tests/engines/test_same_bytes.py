"""The same records give the same bytes on every engine, however each stores time and whatever zone it believes in.

The digests that all must give are the oracle's, made in plain Python from the list of records.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

import oracle
from databases import Database, on
from stories import Record, at, record
from tallybook.days import days_between, epoch_us
from tallybook.declaration import Declaration
from tallybook.digest import digest_day
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource

pytestmark = pytest.mark.engines

ZONES = {"UTC": 0, "Asia/Tokyo": 540, "America/St_Johns": -210}
"""Minutes east of Greenwich in November."""

DAYS = list(days_between(date(2026, 11, 20), date(2026, 11, 22)))
NAMES = ["gpt-5", "GPT-5", "gpt-5 ", "é", "e\u0301", "😀", "a'b\"c\\", "(other)", "null", "100%", "x,y\tz"]
TEXTS = ("model_name", "provider", "team", "api_key")
NUMBERS = (
    *("status_code", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning"),
    *("latency_ms", "ttft_ms", "cost_nanousd"),
)


def some_records() -> list[Record]:
    """A few hundred records over three days and a little more, many of them beside a midnight, some values unknown."""
    chance = random.Random(7)
    edges = [at(f"11-{day} 00:00") + timedelta(milliseconds=ms) for day in (20, 21, 22, 23) for ms in (-1, 0, 1, 999)]
    moments = edges + [at("11-19 22:00") + timedelta(milliseconds=chance.randrange(77 * 3_600_000)) for _ in range(400)]

    def perhaps(value: Any) -> Any:
        return value if chance.random() < 0.8 else None

    return [
        record(
            moment,
            chance.choice(NAMES),
            perhaps(chance.choice([0, 100, 200, 204, 399, 400, 429, 500])),
            provider=perhaps(chance.choice(NAMES)),
            team=perhaps(chance.choice(NAMES)),
            api_key=perhaps(chance.choice(NAMES)),
            tokens_in=perhaps(chance.choice([0, 1, 812, 1_000_000_000])),
            tokens_out=perhaps(chance.randrange(4_000)),
            tokens_cached=perhaps(chance.randrange(800)),
            tokens_reasoning=perhaps(chance.randrange(800)),
            latency_ms=perhaps(chance.choice([0, 127, 128, 129, 2**31 - 1, chance.randrange(60_000)])),
            ttft_ms=perhaps(chance.randrange(5_000)),
            cost_nanousd=perhaps(chance.randrange(10**12)),
        )
        for moment in moments
    ]


RECORDS = some_records()
EXPECTED = [oracle.digest(oracle.payload(day, RECORDS)) for day in DAYS]

TYPES = {
    "sqlite": {"text": "TEXT", "number": "INTEGER", "naive": "TEXT", "zoned": "TEXT", "end": ""},
    "duckdb": {"text": "VARCHAR", "number": "BIGINT", "naive": "TIMESTAMP", "zoned": "TIMESTAMPTZ", "end": ""},
    "postgresql": {"text": "TEXT", "number": "BIGINT", "naive": "TIMESTAMP", "zoned": "TIMESTAMPTZ", "end": ""},
    "mysql": {
        "text": "VARCHAR(100)",
        "number": "BIGINT",
        "naive": "DATETIME(6)",
        "zoned": "TIMESTAMP(6) NULL",
        "end": "",
    },
    "clickhouse": {
        "text": "LowCardinality(Nullable(String))",
        "number": "Nullable(Int64)",
        "naive": "DateTime64(6)",
        "zoned": "DateTime64(6, '{zone}')",
        "end": "ENGINE = MergeTree ORDER BY tuple()",
    },
    "spark": {
        "text": "STRING",
        "number": "BIGINT",
        "naive": "TIMESTAMP_NTZ",
        "zoned": "TIMESTAMP",
        "end": "USING parquet",
    },
}
TIMES = ("epoch_s", "epoch_ms", "naive", "zoned")


def stored_time(family: str, kind: str, zone: str, instant: datetime) -> Any:
    """The instant as a gateway on that database would have stored it."""
    if kind.startswith("epoch"):
        return epoch_us(instant) // (1_000_000 if kind == "epoch_s" else 1_000)
    local = instant.astimezone(timezone(timedelta(minutes=ZONES[zone])))
    if family == "sqlite":
        return str(local) if kind == "zoned" else str(instant.replace(tzinfo=None))
    if family == "clickhouse":
        return instant
    if family == "mysql" or kind == "naive":
        return instant.astimezone(UTC).replace(tzinfo=None)
    return local


def fill(database: Database, kind: str, zone: str) -> None:
    """The table of the records; the session that fills it is in the zone."""
    types = TYPES[database.family]
    time_type = types["number"] if kind.startswith("epoch") else types[kind].format(zone=zone)
    columns = [
        f"created_at {time_type.removeprefix('Nullable(').removesuffix(')') if 'Int64' in time_type else time_type}"
    ]
    columns += [f"{name} {types['text' if name in TEXTS else 'number']}" for name in (*TEXTS, *NUMBERS)]
    database.run(f"CREATE TABLE log_records ({', '.join(columns)}) {types['end']}")
    rows = [
        (stored_time(database.family, kind, zone, entry["created_at"]), *(entry[name] for name in (*TEXTS, *NUMBERS)))
        for entry in RECORDS
    ]
    database.fill("log_records", rows)


def live_in(database: Database, zone: str) -> None:
    """Has every new session of the database begin in the zone."""
    minutes = abs(ZONES[zone])
    offset = f"{'-' if ZONES[zone] < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    if database.family == "postgresql":
        database.run(
            f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''{zone}''', current_database()); END $$"
        )
    if database.family == "mysql":
        database.run(f"SET GLOBAL time_zone = '{offset}'")
    if database.family == "spark":
        database.run(f"SET spark.sql.session.timeZone = {zone}")


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone of the machine and of the database's sessions."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def digests(url: str, **settings: str) -> list[str]:
    source = AttachedSource(Declaration(name="gateway", url=url, settings=settings))
    return [digest_day(content) for content in source.contents(DAYS, Slicing())]


@pytest.mark.parametrize("zone", ZONES, indirect=True)
@pytest.mark.parametrize("kind", TIMES)
@on("sqlite", "duckdb", "postgresql", "mysql", "clickhouse", "spark")
def test_the_same_bytes_everywhere(database: Database, kind: str, zone: str) -> None:
    live_in(database, zone)
    fill(database, kind, zone)
    assert digests(database.url) == EXPECTED


@pytest.mark.parametrize("zone", ZONES, indirect=True)
@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_the_same_bytes_from_files(tmp_path: Path, suffix: str, kind: str, zone: str) -> None:
    columns = ", ".join(f"{name} {'VARCHAR' if name in TEXTS else 'BIGINT'}" for name in (*TEXTS, *NUMBERS))
    time_type = "BIGINT" if kind.startswith("epoch") else TYPES["duckdb"][kind]
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        connection.execute(f"CREATE TABLE records (created_at {time_type}, {columns})")
        rows = [
            [stored_time("duckdb", kind, zone, entry["created_at"]), *(entry[name] for name in (*TEXTS, *NUMBERS))]
            for entry in RECORDS
        ]
        marks = ", ".join("?" * (1 + len(TEXTS) + len(NUMBERS)))
        connection.executemany(f"INSERT INTO records VALUES ({marks})", rows)
        formatted = {"jsonl": "json"}.get(suffix, suffix)
        for half in (0, 1):
            path = tmp_path / f"{half}.{suffix}"
            query = f"SELECT * FROM records WHERE rowid % 2 = {half}"
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT {formatted})")
    assert digests(f"{suffix}:///{tmp_path}/*.{suffix}") == EXPECTED
