"""What a server does by itself at each tick: compare, adjust what has drifted for long enough, prune what is kept no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from stories import ARRIVED, NOW, YESTERDAY, delete_days, put, record, sqlite_table
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import Settings, load_settings
from tallybook.logs.store import LogStore

Log = Callable[[], list[tuple[str, str, dict[str, object]]]]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        self.now += timedelta(**step)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keep(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Bookkeeper]]:
    """Opens the bookkeeper of one home, with more settings than the usual ones."""
    opened: list[Bookkeeper] = []

    def open_with(**more: object) -> Bookkeeper:
        while opened:
            opened.pop().close_all()
        settings: Settings = replace(load_settings({"home": str(tmp_path / "home")}, {}), **more)  # type: ignore[arg-type]
        opened.append(Bookkeeper(settings, clock))
        return opened[-1]

    yield open_with
    for each in opened:
        each.close_all()


def put_in(keeper: Bookkeeper, *records: dict[str, object], now: datetime = ARRIVED) -> None:
    assert isinstance(keeper.logs, LogStore)
    put(keeper.logs, *records, now=now)


def drift(keeper: Bookkeeper) -> list[tuple[str, int]]:
    (source,) = keeper.status()["sources"]
    return [(entry["day"], entry["requests"]) for entry in source["drift"]]


def test_drift_is_noted_with_the_moment_it_was_first_seen_and_forgotten_when_it_is_gone(
    keep: Callable[..., Bookkeeper], clock: Clock
) -> None:
    keeper = keep()
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    assert keeper.book.reconciliations.list() == []
    put_in(keeper, record("11-22 11:00"), now=clock.now)
    for _ in range(2):
        clock.forward(minutes=1)
        keeper.run_once()
    (note,) = keeper.book.reconciliations.list()
    assert (note.source, note.day, note.state, note.since, note.change[0]) == (
        "local",
        YESTERDAY,
        "drift",
        "2026-11-23T01:01:00Z",
        1,
    )
    assert drift(keeper) == [("2026-11-22", 1)]
    keeper.reconcile(post=True)
    assert (keeper.book.reconciliations.list(), drift(keeper)) == ([], [])


def test_drift_is_posted_once_it_has_lasted_and_not_before(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep(adjust_after_days=2)
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    put_in(keeper, record("11-22 11:00"), now=clock.now)
    clock.forward(minutes=1)
    keeper.run_once()
    clock.forward(days=2, minutes=-1)
    keeper.run_once()
    assert keeper.book.adjustments() == []
    clock.forward(minutes=1)
    keeper.run_once()
    (adjustment,) = keeper.book.adjustments()
    assert (adjustment.day, adjustment.change.totals[0]) == (YESTERDAY, 1)
    assert keeper.book.reconciliations.list() == []


def move_to_another_team(keeper: Bookkeeper) -> None:
    """What no total shows: yesterday's record is of another team now."""
    assert isinstance(keeper.logs, LogStore)
    with keeper.logs.writing() as connection:
        connection.execute("UPDATE log_records SET team = 'moved' WHERE created_at::DATE = '2026-11-22'")


def test_drift_that_no_total_shows_stays_noted_until_days_are_compared_whole(
    keep: Callable[..., Bookkeeper], clock: Clock
) -> None:
    keeper = keep(adjust_after_days=1)
    put_in(keeper, record("11-22 10:00", team="search"))
    keeper.run_once()
    move_to_another_team(keeper)
    keeper.reconcile()
    clock.forward(hours=1)
    keeper.run_once()
    assert drift(keeper) == [("2026-11-22", 0)]
    clock.forward(days=1)
    keeper.run_once()
    assert drift(keeper) == []
    (adjustment,) = keeper.book.adjustments()
    assert [(part.key[2], part.totals[0]) for part in adjustment.change.slices] == [("moved", 1), ("search", -1)]


def test_drift_that_was_undone_is_forgotten_once_days_are_compared_whole(keep: Callable[..., Bookkeeper]) -> None:
    keeper = keep()
    put_in(keeper, record("11-22 10:00", team="moved"))
    keeper.run_once()
    with keeper.logs.writing() as connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE log_records SET team = 'search'")
    keeper.reconcile()
    move_to_another_team(keeper)
    keeper.run_once()
    assert drift(keeper) == [("2026-11-22", 0)]
    assert keeper.reconcile()["results"] == []
    assert drift(keeper) == []


