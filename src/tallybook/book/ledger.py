"""The book as the rest of tallybook sees it: days are appended whole, in a chain, and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tallybook.book.credentials import Credentials
from tallybook.book.engine import create_engine, insert_rows, parse_book_url, reading, writing
from tallybook.book.migrate import migrate
from tallybook.book.schema import adjustments, book, closings, daily_histograms, daily_slices, daily_stats
from tallybook.content import DayContent, LatencyHistogram, Slice, TopModel
from tallybook.days import format_instant
from tallybook.digest import PAYLOAD_VERSION, canonical_bytes, chain_link, digest_day, genesis, safe_integers
from tallybook.errors import BookError, first_line, shorten
from tallybook.histogram import Histogram
from tallybook.measures import DIMENSION_NAMES, HISTOGRAM_DIMENSIONS, MEASURE_NAMES, Totals

FINGERPRINT_MEASURES = ("requests", "tokens_in", "tokens_out", "latency_sum_ms", "cost_nanousd")


@dataclass(frozen=True)
class Closing:
    """The record that a day was closed. `state` is `closed`, or `zero` for a day without a record."""

    seq: int
    source: str
    day: date
    state: str
    records: int
    fingerprint: str
    payload_version: int
    digest: str
    prev_chain: str
    closed_at: str
    chain: str = ""
    unknown: str = "[]"
    prices: str = "[]"

    @property
    def unknown_measures(self) -> tuple[str, ...]:
        """The measures that the source could not know, whose 0 therefore means nothing."""
        try:
            return _decode_names(self.unknown)
        except msgspec.MsgspecError:
            remedy = "Restore the book from a backup."
            raise UnreadableRow(
                f"Closing {self.seq} names no measures but {shorten(self.unknown)!r}.", remedy
            ) from None

    def as_json(self) -> dict[str, Any]:
        """The closing as it is shown; `prices` only where the cost of a record was computed."""
        decoded = {name: msgspec.json.decode(getattr(self, name)) for name in ("fingerprint", "unknown", "prices")}
        fields = {**asdict(self), "day": self.day.isoformat(), **decoded}
        return {name: safe_integers(value) for name, value in fields.items() if name != "prices" or value}

    def link(self) -> str:
        """What `chain` must be: the hash of the other fields, `prev_chain` among them; `digest` covers `unknown`.

        `prices` is a note on where costs came from, and no part of it: the costs themselves are in the digest.
        """
        entry = {name: value for name, value in asdict(self).items() if name not in ("chain", "unknown", "prices")}
        return chain_link({**entry, "day": self.day.isoformat()})


_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode


class UnreadableRow(BookError):
    """A row of the book does not hold what its column must."""


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


class Book:
    """An open book. Thread-safe; every method is one transaction and raises `BookError` for the database's faults."""

    def __init__(self, engine: sa.Engine, on_append: Callable[[Closing], None]) -> None:
        self._engine = engine
        self._on_append = on_append
        self.credentials = Credentials(engine)

    @classmethod
    def open(
        cls, url: str, now: datetime, on_append: Callable[[Closing], None] = lambda _: None, must_exist: bool = False
    ) -> Book:
        """Opens the book at `url`, making it first, unless it `must_exist`, and migrating it where needed.

        `on_append` is told of every new closing, once it is committed.
        """
        engine = create_engine(parse_book_url(url), make_folder=not must_exist)
        try:
            migrate(engine, now, must_exist)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, on_append)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    def book_id(self) -> str:
        with reading(self._engine) as connection:
            return str(connection.scalar(sa.select(book.c.book_id)))

    def append(self, source: str, content: DayContent, now: datetime, prices: Sequence[str] = ()) -> Closing:
        """Writes the day whole, as the next link of the chain, in one transaction.

        `prices` are the versions of the price data that costs of the day were computed with; they are kept sorted.
        Raises `AlreadyClosed` with the closing that is there: the database's unique key decides who was first.
        """
        digest = digest_day(content)
        try:
            with writing(self._engine) as connection:
                closing = self._append(connection, source, content, digest, now, prices)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError) and (existing := self.closing(source, content.day)):
                raise AlreadyClosed(existing) from None
            raise
        self._on_append(closing)
        return closing

    def _append(
        self,
        connection: sa.Connection,
        source: str,
        content: DayContent,
        digest: str,
        now: datetime,
        prices: Sequence[str],
    ) -> Closing:
        book_id = connection.scalar(sa.select(book.c.book_id).with_for_update())
        if existing := _one_closing(connection, source, content.day):
            raise AlreadyClosed(existing)
        head = connection.execute(
            sa.select(closings.c.seq, closings.c.chain).order_by(closings.c.seq.desc()).limit(1)
        ).first()
        seq, prev_chain = (head.seq + 1, head.chain) if head else (1, genesis(str(book_id)))
        closing = _new_closing(seq, prev_chain, source, content, digest, now, prices)
        connection.execute(sa.insert(closings), {**asdict(closing), "day": closing.day.isoformat()})
        if content.records:
            _insert_day(connection, closing, content)
        return closing

    def closing(self, source: str, day: date) -> Closing | None:
        """The day's closing, if it is closed."""
        with reading(self._engine) as connection:
            return _one_closing(connection, source, day)

    def closings(
        self, source: str | None = None, first: date | None = None, last: date | None = None, after_seq: int = 0
    ) -> list[Closing]:
        """The closings in order of sequence, of one source or all, in a range of days or ever."""
        query = sa.select(closings).where(closings.c.seq > after_seq).order_by(closings.c.seq)
        for column, value, compare in (
            (closings.c.source, source, "__eq__"),
            (closings.c.day, first and first.isoformat(), "__ge__"),
            (closings.c.day, last and last.isoformat(), "__le__"),
        ):
            if value is not None:
                query = query.where(getattr(column, compare)(value))
        with reading(self._engine) as connection:
            return [_closing(row) for row in connection.execute(query)]

    def last_seq(self) -> int:
        """The sequence number of the latest closing; 0 in an empty book."""
        with reading(self._engine) as connection:
            return connection.scalar(sa.select(sa.func.max(closings.c.seq))) or 0

    def sources(self) -> list[str]:
        """The names of the sources that have a closing."""
        with reading(self._engine) as connection:
            return list(connection.scalars(sa.select(closings.c.source).distinct().order_by(closings.c.source)))

    def days_closed(self, source: str) -> set[date]:
        """Every day of the source that is in the book."""
        with reading(self._engine) as connection:
            query = sa.select(closings.c.day).where(closings.c.source == source)
            return {date.fromisoformat(day) for day in connection.scalars(query)}

    def first_day(self, source: str) -> date | None:
        """The earliest day of the source that is in the book."""
        with reading(self._engine) as connection:
            day = connection.scalar(sa.select(sa.func.min(closings.c.day)).where(closings.c.source == source))
        return date.fromisoformat(day) if day else None

    def daily_stats(self, source: str, first: date, last: date) -> list[DailyStat]:
        """The rows of the source's days that had records, in order of day."""
        query = _range(sa.select(daily_stats), daily_stats, source, first, last).order_by(daily_stats.c.date)
        with reading(self._engine) as connection:
            return [_daily_stat(row) for row in connection.execute(query)]

    def breakdown(self, source: str, dimension: str, first: date, last: date) -> list[tuple[str, str | None, Totals]]:
        """(day, value, totals) for every day and value of the dimension; None where it is unknown or was not kept."""
        value = daily_slices.c[dimension]
        sums = [sa.func.sum(daily_slices.c[name]).label(name) for name in MEASURE_NAMES]
        query = _range(sa.select(daily_slices.c.date, value, *sums), daily_slices, source, first, last)
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(daily_slices.c.date, value)).all()
        return [(row[0], row[1], tuple(map(int, row[2:]))) for row in rows]

    def histograms(self, source: str, first: date, last: date) -> list[tuple[str, str | None, str | None, Histogram]]:
        """(day, provider, model, counts) for every histogram of the days."""
        table = daily_histograms
        query = _range(
            sa.select(table.c.date, table.c.provider, table.c.model, table.c.histogram), table, source, first, last
        )
        with reading(self._engine) as connection:
            return [(row.date, row.provider, row.model, _histogram(row.histogram)) for row in connection.execute(query)]

    def content_of(self, closing: Closing) -> tuple[DayContent, sa.Row[Any] | None]:
        """The closed day's content as its rows now say, and its row of `daily_stats`; raises `UnreadableRow`."""
        with reading(self._engine) as connection:
            return _read_content(connection, closing)

    def orphans(self) -> list[tuple[str, str, str]]:
        """(table, source, day) of rows that belong to no closing of a day with records."""
        found = []
        with reading(self._engine) as connection:
            for table in (daily_stats, daily_slices, daily_histograms):
                owner = (
                    (closings.c.source == table.c.source)
                    & (closings.c.day == table.c.date)
                    & (closings.c.state == "closed")
                )
                query = sa.select(table.c.source, table.c.date).where(~sa.exists().where(owner)).distinct()
                found += [(table.name, row.source, row.date) for row in connection.execute(query)]
        return found

    def adjustments_count(self, source: str | None, first: date, last: date) -> int:
        """How many adjustments there are to the days of the range."""
        query = sa.select(sa.func.count()).select_from(adjustments)
        query = query.where(adjustments.c.day.between(first.isoformat(), last.isoformat()))
        if source is not None:
            query = query.where(adjustments.c.source == source)
        with reading(self._engine) as connection:
            return connection.scalar(query) or 0


