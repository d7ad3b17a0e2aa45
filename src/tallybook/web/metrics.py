"""`GET /metrics`: how the books stand, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from datetime import date

from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tallybook.book.ledger import Book
from tallybook.bookkeeper import Bookkeeper
from tallybook.days import ONE_DAY, midnight
from tallybook.measures import MEASURE_NAMES, Totals
from tallybook.standing import Standing

MAX_REASON = 200
SUCCESS, FAILED = MEASURE_NAMES.index("success"), MEASURE_NAMES.index("failed")


class _Standings:
    """The metrics of one scrape; sources are not asked anything for it."""

    def __init__(self, keeper: Bookkeeper) -> None:
        self._closings = keeper.book.count_closings()
        self._entries = keeper.book.last_seq()
        self._standings = keeper.standings()
        self._anchors = keeper.anchor_states()
        self._last_days = dict(_last_days(keeper.book, self._standings))

    def collect(self) -> Iterator[Metric]:
        closings = CounterMetricFamily("tallybook_closings", "Closings in the book.")
        closings.add_metric([], self._closings)
        yield closings
        yield self._gauge("closed_days", "Days that were closed with records.", lambda each: each.days_closed)
        yield self._gauge("zero_days", "Days that were closed without any record.", lambda each: each.days_zero)
        yield self._gauge("missing_days", "Closable days that are not closed.", lambda each: len(each.missing))
        yield self._gauge("failed_days", "Missing days that could not be closed.", lambda each: len(each.failed))
        yield self._gauge(
            "closed_through_timestamp_seconds",
            "End of the last day up to which every day is closed.",
            lambda each: _end_of(each.closed_through),
        )
        yield self._gauge(
            "drift_days", "Closed days whose records have changed since.", lambda each: _count(each.drift)
        )
        yield self._gauge(
            "drift_requests",
            "Records that came after their day was closed, less those that went.",
            lambda each: _sum(each.drift),
        )
        yield self._gauge(
            "source_gone_days", "Closed days of which the source has lost records.", lambda each: _count(each.gone)
        )
        yield self._gauge("adjustments", "Adjustments to closed days.", lambda each: each.adjustments)
        yield self._last_day("success", "Requests of the last closed day that succeeded.", SUCCESS)
        yield self._last_day("failed", "Requests of the last closed day that failed.", FAILED)
        yield self._failures()
        yield from self._chain()

    def _chain(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("tallybook_chain_entries", "Entries of the chain.", value=self._entries)
        through = GaugeMetricFamily(
            "tallybook_anchored_through_seq", "The latest entry whose head has left the book.", labels=["to"]
        )
        failing = GaugeMetricFamily("tallybook_anchor_failing", "Whether heads do not arrive.", labels=["to"])
        for state in self._anchors:
            through.add_metric([state.to], state.through_seq)
            failing.add_metric([state.to], int(state.failing is not None))
        yield through
        yield failing

    def _gauge(self, name: str, what: str, value: Callable[[Standing], float | None]) -> Metric:
        family = GaugeMetricFamily(f"tallybook_{name}", what, labels=["source"])
        for standing in self._standings:
            if (number := value(standing)) is not None:
                family.add_metric([standing.source], number)
        return family

    def _last_day(self, name: str, what: str, measure: int) -> Metric:
        family = GaugeMetricFamily(f"tallybook_last_day_{name}", what, labels=["source"])
        for source, totals in self._last_days.items():
            family.add_metric([source], totals[measure])
        return family

    def _failures(self) -> Metric:
        family = GaugeMetricFamily(
            "tallybook_failure", "Why the latest missing day could not be closed.", labels=["source", "day", "reason"]
        )
        for standing in self._standings:
            for day in sorted(standing.failed)[-1:]:
                family.add_metric([standing.source, day.isoformat(), standing.failed[day][:MAX_REASON]], 1)
        return family


def _last_days(book: Book, standings: Iterable[Standing]) -> Iterator[tuple[str, Totals]]:
    """The last closed day of each source, adjustments counted; of one that cannot tell failures there is none."""
    for standing in standings:
        if day := standing.last_closed:
            (closing,) = book.closings(standing.source, day, day)
            if "failed" not in closing.unknown_measures:
                yield standing.source, book.known_totals(standing.source, day, day)[day]


def _count(days: Sized | None) -> float | None:
    return None if days is None else len(days)


def _sum(drift: Mapping[date, int] | None) -> float | None:
    return None if drift is None else sum(drift.values())


def _end_of(day: date | None) -> float | None:
    return midnight(day + ONE_DAY).timestamp() if day else None


@get("/metrics", sync_to_thread=True, include_in_schema=False)
def get_metrics(keeper: NamedDependency[Bookkeeper]) -> Response[bytes]:
    """How the books stand, for Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Standings(keeper))
    text = generate_latest(registry) + generate_latest(keeper.intake.meter.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
