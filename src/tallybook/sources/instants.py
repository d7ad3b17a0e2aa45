"""Instants as sources store them: the units, and how each engine writes a literal in one.

A window is always bounded in the source's own unit, by a literal that we compute, so that an index on time is used and
no session's time zone has a say.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tallybook.days import EPOCH, epoch_us
from tallybook.errors import LogsError

TICKS_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}
"""The units of a time that is a whole number."""

TIME_UNITS = {"s": "epoch_s", "ms": "epoch_ms", "us": "epoch_us", "ns": "epoch_ns"}
"""The names by which a user gives such a unit."""

_LITERALS = {
    "naive": {
        "": "CAST('{moment}' AS TIMESTAMP)",
        "mysql": "TIMESTAMP'{moment}'",
        "clickhouse": "toDateTime64('{moment}', 6, 'UTC')",
        "pyspark": "TIMESTAMP_NTZ'{moment}'",
        "bigquery": "DATETIME '{moment}'",
    },
    "zoned": {
        "": "CAST('{moment}+00:00' AS TIMESTAMP WITH TIME ZONE)",
        "mysql": "TIMESTAMP'{moment}'",
        "clickhouse": "toDateTime64('{moment}', 6, 'UTC')",
        "pyspark": "TIMESTAMP'{moment}+00:00'",
        "bigquery": "TIMESTAMP '{moment}+00:00'",
        "trino": "TIMESTAMP '{moment} UTC'",
    },
    "text": {"": "'{moment}'"},
}
"""By unit and dialect; the empty name stands for every dialect that is not named."""


def literal(time: str, dialect: str, instant: datetime) -> str:
    """The instant, to the second, as the engine's literal in that unit."""
    if time in TICKS_PER_SECOND:
        return str(epoch_us(instant) // 1_000_000 * TICKS_PER_SECOND[time])
    spellings = _LITERALS[time]
    moment = instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return spellings.get(dialect, spellings[""]).format(moment=moment)


_GO_OFFSET = re.compile(r" ([+-]\d{2})(\d{2}).*$")


def read_instant(time: str, value: Any) -> datetime:
    """The instant that a value of the source's time column means; `LogsError` for one that means none."""
    try:
        if time in TICKS_PER_SECOND:
            return EPOCH + timedelta(microseconds=int(value) * 1_000_000 // TICKS_PER_SECOND[time])
        moment = datetime.fromisoformat(_cut(value)) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        message = f"The source holds {str(value)[:40]!r} where an instant belongs."
        raise LogsError(message, "Attach it with --query, and a SELECT that leaves such rows out.") from error


def _cut(text: str) -> str:
    """Python reads six digits of a second and no more; Go writes nine, and ` +0800 CST` after them."""
    head, dot, tail = _GO_OFFSET.sub(r"\1:\2", text.strip()).partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}{dot}{tail[: min(digits, 6)]}{tail[digits:]}"


def guess_time_unit(value: int) -> str:
    """The unit of a number since the epoch, from its size: seconds, ms, us and ns of 2001 to 2286 do not overlap."""
    limits = ((10**10, "epoch_s"), (10**13, "epoch_ms"), (10**16, "epoch_us"))
    return next((unit for limit, unit in limits if value < limit), "epoch_ns")
