"""A source that is a relation in some engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tallybook.content import DayContent, build_content
from tallybook.days import day_of
from tallybook.measures import Totals
from tallybook.records import EARLIEST
from tallybook.source import Slicing
from tallybook.sources.engines.engine import Engine
from tallybook.sources.extremes import first_instant, last_instant
from tallybook.sources.opt_in import LoggedFailures
from tallybook.sources.relation import Relation, edges_of, hour_edges


@dataclass(frozen=True)
class TableSource:
    """Log records of one relation, read where they lie; `failures` where they are logged only if told to."""

    name: str
    relation: Relation
    engine: Engine
    failures: LoggedFailures | None = None

    @property
    def days_per_read(self) -> int:
        return self.engine.days_per_read

    def first_instant(self) -> datetime | None:
        """When the earliest record was created; records of before 2000 have no clock and do not count."""
        return first_instant(self.relation, self.engine, EARLIEST)

    def last_instant(self) -> datetime | None:
        """When the latest record was created."""
        return last_instant(self.relation, self.engine, EARLIEST)

    def first_day(self) -> date | None:
        first = self.first_instant()
        return day_of(first) if first else None

    def known_first_day(self) -> date | None:
        return self.first_day()

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        relation = self.relation.cut_down(slicing.dimensions)
        groupings = self.engine.groupings(relation, slicing.dimensions, edges_of(days))
        untold = self.failures.untold(days) if self.failures else frozenset()
        for index, day in enumerate(days):
            slices, buckets = groupings.slices.day(index), groupings.buckets.day(index)
            unknown = ("failed",) if day in untold else self.relation.unknown
            yield build_content(day, slicing.dimensions, slices, buckets, slicing.max_slices_per_day, unknown)

    def totals(self, days: Sequence[date]) -> list[Totals]:
        return self.engine.totals(self.relation.without_dimensions(), edges_of(days))

    def hours(self, day: date) -> list[Totals]:
        return self.engine.totals(self.relation.without_dimensions(), hour_edges(day))

    def arrived_at(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def arrived_before(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def price_versions(self, day: date) -> tuple[str, ...]:  # noqa: ARG002 - somebody else's costs came as they are
        return ()

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return None
