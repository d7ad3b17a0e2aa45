from __future__ import annotations

from typing import Any

from stories import totals
from tallybook.page.absence import Absence
from tallybook.page.asked import Asked
from tallybook.page.breakdown import Name, break_down, chips
from tallybook.stats import as_row


def row(value: str | None, requests: int, p95: float | None = None) -> dict[str, Any]:
    return {"value": value, **as_row(totals(requests=requests)), "latency_p95_ms": p95}


ROWS = [row("gpt-5", 600, 20), row(None, 393, 30), row("o1", 6), row("o2", 1)]


def test_shares_are_of_all_and_bars_beside_the_longest() -> None:
    table = break_down("model", ROWS, Asked())
    assert [(line.name.shown, line.share, line.bar_percent) for line in table.lines] == [
        ("gpt-5", "60 %", 100),
        (None, "39 %", 65.5),
        ("o1", "0.6 %", 1),
        ("o2", "0.1 %", 0.2),
    ]


def test_what_is_next_to_nothing_is_not_called_nothing() -> None:
    table = break_down("model", [row("much", 100_000), row("little", 1), row("none", 0)], Asked())
    assert [line.share for line in table.lines] == ["100 %", "<0.1 %", "0.0 %"]


def test_latencies_order_rows_and_unknown_ones_come_last_and_shares_stay_those_of_requests() -> None:
    table = break_down("model", ROWS, Asked(sort="p95"))
    assert [(line.name.shown, line.share) for line in table.lines][:2] == [(None, "39 %"), ("gpt-5", "60 %")]


def test_a_row_that_is_chosen_leads_back_and_any_other_narrows() -> None:
    table = break_down("model", ROWS, Asked(filter=("model=gpt-5",)))
    assert [(line.is_chosen, line.link) for line in table.lines][:2] == [(True, "."), (False, ".?filter=model")]


def test_teams_have_no_latencies_of_their_own() -> None:
    assert "p95" in [heading.name for heading in break_down("provider", ROWS, Asked()).headings]
    assert "p95" not in [heading.name for heading in break_down("team", ROWS, Asked()).headings]


def test_of_a_part_of_the_traffic_that_has_no_latencies_there_is_no_column_of_them() -> None:
    def names(*filters: str) -> list[str]:
        return [heading.name for heading in break_down("model", ROWS, Asked(filter=filters)).headings]

    assert names("team=search") == ["Requests", "Failed", "Tokens", "Cost"]
    assert names("provider=openai") == ["Requests", "Failed", "Tokens", "Cost", "p95"]


def test_a_name_is_whole_on_hover_however_it_is_cut() -> None:
    assert Name.of("gpt-5") == Name("gpt-5", "gpt-5")
    assert Name.of("n" * 100) == Name("n" * 63 + "…", "n" * 100)
    assert Name.of("a\u202eb") == Name("a\ufffdb", "a\u202eb")
    assert Name.of(None) == Name(None, None)
    assert [chip.name.whole for chip in chips(Asked(filter=("team=search", "model")))] == ["search", None]


def test_a_name_that_nobody_would_see_is_described() -> None:
    assert [Name.of(name).shown for name in ("", " ", "   ", "\u3164", " \u2800 ")] == ["(empty)", *["(blank)"] * 4]
    assert Name.of(" a ").shown == " a "


def test_an_empty_table_says_why_it_is() -> None:
    assert break_down("model", [], Asked()).nothing == "no requests"
    assert break_down("model", [], Asked(), Absence("not closed", "")).nothing == "not closed"


def test_without_requests_there_are_no_bars() -> None:
    table = break_down("model", [row("zero", 0)], Asked())
    assert [(line.share, line.bar_percent) for line in table.lines] == [(None, 0)]


def test_what_is_unknown_has_no_share_and_no_bar() -> None:
    def tokens(value: str, *told: int) -> dict[str, Any]:
        known = {"tokens_in": sum(told), "tokens_in_count": len(told)}
        return {"value": value, **as_row(totals(requests=2, **known)), "latency_p95_ms": None}

    some = break_down("model", [tokens("silent"), tokens("much", 300), tokens("none", 0)], Asked(sort="tokens"))
    assert [(line.name.shown, line.share, line.bar_percent, line.cells[2]) for line in some.lines] == [
        ("much", "100 %", 100, "300"),
        ("none", "0.0 %", 0, "0"),
        ("silent", None, 0, None),
    ]
    nothing = break_down("model", [tokens("silent"), tokens("mute")], Asked(sort="cost"))
    assert [(line.share, line.bar_percent) for line in nothing.lines] == [(None, 0), (None, 0)]
