"""The status of sources: how each stands, and why days that are missing could not be closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from tallybook import demo
from tallybook.book.ledger import Book
from tallybook.days import last_closable
from tallybook.errors import LogsError
from tallybook.failed_days import FailedDays
from tallybook.logs.own import OwnLogs
from tallybook.source import Source
from tallybook.sources.attached import AttachedSource
from tallybook.standing import Standing, standing_of


@dataclass(frozen=True)
class StatusReader:
    """Asks book, logs and the reasons that were kept; an attached source only where nobody has tried it yet."""

    book: Book
    logs: OwnLogs
    failures: FailedDays
    clock: Callable[[], datetime]

    def standing(self, source: Source) -> Standing:
        """How the source stands, as far as is known without asking it."""
        return self._standing(source, self.failures.of(source.name))

    def source(self, source: Source) -> dict[str, Any]:
        """How the source stands, for an answer."""
        failures = self.failures.of(source.name)
        standing = self._standing(source, failures)
        open_days = standing.missing or ((last_closable(self.clock()),) if standing.first_day is None else ())
        if isinstance(source, AttachedSource) and (unasked := set(open_days) - set(failures)):
            standing = self._standing(source, {**failures, **_why_not(source, unasked)})
        return {**standing.as_json(), "synthetic": source is self.logs and self.logs.holds_import(demo.LABEL)}

    def _standing(self, source: Source, failures: Mapping[date, str]) -> Standing:
        """A day that failed is missing, and a source that was never reached has no other missing days."""
        counts = None
        with suppress(LogsError):  # what the book has is told even while the logs are away
            counts = self.logs.counts() if source is self.logs else None
        standing = standing_of(self.book, source, self.clock(), failures, counts)
        if standing.first_day is None:
            return replace(standing, missing=tuple(sorted(standing.failed)))
        return replace(standing, failed={day: why for day, why in standing.failed.items() if day in standing.missing})


def _why_not(source: AttachedSource, days: Iterable[date]) -> dict[date, str]:
    """Why missing days that nobody tried to close yet could not be, as far as looking at the source tells."""
    try:
        source.inspection()
    except LogsError as error:
        return dict.fromkeys(days, error.message)
    return {}
