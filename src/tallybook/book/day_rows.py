"""A closed day's rows: daily stat, slices and histograms, written whole and read back as the day's content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa

from tallybook.book.engine import insert_row, insert_rows
from tallybook.book.entries import (
    Closing,
    MissingRow,
    StrangeRow,
    UnreadableRow,
    as_text,
    check_text,
    decode_text,
    read_measures,
    read_number,
)
from tallybook.book.schema import closings, daily_histograms, daily_slices, daily_stats
from tallybook.content import DayContent, LatencyHistogram, Slice, TopModel
from tallybook.histogram import Histogram
from tallybook.measures import DIMENSION_NAMES, HISTOGRAM_DIMENSIONS, MEASURE_NAMES, NOTHING

DAY_TABLES = {"daily_stats": daily_stats, "daily_slices": daily_slices, "daily_histograms": daily_histograms}


def insert_day(connection: sa.Connection, closing: Closing, content: DayContent) -> None:
    """Writes the rows of a day that had records."""
    stat = {
        "source": closing.source,
        "date": content.day.isoformat(),
        **dict(zip(MEASURE_NAMES, content.totals, strict=True)),
        "top_models": as_text([top.as_json() for top in content.top_models]),
        "dimensions": as_text(content.dimensions),
        "histogram": as_text(content.latency_histogram),
        "created_at": closing.closed_at,
    }
    insert_row(connection, daily_stats, stat)
    place = (closing.source, content.day.isoformat())
    columns = ("source", "date", "position", *content.dimensions, *MEASURE_NAMES)
    slices = [(*place, position, *part.key, *part.totals) for position, part in enumerate(content.slices)]
    insert_rows(connection, daily_slices, columns, slices)
    if content.histograms:
        columns = ("source", "date", "position", *HISTOGRAM_DIMENSIONS, "histogram")
        histograms = [(*place, n, *part.key, as_text(part.counts)) for n, part in enumerate(content.histograms)]
        insert_rows(connection, daily_histograms, columns, histograms)


def in_range(query: sa.Select[Any], table: sa.Table, source: str, first: date, last: date) -> sa.Select[Any]:
    """The query cut down to the source's days from first to last."""
    return query.where(table.c.source == source, table.c.date.between(first.isoformat(), last.isoformat()))


def read_stat(connection: sa.Connection, closing: Closing) -> sa.Row[Any] | None:
    """The day's row of `daily_stats`, as it lies there; None where there is none."""
    rows = _rows(connection, daily_stats, closing)
    if len(rows) > 1:
        raise StrangeRow(f"the day has {len(rows)} daily stats")
    return next(iter(rows), None)


def read_content(connection: sa.Connection, closing: Closing) -> DayContent:
    """The day's content as its rows now say; raises `UnreadableRow` where they say nothing."""
    with _of("closings"):
        unknown = closing.unknown_measures
    with _of("daily_stats"):
        stat = read_stat(connection, closing)
        if stat is None and closing.state == "closed":
            raise MissingRow("the day has no daily stat")
        dimensions = _read_dimensions(stat.dimensions) if stat else ()
        totals = read_measures(stat) if stat else NOTHING
        top_models = decode_text(stat.top_models, tuple[TopModel, ...], "top_models") if stat else ()
    with _of("daily_slices"):
        slices = tuple(_read_slice(row, dimensions) for row in _rows(connection, daily_slices, closing))
    with _of("daily_histograms"):
        histograms = tuple(_read_histogram(row) for row in _rows(connection, daily_histograms, closing))
    return DayContent(closing.day, dimensions, totals, top_models, slices, histograms, unknown)


@contextmanager
def _of(table: str) -> Iterator[None]:
    """Has an unreadable row say of which table it is."""
    try:
        yield
    except UnreadableRow as error:
        error.table = table
        raise


def _read_dimensions(text: str) -> tuple[str, ...]:
    dimensions = decode_text(text, tuple[str, ...], "dimensions")
    if unknown := set(dimensions) - set(DIMENSION_NAMES):
        raise UnreadableRow(f"no dimension is named {', '.join(sorted(unknown))}", "dimensions")
    return dimensions


def _rows(connection: sa.Connection, table: sa.Table, closing: Closing) -> Sequence[sa.Row[Any]]:
    rows = connection.execute(in_range(sa.select(table), table, closing.source, closing.day, closing.day)).all()
    if "position" not in table.c:
        return rows
    ordered = sorted(rows, key=lambda row: read_number(row, "position"))
    for place, row in enumerate(ordered):
        if row.position != place:
            raise MissingRow(f"{table.name} has no row at position {place}", "position")
    return ordered


def _read_slice(row: sa.Row[Any], dimensions: Sequence[str]) -> Slice:
    kept = row._mapping  # noqa: SLF001 - a Row's public mapping
    for name in DIMENSION_NAMES:
        if name not in dimensions and kept[name] is not None:
            raise StrangeRow(f"slice {row.position} has a {name}, by which the day was not sliced", name)
    return Slice(tuple(_name(kept[name], name) for name in dimensions), read_measures(row))


def _name(value: Any, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UnreadableRow(f"{field} holds no name but a {type(value).__name__}", field)
    check_text(value, field)
    return value


def _read_histogram(row: sa.Row[Any]) -> LatencyHistogram:
    counts = decode_text(row.histogram, tuple[tuple[int, int], ...], "histogram")
    key = tuple(_name(row._mapping[name], name) for name in HISTOGRAM_DIMENSIONS)  # noqa: SLF001
    return LatencyHistogram(key, counts)


_decode_histogram = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def read_histogram(text: str) -> Histogram:
    """A histogram's text, read as quickly as can be: by `decode_text` where it is to be checked."""
    return _decode_histogram(text)


def find_orphans(connection: sa.Connection) -> list[tuple[str, str, str]]:
    """(table, source, day) of rows that belong to no closing of a day with records."""
    found = []
    for name, table in DAY_TABLES.items():
        owner = (
            (closings.c.source == table.c.source) & (closings.c.day == table.c.date) & (closings.c.state == "closed")
        )
        query = sa.select(table.c.source, table.c.date).where(~sa.exists().where(owner)).distinct()
        found += [(name, row.source, row.date) for row in connection.execute(query)]
    return found
