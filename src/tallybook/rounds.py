"""Which closed days a server compares with their source, and how often it may ask somebody else's database."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

RECENT_DAYS = 7
"""Late records mostly come within a week: these days are compared at every tick."""

SLOW_DAYS = 31
"""How many of the older days are compared besides, one stretch after another, until the round begins anew."""

REST = 50
"""A source is left alone for fifty times as long as its last comparison took: it may cost 2 % of its time."""

REST_AFTER_FAULT = timedelta(minutes=10)


@dataclass
class Rounds:
    """The rounds over all sources. Thread-safe; forgotten at a restart, which only begins them anew."""

    _through: dict[str, date] = field(default_factory=dict)
    _rests: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, source: str, closed: Collection[date], now: datetime) -> list[date]:
        """The days to be compared at this tick, ascending; none while the source rests.

        A clock that has gone back to before a rest began ends the rest: it may have been days ahead.
        """
        with self._lock:
            since, until = self._rests.get(source, (now, now))
            if since <= now < until:
                return []
            recent = sorted(closed)[-RECENT_DAYS:]
            older = sorted(set(closed) - set(recent))
            through = self._through.get(source, date.min)
            stretch = ([day for day in older if day > through] or older)[:SLOW_DAYS]
            if stretch:
                self._through[source] = stretch[-1]
            return [*stretch, *recent]

    def note(self, source: str, begun: datetime, ended: datetime, faulty: bool = False) -> None:
        """Notes how long the comparison took, and whether the source answered at all."""
        with self._lock:
            rest = REST_AFTER_FAULT if faulty else REST * max(ended - begun, timedelta())
            self._rests[source] = ended, ended + rest
