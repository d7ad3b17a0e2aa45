"""The book as the rest of tallybook sees it: days are appended whole, in a chain, adjusted openly, and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tallybook.anchoring.anchor import Anchor
from tallybook.book.chain import Identity, last_seq_of, new_adjustment, new_closing, next_link, read_identity
from tallybook.book.condition import Flaw, flaws_of
from tallybook.book.credentials import Credentials
from tallybook.book.day_rows import (
    find_orphans,
    in_range,
    insert_day,
    read_content,
    read_histogram,
    read_stat,
)
from tallybook.book.engine import appending, create_engine, create_reader, insert_row, parse_book_url, reading
from tallybook.book.entries import (
    Adjustment,
    AdjustmentMark,
    Closing,
    adjustment_row,
    closing_row,
    read_adjustment,
    read_closing,
    read_measures,
)
from tallybook.book.guards import missing_guards, raise_guards, strange_triggers
from tallybook.book.migrate import migrate
from tallybook.book.prunings import Prunings
from tallybook.book.reconciliations import Reconciliations
from tallybook.book.schema import adjustments, closings, daily_histograms, daily_slices, daily_stats
from tallybook.change import Change, apply_changes
from tallybook.content import DayContent
from tallybook.digest import digest_day
from tallybook.histogram import Histogram
from tallybook.measures import MEASURE_NAMES, Totals, add_totals

ENTRY_TABLES = {"closings": closings, "adjustments": adjustments}


class AlreadyClosed(Exception):
    """Another process closed the day first; `closing` is its record."""

    def __init__(self, closing: Closing) -> None:
        super().__init__(f"{closing.source} {closing.day} is closed")
        self.closing = closing


@dataclass(frozen=True)
class DailyStat:
    """A row of `daily_stats`: a closed day's totals, top models and whole histogram."""

    source: str
    day: date
    totals: Totals
    top_models: list[dict[str, Any]]
    histogram: Histogram
    created_at: str


Restate = Callable[[DayContent], tuple[Change, str] | None]
"""Given what the book now knows of a day, answers the change to post and its reason; None for no adjustment."""


Narrowing = Sequence[tuple[str, str | None]]
"""The wanted values of dimensions, None for unknown."""


