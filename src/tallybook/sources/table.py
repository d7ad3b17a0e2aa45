"""A source that is a table of log records in some engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from tallybook.aggregate import RecordTable
from tallybook.content import DayContent, Slice, build_content
from tallybook.days import EPOCH
from tallybook.source import Slicing
from tallybook.sources.buckets import BucketTable
from tallybook.sources.readers import Reader, Row

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
        with self.reader.groupings(self.table, slicing.dimensions, days) as (buckets, slices):
            yield from zip_days(days, slicing, buckets, slices)

    def arrived_at(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def busy(self) -> str | None:
        return None


def zip_days(
    days: Sequence[date], slicing: Slicing, buckets: BucketTable, slices: Iterator[Row]
) -> Iterator[DayContent]:
    """Walks both groupings, each in order of day, side by side, and builds the content of each day in turn."""
    slices_by_day = _DayGroups(slices)
    width = len(slicing.dimensions) + 1
    for index, day in enumerate(days):
        parts = [Slice(tuple(row[1:width]), tuple(map(int, row[width:]))) for row in slices_by_day.take(index)]
        yield build_content(day, slicing.dimensions, parts, buckets.day(index), slicing.max_slices_per_day)


class _DayGroups:
    """Hands out the rows of each day as it comes; a day without rows has none."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._groups = groupby(rows, key=itemgetter(0))
        self._next: tuple[int, Iterator[Row]] | None = next(self._groups, None)

    def take(self, index: int) -> list[Row]:
        if self._next is None or self._next[0] != index:
            return []
        rows = list(self._next[1])
        self._next = next(self._groups, None)
        return rows
