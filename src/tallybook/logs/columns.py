"""Log records in columns, as they are stored: checked all at once, and one by one only where one has a fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tallybook.days import epoch_us
from tallybook.records import (
    COUNT_FIELDS,
    DURATION_FIELDS,
    EARLIEST,
    FUTURE_TOLERANCE,
    MAX_COST_USD,
    MAX_TEXT,
    RANGES,
    RECORD_FIELDS,
    STORED_FIELDS,
    SUBSETS,
    TEXT_FIELDS,
    LogRecord,
    Rejected,
    StoredRow,
    Unacceptable,
    conceal_secret,
    stored_row,
)

PRICED_BY = "priced_by"
"""Which version of the prices the cost was computed with; null where the record brought its own, or has none."""

STORED_SCHEMA = pa.schema(
    [
        pa.field(
            name,
            {
                "created_at": pa.timestamp("us"),
                "status_code": pa.int16(),
                "stream": pa.bool_(),
                **dict.fromkeys(TEXT_FIELDS, pa.string()),
            }.get(name, pa.int64()),
        )
        for name in STORED_FIELDS
    ]
    + [pa.field(PRICED_BY, pa.string())]
)
"""The columns of `log_records`, in order; `created_at` in UTC, without saying so."""

NANOUSD = pa.decimal128(38, 9)


@dataclass(frozen=True)
class Batch:
    """Records ready to be stored, each with its index in what was sent, and those that were rejected, by index.

    `ignored` counts what was sent and is in order, but no record.
    """

    table: pa.Table
    indices: Sequence[int]
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0


def to_batch(
    records: Sequence[LogRecord], indices: Sequence[int], rejected: Sequence[Rejected], now: datetime
) -> Batch:
    """The records in columns of `STORED_SCHEMA`, without those that break a rule of `records`.

    Whether there is a fault at all is seen from the columns; which record has it, and why, `stored_row` says.
    """
    try:
        table = _checked_table(records, now)
    except (_Faulty, pa.ArrowException, OverflowError, UnicodeEncodeError):
        return _one_by_one(records, indices, rejected, now)
    return Batch(table, indices, list(rejected))


def stored_table(rows: Sequence[StoredRow]) -> pa.Table:
    """Rows in the order of `STORED_FIELDS`, in columns."""
    columns = zip(*rows, strict=True) if rows else [()] * len(STORED_FIELDS)
    arrays = [
        pa.array(column, STORED_SCHEMA.field(name).type) for name, column in zip(STORED_FIELDS, columns, strict=True)
    ]
    return _with_no_price(arrays)


def _with_no_price(arrays: list[pa.Array]) -> pa.Table:
    return pa.Table.from_arrays([*arrays, pa.nulls(len(arrays[0]), pa.string())], schema=STORED_SCHEMA)


def _one_by_one(
    records: Sequence[LogRecord], indices: Sequence[int], rejected: Sequence[Rejected], now: datetime
) -> Batch:
    rows, kept, faults = [], [], list(rejected)
    for index, record in zip(indices, records, strict=True):
        try:
            rows.append(stored_row(record, now))
            kept.append(index)
        except Unacceptable as error:
            faults.append(Rejected(index, str(error)))
    return Batch(stored_table(rows), kept, sorted(faults, key=lambda entry: entry.index))


class _Faulty(Exception):
    """Some record breaks a rule."""


def _checked_table(records: Sequence[LogRecord], now: datetime) -> pa.Table:
    if not records:
        return stored_table(())
    given = {name: list(map(attrgetter(name), records)) for name in RECORD_FIELDS}
    columns = {"created_at": _instants(given.pop("created_at"), now)}
    columns |= {name: _COLUMNS[name](values) for name, values in given.items()}
    for name, (low, high) in RANGES.items():
        _check_range(columns[name], low, high)
    for part, whole in SUBSETS:
        if columns[part].null_count < len(columns[part]):
            _check(not pc.any(pc.greater(columns[part], columns[whole])).as_py())
    return _with_no_price(list(columns.values()))


def _check(holds: bool) -> None:
    if not holds:
        raise _Faulty


def _check_range(column: pa.Array, low: int, high: int) -> None:
    if column.null_count < len(column):
        found = pc.min_max(column)
        _check(found["min"].as_py() >= low and found["max"].as_py() <= high)


def _instants(values: list[Any], now: datetime) -> pa.Array:
    """Whole epoch milliseconds, or texts that all have an offset and no digits beyond the microsecond."""
    if isinstance(values[0], int):
        instants = pc.multiply_checked(pa.array(values, pa.int64()), 1000)
    else:
        instants = pc.cast(pc.cast(pa.array(values, pa.string()), pa.timestamp("us", "UTC")), pa.int64())
    _check_range(instants, epoch_us(EARLIEST), epoch_us(now + FUTURE_TOLERANCE))
    return pc.cast(instants, pa.timestamp("us"))


def _whole_numbers(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.int64())


def _statuses(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.int16())


def _flags(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.bool_())


def _texts(values: list[Any]) -> pa.Array:
    """An empty text tells nothing, so it is unknown."""
    texts = pa.array(values, pa.string())
    if texts.null_count == len(texts):
        return texts
    lengths = pc.min_max(pc.utf8_length(texts))
    _check(lengths["max"].as_py() <= MAX_TEXT and not pc.any(pc.match_substring(texts, "\0")).as_py())
    return texts if lengths["min"].as_py() else pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _names(values: list[Any]) -> pa.Array:
    texts = _texts(values)
    _check(not texts.null_count)
    return texts


@lru_cache(10_000)
def _concealed(key: str) -> str:
    return conceal_secret(key)


def _keys(values: list[Any]) -> pa.Array:
    texts = _texts(values)
    if texts.null_count == len(texts):
        return texts
    encoded = texts.dictionary_encode()
    return pa.array([_concealed(key) for key in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _costs(values: list[Any]) -> pa.Array:
    """US dollars as whole nano-USD, rounded half to even: the unscaled numbers of decimals with nine digits."""
    usd = pa.array(values, pa.decimal128(38, 24))
    if usd.null_count == len(usd):
        return pa.nulls(len(usd), pa.int64())
    _check_range(usd, 0, MAX_COST_USD)
    rounded = pc.cast(pc.round(usd, 9, "half_to_even"), NANOUSD)
    low_words = np.frombuffer(rounded.buffers()[1], np.int64)[:: NANOUSD.byte_width // 8]
    return pa.array(low_words[: len(usd)], pa.int64(), mask=usd.is_null().to_numpy(zero_copy_only=False))


_COLUMNS: dict[str, Callable[[list[Any]], pa.Array]] = {
    **dict.fromkeys((*COUNT_FIELDS, *DURATION_FIELDS), _whole_numbers),
    **dict.fromkeys(TEXT_FIELDS, _texts),
    "model_name": _names,
    "status_code": _statuses,
    "api_key": _keys,
    "cost_usd": _costs,
    "stream": _flags,
}
