"""The book's own page: every day by state, what is missing and why, each source, adjustments and the chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from tallybook.book.entries import Adjustment
from tallybook.days import consecutive_runs
from tallybook.measures import REQUESTS
from tallybook.page.absence import CLOSES_ITSELF
from tallybook.page.calendar import Calendar, Since, calendar, counts_of
from tallybook.page.figures import Row
from tallybook.page.standing import Standing, reasons_of

SHOWN_ENTRIES = 100
SHOWN_RANGES = 60


@dataclass(frozen=True)
class MissingDays:
    """Consecutive days that are over and not closed, all for the same reason."""

    first: date
    last: date
    reason: str


@dataclass(frozen=True)
class LedgerView:
    """All that the template shows."""

    calendars: tuple[Calendar, ...]
    counts: tuple[tuple[str, int], ...]
    standing: Standing
    sources: Sequence[Mapping[str, Any]]
    anchors: Sequence[Mapping[str, Any]]
    missing: tuple[MissingDays, ...]
    more_missing: int
    """How many ranges there are besides those that are shown."""

    to_close: tuple[str, str] | None
    """The first and the last day that are missing."""

    adjustments: tuple[Adjustment, ...]
    earlier: int
    """How many adjustments there are besides those that are shown."""


def ledger_view(
    status: Mapping[str, Any],
    calendars: Sequence[Sequence[Row]],
    adjustments: Sequence[Adjustment],
    lost: Mapping[str, int],
) -> LedgerView:
    """The view of the status, the days of each calendar, all adjustments in order of sequence, and how many requests
    the sources have lost of which day."""
    reasons, since = reasons_of(status), Since(additions(adjustments), lost)
    days = sorted({day for source in status["sources"] for day in source["missing"]})
    missing = tuple(missing_days(days, reasons))
    drawn = tuple(calendar(rows, reasons, since) for rows in calendars)
    latest = tuple(reversed(adjustments[-SHOWN_ENTRIES:]))
    return LedgerView(
        calendars=drawn,
        counts=counts_of(drawn),
        standing=Standing.of(status),
        sources=status["sources"],
        anchors=status["chain"]["anchors"],
        missing=missing[:SHOWN_RANGES],
        more_missing=max(len(missing) - SHOWN_RANGES, 0),
        to_close=(days[0], days[-1]) if days else None,
        adjustments=latest,
        earlier=len(adjustments) - len(latest),
    )


def additions(adjustments: Sequence[Adjustment]) -> dict[str, str]:
    """What was added to each day that was restated: by how many requests in all, and the latest reason."""
    by_day: dict[str, list[Adjustment]] = {}
    for entry in adjustments:
        by_day.setdefault(str(entry.day), []).append(entry)
    return {day: _added(entries) for day, entries in by_day.items()}


def _added(entries: Sequence[Adjustment]) -> str:
    requests = sum(entry.change.totals[REQUESTS] for entry in entries)
    noun = "request" if abs(requests) == 1 else "requests"
    return f"{requests:+,} {noun}, {'the latest: ' if len(entries) > 1 else ''}{entries[-1].reason}"


def missing_days(days: Sequence[str], reasons: Mapping[str, str]) -> Iterator[MissingDays]:
    """The days in order, those that follow one another and share a reason together."""
    for reason, same in groupby(days, key=lambda day: reasons.get(day, CLOSES_ITSELF)):
        for run in consecutive_runs([date.fromisoformat(day) for day in same]):
            yield MissingDays(run[0], run[-1], reason)
