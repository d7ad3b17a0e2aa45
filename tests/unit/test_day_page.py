"""The page of a day. It is 23 November, one o'clock; yesterday is 22 November."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stories import NOW, days_read, delete_days, put, record, sqlite_table
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.days import parse_day
from tallybook.page.asked import Asked
from tallybook.page.day import DayView
from tallybook.page.reading_day import read_day


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Any]:
    opened = Bookkeeper(load_settings({"home": str(tmp_path / "home")}, {}), lambda: NOW)
    yield opened
    opened.close_all()


def day(keeper: Bookkeeper, day: str, **asked: Any) -> DayView:
    return read_day(keeper, Asked(day=day, **asked))


def texts(view: DayView) -> set[str | None]:
    return {tile.text for tile in view.tiles}


def test_a_missing_day_is_unknown_and_says_why_while_its_logs_tell_its_hours(keeper: Any) -> None:
    put(keeper.logs, record("11-20 10:00"), record("11-20 10:30"), record("11-22 10:00"))
    keeper.close(day="2026-11-22")
    view = day(keeper, "2026-11-20")
    assert (view.state, view.never) == ("missing", "")
    assert {(tile.text, tile.word) for tile in view.tiles} == {(None, "not closed")}
    assert {table.nothing for table in view.breakdowns} == {"not closed"}
    assert [note.text for note in view.notes] == [
        "This day is not closed yet. A server closes it by itself, ten minutes after the last record of it has arrived."
    ]
    assert len(view.hours[0].columns) == 24
    assert [(entry.name, entry.text) for entry in view.legend] == [("succeeded", "2")]
    assert (view.latencies, view.no_latency) == ((), "2026-11-20 is not closed yet.")


def test_a_day_that_is_missing_of_one_source_is_told_without_it(keeper: Any, tmp_path: Path) -> None:
    sqlite_table(tmp_path / "gateway.sqlite", [record("11-21 10:00")], "epoch_ms")
    put(keeper.logs, record("11-21 10:00"), record("11-22 10:00"))
    keeper.attach(name="gateway", url=f"sqlite:///{tmp_path}/gateway.sqlite")
    keeper.close(day="2026-11-21", source="local")
    view = day(keeper, "2026-11-21")
    assert view.tiles[0].text == "1"
    assert [note.text for note in view.notes] == [
        "This day of gateway is not closed yet. A server closes it by itself, ten minutes after the last record of it "
        "has arrived. The figures are without it."
    ]


def test_a_source_that_is_away_is_named_once_with_its_reason(keeper: Any, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    sqlite_table(path, [record("11-21 10:00"), record("11-22 10:00")], "epoch_ms")
    keeper.attach(name="gateway", url=f"sqlite:///{path}")
    keeper.close(day="2026-11-22")
    path.unlink()
    missing, closed = day(keeper, "2026-11-21"), day(keeper, "2026-11-22")
    reason = f"There is no file {path}."
    assert [note.text for note in missing.notes] == [f"This day is not closed yet. {reason}"]
    assert [note.text for note in closed.notes] == [f"gateway does not answer: {reason}"]
    assert closed.no_hours == "Hours are not kept in the book, and gateway does not answer."
    assert closed.tiles[0].text == "1"


def test_the_source_is_switched_where_there_are_several(keeper: Any, tmp_path: Path) -> None:
    sqlite_table(tmp_path / "gateway.sqlite", [record("11-22 10:00")], "epoch_ms")
    put(keeper.logs, record("11-22 10:00"))
    assert day(keeper, "2026-11-22").sources == ()
    keeper.attach(name="gateway", url=f"sqlite:///{tmp_path}/gateway.sqlite")
    assert [(choice.title, choice.link, choice.is_chosen) for choice in day(keeper, "2026-11-22").sources] == [
        ("All sources", "day?day=2026-11-22", True),
        ("local", "day?source=local&day=2026-11-22", False),
        ("gateway", "day?source=gateway&day=2026-11-22", False),
    ]
    assert [part.source for part in day(keeper, "2026-11-22", source="gateway").parts] == ["gateway"]


@pytest.mark.parametrize(
    ("asked", "state", "never"),
    [
        ("2027-11-17", "future", "2027-11-17 is not here yet."),
        ("2026-11-24", "future", "2026-11-24 is not here yet."),
        ("2026-01-01", "before", "2026-01-01 is before the first record."),
    ],
)
def test_a_day_that_no_book_has_is_a_sentence(keeper: Any, asked: str, state: str, never: str) -> None:
    put(keeper.logs, record("11-22 10:00"))
    keeper.close()
    view = day(keeper, asked)
    assert (view.state, view.never) == (state, never)
    assert not view.is_live


def test_there_is_no_day_after_today(keeper: Any) -> None:
    put(keeper.logs, record("11-22 10:00"), record("11-23 00:10"))
    today = day(keeper, "2026-11-23")
    assert (today.is_live, today.tiles[0].text, today.following) == (True, "1", "")
    assert day(keeper, "2027-11-17").following == ""
    assert day(keeper, "2026-11-22").following == "day?day=2026-11-23"


def test_today_is_read_once_for_all_that_is_shown(keeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(keeper.logs, record("11-22 10:00"), record("11-23 00:10", latency_ms=700))
    read = days_read(keeper, monkeypatch)
    view = day(keeper, "2026-11-23")
    assert [column.told[0] for column in view.latencies[0].columns if column.told] == [("Requests", "1")]
    assert read == [parse_day("2026-11-23")]


def requests_drawn(view: DayView) -> int:
    return sum(int(value or 0) for series in view.latencies[0].series for value in series.values)


def test_latencies_are_drawn_of_what_the_filters_leave_where_they_are_kept(keeper: Any) -> None:
    put(
        keeper.logs,
        record("11-22 10:00", "gpt-5", provider="openai", team="search", latency_ms=100),
        record("11-22 10:00", "gpt-5", provider="azure", team="search", latency_ms=200),
        record("11-22 10:00", "o1", provider="openai", latency_ms=3_000),
    )
    keeper.close()
    assert requests_drawn(day(keeper, "2026-11-22")) == 3
    assert requests_drawn(day(keeper, "2026-11-22", filter=("model=gpt-5",))) == 2
    assert requests_drawn(day(keeper, "2026-11-22", filter=("model=gpt-5", "provider=azure"))) == 1
    of_team = day(keeper, "2026-11-22", filter=("team=search",))
    assert (of_team.latencies, of_team.no_latency) == ((), "Latencies are kept by provider and model only.")
    assert {tile.name: tile.why for tile in of_team.tiles if tile.why} == dict.fromkeys(
        ("p50", "p95", "p99"), "Latencies are kept by provider and model only."
    )


def test_a_day_that_was_adjusted_says_so_beside_its_name(keeper: Any) -> None:
    put(keeper.logs, record("11-22 10:00"))
    keeper.close()
    put(keeper.logs, record("11-22 11:00"), now=NOW)
    keeper.reconcile(post=True)
    view = day(keeper, "2026-11-22")
    assert (view.state, view.state_text) == ("restated", "closed, restated by 1 adjustment")
    assert view.differences[0] == (
        "local: 1 adjustment for records that came late or were changed, +1 requests, counted in here."
    )
    first = day(keeper, "2026-11-22", basis="original")
    assert (first.state, first.tiles[0].text, first.other_basis) == ("closed", "1", "day?day=2026-11-22")
    assert first.differences[0].endswith("+1 requests, left out here.")


def test_a_day_of_which_the_source_has_lost_records_says_how_many(keeper: Any) -> None:
    put(keeper.logs, record("11-21 10:00"), record("11-22 10:00"), record("11-22 11:00"))
    keeper.backfill(first="2026-11-21", last="2026-11-22")
    delete_days(keeper.logs, parse_day("2026-11-22"))
    keeper.reconcile()
    view = day(keeper, "2026-11-22")
    assert (view.state, view.state_text) == ("source-gone", "closed; the source has lost records since")
    assert view.differences[0] == (
        "local: the source has lost 2 records since the day was closed; the book still counts them."
    )


def test_demo_traffic_is_called_so_on_the_day_too(keeper: Any) -> None:
    keeper.fill_demo(days=2)
    assert [note.kind for note in day(keeper, "2026-11-22").notes] == ["demo"]
