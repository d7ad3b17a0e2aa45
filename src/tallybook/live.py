"""Today, as the logs have it so far."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tallybook.content import DayContent
from tallybook.days import day_of
from tallybook.errors import CloseFailed, LogsError
from tallybook.source import Slicing, Source

LIVE_FOR = timedelta(seconds=10)
"""How long today's figures of somebody else's database are shown before it is asked again."""


class LiveDays:
    """Today's content of sources; that of all but `own` is remembered for `LIVE_FOR`. Thread-safe."""

    def __init__(self, slicing: Slicing, own: Source) -> None:
        self._slicing = slicing
        self._own = own
        self._remembered: dict[str, tuple[datetime, DayContent]] = {}

    def read(self, sources: Iterable[Source], now: datetime) -> tuple[dict[str, DayContent], dict[str, str]]:
        """Today's content by source, and why it cannot be had from the others."""
        live, unreachable = {}, {}
        for source in sources:
            try:
                live[source.name] = self._day(source, now)
            except (CloseFailed, LogsError) as error:
                unreachable[source.name] = error.message
        return live, unreachable

    def _day(self, source: Source, now: datetime) -> DayContent:
        if source is self._own:
            return self._ask(source, now)
        remembered = self._remembered.get(source.name)
        if remembered and remembered[1].day == day_of(now) and now - LIVE_FOR < remembered[0] <= now:
            return remembered[1]
        content = self._ask(source, now)
        self._remembered[source.name] = (now, content)
        return content

    def _ask(self, source: Source, now: datetime) -> DayContent:
        return next(source.contents([day_of(now)], self._slicing))
