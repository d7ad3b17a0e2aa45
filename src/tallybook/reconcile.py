"""Reconciling: what a source says now of closed days, against what the book knows of them.

Two comparisons. `find_changes` is the quick one: every measure of every day, from one grouped statement, which a server
can ask each minute. It would not see changes that cancel out within a day. `find_drift` reads the days whole, with
their slices and histograms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook.book.ledger import Book
from tallybook.change import change_between, subtract_totals
from tallybook.content import DayContent
from tallybook.days import runs_of
from tallybook.digest import safe_integers
from tallybook.measures import MEASURE_NAMES, REQUESTS, Totals
from tallybook.source import Slicing, Source

DRIFT = "drift"
SOURCE_GONE = "source-gone"


@dataclass(frozen=True)
class Drift:
    """A closed day that its source now tells differently; `change` holds the signed measures.

    `drift` where records were added or changed; `source-gone` where the source has fewer than the book, or we have
    pruned it ourselves, whatever has come since: then the book is the better witness.
    """

    source: str
    day: date
    change: Totals
    pruned: bool = False

    @property
    def state(self) -> str:
        return SOURCE_GONE if self.pruned or self.change[REQUESTS] < 0 else DRIFT

    def as_json(self) -> dict[str, Any]:
        change = {name: value for name, value in zip(MEASURE_NAMES, self.change, strict=True) if value}
        answer = {
            "source": self.source,
            "day": self.day.isoformat(),
            "state": self.state,
            "change": safe_integers(change),
        }
        return answer | ({"pruned": True} if self.pruned else {})


def find_changes(book: Book, source: Source, days: Sequence[date]) -> Iterator[Drift]:
    """The ascending closed days whose totals are no longer those that the book knows, adjustments counted."""
    pruned = book.prunings.days(source.name)
    for run in runs_of(days, source.days_per_read):
        known = book.known_totals(source.name, run[0], run[-1])
        for day, told in zip(run, source.totals(run), strict=True):
            if day in known and told != known[day]:
                yield Drift(source.name, day, subtract_totals(told, known[day]), day in pruned)


def find_drift(book: Book, source: Source, days: Sequence[date], slicing: Slicing) -> Iterator[Drift]:
    """The ascending closed days of which anything is no longer what the book knows, adjustments counted.

    Each day is read as it was sliced. A source that has since learned to tell what it could not is no drift.
    """
    pruned = book.prunings.days(source.name)
    for run in runs_of(days, source.days_per_read):
        known = {day: content for day in run if (content := book.known_content(source.name, day))}
        for alike, same in _sliced_alike(known, slicing):
            for content in source.contents(same, alike):
                if change := change_between(known[content.day], content):
                    yield Drift(source.name, content.day, change.totals, content.day in pruned)


def _sliced_alike(known: dict[date, DayContent], slicing: Slicing) -> Iterator[tuple[Slicing, list[date]]]:
    """The days, consecutive ones together where they can be read alike; an empty one goes with those before it."""
    alike, same = slicing, list[date]()
    for day, content in known.items():
        wanted = slicing.like(content) if content.dimensions else alike
        if same and wanted != alike:
            yield alike, same
            same = []
        alike = wanted
        same.append(day)
    if same:
        yield alike, same