class Book:
    """An open book. Thread-safe; every method is one transaction and raises `BookError` for the database's faults."""

    def __init__(self, engine: sa.Engine, on_append: Callable[[], None]) -> None:
        self._engine = engine
        self._on_append = on_append
        self.credentials = Credentials(engine)
        self.reconciliations = Reconciliations(engine)
        self.prunings = Prunings(engine)

    @classmethod
    def open(
        cls, url: str, now: datetime, on_append: Callable[[], None] = lambda: None, must_exist: bool = False
    ) -> Book:
        """Opens the book at `url`, making it first, unless it `must_exist`, and migrating it where needed.

        `on_append` is called after every new entry, once it is committed.
        """
        engine = create_engine(parse_book_url(url), make_folder=not must_exist)
        try:
            migrate(engine, now, must_exist)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, on_append)

    @classmethod
    def open_to_verify(cls, url: str) -> Book:
        """Opens the book at `url` to be read only, as it is: nothing is made, migrated or written beside it."""
        return cls(create_reader(parse_book_url(url)), lambda: None)

    def flaws(self) -> list[Flaw]:
        """What is wrong with the database itself; raises `BookTooOld` where it must be migrated before it is asked."""
        with reading(self._engine) as connection:
            return flaws_of(connection)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def identity(self) -> Identity:
        """Who this book is."""
        with reading(self._engine) as connection:
            return read_identity(connection)

    def append(self, source: str, content: DayContent, now: datetime, prices: Sequence[str] = ()) -> Closing:
        """Writes the day whole, as the next link of the chain, in one transaction.

        `prices` are the versions of the price data that costs of the day were computed with; they are kept sorted.
        Raises `AlreadyClosed` with the closing that is there: the database's unique key decides who was first.
        """
        digest = digest_day(content)
        try:
            with appending(self._engine) as connection:
                _check_open(connection, source, content.day)
                closing = new_closing(next_link(connection), source, content, digest, now, prices)
                insert_row(connection, closings, closing_row(closing))
                if content.records:
                    insert_day(connection, closing, content)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError) and (existing := self.closing(source, content.day)):
                raise AlreadyClosed(existing) from None
            raise
        self._on_append()
        return closing

    def adjust(
        self, source: str, day: date, now: datetime, restate: Restate, prices: Sequence[str] = ()
    ) -> Adjustment | None:
        """Posts what `restate` makes of the day as the book knows it, as the next link of the chain.

        Nobody else writes meanwhile, so that two who post the same drift post it once. The closed day's rows stay as
        they are. It is recorded now, but never before what it adjusts: a clock may have gone back.
        """
        with appending(self._engine) as connection:
            closing = _one_closing(connection, source, day)
            if closing is None:
                return None
            before = _known_content(connection, closing)
            restated = restate(before)
            if restated is None or not restated[0]:
                return None
            at = max(now, _last_recorded_at(connection, closing))
            adjustment = new_adjustment(next_link(connection), source, before, *restated, at, prices)
            insert_row(connection, adjustments, adjustment_row(adjustment))
        self._on_append()
        return adjustment

    def closing(self, source: str, day: date) -> Closing | None:
        """The day's closing, if it is closed."""
        with reading(self._engine) as connection:
            return _one_closing(connection, source, day)

    def closings(
        self, source: str | None = None, first: date | None = None, last: date | None = None, after_seq: int = 0
    ) -> list[Closing]:
        """The closings in order of sequence, of one source or all, in a range of days or ever."""
        query = _chosen(closings, source, first, last, after_seq)
        with reading(self._engine) as connection:
            return [read_closing(row) for row in connection.execute(query)]

    def adjustments(
        self, source: str | None = None, first: date | None = None, last: date | None = None, after_seq: int = 0
    ) -> list[Adjustment]:
        """The adjustments in order of sequence, of one source or all, to a range of days or ever."""
        query = _chosen(adjustments, source, first, last, after_seq)
        with reading(self._engine) as connection:
            return [read_adjustment(row) for row in connection.execute(query)]

    def adjustment_marks(self, after_seq: int = 0) -> list[AdjustmentMark]:
        """That there are adjustments, in order of sequence."""
        columns = [adjustments.c[name] for name in ("seq", "source", "day", "recorded_at")]
        query = _chosen(adjustments, None, None, None, after_seq).with_only_columns(*columns)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [AdjustmentMark(row.seq, row.source, date.fromisoformat(row.day), row.recorded_at) for row in rows]

    def adjusted_totals(self, source: str) -> dict[date, Totals]:
        """What the adjustments to each of the source's days add up to."""
        sums = [sa.func.sum(adjustments.c[name]).label(name) for name in MEASURE_NAMES]
        query = sa.select(adjustments.c.day, *sums).where(adjustments.c.source == source).group_by(adjustments.c.day)
        with reading(self._engine) as connection:
            return {date.fromisoformat(row[0]): tuple(map(int, row[1:])) for row in connection.execute(query)}

    def known_totals(self, source: str, first: date, last: date) -> dict[date, Totals]:
        """What the book knows of the source's closed days from first to last: as closed, with all adjustments."""
        known = dict.fromkeys(sorted(self.days_closed(source, first, last)), (0,) * len(MEASURE_NAMES))
        known |= {stat.day: stat.totals for stat in self.daily_stats(source, first, last)}
        changes = self.adjusted_totals(source)
        return {day: add_totals([totals, changes[day]]) if day in changes else totals for day, totals in known.items()}

    def known_content(self, source: str, day: date) -> DayContent | None:
        """What the book knows of the day: as closed, with all adjustments; None where it is not closed."""
        with reading(self._engine) as connection:
            closing = _one_closing(connection, source, day)
            return _known_content(connection, closing) if closing else None

    def last_seq(self) -> int:
        """The sequence number of the latest entry; 0 in an empty book."""
        with reading(self._engine) as connection:
            return last_seq_of(connection)

    def head(self) -> str | None:
        """The chain of the latest entry; None in an empty book."""
        return next((head.chain for head in self.heads(self.last_seq() - 1)), None)

    def heads(self, after_seq: int = 0) -> list[Anchor]:
        """Every entry after that one, in order, as it is exported."""
        exported = sa.union_all(
            *(
                sa.select(table.c.seq, table.c.chain, at).where(table.c.seq > after_seq)
                for table, at in ((closings, closings.c.closed_at), (adjustments, adjustments.c.recorded_at))
            )
        )
        with reading(self._engine) as connection:
            return sorted((Anchor(*row) for row in connection.execute(exported)), key=lambda head: head.seq)

    def count_closings(self) -> int:
        """How many days of how many sources are in the book."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(closings)) or 0

    def sources(self) -> list[str]:
        """The names of the sources that have a closing."""
        with reading(self._engine) as connection:
            return list(connection.scalars(sa.select(closings.c.source).distinct().order_by(closings.c.source)))

    def days_closed(self, source: str, first: date | None = None, last: date | None = None) -> set[date]:
        """The days of the source that are in the book, in a range or ever."""
        query = _chosen(closings, source, first, last, 0).with_only_columns(closings.c.day)
        with reading(self._engine) as connection:
            return {date.fromisoformat(day) for day in connection.scalars(query)}

    def first_day(self, source: str) -> date | None:
        """The earliest day of the source that is in the book."""
        with reading(self._engine) as connection:
            day = connection.scalar(sa.select(sa.func.min(closings.c.day)).where(closings.c.source == source))
        return date.fromisoformat(day) if day else None

    def daily_stats(self, source: str, first: date, last: date) -> list[DailyStat]:
        """The rows of the source's days that had records, in order of day."""
        query = in_range(sa.select(daily_stats), daily_stats, source, first, last).order_by(daily_stats.c.date)
        with reading(self._engine) as connection:
            return [_daily_stat(row) for row in connection.execute(query)]

    def days_not_sliced_by(self, source: str, dimension: str, first: date, last: date) -> set[date]:
        """The source's days that had records, and of which nothing is kept by the dimension."""
        kept = daily_stats.c.dimensions.contains(f'"{dimension}"')
        query = in_range(sa.select(daily_stats.c.date).where(~kept), daily_stats, source, first, last)
        with reading(self._engine) as connection:
            return {date.fromisoformat(day) for day in connection.scalars(query)}

    def breakdown(
        self, source: str, dimension: str | None, first: date, last: date, wanted: Narrowing = ()
    ) -> list[tuple[str, str | None, Totals]]:
        """(day, value, totals) for every day and value of the dimension; None where it is unknown or was not kept.

        Without a dimension it is (day, None, totals) for every day. Of slices only those with the `wanted` values of
        dimensions count.
        """
        value = sa.null() if dimension is None else daily_slices.c[dimension]
        sums = [sa.func.sum(daily_slices.c[name]).label(name) for name in MEASURE_NAMES]
        query = in_range(sa.select(daily_slices.c.date, value, *sums), daily_slices, source, first, last)
        query = query.where(*(daily_slices.c[name].is_not_distinct_from(text) for name, text in wanted))
        keys = [daily_slices.c.date] if dimension is None else [daily_slices.c.date, value]
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(*keys)).all()
        return [(row[0], row[1], tuple(map(int, row[2:]))) for row in rows]

    def histograms(self, source: str, first: date, last: date) -> list[tuple[str, str | None, str | None, Histogram]]:
        """(day, provider, model, counts) for every histogram of the days."""
        table = daily_histograms
        query = in_range(
            sa.select(table.c.date, table.c.provider, table.c.model, table.c.histogram), table, source, first, last
        )
        with reading(self._engine) as connection:
            return [
                (row.date, row.provider, row.model, read_histogram(row.histogram)) for row in connection.execute(query)
            ]

    def content_of(self, closing: Closing) -> tuple[DayContent, sa.Row[Any] | None]:
        """The day as it was closed, as its rows now say, and its row of `daily_stats`; raises `UnreadableRow`."""
        with reading(self._engine) as connection:
            return read_content(connection, closing), read_stat(connection, closing)

    def orphans(self) -> list[tuple[str, str, str]]:
        """(table, source, day) of rows that belong to no closing of a day with records."""
        with reading(self._engine) as connection:
            return find_orphans(connection)

    def entry_rows(self) -> list[tuple[str, sa.Row[Any]]]:
        """(table, row) of every entry as it lies there, in order of sequence: for who does not trust them."""
        with reading(self._engine) as connection:
            rows = [(name, row) for name, table in ENTRY_TABLES.items() for row in connection.execute(table.select())]
        return sorted(rows, key=lambda each: (type(each[1].seq) is not int, str(each[1].seq).zfill(20)))

    def raise_guards(self) -> list[str]:
        """Puts the database's guards up again; answers those that had been down."""
        with appending(self._engine) as connection:
            missing = missing_guards(connection)
            if missing:
                raise_guards(connection)
        return missing

    def missing_guards(self) -> list[str]:
        """What the database would no longer refuse, though it should."""
        with reading(self._engine) as connection:
            return missing_guards(connection)

    def strange_triggers(self) -> list[str]:
        """Triggers that somebody else put on the guarded tables."""
        with reading(self._engine) as connection:
            return strange_triggers(connection)


