"""How a source stands: how far it is closed, what is missing and why, what has drifted, what is safe to prune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tallybook.book.entries import Closing
from tallybook.book.ledger import Book
from tallybook.closing import remembered_first_day
from tallybook.days import ONE_DAY, days_between, last_closable
from tallybook.measures import NOTHING, REQUESTS
from tallybook.reconcile import SOURCE_GONE
from tallybook.source import Source


@dataclass(frozen=True)
class Agreement:
    """Where a source and the book agree no more: closed days with more or other records, and days with fewer.

    `drift` has the signed number of requests, 0 where records were only changed. Days that we have pruned ourselves are
    no surprise; `late` counts records that have come for such a day since, which nothing can be compared with.
    """

    drift: Mapping[date, int]
    gone: frozenset[date]
    late: Mapping[date, int]


@dataclass(frozen=True)
class Standing:
    """One source against the book. `agreement` is None while the two were never compared."""

    source: str
    first_day: date | None
    closed_through: date | None
    last_closed: date | None
    days_closed: int
    days_zero: int
    missing: tuple[date, ...]
    failed: Mapping[date, str]
    agreement: Agreement | None
    compared_at: str | None
    adjustments: int
    pruned: Mapping[date, int]
    records_in_logs: int | None

    @property
    def drift(self) -> Mapping[date, int] | None:
        """The signed number of requests by day; None while unknown."""
        return self.agreement.drift if self.agreement else None

    @property
    def gone(self) -> frozenset[date] | None:
        """The closed days of which the source has lost records; None while unknown."""
        return self.agreement.gone if self.agreement else None

    def as_json(self) -> dict[str, Any]:
        agreement = self.agreement
        return {
            "source": self.source,
            "first_day": _iso(self.first_day),
            "closed_through": _iso(self.closed_through),
            "days_closed": self.days_closed,
            "days_zero": self.days_zero,
            "missing": [day.isoformat() for day in self.missing],
            "failed": [{"day": day.isoformat(), "reason": reason} for day, reason in sorted(self.failed.items())],
            "drift": _by_day(agreement.drift) if agreement else None,
            "source_gone": [day.isoformat() for day in sorted(agreement.gone)] if agreement else None,
            "late_after_pruning": _by_day(agreement.late) if agreement else None,
            "compared_at": self.compared_at,
            "adjustments": self.adjustments,
            "days_pruned": len(self.pruned),
            "pruned_through": _iso(max(self.pruned, default=None)),
            "records_in_logs": self.records_in_logs,
            "safe_to_prune_before": _iso(_safe_before(self.closed_through, agreement)),
        }


def standing_of(
    book: Book, source: Source, now: datetime, failures: Mapping[date, str], counts: Mapping[date, int] | None
) -> Standing:
    """The source as the book has it; nothing is asked of the source itself.

    `counts` are its records by day, where they cost nothing to know: they tell at once what else the last comparison
    told.
    """
    closings = {closing.day: closing for closing in book.closings(source.name)}
    first_day = remembered_first_day(book, source)
    closable = days_between(first_day, last_closable(now)) if first_day else ()
    pruned = book.prunings.days(source.name)
    compared_at = book.reconciliations.compared_at().get(source.name)
    told = compared_at is not None or counts is not None
    return Standing(
        source=source.name,
        first_day=first_day,
        closed_through=closed_through(first_day, set(closings)),
        last_closed=max(closings, default=None),
        days_closed=sum(closing.state == "closed" for closing in closings.values()),
        days_zero=sum(closing.state == "zero" for closing in closings.values()),
        missing=tuple(day for day in closable if day not in closings),
        failed={day: reason for day, reason in failures.items() if day not in closings},
        agreement=_agreement(book, source.name, closings, pruned, counts) if told else None,
        compared_at=compared_at,
        adjustments=sum(mark.source == source.name for mark in book.adjustment_marks()),
        pruned=pruned,
        records_in_logs=None if counts is None else sum(counts.values()),
    )


def gone_days(book: Book) -> dict[str, set[date]]:
    """The closed days, by source, of which the source had lost records when it was last asked, but for pruned ones."""
    gone: dict[str, set[date]] = {}
    for note in book.reconciliations.list():
        if note.state == SOURCE_GONE:
            gone.setdefault(note.source, set()).add(note.day)
    return {source: days - book.prunings.days(source).keys() for source, days in gone.items()}


def closed_through(first_day: date | None, closed: set[date]) -> date | None:
    """The last day up to which every day from the first on is in the book."""
    if first_day is None or first_day not in closed:
        return None
    day = first_day
    while day + ONE_DAY in closed:
        day += ONE_DAY
    return day


def _agreement(
    book: Book,
    source: str,
    closings: Mapping[date, Closing],
    pruned: Mapping[date, int],
    counts: Mapping[date, int] | None,
) -> Agreement:
    notes = {day: note for day, note in book.reconciliations.of(source).items() if day in closings}
    drift = {day: note.change[REQUESTS] for day, note in notes.items() if note.state != SOURCE_GONE}
    gone = {day for day, note in notes.items() if note.state == SOURCE_GONE}
    late: dict[date, int] = {}
    if counts is not None:
        adjusted = book.adjusted_totals(source)
        change = {
            day: counts.get(day, 0) - closing.records - adjusted.get(day, NOTHING)[REQUESTS]
            for day, closing in closings.items()
        }
        drift = {day: change[day] for day in closings if change[day] > 0 or (change[day] == 0 and drift.get(day) == 0)}
        gone = {day for day in closings if change[day] < 0}
        late = {day: counts[day] for day in sorted(pruned) if day in counts and change.get(day)}
    kept = {day: requests for day, requests in sorted(drift.items()) if day not in pruned}
    return Agreement(kept, frozenset(gone - pruned.keys()), late)


def _safe_before(through: date | None, agreement: Agreement | None) -> date | None:
    """The day before which every log record is in the book: the first that is open or has drifted."""
    if through is None:
        return None
    drifted = [day for day in (agreement.drift if agreement else ()) if day <= through]
    return min([through + ONE_DAY, *drifted])


def _by_day(changes: Mapping[date, int]) -> list[dict[str, Any]]:
    return [{"day": day.isoformat(), "requests": change} for day, change in changes.items()]


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
