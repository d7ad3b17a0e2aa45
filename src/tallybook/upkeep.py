"""What a server does by itself at every tick: close, anchor, compare, adjust, prune."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.book.reconciliations import Reconciliation
from tallybook.closing import Result
from tallybook.config import Settings
from tallybook.days import day_of
from tallybook.errors import CloseFailed, LogsError, TallybookError
from tallybook.job import MAX_SOURCES_AT_ONCE, QUIET, DailyStatsJob
from tallybook.logs.own import OwnLogs
from tallybook.pruning import prune
from tallybook.reconcile import DRIFT, find_changes, find_drift
from tallybook.rounds import Rounds
from tallybook.source import Source

log = logging.getLogger(__name__)

Cancelled = Callable[[], bool]


@dataclass
class Upkeep:
    """The standing orders of one home. Every step asks what is to be done, so that a lost tick does no harm."""

    book: Book
    logs: OwnLogs
    settings: Settings
    clock: Callable[[], datetime]
    _rounds: Rounds = field(default_factory=Rounds)
    _pruned_before: date | None = None

    def close(self, sources: Sequence[Source], cancelled: Cancelled) -> list[Result]:
        """Closes what is missing."""
        return DailyStatsJob(self.book, sources, self.settings.slicing).run_once(self.clock(), cancelled)

    def compare(self, sources: Sequence[Source], cancelled: Cancelled) -> None:
        """Compares closed days with their sources, as the rounds say, and posts drift that has lasted long enough."""
        with ThreadPoolExecutor(MAX_SOURCES_AT_ONCE, thread_name_prefix="comparing") as pool:
            list(pool.map(lambda source: self._compare(source, cancelled), sources))

    def _compare(self, source: Source, cancelled: Cancelled) -> None:
        begun = self.clock()
        try:
            days = [] if cancelled() or source.busy() else self._chosen(source, begun)
            if days:
                self._look(source, days, begun)
                self._rounds.note(source.name, begun, self.clock())
            self._adjust(source, begun, cancelled)
        except (LogsError, CloseFailed) as error:
            self._rounds.note(source.name, begun, self.clock(), faulty=True)
            log.warning("not compared", extra={"source": source.name, "error": error.message})

    def _chosen(self, source: Source, now: datetime) -> list[date]:
        return self._rounds.choose(source.name, self.book.days_closed(source.name), now)

    def _look(self, source: Source, days: Sequence[date], now: datetime) -> None:
        found = {drift.day: (drift.state, drift.change) for drift in find_changes(self.book, source, days)}
        self.book.reconciliations.note(source.name, days, found, now)

    def _look_closely(self, source: Source, day: date, now: datetime) -> None:
        drifts = find_drift(self.book, source, [day], self.settings.slicing)
        found = {drift.day: (drift.state, drift.change) for drift in drifts}
        self.book.reconciliations.note(source.name, [day], found, now, whole=True)

    def _adjust(self, source: Source, now: datetime, cancelled: Cancelled) -> None:
        patience_days = self.settings.adjust_after_days
        if patience_days is None or source.busy():
            return
        for day, note in self.book.reconciliations.of(source.name).items():
            if not cancelled() and _is_due(note, now, patience_days) and _is_quiet(source, day, now):
                adjust_day(self.book, source, day, now, self.settings.slicing)
                self._look_closely(source, day, now)

    def prune(self) -> None:
        """Deletes the logs of days that are kept no longer; once for each new day."""
        if self.settings.keep_logs_days is None or self.logs.busy():
            return
        now = self.clock()
        before = day_of(now) - timedelta(days=self.settings.keep_logs_days)
        if before == self._pruned_before:
            return
        try:
            prune(self.book, self.logs, before, now, self.settings.slicing, self.settings.prune_archive)
            self._pruned_before = before
        except TallybookError as error:
            log.warning("logs not pruned", extra={"error": error.message})


def _is_due(note: Reconciliation, now: datetime, patience_days: int) -> bool:
    return note.state == DRIFT and now - datetime.fromisoformat(note.since) >= timedelta(days=patience_days)


def _is_quiet(source: Source, day: date, now: datetime) -> bool:
    """Whether no record of the day has arrived for a while: what comes in pieces is posted as one."""
    arrived_at = source.arrived_at(day)
    return arrived_at is None or abs(now - arrived_at) >= QUIET
