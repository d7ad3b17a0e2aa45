from __future__ import annotations

from datetime import date
from typing import Any

from stories import totals
from tallybook.book.entries import Adjustment
from tallybook.change import Change
from tallybook.page.absence import CLOSES_ITSELF
from tallybook.page.calendar import Since, calendar, counts_of
from tallybook.page.ledger import MissingDays, additions, missing_days
from tallybook.page.standing import reasons_of


def row(day: str, state: str, requests: int = 0, **more: int) -> dict[str, Any]:
    return {"date": day, "state": state, "requests": requests, **more}


def test_a_missing_day_says_why_and_where_nobody_knows_what_becomes_of_it() -> None:
    reasons = {"2026-11-17": "local: The disk is full."}
    cells = calendar([row("2026-11-16", "missing"), row("2026-11-17", "missing")], reasons).cells
    assert [cell.title for cell in cells] == [
        "Mon 2026-11-16: missing: not closed yet; A server closes it by itself, ten minutes after the last record of it "
        "has arrived.",
        "Tue 2026-11-17: missing: not closed yet; local: The disk is full.",
    ]


def test_a_closed_day_says_how_much_and_what_became_of_it() -> None:
    cells = calendar([row("2026-11-16", "closed", 1200, adjustments=2), row("2026-11-17", "source-gone", 7)], {}).cells
    assert [(cell.state, cell.title) for cell in cells] == [
        ("restated", "Mon 2026-11-16: closed; 1,200 requests; restated by 2 adjustments"),
        ("source-gone", "Tue 2026-11-17: closed; the source has lost records since; 7 requests"),
    ]


def test_a_closed_day_says_what_was_added_to_it_and_what_its_source_has_lost() -> None:
    since = Since(
        {"2026-11-16": "+7 requests, 7 records came after the day was closed"}, {"2026-11-17": 3, "2026-11-18": 1}
    )
    rows = [
        row("2026-11-16", "closed", 1200, adjustments=1),
        row("2026-11-17", "source-gone", 7),
        row("2026-11-18", "source-gone", 1),
    ]
    assert [cell.title for cell in calendar(rows, {}, since).cells] == [
        "Mon 2026-11-16: closed; 1,200 requests; restated by 1 adjustment: +7 requests, 7 records came after the day was "
        "closed",
        "Tue 2026-11-17: closed; the source has lost records since; 7 requests; the source has 3 requests fewer than the "
        "book",
        "Wed 2026-11-18: closed; the source has lost records since; 1 request; the source has 1 request fewer than the "
        "book",
    ]


def test_several_adjustments_of_a_day_are_added_up_and_the_latest_says_why() -> None:
    def entry(day: date, requests: int, reason: str) -> Adjustment:
        change = Change(day, (), totals(requests=requests), (), ())
        return Adjustment(1, "local", day, "", reason, change, "", "", "", 1, "", "", "")

    monday, tuesday = date(2026, 11, 16), date(2026, 11, 17)
    assert additions(
        [
            entry(monday, 7, "7 records came after the day was closed"),
            entry(tuesday, 1, "1 record came after the day was closed"),
            entry(monday, -2, "2 records were taken away"),
        ]
    ) == {
        "2026-11-16": "+5 requests, the latest: 2 records were taken away",
        "2026-11-17": "+1 request, 1 record came after the day was closed",
    }


def test_days_of_several_calendars_are_counted_together() -> None:
    two = [
        calendar([row("2026-11-16", "closed")], {}),
        calendar([row("2026-11-09", "closed"), row("2026-11-10", "zero")], {}),
    ]
    assert counts_of(two) == (("closed", 2), ("zero", 1))
    assert [each.title for each in two] == ["2026-11-16 to 2026-11-16", "2026-11-09 to 2026-11-10"]


def test_missing_days_that_follow_one_another_for_the_same_reason_are_one_line() -> None:
    status = {
        "sources": [
            {"source": "local", "failed": [{"day": f"2026-10-0{day}", "reason": "It is away."} for day in (1, 2, 3, 6)]}
        ]
    }
    days = ["2026-10-01", "2026-10-02", "2026-10-03", "2026-10-04", "2026-10-06"]
    found = list(missing_days(days, reasons_of(status)))
    assert [(str(each.first), str(each.last), each.reason) for each in found] == [
        ("2026-10-01", "2026-10-03", "local: It is away."),
        ("2026-10-04", "2026-10-04", CLOSES_ITSELF),
        ("2026-10-06", "2026-10-06", "local: It is away."),
    ]
    assert isinstance(found[0], MissingDays)
