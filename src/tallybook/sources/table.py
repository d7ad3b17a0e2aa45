"""A source that is a table of log records in some engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tallybook.aggregate import RecordTable
from tallybook.content import DayContent, build_content
from tallybook.days import EPOCH
from tallybook.source import Slicing
from tallybook.sources.readers import Reader

_DAY_OF_VALUE: dict[str, Callable[[Any], date]] = {
    "timestamp": lambda value: value.date(),
    "text": lambda value: date.fromisoformat(value[:10]),
    "epoch_s": lambda value: (EPOCH + timedelta(seconds=value)).date(),
    "epoch_ms": lambda value: (EPOCH + timedelta(milliseconds=value)).date(),
    "epoch_us": lambda value: (EPOCH + timedelta(microseconds=value)).date(),
}


@dataclass(frozen=True)
class TableSource:
    """Log records in one table, read where they lie."""

    name: str
    table: RecordTable
    reader: Reader

    def first_day(self) -> date | None:
        value = self.reader.scalar(f'SELECT MIN(created_at) FROM "{self.table.name}"')  # noqa: S608 - our own table's name
        return None if value is None else _DAY_OF_VALUE[self.table.time](value)

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        groupings = self.reader.groupings(self.table, slicing.dimensions, days)
        for index, day in enumerate(days):
            slices, buckets = groupings.slices.day(index), groupings.buckets.day(index)
            yield build_content(day, slicing.dimensions, slices, buckets, slicing.max_slices_per_day)

    def arrived_at(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def arrived_before(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return None
