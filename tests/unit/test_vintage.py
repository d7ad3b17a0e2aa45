from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tallybook.errors import UnknownName, UsageError
from tallybook.vintage import CURRENT, Vintage, parse_as_of

RECORDED = "2026-11-23T06:00:00Z"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T12:00:00Z", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00+05:30", datetime(2026, 11, 22, 6, 30, tzinfo=UTC)),
        ("2026-11-22T12:00:00.5Z", datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_has_an_offset_and_a_day_means_its_end(text: str, instant: datetime) -> None:
    assert parse_as_of(text) == instant
    assert str(parse_as_of(text)) == str(instant)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-22T12:00:00", "2026-13-01", "2026-11-2222", "0001-01-01T00:00:00+14:00", "x" * 200]
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UsageError, match="is no instant") as refused:
        parse_as_of(text)
    assert refused.value.remedy == "Write it as 2026-11-22T12:00:00Z, or as a day, which means its end."


def test_an_entry_counts_from_the_second_in_which_it_was_recorded() -> None:
    until = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    assert Vintage(as_of=until).has(RECORDED)
    assert Vintage(as_of=until.replace(microsecond=1)).has(RECORDED)
    assert not Vintage(as_of=until.replace(hour=5, minute=59, second=59, microsecond=999_999)).has(RECORDED)
    assert CURRENT.has(RECORDED)


def test_an_adjustment_counts_unless_figures_are_asked_for_as_first_closed() -> None:
    assert CURRENT.has_adjustment(RECORDED)
    assert not Vintage("original").has_adjustment(RECORDED)
    assert not Vintage(as_of=datetime(2026, 11, 23, tzinfo=UTC)).has_adjustment(RECORDED)


def test_there_are_two_bases() -> None:
    with pytest.raises(UnknownName, match="There is no basis 'final'"):
        Vintage("final")
