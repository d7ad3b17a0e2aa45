"""Times that are text: what is none is left out, and the first and last are exact however they are written."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from databases import Database, on
from stories import NOW, at
from tallybook.declaration import Declaration
from tallybook.errors import LogsError
from tallybook.measures import REQUESTS
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource
from tallybook.sources.engines import postgresql
from tallybook.sources.inspection import examine

everywhere = on("sqlite", "duckdb", "postgresql", "mysql", "clickhouse", "spark")
DAYS = [date(2026, 11, day) for day in (20, 21, 22)]
TEXT = {"clickhouse": "String", "spark": "STRING", "mysql": "VARCHAR(60)"}
END = {"clickhouse": "ENGINE = MergeTree ORDER BY tuple()", "spark": "USING parquet"}


def keep(database: Database, *times: str) -> AttachedSource:
    """A table with a record at each of these times, as a source."""
    text = TEXT.get(database.family, "TEXT")
    database.run(f"CREATE TABLE log_records (created_at {text}, model_name {text}) {END.get(database.family, '')}")
    database.fill("log_records", [(time, "gpt-5") for time in times])
    return AttachedSource(Declaration(name="gw", url=database.url))


def requests(source: AttachedSource) -> list[int]:
    """The records of each of `DAYS`."""
    return [day.totals[REQUESTS] for day in source.contents(DAYS, Slicing())]


def ends(source: AttachedSource) -> tuple[datetime | None, datetime | None]:
    """When the first and the last record were created."""
    table = source.inspection().source
    return table.first_instant(), table.last_instant()


@everywhere
def test_a_time_that_is_none_is_left_out_and_holds_up_no_day(database: Database) -> None:
    source = keep(
        database,
        "2026-11-20 10:00:00",
        "2026-11-21 -",
        "2026-11-21 10:00:00",
        "2026-11-21 what",
        "2026-13-45 10:00:00",
        "2026-11-22T10:00:00Z",
        "soon",
        "",
    )
    assert requests(source) == [1, 1, 1]


@everywhere
def test_what_is_no_time_begins_and_ends_no_source(database: Database) -> None:
    source = keep(
        database,
        "2026-00-00 00:00:00",
        "2026-11-20 10:00:00",
        "2026-11-22 10:00:00",
        "2026-11-99 10:00:00",
        "never",
    )
    assert ends(source) == (at("11-20 10:00"), at("11-22 10:00"))


@everywhere
def test_the_first_and_the_last_are_exact_where_offsets_are_mixed(database: Database) -> None:
    source = keep(
        database,
        "2026-11-20T23:00:00-05:00",
        "2026-11-21 02:00:00",
        "2026-11-21T08:00:00+09:00",
        "2026-11-22T12:00:00+00:00",
        "2026-11-21T20:00:00-12:00",
        "2026-11-22T13:00:00+09:00",
        "2026-11-22T07:30:00-05:00",
    )
    assert ends(source) == (at("11-20 23:00"), at("11-22 12:30"))
    assert source.first_day() == date(2026, 11, 20)
    assert requests(source) == [1, 2, 4]


@everywhere
def test_a_space_and_a_t_sort_apart_and_are_told_together(database: Database) -> None:
    source = keep(database, "2026-11-21 23:00:00", "2026-11-21T01:00:00", "2026-11-22T01:00:00", "2026-11-22 23:00:00")
    assert ends(source) == (at("11-21 01:00"), at("11-22 23:00"))


@everywhere
def test_a_column_that_holds_no_times_at_all_is_named(database: Database) -> None:
    source = keep(database, "2026-99-99", "2027-99-99")
    with pytest.raises(LogsError) as caught:
        source.first_day()
    assert caught.value.message == "The column created_at holds '2026-99-99' where an instant belongs."


@everywhere
def test_attaching_warns_of_records_that_are_left_out(database: Database) -> None:
    source = keep(database, "2026-11-20 10:00:00", "2026-11-21 -", "2026-13-45 10:00:00")
    warnings = examine(source.declaration, NOW, Slicing()).as_json()["warnings"]
    assert "2 of the last 1,000 times in created_at are no instants: their records are left out" in warnings


@on("postgresql")
def test_a_server_before_16_cannot_tell_and_names_the_column_and_the_text(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = postgresql.for_server
    monkeypatch.setattr(postgresql, "for_server", lambda statement, _: newer(statement, 150_000))
    source = keep(database, "2026-11-20 10:00:00", "2026-11-20 25:61:00")
    with pytest.raises(LogsError) as caught:
        requests(source)
    assert caught.value.message == "The column created_at holds '2026-11-20 25:61:00' where an instant belongs."
    assert caught.value.remedy == "Attach it with --query, and a SELECT that leaves such rows out."
    database.run("DELETE FROM log_records WHERE created_at LIKE '%25:61%'")
    assert requests(source) == [1, 0, 0]