def _chosen(
    table: sa.Table, source: str | None, first: date | None, last: date | None, after_seq: int
) -> sa.Select[Any]:
    query = sa.select(table).where(table.c.seq > after_seq).order_by(table.c.seq)
    if source is not None:
        query = query.where(table.c.source == source)
    if first is not None:
        query = query.where(table.c.day >= first.isoformat())
    return query if last is None else query.where(table.c.day <= last.isoformat())


def _check_open(connection: sa.Connection, source: str, day: date) -> None:
    if existing := _one_closing(connection, source, day):
        raise AlreadyClosed(existing)


def _one_closing(connection: sa.Connection, source: str, day: date) -> Closing | None:
    query = sa.select(closings).where(closings.c.source == source, closings.c.day == day.isoformat())
    row = connection.execute(query).first()
    return read_closing(row) if row else None


def _last_recorded_at(connection: sa.Connection, closing: Closing) -> datetime:
    """When the day was last written to."""
    ours = adjustments.c.source == closing.source, adjustments.c.day == closing.day.isoformat()
    adjusted_at: str | None = connection.scalar(sa.select(sa.func.max(adjustments.c.recorded_at)).where(*ours))
    return datetime.fromisoformat(max(closing.closed_at, adjusted_at or ""))


def _known_content(connection: sa.Connection, closing: Closing) -> DayContent:
    query = _chosen(adjustments, closing.source, closing.day, closing.day, 0)
    changes = [read_adjustment(row).change for row in connection.execute(query)]
    return apply_changes(read_content(connection, closing), changes)


def _daily_stat(row: sa.Row[Any]) -> DailyStat:
    return DailyStat(
        source=row.source,
        day=date.fromisoformat(row.date),
        totals=read_measures(row),
        top_models=msgspec.json.decode(row.top_models),
        histogram=read_histogram(row.histogram),
        created_at=row.created_at,
    )