def _new_closing(
    seq: int, prev_chain: str, source: str, content: DayContent, digest: str, now: datetime, prices: Sequence[str]
) -> Closing:
    fingerprint = {name: content.totals[MEASURE_NAMES.index(name)] for name in FINGERPRINT_MEASURES}
    closing = Closing(
        seq=seq,
        source=source,
        day=content.day,
        state="closed" if content.records else "zero",
        records=content.records,
        fingerprint=canonical_bytes(fingerprint).decode(),
        payload_version=PAYLOAD_VERSION,
        digest=digest,
        prev_chain=prev_chain,
        closed_at=format_instant(now),
        unknown=_text(content.unknown),
        prices=_text(sorted(set(prices))),
    )
    return replace(closing, chain=closing.link())


def _insert_day(connection: sa.Connection, closing: Closing, content: DayContent) -> None:
    stat = {
        "source": closing.source,
        "date": content.day.isoformat(),
        **dict(zip(MEASURE_NAMES, content.totals, strict=True)),
        "top_models": _text([top.as_json() for top in content.top_models]),
        "dimensions": _text(content.dimensions),
        "histogram": _text(content.latency_histogram),
        "created_at": closing.closed_at,
    }
    connection.execute(sa.insert(daily_stats), stat)
    place = (closing.source, content.day.isoformat())
    columns = ("source", "date", "position", *content.dimensions, *MEASURE_NAMES)
    slices = [(*place, position, *part.key, *part.totals) for position, part in enumerate(content.slices)]
    insert_rows(connection, daily_slices, columns, slices)
    if content.histograms:
        columns = ("source", "date", "position", *HISTOGRAM_DIMENSIONS, "histogram")
        histograms = [(*place, n, *part.key, _text(part.counts)) for n, part in enumerate(content.histograms)]
        insert_rows(connection, daily_histograms, columns, histograms)


