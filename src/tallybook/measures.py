"""The registry of dimensions and measures.

A new measure or dimension is one row here and one column in a migration: the aggregate, the stored tables, the digest,
the answers and their documentation all follow the order of these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

MAX_TOTAL = (1 << 63) - 1
"""What a stored measure can hold. A day beyond it is refused, never rounded."""


class Kind(Enum):
    """How a measure is taken from the log records."""

    COUNT = "every record"
    KNOWN = "records in which the field is known"
    SUM = "sum of the field, unknown adding nothing"
    SUCCESS = "records with 200 <= status_code < 400"
    FAILED = "records with status_code >= 400 or status_code = 0"


@dataclass(frozen=True)
class Measure:
    """A whole number kept for each day and slice; `known_by` names the count that tells 0 from unknown."""

    name: str
    kind: Kind
    field: str | None = None
    known_by: str | None = None


@dataclass(frozen=True)
class Dimension:
    """What a day can be sliced by; `field` is the log record's column, unknown being null."""

    name: str
    field: str


MEASURES = (
    Measure("requests", Kind.COUNT),
    Measure("success", Kind.SUCCESS, "status_code", "status_count"),
    Measure("failed", Kind.FAILED, "status_code", "status_count"),
    Measure("status_count", Kind.KNOWN, "status_code"),
    Measure("tokens_in", Kind.SUM, "tokens_in", "tokens_in_count"),
    Measure("tokens_in_count", Kind.KNOWN, "tokens_in"),
    Measure("tokens_out", Kind.SUM, "tokens_out", "tokens_out_count"),
    Measure("tokens_out_count", Kind.KNOWN, "tokens_out"),
    Measure("tokens_cached", Kind.SUM, "tokens_cached", "tokens_cached_count"),
    Measure("tokens_cached_count", Kind.KNOWN, "tokens_cached"),
    Measure("tokens_reasoning", Kind.SUM, "tokens_reasoning", "tokens_reasoning_count"),
    Measure("tokens_reasoning_count", Kind.KNOWN, "tokens_reasoning"),
    Measure("latency_sum_ms", Kind.SUM, "latency_ms", "latency_count"),
    Measure("latency_count", Kind.KNOWN, "latency_ms"),
    Measure("ttft_sum_ms", Kind.SUM, "ttft_ms", "ttft_count"),
    Measure("ttft_count", Kind.KNOWN, "ttft_ms"),
    Measure("cost_nanousd", Kind.SUM, "cost_nanousd", "priced_requests"),
    Measure("priced_requests", Kind.KNOWN, "cost_nanousd"),
)
MEASURE_NAMES = tuple(measure.name for measure in MEASURES)
MEASURE_FIELDS = tuple(dict.fromkeys(measure.field for measure in MEASURES if measure.field))

DIMENSIONS = (
    Dimension("model", "model_name"),
    Dimension("provider", "provider"),
    Dimension("team", "team"),
    Dimension("api_key", "api_key"),
    Dimension("user", "user"),
    Dimension("operation", "operation"),
    Dimension("error_type", "error_type"),
)
DIMENSION_NAMES = tuple(dimension.name for dimension in DIMENSIONS)
DIMENSION_FIELDS = {dimension.name: dimension.field for dimension in DIMENSIONS}
DEFAULT_DIMENSIONS = ("model", "provider", "team", "api_key")
HISTOGRAM_DIMENSIONS = ("provider", "model")
"""Histograms by every dimension would be nearly as many groups as there are records; these two are affordable."""

OTHER = "(other)"
"""The value that stands in every dimension of the slice into which a day's smallest slices were folded."""

Totals = tuple[int, ...]
"""One whole number for each of `MEASURES`, in that order."""

NOTHING: Totals = (0,) * len(MEASURES)


def measure_index(name: str) -> int:
    """Where the measure stands in `Totals`."""
    return MEASURE_NAMES.index(name)


REQUESTS = measure_index("requests")
TOKENS_IN = measure_index("tokens_in")
TOKENS_OUT = measure_index("tokens_out")
LATENCY_COUNT = measure_index("latency_count")


def add_totals(rows: Iterable[Sequence[int]]) -> Totals:
    """The sum of the rows, measure by measure."""
    columns = list(zip(*rows, strict=True))
    return tuple(map(sum, columns)) if columns else NOTHING
