"""What the page asks of the bookkeeper. It is 23 November, one o'clock; yesterday is 22 November."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from stories import NOW, TODAY, days_read, put, record
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.errors import UnknownName, UsageError
from tallybook.operations import calendar_days, calendars, first_day_of, survey, with_today
from tallybook.page.asked import Asked
from tallybook.page.overview import Overview, overview
from tallybook.page.reading import read_rows
from tallybook.page.remembering import Memory


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Any]:
    opened = Bookkeeper(load_settings({"home": str(tmp_path)}, {}), lambda: NOW)
    yield opened
    opened.close_all()


def shown(keeper: Bookkeeper, asked: Asked) -> Overview:
    return overview(asked, survey(keeper, **asked.stats()))


def requests_in(view: Overview) -> str | None:
    return view.tiles[0].text


@pytest.mark.parametrize(
    ("asked", "has_today"),
    [
        ({"period": "today"}, True),
        ({"period": "week"}, True),
        ({"period": "month"}, True),
        ({"period": "year"}, True),
        ({"period": "2026-11-20..2026-11-30"}, True),
        ({"first": "2026-11-20", "last": "2026-11-23"}, True),
        ({"period": "yesterday"}, False),
        ({"period": "last7d"}, False),
        ({"period": "all"}, False),
        ({"first": "2026-11-20", "last": "2026-11-22"}, False),
        ({"first": "2026-11-24", "last": "2026-11-25"}, False),
        ({"period": None, "first": None, "last": None}, False),
    ],
)
def test_a_range_with_today_in_it_is_asked_up_to_now(asked: dict[str, str | None], has_today: bool) -> None:
    assert with_today(asked, TODAY) == (asked | {"live": True} if has_today else asked)


def test_what_is_no_range_is_refused_as_ever() -> None:
    with pytest.raises(UnknownName):
        with_today({"period": "lastweek"}, TODAY)
    with pytest.raises(UsageError):
        with_today({"first": "2026-11-23", "last": "2026-11-20"}, TODAY)


def test_today_is_in_the_figures_of_a_range_that_says_so(keeper: Any) -> None:
    put(keeper.logs, record("11-21 10:00"), record("11-23 00:10"), record("11-23 00:20"))
    keeper.backfill(first="2026-11-21", last="2026-11-22")
    month = shown(keeper, Asked(period="month"))
    assert (month.is_live, requests_in(month)) == (True, "3")
    week = shown(keeper, Asked(period="last7d"))
    assert (week.is_live, requests_in(week)) == (False, "1")
    until_now = Asked(first="2026-11-22", last="2026-11-23")
    assert (shown(keeper, until_now).is_live, requests_in(shown(keeper, until_now))) == (True, "2")
    assert [row["requests"] for row in read_rows(keeper, until_now, "days")] == [0, 2]


def test_of_a_range_that_is_not_here_yet_nothing_is_said(keeper: Any) -> None:
    put(keeper.logs, record("11-22 10:00"))
    view = shown(keeper, Asked(first="2026-11-24", last="2026-11-25"))
    assert not view.is_live
    assert {tile.text for tile in view.tiles} == {None}
    assert [note.text for note in view.notes] == ["2026-11-24 to 2026-11-25 is not here yet."]


def test_days_that_are_missing_are_not_called_empty(keeper: Any) -> None:
    put(keeper.logs, record("11-20 10:00"), record("11-22 10:00"))
    keeper.close(day="2026-11-22")
    view = shown(keeper, Asked(first="2026-11-20", last="2026-11-21"))
    assert {(tile.text, tile.word) for tile in view.tiles} == {(None, "not closed")}
    assert {table.nothing for table in view.breakdowns} == {"not closed"}
    assert [note.text for note in view.notes] == ["2 days of this period are not closed yet."]
    partly = shown(keeper, Asked(first="2026-11-20", last="2026-11-22"))
    assert requests_in(partly) == "1"


def test_today_is_read_once_for_a_look_and_anew_for_the_next(keeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(keeper.logs, record("11-22 10:00"), record("11-23 00:10"))
    keeper.close()
    read = days_read(keeper, monkeypatch)
    memory = Memory(keeper)
    answer = survey(memory.look(), period="today")
    assert [rows[0]["requests"] for rows in answer["by"].values()] == [1] * len(keeper.dimensions)
    assert read == [TODAY]
    put(keeper.logs, record("11-23 00:20"))
    assert survey(memory.look(), period="today")["stats"]["totals"]["requests"] == 2
    assert keeper.stats(period="today")["totals"]["requests"] == 2
    assert read == [TODAY] * 3


def test_demo_traffic_is_named_where_it_is_among_what_is_shown(keeper: Any) -> None:
    def notes(sources: list[str], *named: str) -> list[str]:
        answer = survey(keeper, period="last7d")
        answer["stats"]["sources"] = sources
        local = answer["status"]["sources"][0]
        answer["status"]["sources"] = [{**local, "source": name, "synthetic": name == "local"} for name in named]
        return [note.text for note in overview(Asked(), answer).notes if note.kind == "demo"]

    put(keeper.logs, record("11-22 10:00"))
    assert notes(["local"], "local", "gateway-eu") == ["Synthetic demo traffic: nobody sent these requests."]
    assert notes(["gateway-eu"], "local", "gateway-eu") == []
    assert notes(["gateway-eu", "local"], "local", "gateway-eu") == [
        "local is demo traffic: nobody sent these requests."
    ]


def test_what_is_shown_as_first_closed_has_a_way_back(keeper: Any) -> None:
    put(keeper.logs, record("11-22 10:00"))
    keeper.close()
    note = shown(keeper, Asked(period="yesterday", basis="original")).notes[0]
    assert note.text == "Shown as first closed, without adjustments."
    assert (note.link, note.action) == (".?period=yesterday", "Show it with adjustments")


def days_of(rows: list[dict[str, Any]]) -> tuple[str, str]:
    return rows[0]["date"], rows[-1]["date"]


@pytest.mark.parametrize(
    ("first_day", "begins"),
    [
        (None, "2026-07-13"),
        (date(2026, 11, 20), "2026-07-13"),
        (date(2026, 7, 12), "2026-07-06"),
        (date(2025, 11, 26), "2025-11-24"),
        (date(2020, 1, 1), "2025-11-24"),
    ],
)
def test_a_calendar_begins_with_the_book_but_is_never_short_and_never_more_than_a_year(
    keeper: Any, first_day: date | None, begins: str
) -> None:
    assert days_of(calendar_days(keeper, first_day)) == (begins, "2026-11-23")


def test_every_year_of_the_book_has_a_calendar_the_latest_first(keeper: Any) -> None:
    assert [days_of(rows) for rows in calendars(keeper, date(2024, 10, 2))] == [
        ("2025-11-24", "2026-11-23"),
        ("2024-11-18", "2025-11-23"),
        ("2024-09-30", "2024-11-17"),
    ]
    assert [days_of(rows) for rows in calendars(keeper, date(2026, 11, 20))] == [("2026-07-13", "2026-11-23")]
    assert len(calendars(keeper, date(1999, 1, 1))) == 10


def test_the_first_day_is_that_of_the_sources_that_are_shown() -> None:
    status = {
        "sources": [
            {"source": "local", "first_day": "2026-11-20"},
            {"source": "gateway", "first_day": "2026-11-10"},
            {"source": "away", "first_day": None},
        ]
    }
    assert first_day_of(status) == date(2026, 11, 10)
    assert first_day_of(status, "local") == date(2026, 11, 20)
    assert first_day_of(status, "away") is None