def _text(value: Any) -> str:
    return canonical_bytes(value).decode()


_decode_histogram = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def _histogram(text: str) -> Histogram:
    return _decode_histogram(text)


def _closing(row: sa.Row[Any]) -> Closing:
    if type(row.seq) is not int or type(row.records) is not int:
        raise UnreadableRow(f"Closing {row.seq!r} has no number where one belongs.", "Restore the book from a backup.")
    try:
        return Closing(**{**row._mapping, "day": date.fromisoformat(row.day)})  # noqa: SLF001 - a Row's public mapping
    except (TypeError, ValueError):
        raise UnreadableRow(
            f"Closing {row.seq} has no day but {row.day!r}.", "Restore the book from a backup."
        ) from None


def _one_closing(connection: sa.Connection, source: str, day: date) -> Closing | None:
    query = sa.select(closings).where(closings.c.source == source, closings.c.day == day.isoformat())
    row = connection.execute(query).first()
    return _closing(row) if row else None


def _range(query: sa.Select[Any], table: sa.Table, source: str, first: date, last: date) -> sa.Select[Any]:
    return query.where(table.c.source == source, table.c.date.between(first.isoformat(), last.isoformat()))


def _daily_stat(row: sa.Row[Any]) -> DailyStat:
    return DailyStat(
        source=row.source,
        day=date.fromisoformat(row.date),
        totals=_measures(row),
        top_models=msgspec.json.decode(row.top_models),
        histogram=_histogram(row.histogram),
        created_at=row.created_at,
    )


def _measures(row: sa.Row[Any]) -> Totals:
    mapping = row._mapping  # noqa: SLF001 - a Row's public mapping
    totals = tuple(mapping[name] for name in MEASURE_NAMES)
    if any(type(value) is not int for value in totals):
        raise UnreadableRow("a measure is not a whole number")
    return totals


def _read_content(connection: sa.Connection, closing: Closing) -> tuple[DayContent, sa.Row[Any] | None]:
    try:
        return _parse_content(connection, closing)
    except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise UnreadableRow(first_line(error)) from error


def _parse_content(connection: sa.Connection, closing: Closing) -> tuple[DayContent, sa.Row[Any] | None]:
    def rows(table: sa.Table) -> Sequence[sa.Row[Any]]:
        return connection.execute(_range(sa.select(table), table, closing.source, closing.day, closing.day)).all()

    stat = next(iter(rows(daily_stats)), None)
    dimensions = msgspec.json.decode(stat.dimensions, type=tuple[str, ...]) if stat else ()
    if unknown := set(dimensions) - set(DIMENSION_NAMES):
        raise UnreadableRow(f"no dimension is named {', '.join(sorted(unknown))}")
    top = msgspec.json.decode(stat.top_models, type=list[TopModel]) if stat else ()
    slices = sorted(rows(daily_slices), key=lambda row: row.position)
    others = [name for name in DIMENSION_NAMES if name not in dimensions]
    if any(row._mapping[name] is not None for row in slices for name in others):  # noqa: SLF001
        raise UnreadableRow("a slice has a value for a dimension that the day was not sliced by")
    content = DayContent(
        unknown=closing.unknown_measures,
        day=closing.day,
        dimensions=dimensions,
        totals=_measures(stat) if stat else (0,) * len(MEASURE_NAMES),
        top_models=tuple(top),
        slices=tuple(
            Slice(tuple(row._mapping[name] for name in dimensions), _measures(row))  # noqa: SLF001
            for row in slices
        ),
        histograms=tuple(
            LatencyHistogram((row.provider, row.model), _histogram(row.histogram))
            for row in sorted(rows(daily_histograms), key=lambda row: row.position)
        ),
    )
    return content, stat
