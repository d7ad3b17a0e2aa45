"""What is on a page as a file: the days or a breakdown, as CSV, JSON or Parquet, whole and unrounded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tallybook.errors import UnknownName
from tallybook.measures import MEASURES, NOTHING
from tallybook.page.figures import Row
from tallybook.stats import as_row

DAYS, HOURS = "days", "hours"
_WITH_FRACTION = ("latency_avg_ms", "ttft_avg_ms")
_TEXT = ("date", "state", "value", "hour")
_COST = pa.decimal128(38, 9)
_KNOWN_BY = {measure.name: measure.known_by for measure in MEASURES if measure.known_by}
_OF_A_BREAKDOWN = ("value", *as_row(NOTHING))
"""What there is of each value: days and hours are never without a row, so that theirs are the only empty tables."""


@dataclass(frozen=True)
class Download:
    """A file: its name, type and bytes."""

    name: str
    media_type: str
    content: bytes


def download(name: str, rows: Sequence[Row], wanted: str) -> Download:
    """The rows in the format that is wanted, with nothing in place of what is unknown; an unknown format is an
    `UnknownName`."""
    if wanted not in FORMATS:
        raise UnknownName("format", wanted, tuple(FORMATS))
    media_type, write = FORMATS[wanted]
    return Download(f"{name}.{wanted}", media_type, write([_told(row) for row in rows]))


def _told(row: Row) -> Row:
    """The row without sums that nobody told: the answers have them as 0, and a file has no word for them."""
    return {name: None if _is_unknown(row, name) else value for name, value in row.items()}


def _is_unknown(row: Row, name: str) -> bool:
    return name in _KNOWN_BY and bool(row["requests"]) and not row[_KNOWN_BY[name]]


def _as_csv(rows: Sequence[Row]) -> bytes:
    """Unknown is an empty field. A name that a spreadsheet would run as a formula gets a quote before it."""
    text = io.StringIO()
    names = columns(rows)
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _as_json(rows: Sequence[Row]) -> bytes:
    return json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=1).encode()


def _as_parquet(rows: Sequence[Row]) -> bytes:
    names = columns(rows)
    table = pa.table({name: pa.array([_number(name, row.get(name)) for row in rows], _type(name)) for name in names})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _number(name: str, value: Any) -> Any:
    """Costs and numbers beyond 2^53 come as text."""
    if value is None or name in _TEXT:
        return value
    if name == "cost_usd":
        return Decimal(value)
    return float(value) if name in _WITH_FRACTION else int(value)


def _type(name: str) -> pa.DataType:
    if name in _TEXT:
        return pa.string()
    if name == "cost_usd":
        return _COST
    return pa.float64() if name in _WITH_FRACTION else pa.int64()


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all that some row has, or would have if there were one."""
    return list(dict.fromkeys(name for row in rows for name in row)) or list(_OF_A_BREAKDOWN)


FORMATS: dict[str, tuple[str, Callable[[Sequence[Row]], bytes]]] = {
    "csv": ("text/csv", _as_csv),
    "json": ("application/json", _as_json),
    "parquet": ("application/vnd.apache.parquet", _as_parquet),
}
