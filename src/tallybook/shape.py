"""The shape of a set of log records: which of the record's fields it has, and whether they can be relied on."""

from __future__ import annotations

from dataclasses import dataclass

from tallybook.histogram import MAX_LATENCY_MS
from tallybook.measures import DIMENSION_FIELDS, MEASURE_FIELDS
from tallybook.records import MAX_COST_USD, MAX_COUNT, MAX_STATUS, NANOUSD_PER_USD

NO_LATENCY = -1
"""The bucket of records whose latency is unknown."""

STRING_FIELDS = tuple(DIMENSION_FIELDS.values())
LARGEST = {
    **dict.fromkeys(MEASURE_FIELDS, MAX_COUNT),
    "status_code": MAX_STATUS,
    "latency_ms": MAX_LATENCY_MS,
    "ttft_ms": MAX_LATENCY_MS,
    "cost_nanousd": MAX_COST_USD * NANOUSD_PER_USD,
}
"""What a field of one record may at most be."""


@dataclass(frozen=True)
class Shape:
    """The fields, and whether they are known to keep the record's rules.

    Records that others wrote may hold anything: there a number below 0 or beyond the limit counts as unknown.
    """

    fields: frozenset[str]
    checked: bool