def test_drift_waits_while_records_of_the_day_still_come(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep(adjust_after_days=0)
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    put_in(keeper, record("11-22 11:00"), now=clock.now)
    clock.forward(minutes=9)
    keeper.run_once()
    assert keeper.book.adjustments() == []
    clock.forward(minutes=1)
    keeper.run_once()
    assert len(keeper.book.adjustments()) == 1


def test_drift_that_a_clock_a_week_ahead_has_noted_is_posted_in_time(
    keep: Callable[..., Bookkeeper], clock: Clock
) -> None:
    keeper = keep(adjust_after_days=1)
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    put_in(keeper, record("11-22 11:00"), now=clock.now)
    clock.forward(days=7)
    keeper.run_once()
    clock.forward(days=-7, minutes=30)
    keeper.run_once()
    assert [note.since for note in keeper.book.reconciliations.list()] == ["2026-11-23T01:30:00Z"]
    clock.forward(days=1)
    keeper.run_once()
    assert len(keeper.book.adjustments()) == 1


def test_a_source_that_shrank_is_told_and_never_posted(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep(adjust_after_days=0)
    put_in(keeper, record("11-22 10:00"), record("11-21 10:00"))
    keeper.run_once()
    assert isinstance(keeper.logs, LogStore)
    delete_days(keeper.logs, YESTERDAY)
    clock.forward(hours=1)
    keeper.run_once()
    assert keeper.book.adjustments() == []
    (source,) = keeper.status()["sources"]
    assert (source["source_gone"], source["drift"]) == (["2026-11-22"], [])
    answer = keeper.stats(period="last7d")
    assert answer["days"] == {"closed": 1, "zero": 0, "missing": 0, "open": 0, "source-gone": 1}
    assert answer["series"][-1]["state"] == "source-gone"
    assert answer["totals"]["requests"] == 2


def test_an_older_day_is_reached_by_the_slow_round(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep()
    put_in(keeper, *(record(NOW - timedelta(days=days)) for days in range(1, 60)))
    keeper.run_once()
    put_in(keeper, record(NOW - timedelta(days=59)), now=clock.now)
    for _ in range(3):
        clock.forward(minutes=1)
        keeper.run_once()
    assert [note.day for note in keeper.book.reconciliations.list()] == [date(2026, 9, 25)]


def test_nothing_is_compared_while_an_import_runs(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep()
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    put_in(keeper, record("11-22 11:00"), now=clock.now)
    with keeper.logs.importing():
        clock.forward(minutes=1)
        keeper.run_once()
        assert keeper.book.reconciliations.list() == []
        with pytest.raises(Exception, match="Nothing is adjusted while an import is running"):
            list(keeper._reconcile(keeper.logs, [YESTERDAY], post=True))


def test_a_source_that_does_not_answer_is_told_once_and_left_alone(
    keep: Callable[..., Bookkeeper], clock: Clock, tmp_path: Path, log_lines: Log
) -> None:
    table = tmp_path / "gateway.db"
    sqlite_table(table, [record("11-22 10:00")], "epoch_ms")
    keeper = keep()
    keeper.attach(name="gateway", url=f"sqlite:///{table}")
    keeper.run_once()
    assert [closing.source for closing in keeper.book.closings()] == ["gateway"]
    table.rename(tmp_path / "away.db")
    for _ in range(3):
        clock.forward(minutes=1)
        keeper.run_once()
    told = [facts["source"] for level, message, facts in log_lines() if message == "not compared"]
    assert told == ["gateway"]
    (tmp_path / "away.db").rename(table)
    sqlite_table(table, [record("11-22 10:00"), record("11-22 11:00")], "epoch_ms")
    clock.forward(minutes=10)
    keeper.run_once()
    assert drift(keeper) == [("2026-11-22", 1)]


def test_logs_are_pruned_after_so_many_days_into_the_archive_and_only_what_the_book_has(
    keep: Callable[..., Bookkeeper], clock: Clock, tmp_path: Path
) -> None:
    keeper = keep()
    put_in(keeper, *(record(f"11-{day} 10:00") for day in (18, 19, 20, 21, 22)))
    keeper.run_once()
    put_in(keeper, record("11-19 12:00"), now=clock.now)
    keeper = keep(keep_logs_days=3, prune_archive=tmp_path / "archive")
    keeper.run_once()
    assert sorted(keeper.logs.counts()) == [date(2026, 11, day) for day in (19, 20, 21, 22)]
    clock.forward(days=1)
    keeper.run_once()
    assert sorted(keeper.logs.counts()) == [date(2026, 11, day) for day in (19, 21, 22)]
    assert sorted(each.name for each in (tmp_path / "archive").iterdir()) == [
        "local-2026-11-18.parquet",
        "local-2026-11-20.parquet",
    ]
    (source,) = keeper.status()["sources"]
    assert (source["days_pruned"], source["pruned_through"], source["source_gone"]) == (2, "2026-11-20", [])
    assert keeper.verify()["verdict"] == "intact"


def test_logs_whose_archive_has_no_place_are_kept_and_pruned_once_it_has(
    keep: Callable[..., Bookkeeper], clock: Clock, tmp_path: Path, log_lines: Log
) -> None:
    archive = tmp_path / "archive"
    archive.write_text("a file, and no folder")
    keeper = keep(keep_logs_days=3, prune_archive=archive)
    put_in(keeper, record("11-18 10:00"), record("11-22 10:00"))
    keeper.run_once()
    assert sorted(keeper.logs.counts()) == [date(2026, 11, 18), date(2026, 11, 22)]
    assert [message for level, message, _ in log_lines() if level == "WARNING"] == ["logs not pruned"]
    archive.unlink()
    keeper.run_once()
    assert sorted(keeper.logs.counts()) == [date(2026, 11, 22)]
    clock.forward(minutes=1)
    keeper.run_once()
    assert [each.name for each in archive.iterdir()] == ["local-2026-11-18.parquet"]


def test_what_comes_for_a_pruned_day_is_told_apart(keep: Callable[..., Bookkeeper], clock: Clock) -> None:
    keeper = keep()
    put_in(keeper, record("11-22 10:00"))
    keeper.run_once()
    assert keeper.prune(before="2026-11-23")["deleted_records"] == 1
    put_in(keeper, record("11-22 11:00"), record("11-22 12:00"), now=clock.now)
    (source,) = keeper.status()["sources"]
    assert source["late_after_pruning"] == [{"day": "2026-11-22", "requests": 2}]
    assert (source["drift"], source["source_gone"]) == ([], [])
    assert keeper.reconcile(post=True)["results"][0] | {"change": {}} == {
        "source": "local",
        "day": "2026-11-22",
        "state": "source-gone",
        "change": {},
        "pruned": True,
    }
    assert keeper.prune(before="2026-11-23")["kept"] == [
        {"day": "2026-11-22", "reason": "records came after it was pruned"}
    ]
    assert keeper.stats(period="yesterday")["totals"]["requests"] == 1
