"""The book's own page: every day by state, what is missing and why, each source, adjustments and the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallybook.book.entries import Adjustment
from tallybook.page.calendar import Calendar, calendar
from tallybook.page.figures import Row
from tallybook.page.standing import Standing, reasons_of

SHOWN_ENTRIES = 100


@dataclass(frozen=True)
class MissingDay:
    """A day that is over and not closed, and why, where a reason is known."""

    day: str
    reason: str


@dataclass(frozen=True)
class LedgerView:
    """All that the template shows."""

    calendar: Calendar
    standing: Standing
    sources: Sequence[Mapping[str, Any]]
    anchors: Sequence[Mapping[str, Any]]
    missing: tuple[MissingDay, ...]
    adjustments: tuple[Adjustment, ...]
    earlier: int
    """How many adjustments there are besides those that are shown."""


def ledger_view(status: Mapping[str, Any], days: Sequence[Row], adjustments: Sequence[Adjustment]) -> LedgerView:
    """The view of the status, the days of the calendar, and all adjustments in order of sequence."""
    reasons = reasons_of(status)
    missing = sorted({day for source in status["sources"] for day in source["missing"]})
    latest = tuple(reversed(adjustments[-SHOWN_ENTRIES:]))
    return LedgerView(
        calendar=calendar(days, reasons),
        standing=Standing.of(status),
        sources=status["sources"],
        anchors=status["chain"]["anchors"],
        missing=tuple(MissingDay(day, reasons.get(day, "")) for day in missing),
        adjustments=latest,
        earlier=len(adjustments) - len(latest),
    )
