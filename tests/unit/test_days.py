from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from tallybook.days import (
    day_of,
    days_between,
    epoch_us,
    format_instant,
    last_closable,
    midnight,
    parse_day,
)
from tallybook.errors import UsageError


def test_a_day_begins_at_midnight_utc() -> None:
    assert midnight(date(2026, 11, 22)) == datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-11-22T00:00:00+00:00", date(2026, 11, 22)),
        ("2026-11-22T23:59:59.999999+00:00", date(2026, 11, 22)),
        ("2026-11-23T00:00:00+00:00", date(2026, 11, 23)),
        ("2026-11-23T05:29:59+05:30", date(2026, 11, 22)),
        ("2026-11-22T19:00:00-05:00", date(2026, 11, 23)),
        ("2024-02-29T12:00:00+00:00", date(2024, 2, 29)),
    ],
)
def test_the_day_of_an_instant_is_the_utc_day(instant: str, day: date) -> None:
    assert day_of(datetime.fromisoformat(instant)) == day


def test_epoch_us_is_exact_to_the_last_microsecond() -> None:
    assert epoch_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert epoch_us(datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)) == 1_795_391_999_999_999
    assert epoch_us(datetime(2026, 11, 23, 5, 29, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30)))) == (
        1_795_391_999_999_999
    )


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-11-23T00:04:59.999999", date(2026, 11, 21)),
        ("2026-11-23T00:05:00", date(2026, 11, 22)),
        ("2026-11-23T23:59:59", date(2026, 11, 22)),
        ("2026-01-01T00:00:00", date(2025, 12, 30)),
        ("2024-03-01T00:05:00", date(2024, 2, 29)),
    ],
)
def test_yesterday_can_be_closed_from_five_past_midnight_on(now: str, last: date) -> None:
    assert last_closable(datetime.fromisoformat(now).replace(tzinfo=UTC)) == last


def test_last_closable_counts_in_utc_whatever_the_offset_of_now() -> None:
    assert last_closable(datetime.fromisoformat("2026-11-23T05:34:59+05:30")) == date(2026, 11, 21)
    assert last_closable(datetime.fromisoformat("2026-11-23T05:35:00+05:30")) == date(2026, 11, 22)


def test_days_between_includes_both_ends_and_is_empty_backwards() -> None:
    assert list(days_between(date(2026, 2, 27), date(2026, 3, 1))) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    assert list(days_between(date(2026, 2, 27), date(2026, 2, 27))) == [date(2026, 2, 27)]
    assert list(days_between(date(2026, 2, 28), date(2026, 2, 27))) == []


def test_parse_day_reads_one_form_only() -> None:
    assert parse_day("2026-11-22") == date(2026, 11, 22)
    assert parse_day("2024-02-29") == date(2024, 2, 29)


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-2", "20261122", "2026-11-31", "2026-02-29", "2026-W47-7", "22.11.2026", "2026-11-22T", "heute"],
)
def test_parse_day_refuses_every_other_form(text: str) -> None:
    with pytest.raises(UsageError, match="is not a day") as refused:
        parse_day(text)
    assert "YYYY-MM-DD" in refused.value.remedy


def test_instants_are_written_in_utc_with_whole_seconds() -> None:
    assert format_instant(datetime.fromisoformat("2026-11-23T06:30:00.999999+05:30")) == "2026-11-23T01:00:00Z"
