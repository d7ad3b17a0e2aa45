"""The bookkeeper: every operation of tallybook, on an open book and open logs.

The commands and the HTTP handlers both ask it, so that they cannot differ. Operations take and give plain JSON values;
long ones tell a `Watch` how they get on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tallybook import demo
from tallybook.book.ledger import Book, Closing
from tallybook.closing import Result, first_known_day
from tallybook.config import Settings
from tallybook.content import DayContent
from tallybook.days import ONE_DAY, day_of, days_between, last_closable, parse_day
from tallybook.errors import UnknownName, UsageError
from tallybook.home import prepare_home, write_anchor
from tallybook.job import DailyStatsJob
from tallybook.logs.collector import Collector, Receipt
from tallybook.logs.fields import Unit
from tallybook.logs.importing import Reading, import_files
from tallybook.logs.store import LogStore, parse_logs_url
from tallybook.periods import Period, between, parse_period
from tallybook.reconcile import find_drift
from tallybook.records import Batch
from tallybook.source import Source
from tallybook.stats import Sources, StatsQuery, StatsReader, daily_row
from tallybook.verification import Anchor, verify_book

Answer = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """Who follows a long operation: told of progress and of each result, asked whether to stop."""

    on_progress: Callable[[str, float | None], None] = lambda _stage, _done: None
    on_result: Callable[[Answer], None] = lambda _result: None
    cancelled: Callable[[], bool] = lambda: False


class Bookkeeper:
    """Holds the book and the logs of one home. Thread-safe; `clock` is the only clock that its operations see."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._settings = settings
        with ExitStack() as stack:
            prepare_home(settings.home)
            logs_path = parse_logs_url(settings.logs)
            self.book = Book.open(settings.book, clock(), on_append=self._anchor)
            stack.callback(self.book.close)
            self.logs = LogStore.open(logs_path)
            stack.callback(self.logs.close)
            self._collector = Collector(self.logs)
            stack.callback(self._collector.close)
            self._open = stack.pop_all()
        self._stats = StatsReader(self.book)

    def close_all(self) -> None:
        """Stores what was accepted, then lets go of logs and book."""
        self._open.close()

    def _anchor(self, closing: Closing) -> None:
        try:
            write_anchor(self._settings.home, closing)
        except OSError as error:
            log.warning("head not anchored", extra={"seq": closing.seq, "error": str(error)})

    def now(self) -> datetime:
        """The time by the clock that this bookkeeper was given."""
        return self._clock()

    def sources(self) -> list[Source]:
        """The sources that count: our own logs from their first record on."""
        return [self.logs] if first_known_day(self.book, self.logs) is not None else []

    def job(self, source: str | None = None) -> DailyStatsJob:
        """The daily job over all sources, or the one that is named."""
        chosen = [each for each in self.sources() if source in (None, each.name)]
        if source is not None and not chosen:
            raise UnknownName(
                "source", source, [each.name for each in self.sources()] or ["(none yet: no records have arrived)"]
            )
        return DailyStatsJob(self.book, chosen, self._settings.slicing)

    def run_once(self, cancelled: Callable[[], bool] = lambda: False) -> list[Result]:
        """One tick of the scheduler."""
        return self.job().run_once(self.now(), cancelled)

    def collect(self, batch: Batch) -> Future[Receipt]:
        """Hands the batch's records to the logs; the future is done when they are durable."""
        return self._collector.deliver([row for _, row in batch.rows], self.now())

    def close(self, watch: Watch = Watch(), *, day: str | None = None, source: str | None = None) -> Answer:
        """Closes yesterday, or the day that is named."""
        chosen = parse_day(day) if day else last_closable(self.now())
        return _results(self.job(source).close(chosen, self.now()), watch)

    def backfill(self, watch: Watch = Watch(), *, first: str, last: str, source: str | None = None) -> Answer:
        """Closes every closable day of the inclusive range."""
        period = between(parse_day(first), parse_day(last))
        results = self.job(source).backfill_range(period.first, period.last, self.now(), watch.cancelled)
        return _results(results, watch, total=(period.last - period.first).days + 1)

    def stats(
        self,
        watch: Watch = Watch(),  # noqa: ARG002 - every operation is called alike
        *,
        period: str | None = None,
        first: str | None = None,
        last: str | None = None,
        by: str | None = None,
        source: str | None = None,
        basis: str = "adjusted",
        live: bool = False,
    ) -> Answer:
        """The statistics of a period, from closed days; with `live`, and for `today`, from today's logs too."""
        now = self.now()
        chosen = self._period(period, first, last, day_of(now))
        if live:
            chosen = chosen.with_live(day_of(now))
        query = StatsQuery(chosen, by, source, basis)
        first_days = {each.name: each.first_day() for each in self.sources()}
        live_days = self._live_days(day_of(now)) if chosen.live and chosen.first <= day_of(now) <= chosen.last else {}
        return self._stats.answer(query, Sources(first_days, live_days), last_closable(now))

    def _period(self, period: str | None, first: str | None, last: str | None, today: date) -> Period:
        if period is not None and (first is not None or last is not None):
            raise UsageError("Both a period and from/to are given.", "Give one of them.")
        if period is not None:
            known = [first_known_day(self.book, each) for each in self.sources()]
            return parse_period(period, today, min(filter(None, known), default=None))
        if first is None or last is None:
            raise UsageError("No period is given.", "Give period, or both from and to.")
        return between(parse_day(first), parse_day(last))

    def _live_days(self, today: date) -> dict[str, DayContent]:
        return {each.name: next(each.contents([today], self._settings.slicing)) for each in self.sources()}

    def daily_stats(self, first: str | None, last: str | None) -> Answer:
        """The original's rows of the closed days in a range; without one, of the last 30 days."""
        yesterday = day_of(self.now()) - ONE_DAY
        end = parse_day(last) if last else yesterday
        period = between(parse_day(first) if first else end - timedelta(days=29), end)
        rows = [stat for name in self.book.sources() for stat in self.book.daily_stats(name, period.first, period.last)]
        return {"days": [daily_row(stat) for stat in sorted(rows, key=lambda stat: (stat.day, stat.source))]}

    def status(self, watch: Watch = Watch()) -> Answer:  # noqa: ARG002 - every operation is called alike
        """How each source stands: its first day, how far it is closed, what is missing, drift, what may be pruned."""
        now = self.now()
        return {
            "now": now.isoformat(timespec="seconds"),
            "closings": self.book.last_seq(),
            "sources": [self._source_status(source, now) for source in self.sources()],
        }

    def _source_status(self, source: Source, now: datetime) -> Answer:
        missing = self.job(source.name).missing(now)[source.name]
        first_day = first_known_day(self.book, source)
        closings = {closing.day: closing for closing in self.book.closings(source.name)}
        counts = self.logs.counts()
        drift = {
            day: counts[day] - closings[day].records
            for day in counts
            if day in closings and counts[day] != closings[day].records
        }
        through = closed_through(first_day, set(closings))
        return {
            "source": source.name,
            "first_day": _iso(first_day),
            "closed_through": _iso(through),
            "days_closed": sum(closing.state == "closed" for closing in closings.values()),
            "days_zero": sum(closing.state == "zero" for closing in closings.values()),
            "missing": [day.isoformat() for day in missing],
            "drift": [{"day": day.isoformat(), "requests": change} for day, change in drift.items()],
            "records_in_logs": sum(counts.values()),
            "safe_to_prune_before": _iso(_safe_before(through, drift, counts)),
            "synthetic": self.logs.holds_import(demo.LABEL),
        }

    def closings(self, source: str | None = None) -> Answer:
        """Every closing, in order of sequence."""
        return {"closings": [closing.as_json() for closing in self.book.closings(source)]}

    def verify(self, anchors: Iterable[Anchor] | None = None) -> Answer:
        """The verdict on the whole chain."""
        return verify_book(self.book, anchors).as_json()

    def reconcile(self, watch: Watch = Watch(), *, first: str | None = None, last: str | None = None) -> Answer:
        """Compares closed days with what their sources say now."""
        drifts = []
        for source in self.sources():
            days = sorted(self.book.days_closed(source.name))
            chosen = [
                day for day in days if (not first or day >= parse_day(first)) and (not last or day <= parse_day(last))
            ]
            for drift in find_drift(self.book, source, chosen, self._settings.slicing):
                drifts.append(drift.as_json())
                watch.on_result(drift.as_json())
        return {"results": drifts}

    def import_files(
        self,
        watch: Watch = Watch(),
        *,
        files: list[str],
        columns: dict[str, str] | None = None,
        constants: dict[str, str] | None = None,
        unit: str = "ms",
        skip_invalid: bool = False,
    ) -> Answer:
        """Imports files into our own logs, each whole or not at all."""
        reading = Reading(columns or {}, constants or {}, Unit(unit), skip_invalid)
        results = []
        for imported in import_files(self.logs, [Path(file) for file in files], reading, self.now(), watch.on_progress):
            results.append(imported.as_json())
            watch.on_result(imported.as_json())
        return {"files": results}

    def prune(self, watch: Watch = Watch(), *, before: str) -> Answer:  # noqa: ARG002 - every operation is called alike
        """Deletes our own log records of days before `before` that are closed and have not drifted since."""
        closings = {closing.day: closing for closing in self.book.closings(self.logs.name)}
        deleted, kept = self.logs.delete_days(
            parse_day(before), lambda day, count, arrived_at: _why_keep(closings.get(day), count, arrived_at)
        )
        return {
            "deleted_records": sum(deleted.values()),
            "deleted_days": [day.isoformat() for day in deleted],
            "kept": [{"day": day.isoformat(), "reason": why} for day, why in kept.items()],
        }

    def fill_demo(self, watch: Watch = Watch(), *, days: int = 30) -> Answer:
        """Fills the logs with labelled synthetic traffic of the last `days` days and closes those that are over."""
        now = self.now()
        today = day_of(now)
        accepted = 0
        with self.logs.importing():
            for done, day in enumerate(days_between(today - timedelta(days=days), today)):
                watch.on_progress(f"demo traffic of {day}", done / (days + 1))
                accepted += self.logs.append(demo.traffic(day, today, now), now).accepted
            self.logs.note_import(demo.LABEL, accepted, now)
        closed = self.backfill(
            watch, first=(today - timedelta(days=days)).isoformat(), last=last_closable(now).isoformat()
        )
        return {"records": accepted, **closed}


