"""Today, as the logs have it so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta

from tallybook.content import DayContent
from tallybook.days import day_of
from tallybook.errors import CloseFailed, LogsError
from tallybook.source import Slicing, Source

LIVE_FOR = timedelta(seconds=10)
"""How long today's figures of somebody else's database are shown before it is asked again."""

Told = DayContent | str
"""What a source says of today: its content, or why it cannot be had."""

_once: ContextVar[dict[tuple[str, date], Told] | None] = ContextVar("once", default=None)


@contextmanager
def today_once() -> Iterator[Mapping[tuple[str, date], Told]]:
    """While this lasts a source is asked for today once at most, so that all answers given meanwhile agree.

    It holds for the caller alone; what is told is in the mapping, by source and day.
    """
    told: dict[tuple[str, date], Told] = {}
    before = _once.set(told)
    try:
        yield told
    finally:
        _once.reset(before)


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
            told = self._told(source, now)
            if isinstance(told, str):
                unreachable[source.name] = told
            else:
                live[source.name] = told
        return live, unreachable

    def _told(self, source: Source, now: datetime) -> Told:
        told, asked = _once.get(), (source.name, day_of(now))
        if told is None:
            return self._tried(source, now)
        if asked not in told:
            told[asked] = self._tried(source, now)
        return told[asked]

    def _tried(self, source: Source, now: datetime) -> Told:
        try:
            return self._day(source, now)
        except (CloseFailed, LogsError) as error:
            return error.message

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
