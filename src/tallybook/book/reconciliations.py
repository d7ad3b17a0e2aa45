"""Closed days that their source tells differently now: a note that changes with it, and no part of the chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
import sqlalchemy as sa

from tallybook.book.engine import appending, reading
from tallybook.book.entries import as_text
from tallybook.book.schema import comparisons, reconciliations
from tallybook.days import format_instant
from tallybook.measures import MEASURE_NAMES, Totals

COMPARED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Reconciliation:
    """A day that differs: `drift`, or `source-gone` where the source has fewer records than the book; since when."""

    source: str
    day: date
    state: str
    since: str
    change: Totals


class Reconciliations:
    """The notes of an open book. Thread-safe; every method is one transaction and raises `BookError` for its faults."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, source: str | None = None) -> dict[date, Reconciliation]:
        """The source's days that differed when they were last compared."""
        return {note.day: note for note in self.list() if source in (None, note.source)}

    def list(self) -> list[Reconciliation]:
        """Every note, by source and day."""
        query = sa.select(reconciliations).order_by(reconciliations.c.source, reconciliations.c.day)
        with reading(self._engine) as connection:
            return [_note(row) for row in connection.execute(query)]

    def compared_at(self) -> dict[str, str]:
        """When each source was last compared, to within `COMPARED_WITHIN`."""
        with reading(self._engine) as connection:
            return {row.source: row.compared_at for row in connection.execute(sa.select(comparisons))}

    def note(
        self,
        source: str,
        days: Iterable[date],
        found: dict[date, tuple[str, Totals]],
        now: datetime,
        whole: bool = False,
    ) -> None:
        """Notes what comparing the days found; those in which nothing differs any more are forgotten.

        Only who compared the days `whole` can tell that slices agree again where the totals never differed. `since`
        stays for as long as a day is in the same state, unless it is in the future, as after a clock went back. Nothing
        is written where nothing is new.
        """
        self._note_comparison(source, now)
        known = self.of(source)
        agreed = [day for day in days if day not in found and day in known and (whole or any(known[day].change))]
        ahead = {day for day, note in known.items() if note.since > format_instant(now)}
        news = {
            day: told for day, told in found.items() if day in ahead or day not in known or told != _told(known[day])
        }
        if not agreed and not news:
            return
        rows = [
            {
                "source": source,
                "day": day.isoformat(),
                "state": state,
                "since": _since(known.get(day), state, now),
                "change": as_text(dict(zip(MEASURE_NAMES, change, strict=True))),
            }
            for day, (state, change) in news.items()
        ]
        stale = [day.isoformat() for day in (*agreed, *news)]
        with appending(self._engine) as connection:
            connection.execute(
                sa.delete(reconciliations).where(reconciliations.c.source == source, reconciliations.c.day.in_(stale))
            )
            if rows:
                connection.execute(sa.insert(reconciliations), rows)

    def _note_comparison(self, source: str, now: datetime) -> None:
        """Seldom: that a source agrees must not be written each minute."""
        before = self.compared_at().get(source)
        if before is not None and before > format_instant(now - COMPARED_WITHIN):
            return
        with appending(self._engine) as connection:
            connection.execute(sa.delete(comparisons).where(comparisons.c.source == source))
            connection.execute(sa.insert(comparisons), {"source": source, "compared_at": format_instant(now)})


def _told(note: Reconciliation) -> tuple[str, Totals]:
    return note.state, note.change


def _since(known: Reconciliation | None, state: str, now: datetime) -> str:
    began = format_instant(now)
    return min(known.since, began) if known and known.state == state else began


def _note(row: sa.Row[tuple[str, str, str, str, str]]) -> Reconciliation:
    change = msgspec.json.decode(row.change, type=dict[str, int])
    totals = tuple(change.get(name, 0) for name in MEASURE_NAMES)
    return Reconciliation(row.source, date.fromisoformat(row.day), row.state, row.since, totals)
