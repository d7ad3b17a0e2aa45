"""Drift: what a source says now of a closed day, minus what was closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from tallybook.book.ledger import Book, Closing
from tallybook.days import runs_of
from tallybook.digest import digest_day, safe_integers
from tallybook.measures import MEASURE_NAMES, NOTHING, REQUESTS, Totals
from tallybook.source import Slicing, Source


@dataclass(frozen=True)
class Drift:
    """A closed day that its source now tells differently; `change` holds the signed measures."""

    source: str
    day: date
    state: str
    change: Totals

    def as_json(self) -> dict[str, Any]:
        change = {name: value for name, value in zip(MEASURE_NAMES, self.change, strict=True) if value}
        return {
            "source": self.source,
            "day": self.day.isoformat(),
            "state": self.state,
            "change": safe_integers(change),
        }


def find_drift(book: Book, source: Source, days: Sequence[date], slicing: Slicing) -> Iterator[Drift]:
    """The ascending closed days whose content is no longer what was closed.

    `drift` where records were added or changed; `source-gone` where the source has fewer than were closed, as after
    its logs were pruned: then the book is the better witness. A source that has since
    learned to tell what it could not is no drift.
    """
    if not days:
        return
    closings = {closing.day: closing for closing in book.closings(source.name, days[0], days[-1])}
    closed_totals = {stat.day: stat.totals for stat in book.daily_stats(source.name, days[0], days[-1])}
    for run in runs_of(days, source.days_per_read):
        for content in source.contents(run, slicing):
            closing = closings[content.day]
            if digest_day(replace(content, unknown=closing.unknown_measures)) != closing.digest:
                yield _drift(closings[content.day], closed_totals.get(content.day, NOTHING), content.totals)


def _drift(closing: Closing, closed: Totals, now: Totals) -> Drift:
    change = tuple(after - before for after, before in zip(now, closed, strict=True))
    return Drift(closing.source, closing.day, "source-gone" if change[REQUESTS] < 0 else "drift", change)