OPERATIONS: dict[str, Callable[..., Answer]] = {
    "close": Bookkeeper.close,
    "backfill": Bookkeeper.backfill,
    "stats": Bookkeeper.stats,
    "status": Bookkeeper.status,
    "reconcile": Bookkeeper.reconcile,
    "import": Bookkeeper.import_files,
    "prune": Bookkeeper.prune,
    "demo": Bookkeeper.fill_demo,
}
"""The operations that a command may need the logs for, by name."""


def _results(results: Iterator[Result], watch: Watch, total: int = 1) -> Answer:
    listed = []
    watch.on_progress("reading the logs", None)
    for done, result in enumerate(results, start=1):
        listed.append(result.as_json())
        watch.on_progress(f"{result.day} {result.outcome}", min(done / total, 1))
        watch.on_result(result.as_json())
    return {"results": listed}


def closed_through(first_day: date | None, closed: set[date]) -> date | None:
    """The last day up to which every day from the first on is in the book."""
    if first_day is None or first_day not in closed:
        return None
    day = first_day
    while day + ONE_DAY in closed:
        day += ONE_DAY
    return day


def _safe_before(through: date | None, drift: dict[date, int], counts: dict[date, int]) -> date | None:
    """The day before which every log record is in the book: the first that is open or has grown since it was closed."""
    if through is None:
        return None
    grown = [day for day, change in drift.items() if change > 0 and day <= through and day in counts]
    return min([through + ONE_DAY, *grown])


def _why_keep(closing: Closing | None, count: int, arrived_at: datetime | None) -> str | None:
    """Why a day's records must not be deleted: the book has not got all of them."""
    if closing is None:
        return "not closed"
    closed_at = datetime.fromisoformat(closing.closed_at)
    if count > closing.records or (arrived_at is not None and arrived_at >= closed_at + timedelta(seconds=1)):
        return "records arrived after it was closed"
    return None


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
