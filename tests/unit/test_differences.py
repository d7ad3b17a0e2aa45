from __future__ import annotations

from typing import Any

from tallybook.page.differences import ALWAYS, SourceDay, differences

AGREED: dict[str, Any] = {"basis": "adjusted", "unknown": {}}


def test_records_that_the_source_has_lost_are_counted() -> None:
    parts = [SourceDay("local", None, (), lost=12), SourceDay("gateway", None, (), lost=1)]
    assert list(differences(AGREED, parts))[:2] == [
        "local: the source has lost 12 records since the day was closed; the book still counts them.",
        "gateway: the source has lost 1 record since the day was closed; the book still counts them.",
    ]


def test_of_a_day_without_anything_of_its_own_only_what_always_holds_is_said() -> None:
    assert tuple(differences(AGREED, [SourceDay("local", None, ())])) == ALWAYS
