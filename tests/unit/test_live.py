"""Today of somebody else's database: asked for at most every ten seconds, and never missed in silence."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from stories import NOW, TODAY
from tallybook.content import DayContent, empty_content
from tallybook.errors import SourceDown
from tallybook.live import LiveDays, today_once
from tallybook.source import Slicing


@dataclass
class Asked:
    """A source that notes the days that it was asked for, and is down when told to be."""

    name: str
    days: list[date] = field(default_factory=list)
    down: str | None = None

    def contents(self, days: Sequence[date], _slicing: Slicing) -> Generator[DayContent]:
        self.days += days
        if self.down:
            raise SourceDown(self.down)
        yield from (empty_content(day) for day in days)


def seconds(count: float) -> datetime:
    return NOW + timedelta(seconds=count)


@pytest.fixture
def gateway() -> Asked:
    return Asked("gateway")


@pytest.fixture
def own() -> Asked:
    return Asked("local")


@pytest.fixture
def live(own: Any) -> LiveDays:
    return LiveDays(Slicing(), own)


def test_within_ten_seconds_somebody_else_s_database_is_asked_once(live: LiveDays, gateway: Any) -> None:
    for after in (0, 1, 9.999):
        assert live.read([gateway], seconds(after)) == ({"gateway": empty_content(TODAY)}, {})
    assert gateway.days == [TODAY]
    live.read([gateway], seconds(10))
    assert gateway.days == [TODAY, TODAY]
    live.read([gateway], seconds(19.999))
    assert gateway.days == [TODAY, TODAY]


def test_our_own_logs_are_asked_every_time(live: LiveDays, own: Any) -> None:
    live.read([own], NOW)
    live.read([own], seconds(1))
    assert own.days == [TODAY, TODAY]


def test_a_day_that_has_begun_meanwhile_is_asked_for_at_once(live: LiveDays, gateway: Any) -> None:
    midnight = datetime(2026, 11, 24, tzinfo=NOW.tzinfo)
    live.read([gateway], midnight - timedelta(seconds=1))
    live.read([gateway], midnight + timedelta(seconds=1))
    assert gateway.days == [TODAY, date(2026, 11, 24)]


def test_a_clock_that_was_set_back_does_not_keep_old_figures(live: LiveDays, gateway: Any) -> None:
    live.read([gateway], seconds(60))
    live.read([gateway], NOW)
    assert gateway.days == [TODAY, TODAY]


def test_a_source_that_is_down_is_named_and_the_others_answer(live: LiveDays, gateway: Any, own: Any) -> None:
    gateway.down = "The gateway's database cannot be reached."
    answer = live.read([own, gateway], NOW)
    assert answer == ({"local": empty_content(TODAY)}, {"gateway": "The gateway's database cannot be reached."})


def test_each_source_is_remembered_by_itself(live: LiveDays, gateway: Any) -> None:
    other: Any = Asked("other")
    live.read([gateway], NOW)
    live.read([gateway, other], seconds(5))
    assert (gateway.days, other.days) == ([TODAY], [TODAY])


def test_what_is_shown_together_is_read_once_and_agrees(live: LiveDays, own: Any, gateway: Any) -> None:
    gateway.down = "The gateway's database cannot be reached."
    with today_once() as told:
        first = live.read([own, gateway], NOW)
        assert live.read([own, gateway], seconds(1)) == first
    assert (own.days, gateway.days) == ([TODAY], [TODAY])
    assert told == {("local", TODAY): empty_content(TODAY), ("gateway", TODAY): gateway.down}
    live.read([own], seconds(1))
    assert own.days == [TODAY, TODAY]


def test_what_is_shown_over_midnight_is_asked_of_each_day(live: LiveDays, own: Any) -> None:
    midnight = datetime(2026, 11, 24, tzinfo=NOW.tzinfo)
    with today_once():
        live.read([own], midnight - timedelta(seconds=1))
        live.read([own], midnight)
    assert own.days == [TODAY, date(2026, 11, 24)]
