"""The entries of the book's chain: closings and adjustments, as rows of the database and as links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any, TypeGuard, TypeVar

import msgspec
import sqlalchemy as sa

from tallybook.change import Change
from tallybook.content import LatencyHistogram, Slice
from tallybook.days import format_instant
from tallybook.digest import MAX_SAFE_INTEGER, PAYLOAD_VERSIONS, canonical_bytes, chain_link, safe_integers
from tallybook.errors import BookError, first_line, shorten
from tallybook.histogram import Histogram
from tallybook.measures import MEASURE_NAMES, Totals

FINGERPRINT_MEASURES = ("requests", "tokens_in", "tokens_out", "latency_sum_ms", "cost_nanousd")
RESTORE = "Restore the book from a backup."

Value = TypeVar("Value")


class UnreadableRow(BookError):
    """A row of the book does not hold what its column must; `table` and `field` say where, as far as it is known."""

    verdict = "unreadable"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message, RESTORE)
        self.field = field
        self.table: str | None = None


class MissingRow(UnreadableRow):
    """A row that must be there, as those beside it show, is not."""

    verdict = "missing"


class StrangeRow(UnreadableRow):
    """A row that can be read, but was not written so by tallybook."""

    verdict = "altered"


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
    schema_version: str = ""

    @property
    def unknown_measures(self) -> tuple[str, ...]:
        """The measures that the source could not know, whose 0 therefore means nothing."""
        if self.unknown == "[]":
            return ()
        return decode_text(self.unknown, tuple[str, ...], "unknown")

    def as_json(self) -> dict[str, Any]:
        """The closing as it is shown; `prices` only where the cost of a record was computed."""
        decoded = {name: msgspec.json.decode(getattr(self, name)) for name in ("fingerprint", "unknown", "prices")}
        shown = {**asdict(self), "day": self.day.isoformat(), **decoded}
        return {name: safe_integers(value) for name, value in shown.items() if name != "prices" or value}

    def link(self) -> str:
        """What `chain` must be: the hash of the other fields, `prev_chain` among them.

        In version 1 `unknown` was covered by `digest` alone, and `prices` were a note on where costs came from.
        """
        if self.payload_version == 1:
            return _link(self, leave_out=("chain", "unknown", "prices", "schema_version"))
        return _link(self, leave_out=("chain",), kind="closing")


@dataclass(frozen=True)
class Adjustment:
    """A signed correction to a closed day, never changed itself. Fingerprints are those before and after it."""

    seq: int
    source: str
    day: date
    recorded_at: str
    reason: str
    change: Change
    fingerprint_before: str
    fingerprint_after: str
    prices: str
    payload_version: int
    schema_version: str
    digest: str
    prev_chain: str
    chain: str = ""

    def as_json(self) -> dict[str, Any]:
        """The adjustment as it is shown: its measures that change, not its slices."""
        shown = {name: getattr(self, name) for name in _field_names(Adjustment) if name != "change"}
        decoded = {name: msgspec.json.decode(shown[name]) for name in ("fingerprint_before", "fingerprint_after")}
        change = {name: value for name, value in zip(MEASURE_NAMES, self.change.totals, strict=True) if value}
        priced = {"prices": msgspec.json.decode(self.prices)}
        answer: dict[str, Any] = safe_integers(
            {**shown, **decoded, **priced, "day": self.day.isoformat(), "change": change}
        )
        return answer

    def link(self) -> str:
        """What `chain` must be: the hash of the other fields; `digest` stands for the change."""
        return _link(self, leave_out=("chain", "change"), kind="adjustment")


Entry = Closing | Adjustment


@dataclass(frozen=True)
class AdjustmentMark:
    """That there is an adjustment: what can be known of it without reading what it changes."""

    seq: int
    source: str
    day: date
    recorded_at: str


def _field_names(kind: type[Any]) -> list[str]:
    return [field.name for field in fields(kind)]


def _link(entry: Entry, leave_out: Sequence[str], **more: str) -> str:
    linked = {name: getattr(entry, name) for name in _field_names(type(entry)) if name not in leave_out}
    return chain_link({**linked, **more, "day": entry.day.isoformat()}, entry.payload_version)


def fingerprint_of(totals: Totals) -> str:
    """What a source is later compared with, as canonical JSON."""
    return as_text({name: totals[MEASURE_NAMES.index(name)] for name in FINGERPRINT_MEASURES})


def as_text(value: Any) -> str:
    """A compound value as the book keeps it."""
    return canonical_bytes(value).decode()


def decode_text(text: str, kind: type[Value], field: str) -> Value:
    """The compound value that a column holds in canonical form; `UnreadableRow` naming the column otherwise."""
    check_text(text, field)
    try:
        value = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError) as error:
        raise UnreadableRow(f"{field} holds {shorten(str(text))!r}: {first_line(error)}", field) from None
    if as_text(value) != text:
        raise StrangeRow(f"{field} is not written as tallybook writes it", field)
    return value


def check_text(text: Any, field: str) -> None:
    """Raises `UnreadableRow` for bytes that are no UTF-8, which were read as surrogates."""
    if isinstance(text, str) and _SURROGATE.search(text):
        raise UnreadableRow(f"{field} holds bytes that are no UTF-8", field)


def read_instant(row: sa.Row[Any], column: str) -> Any:
    """The instant in a row's column, as text; NULL is for the hash to tell."""
    text = read_text(row, column)
    with suppress(ValueError):
        if text is None or format_instant(datetime.fromisoformat(text)) == text:
            return text
    raise UnreadableRow(f"{column} holds no instant but {shorten(repr(text))}", column)


