"""The bookkeeper: every operation of tallybook, on an open book and open logs.

The commands and the HTTP handlers both ask it, so that they cannot differ. Operations take and give plain JSON values;
long ones tell a `Watch` how they get on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallybook import demo
from tallybook.book.ledger import Book, Closing
from tallybook.closing import Result, remembered_first_day
from tallybook.collect.intake import Intake
from tallybook.config import Settings
from tallybook.days import ONE_DAY, day_of, days_between, last_closable, parse_day
from tallybook.declaration import Declaration
from tallybook.errors import LogsError, TallybookError, UnknownName, UsageError
from tallybook.failed_days import FailedDays
from tallybook.home import prepare_home, write_anchor
from tallybook.job import DailyStatsJob
from tallybook.live import LiveDays
from tallybook.logs.columns import stored_table
from tallybook.logs.fields import Unit
from tallybook.logs.importing import Reading, import_files
from tallybook.logs.opening import find_logs
from tallybook.periods import Period, between, parse_period
from tallybook.prices import PriceList
from tallybook.reconcile import find_drift
from tallybook.source import Source
from tallybook.sources.attached import AttachedSource
from tallybook.sources.registry import Registry
from tallybook.sources.urls import SourceUrl
from tallybook.standing import Standing, closed_through, standing_of
from tallybook.stats import Sources, StatsQuery, StatsReader, daily_row
from tallybook.verification import Anchor, verify_book

if TYPE_CHECKING:
    from tallybook.sources.inspection import Findings

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
            open_logs = find_logs(settings.logs)
            self.book = Book.open(settings.book, clock(), on_append=self._anchor)
            stack.callback(self.book.close)
            self.logs = open_logs()
            stack.callback(self.logs.close)
            self._prices = PriceList.load(settings.prices)
            self.intake = Intake(self.logs, self._prices, clock)
            stack.callback(self.intake.close)
            self._registry = Registry(settings.home, settings.attached)
            self._open = stack.pop_all()
        self._stats = StatsReader(self.book)
        self._failures = FailedDays(settings.home)
        self._looked_on: date | None = None
        self._live = LiveDays(settings.slicing, self.logs)

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
        """The sources that count: our own logs from their first record on, and those that are attached."""
        own = [self.logs] if remembered_first_day(self.book, self.logs) is not None else []
        return [*own, *self._registry.sources()]

    def job(self, source: str | None = None) -> DailyStatsJob:
        """The daily job over all sources, or the one that is named."""
        chosen = [each for each in self.sources() if source in (None, each.name)]
        if source is not None and not chosen:
            raise UnknownName(
                "source", source, [each.name for each in self.sources()] or ["(none yet: no records have arrived)"]
            )
        return DailyStatsJob(self.book, chosen, self._settings.slicing)

    def run_once(self, cancelled: Callable[[], bool] = lambda: False) -> list[Result]:
        """One tick of the scheduler. Once a day attached sources are asked anew for their first day."""
        now = self.now()
        if self._looked_on != day_of(now):
            self._forget_first_days()
            self._looked_on = day_of(now)
        results = self.job().run_once(now, cancelled)
        self._note(results)
        return results

    def _forget_first_days(self) -> None:
        for source in self._registry.sources():
            source.forget()

    def _note(self, results: Iterable[Result]) -> None:
        """Keeps why days failed until they are closed, for `status`."""
        self._failures.note(results)

    def close(self, watch: Watch = Watch(), *, day: str | None = None, source: str | None = None) -> Answer:
        """Closes yesterday, or the day that is named."""
        chosen = last_closable(self.now()) if day is None else parse_day(day)
        self._forget_first_days()
        return self._results(self.job(source).close(chosen, self.now()), watch)

    def backfill(self, watch: Watch = Watch(), *, first: str, last: str, source: str | None = None) -> Answer:
        """Closes every closable day of the inclusive range."""
        period = between(parse_day(first), parse_day(last))
        self._forget_first_days()
        job = self.job(source)
        results = job.backfill_range(period.first, period.last, self.now(), watch.cancelled)
        return self._results(results, watch, total=((period.last - period.first).days + 1) * len(job.sources))

    def _results(self, results: Iterator[Result], watch: Watch, total: int = 1) -> Answer:
        listed = []
        watch.on_progress("reading the logs", None)
        for done, result in enumerate(results, start=1):
            self._note([result])
            listed.append(result.as_json())
            watch.on_progress(f"{result.day} {result.outcome}", min(done / total, 1))
            watch.on_result(result.as_json())
        return {"results": listed}

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
        first_days = {each.name: remembered_first_day(self.book, each) for each in self.sources()}
        asked = [each for each in self.sources() if source in (None, each.name)]
        is_live = chosen.live and chosen.first <= day_of(now) <= chosen.last
        live_days, unreachable = self._live.read(asked, now) if is_live else ({}, {})
        answer = self._stats.answer(query, Sources(first_days, live_days), last_closable(now))
        return answer | ({"unreachable": unreachable} if unreachable else {})

    def _period(self, period: str | None, first: str | None, last: str | None, today: date) -> Period:
        if period is not None and (first is not None or last is not None):
            raise UsageError("Both a period and from/to are given.", "Give one of them.")
        if period is not None:
            known = [remembered_first_day(self.book, each) for each in self.sources()]
            return parse_period(period, today, min(filter(None, known), default=None))
        if first is None or last is None:
            raise UsageError("No period is given.", "Give period, or both from and to.")
        return between(parse_day(first), parse_day(last))

    def daily_stats(self, first: str | None, last: str | None) -> Answer:
        """The original's rows of the closed days in a range; without one, of the last 30 days."""
        yesterday = day_of(self.now()) - ONE_DAY
        end = yesterday if last is None else parse_day(last)
        period = between(end - timedelta(days=29) if first is None else parse_day(first), end)
        names = self.book.sources()
        rows = [stat for name in names for stat in self.book.daily_stats(name, period.first, period.last)]
        unknown = {
            (closing.source, closing.day): closing.unknown_measures
            for closing in self.book.closings(None, period.first, period.last)
        }
        ordered = sorted(rows, key=lambda stat: (stat.day, stat.source))
        return {"days": [daily_row(stat, unknown.get((stat.source, stat.day), ())) for stat in ordered]}

    def status(self, watch: Watch = Watch()) -> Answer:  # noqa: ARG002 - every operation is called alike
        """How each source stands: its first day, how far it is closed, what is missing, drift, what may be pruned."""
        now = self.now()
        return {
            "now": now.isoformat(timespec="seconds"),
            "closings": self.book.last_seq(),
            "sources": [self._source_status(source) for source in self.sources()],
        }

    def standings(self) -> list[Standing]:
        """How each source stands, as far as is known without asking it."""
        return [self._standing(source, self._failures.of(source.name)) for source in self.sources()]

    def _standing(self, source: Source, failures: Mapping[date, str]) -> Standing:
        """A day that failed is missing, and a source that was never reached has no other missing days."""
        counts = None
        with suppress(LogsError):  # what the book has is told even while the logs are away
            counts = self.logs.counts() if source is self.logs else None
        standing = standing_of(self.book, source, self.now(), failures, counts)
        if standing.first_day is None:
            return replace(standing, missing=tuple(sorted(standing.failed)))
        return replace(standing, failed={day: why for day, why in standing.failed.items() if day in standing.missing})

    def _source_status(self, source: Source) -> Answer:
        failures = self._failures.of(source.name)
        standing = self._standing(source, failures)
        open_days = standing.missing or ((last_closable(self.now()),) if standing.first_day is None else ())
        if isinstance(source, AttachedSource) and (unasked := set(open_days) - set(failures)):
            standing = self._standing(source, {**failures, **self._why_not(source, unasked)})
        return {**standing.as_json(), "synthetic": source is self.logs and self.logs.holds_import(demo.LABEL)}

    def _why_not(self, source: AttachedSource, days: Iterable[date]) -> dict[date, str]:
        """Why missing days that nobody tried to close yet could not be, as far as looking at the source tells."""
        try:
            source.inspection()
        except LogsError as error:
            return dict.fromkeys(days, error.message)
        return {}

    def closings(self, source: str | None = None) -> Answer:
        """Every closing, in order of sequence."""
        return {"closings": [closing.as_json() for closing in self.book.closings(source)]}

    def verify(self, anchors: Iterable[Anchor] | None = None) -> Answer:
        """The verdict on the whole chain."""
        return verify_book(self.book, anchors).as_json()

    def reconcile(self, watch: Watch = Watch(), *, first: str | None = None, last: str | None = None) -> Answer:
        """Compares closed days with what their sources say now; a source that says nothing is named in `failed`."""
        drifts, silent = [], []
        earliest = date.min if first is None else parse_day(first)
        latest = date.max if last is None else parse_day(last)
        for source in self.sources():
            days = sorted(self.book.days_closed(source.name))
            chosen = [day for day in days if earliest <= day <= latest]
            try:
                for drift in find_drift(self.book, source, chosen, self._settings.slicing):
                    drifts.append(drift.as_json())
                    watch.on_result(drift.as_json())
            except LogsError as error:
                silent.append({"source": source.name, "reason": error.message})
        return {"results": drifts, "failed": silent}

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
        paths = [Path(file) for file in files]
        for imported in import_files(self.logs, paths, reading, self.now(), watch.on_progress, self._prices):
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
                accepted += self.logs.append(stored_table(demo.traffic(day, today, now)), now).accepted
            self.logs.note_import(demo.LABEL, accepted, now)
        closed = self.backfill(
            watch, first=(today - timedelta(days=days)).isoformat(), last=last_closable(now).isoformat()
        )
        return {"records": accepted, **closed}

    def attach(
        self,
        watch: Watch = Watch(),
        *,
        name: str,
        url: str,
        preset: str = "log_records",
        query: str | None = None,
        columns: dict[str, str] | None = None,
        settings: dict[str, str] | None = None,
    ) -> Answer:
        """Looks at somebody else's log table and, where it can be read, keeps it as a source."""
        self._registry.check_free(name)
        wanted = Declaration(
            name=name, url=url, preset=preset, query=query, columns=columns or {}, settings=settings or {}
        )
        watch.on_progress("looking at the source", None)
        found = self._examine(wanted)
        first_day = day_of(found.first) if found.first else None
        self._registry.add(found.inspection.pinned(first_day))
        return found.as_json()

    def _examine(self, declaration: Declaration) -> Findings:
        from tallybook.sources.inspection import examine  # noqa: PLC0415 - it imports Ibis, and most commands need none

        url = SourceUrl(declaration.url)
        try:
            return examine(declaration, self.now(), self._settings.slicing)
        except TallybookError as error:
            error.message, error.remedy = url.scrub(error.message), url.scrub(error.remedy)
            raise

    def attached_sources(self, watch: Watch = Watch()) -> Answer:  # noqa: ARG002 - every operation is called alike
        """The attached sources, as they were declared; none of them is asked anything."""
        return {"sources": [self._described(source) for source in self._registry.sources()]}

    def _described(self, source: AttachedSource) -> Answer:
        declaration = source.declaration
        closed = self.book.days_closed(source.name)
        return {
            "source": source.name,
            "url": SourceUrl(declaration.url).shown(),
            "preset": "query" if declaration.query else declaration.preset,
            "table": declaration.pinned.table if declaration.pinned else None,
            "declared_in": self._registry.origin_of(source.name),
            "first_day": _iso(min(filter(None, (source.known_first_day(), min(closed, default=None))), default=None)),
            "closed_through": _iso(closed_through(min(closed, default=None), closed)),
        }

    def detach(self, watch: Watch = Watch(), *, name: str) -> Answer:  # noqa: ARG002 - every operation is called alike
        """Forgets an attached source; its closed days stay in the book."""
        self._registry.remove(name)
        self._failures.forget(name)
        return {"source": name, "days_kept": len(self.book.days_closed(name))}


OPERATIONS: dict[str, Callable[..., Answer]] = {
    "attach": Bookkeeper.attach,
    "sources": Bookkeeper.attached_sources,
    "detach": Bookkeeper.detach,
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
