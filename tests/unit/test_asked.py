from __future__ import annotations

import pytest

from tallybook.errors import UnknownName
from tallybook.page.asked import Asked


def test_a_table_that_there_is_not_cannot_be_shown_whole() -> None:
    assert Asked.read({"all": ["model"]}).all == "model"
    with pytest.raises(UnknownName, match="There is no table 'zzz'"):
        Asked.read({"all": ["zzz"]})


def test_a_form_for_other_days_hands_on_all_that_is_asked_besides() -> None:
    asked = Asked(
        first="2026-11-01",
        last="2026-11-02",
        source="local",
        filter=("team=search", "model"),
        measure="cost",
        sort="p95",
        basis="original",
    )
    assert asked.kept == [
        ("source", "local"),
        ("filter", "team=search"),
        ("filter", "model"),
        ("measure", "cost"),
        ("sort", "p95"),
        ("basis", "original"),
    ]
    assert Asked(period="today").kept == []
