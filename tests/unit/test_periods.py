from __future__ import annotations

from datetime import date

import pytest

from tallybook.errors import UnknownName, UsageError
from tallybook.periods import Period, between, parse_period

MONDAY = date(2026, 11, 23)


def bounds(text: str, today: date = MONDAY, first_day: date | None = None) -> tuple[str, str, bool]:
    period = parse_period(text, today, first_day)
    return str(period.first), str(period.last), period.live


@pytest.mark.parametrize(
    ("name", "first", "last", "live"),
    [
        ("today", "2026-11-23", "2026-11-23", True),
        ("yesterday", "2026-11-22", "2026-11-22", False),
        ("last7d", "2026-11-16", "2026-11-22", False),
        ("last30d", "2026-10-24", "2026-11-22", False),
        ("last90d", "2026-08-25", "2026-11-22", False),
        ("week", "2026-11-23", "2026-11-23", False),
        ("month", "2026-11-01", "2026-11-23", False),
        ("year", "2026-01-01", "2026-11-23", False),
        ("2026-11-20", "2026-11-20", "2026-11-20", False),
        ("2026-11-16..2026-11-22", "2026-11-16", "2026-11-22", False),
    ],
)
def test_what_each_name_means_on_monday_2026_11_23(name: str, first: str, last: str, live: bool) -> None:
    assert bounds(name) == (first, last, live)
    assert parse_period(name, MONDAY, None).name == name


def test_all_runs_from_the_first_day_to_yesterday() -> None:
    assert bounds("all", first_day=date(2025, 1, 3)) == ("2025-01-03", "2026-11-22", False)
    assert bounds("all", first_day=None) == ("2026-11-22", "2026-11-22", False)
    assert bounds("all", first_day=MONDAY) == ("2026-11-22", "2026-11-22", False)


def test_week_runs_from_monday() -> None:
    assert bounds("week", today=date(2026, 11, 29)) == ("2026-11-23", "2026-11-29", False)


def test_the_first_of_january() -> None:
    new_year = date(2027, 1, 1)
    assert bounds("year", new_year) == ("2027-01-01", "2027-01-01", False)
    assert bounds("month", new_year) == ("2027-01-01", "2027-01-01", False)
    assert bounds("last7d", new_year) == ("2026-12-25", "2026-12-31", False)


def test_live_adds_today_to_what_ends_yesterday_only() -> None:
    assert parse_period("last7d", MONDAY, None).with_live(MONDAY) == Period(
        "last7d", date(2026, 11, 16), MONDAY, live=True
    )
    older = between(date(2026, 11, 1), date(2026, 11, 3)).with_live(MONDAY)
    assert (older.first, older.last) == (date(2026, 11, 1), date(2026, 11, 3))


@pytest.mark.parametrize("text", ["", "last8d", "TODAY", "..2026-11-22", "yesterday..today", "lastweek"])
def test_an_unknown_name_is_answered_with_those_that_exist(text: str) -> None:
    with pytest.raises(UnknownName) as refused:
        parse_period(text, MONDAY, None)
    assert "last7d" in refused.value.remedy
    assert "YYYY-MM-DD..YYYY-MM-DD" in refused.value.remedy


@pytest.mark.parametrize(
    "text", ["2026-11-31", "2026-11-01..", "2026-11-01..x", "2026-11-01..2026-11-02..2026-11-03", "7"]
)
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_period(text, MONDAY, None)


def test_a_range_that_runs_backwards_is_refused_with_the_right_way_round() -> None:
    with pytest.raises(UsageError, match="runs backwards") as refused:
        parse_period("2026-11-22..2026-11-16", MONDAY, None)
    assert refused.value.remedy == "Write 2026-11-16..2026-11-22."


def test_a_range_is_at_most_3660_days_long() -> None:
    assert between(date(2016, 11, 15), date(2026, 11, 22)).first == date(2016, 11, 15)
    with pytest.raises(UsageError, match="longer than 3660 days"):
        between(date(2016, 11, 14), date(2026, 11, 22))
