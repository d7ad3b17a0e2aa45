"""The bookkeeper: every operation of tallybook, on an open book and open logs.

The commands and the HTTP handlers both ask it, so that they cannot differ. Operations take and give plain JSON values;
long ones tell a `Watch` how they get on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tallybook import demo
from tallybook.adjusting import adjust_day
from tallybook.anchoring.delivery import DeliveryState
from tallybook.attaching import Attachments
from tallybook.book.ledger import Book
from tallybook.closing import Result, remembered_first_day
from tallybook.collect.intake import Intake
from tallybook.config import Settings
from tallybook.days import ONE_DAY, day_of, days_between, last_closable, parse_day
from tallybook.declaration import Declaration
from tallybook.errors import CloseFailed, LogsError, UnknownName, UsageError
from tallybook.failed_days import FailedDays
from tallybook.filters import parse_filters
from tallybook.heads import Heads
from tallybook.home import prepare_home
from tallybook.job import DailyStatsJob
from tallybook.live import LiveDays
from tallybook.logs.columns import stored_table
from tallybook.logs.fields import Unit
from tallybook.logs.importing import Reading, import_files
from tallybook.logs.opening import find_logs
from tallybook.periods import Period, between, bounds_of, parse_period
from tallybook.prices import PriceList
from tallybook.pruning import prune
from tallybook.reconcile import DRIFT, Drift, find_drift
from tallybook.source import Source
from tallybook.sources.registry import Registry
from tallybook.standing import Standing, gone_days
from tallybook.stats import Sources, StatsQuery, StatsReader, daily_row
from tallybook.status import StatusReader
from tallybook.upkeep import Upkeep
from tallybook.verification import Exported, verify_book
from tallybook.vintage import Vintage, parse_as_of

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
            self.book = Book.open(settings.book, clock(), on_append=self._keep_heads)
            stack.callback(self.book.close)
            self._heads = Heads(self.book, settings)
            self.logs = open_logs()
            stack.callback(self.logs.close)
            self._prices = PriceList.load(settings.prices)
            self.intake = Intake(self.logs, self._prices, clock)
            stack.callback(self.intake.close)
            self._registry = Registry(settings.home, settings.attached)
            self._open = stack.pop_all()
        self._attachments = Attachments(self._registry, self.book, settings.slicing)
        self._upkeep = Upkeep(self.book, self.logs, settings, clock)
        self._stats = StatsReader(self.book)
        self._failures = FailedDays(settings.home)
        self._status = StatusReader(self.book, self.logs, self._failures, clock)
        self._looked_on: date | None = None
        self._live = LiveDays(settings.slicing, self.logs)

    def close_all(self) -> None:
        """Stores what was accepted, then lets go of logs and book."""
        self._open.close()

    def _keep_heads(self) -> None:
        self._heads.keep()

    def now(self) -> datetime:
        """The time by the clock that this bookkeeper was given."""
        return self._clock()

    def sources(self) -> list[Source]:
        """The sources that count: our own logs from their first record on, and those that are attached."""
        own = [self.logs] if remembered_first_day(self.book, self.logs) is not None else []
        return [*own, *self._registry.sources()]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions by which days are cut from now on."""
        return self._settings.slicing.dimensions

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
        sources = self.sources()
        results = self._upkeep.close(sources, cancelled)
        self._note(results)
        self._heads.send(self.now())
        self._upkeep.compare([each for each in sources if self.book.first_day(each.name)], cancelled)
        self._heads.send(self.now())
        self._upkeep.prune()
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
        self._heads.send(self.now())
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
        as_of: str | None = None,
        live: bool = False,
        filters: Sequence[str] = (),
    ) -> Answer:
        """The statistics of a period, from closed days; with `live`, and for `today`, from today's logs too.

        On the basis `original` no adjustment counts; with `as_of` only what was recorded until then. `filters` are
        texts that `parse_filters` reads: of records only those with these dimension values count.
        """
        now = self.now()
        vintage = Vintage(basis, None if as_of is None else parse_as_of(as_of))
        chosen = self._period(period, first, last, day_of(now))
        if live and vintage.as_of:
            raise UsageError("Today's logs have no as_of.", "Leave out live, or as_of.")
        if live:
            chosen = chosen.with_live(day_of(now))
        query = StatsQuery(chosen, by, source, vintage, parse_filters(filters))
        first_days = {each.name: remembered_first_day(self.book, each) for each in self.sources()}
        asked = [each for each in self.sources() if source in (None, each.name)]
        is_live = chosen.live and not vintage.as_of and chosen.first <= day_of(now) <= chosen.last
        live_days, unreachable = self._live.read(asked, now) if is_live else ({}, {})
        gone = {} if vintage.as_of else gone_days(self.book)
        closable = last_closable(min(now, vintage.as_of or now))
        answer = self._stats.answer(query, Sources(first_days, live_days, gone), closable)
        return answer | ({"unreachable": unreachable} if unreachable else {})

    def vantage(self) -> Hashable:
        """What answers from closed days rest on: as long as it is the same, so are they."""
        now = self.now()
        first_days = tuple((each.name, remembered_first_day(self.book, each)) for each in self.sources())
        gone = frozenset((source, day) for source, days in gone_days(self.book).items() for day in days)
        return self.book.last_seq(), day_of(now), last_closable(now), first_days, gone

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
            "closings": self.book.count_closings(),
            "sources": [self._status.source(source) for source in self.sources()],
            "chain": {
                "entries": self.book.last_seq(),
                "head": self.book.head(),
                "anchors": [state.as_json() for state in self.anchor_states()],
                **({"webhooks": [state.as_json() for state in told]} if (told := self.webhook_states()) else {}),
            },
        }

    def anchor_states(self) -> list[DeliveryState]:
        """How far heads of the chain have come, to the file and to each destination."""
        return self._heads.anchor_states()

    def webhook_states(self) -> list[DeliveryState]:
        """How far news of entries has come, to each webhook that is told."""
        return self._heads.news_states()

    def standings(self) -> list[Standing]:
        """How each source stands, as far as is known without asking it."""
        return [self._status.standing(source) for source in self.sources()]

    def closings(self, source: str | None = None) -> Answer:
        """Every closing, in order of sequence."""
        return {"closings": [closing.as_json() for closing in self.book.closings(source)]}

    def adjustments(self, first: str | None = None, last: str | None = None, source: str | None = None) -> Answer:
        """The adjustments to the days of a range, or to any, in order of sequence."""
        return {"adjustments": [each.as_json() for each in self.book.adjustments(source, *bounds_of(first, last))]}

    def verify(self, anchors: Iterable[Exported] | None = None) -> Answer:
        """The verdict on the whole chain."""
        return verify_book(self.book, anchors).as_json()

    def reconcile(
        self, watch: Watch = Watch(), *, first: str | None = None, last: str | None = None, post: bool = False
    ) -> Answer:
        """Compares closed days with what their sources say now, and with `post` adjusts those that drifted.

        A source that says nothing is named in `failed`; `compared` counts the closed days of the others.
        """
        drifts, silent = [], []
        bounds, compared = bounds_of(first, last), 0
        for source in self.sources():
            days = sorted(self.book.days_closed(source.name, *bounds))
            try:
                for drift in self._reconcile(source, days, post):
                    drifts.append(drift)
                    watch.on_result(drift)
                compared += len(days)
            except (LogsError, CloseFailed) as error:
                silent.append({"source": source.name, "reason": error.message})
        self._heads.send(self.now())
        return {"results": drifts, "failed": silent, "compared": compared}

    def _reconcile(self, source: Source, days: list[date], post: bool) -> Iterator[Answer]:
        if post and (busy := source.busy()):
            raise LogsError(f"Nothing is adjusted while {busy}.", "Run it again when that is done.")
        found = list(find_drift(self.book, source, days, self._settings.slicing))
        left = {drift.day: (drift.state, drift.change) for drift in found}
        for drift in found:
            posted = self._adjust(source, drift) if post and drift.state == DRIFT else {}
            if posted:
                del left[drift.day]
            yield drift.as_json() | posted
        self.book.reconciliations.note(source.name, days, left, self.now(), whole=True)

    def _adjust(self, source: Source, drift: Drift) -> Answer:
        adjustment = adjust_day(self.book, source, drift.day, self.now(), self._settings.slicing)
        return {"adjustment": adjustment.seq} if adjustment else {}

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

    def prune(self, watch: Watch = Watch(), *, before: str, archive: str | None = None) -> Answer:  # noqa: ARG002 - every operation is called alike
        """Deletes our own log records of days before `before` that the book has; into files of an `archive` first."""
        folder = Path(archive) if archive is not None else self._settings.prune_archive
        return prune(self.book, self.logs, parse_day(before), self.now(), self._settings.slicing, folder)

    def fill_demo(self, watch: Watch = Watch(), *, days: int = 30) -> Answer:
        """Fills the logs with labelled synthetic traffic of the last `days` days and closes those that are over."""
        if self.logs.has_records() and not self.logs.holds_import(demo.LABEL):
            raise UsageError(
                "This home has records of its own, and demo traffic would be among them for good.",
                "Name another: `tallybook --home ./tallybook-demo demo`.",
            )
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
        same = self._registry.same_as(wanted)
        found = self._attachments.attach(wanted, self.now()).as_json()
        return found | ({"same_as": same} if same else {})

    def attached_sources(self, watch: Watch = Watch()) -> Answer:  # noqa: ARG002 - every operation is called alike
        """The attached sources, as they were declared; none of them is asked anything."""
        return {"sources": self._attachments.list()}

    def detach(self, watch: Watch = Watch(), *, name: str) -> Answer:  # noqa: ARG002 - every operation is called alike
        """Forgets an attached source; its closed days stay in the book."""
        days_kept = self._attachments.detach(name)
        self._failures.forget(name)
        return {"source": name, "days_kept": days_kept}