def read_day(row: sa.Row[Any], column: str = "day") -> date:
    """The day in a row's column."""
    text = row._mapping[column]  # noqa: SLF001 - a Row's public mapping
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        day = None
    if day is None or day.isoformat() != text:
        raise UnreadableRow(f"{column} holds no day but {shorten(str(text))!r}", column)
    return day


def read_number(row: sa.Row[Any], column: str) -> int:
    """The whole number in a row's column."""
    value = row._mapping[column]  # noqa: SLF001
    if type(value) is not int:
        raise UnreadableRow(f"{column} holds no whole number but {shorten(repr(value))}", column)
    return value


def read_text(row: sa.Row[Any], column: str) -> Any:
    """The text in a row's column; NULL where no constraint stands any more is for the hash to tell."""
    value = row._mapping[column]  # noqa: SLF001
    if value is not None and not isinstance(value, str):
        raise UnreadableRow(f"{column} holds no text but {shorten(repr(value))}", column)
    check_text(value, column)
    return value


def read_measures(row: sa.Row[Any]) -> Totals:
    """The measures of a row."""
    return tuple(read_number(row, name) for name in MEASURE_NAMES)


def read_closing(row: sa.Row[Any]) -> Closing:
    """The closing in a row."""
    return Closing(**_read_fields(row, Closing, PAYLOAD_VERSIONS), day=read_day(row))


def read_adjustment(row: sa.Row[Any]) -> Adjustment:
    """The adjustment in a row, with its change."""
    fields_read = _read_fields(row, Adjustment, PAYLOAD_VERSIONS[1:])
    return Adjustment(**fields_read, day=read_day(row), change=_read_change(row))


def _read_fields(row: sa.Row[Any], kind: type[Any], versions: Sequence[int]) -> dict[str, Any]:
    """The entry's fields that are a column of their own, but for its day."""
    names = [name for name in _field_names(kind) if name not in ("day", "change")]
    read = {name: _READ.get(name, read_text)(row, name) for name in names}
    if read["payload_version"] not in versions:
        raise UnreadableRow(f"there is no payload_version {read['payload_version']}", "payload_version")
    return read


_READ: dict[str, Callable[[sa.Row[Any], str], Any]] = {
    **dict.fromkeys(("seq", "records", "payload_version"), read_number),
    **dict.fromkeys(("closed_at", "recorded_at"), read_instant),
}
"""How a column is read that holds no text."""

Cells = tuple[int | str | None, ...]
Counted = tuple[str | None, str | None, Histogram]
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECIMAL = re.compile(r"-?[1-9][0-9]{15,39}")


def _read_change(row: sa.Row[Any]) -> Change:
    dimensions = decode_text(row.dimensions, tuple[str, ...], "dimensions")
    width = len(dimensions)
    slices = [
        Slice(_texts(cells[:width], "slices"), _numbers(cells[width:], len(MEASURE_NAMES), "slices"))
        for cells in decode_text(row.slices, tuple[Cells, ...], "slices")
    ]
    listed = decode_text(row.histograms, tuple[Counted, ...], "histograms")
    histograms = [LatencyHistogram((provider, model), counts) for provider, model, counts in listed]
    return Change(read_day(row), dimensions, read_measures(row), tuple(slices), tuple(histograms))


def _texts(cells: Cells, field: str) -> tuple[str | None, ...]:
    if any(isinstance(cell, int) for cell in cells):
        raise UnreadableRow(f"{field} has a number where a name belongs", field)
    return tuple(None if cell is None else str(cell) for cell in cells)


def _numbers(cells: Cells, count: int, field: str) -> tuple[int, ...]:
    """Numbers, of which those beyond ±(2^53 - 1) are decimal strings."""
    numbers = tuple(int(cell) for cell in cells if _is_number(cell))
    if not len(numbers) == len(cells) == count:
        raise UnreadableRow(f"{field} has not {count} whole numbers where it should", field)
    return numbers


def _is_number(cell: int | str | None) -> TypeGuard[int | str]:
    if isinstance(cell, int):
        return abs(cell) <= MAX_SAFE_INTEGER
    return cell is not None and bool(_DECIMAL.fullmatch(cell)) and abs(int(cell)) > MAX_SAFE_INTEGER


def closing_row(closing: Closing) -> dict[str, Any]:
    """The closing as a row."""
    return {**asdict(closing), "day": closing.day.isoformat()}


def adjustment_row(adjustment: Adjustment) -> dict[str, Any]:
    """The adjustment as a row."""
    change = adjustment.change
    kept = {name: getattr(adjustment, name) for name in _field_names(Adjustment) if name != "change"}
    return {
        **kept,
        "day": adjustment.day.isoformat(),
        **dict(zip(MEASURE_NAMES, change.totals, strict=True)),
        "dimensions": as_text(change.dimensions),
        "slices": as_text(safe_integers([(*part.key, *part.totals) for part in change.slices])),
        "histograms": as_text([(*part.key, part.counts) for part in change.histograms]),
    }
