"""Filters: of which dimension values the records are that statistics are asked of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tallybook.content import DayContent, Key, top_models
from tallybook.errors import UnknownName, UsageError, shorten
from tallybook.measures import DIMENSION_NAMES, HISTOGRAM_DIMENSIONS, add_totals

MAX_FILTER = 10_000


@dataclass(frozen=True)
class Filters:
    """The wanted value of each dimension that is narrowed, None for unknown; ordered by dimension."""

    wanted: tuple[tuple[str, str | None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.wanted)

    @property
    def knows_latencies(self) -> bool:
        """Whether percentiles can be told: latencies are kept by provider and model alone."""
        return all(dimension in HISTOGRAM_DIMENSIONS for dimension, _ in self.wanted)

    def take(self, dimensions: Sequence[str], key: Key) -> bool:
        """Whether what lies under the key is wanted; a dimension that it is not cut by is unknown there."""
        return all(_value(dimensions, key, dimension) == value for dimension, value in self.wanted)

    def narrow(self, content: DayContent) -> DayContent:
        """What is wanted of a day; no latencies where they cannot be told."""
        slices = tuple(part for part in content.slices if self.take(content.dimensions, part.key))
        latencies = tuple(part for part in content.histograms if self.take(HISTOGRAM_DIMENSIONS, part.key))
        return replace(
            content,
            totals=add_totals(part.totals for part in slices),
            top_models=top_models(content.dimensions, slices),
            slices=slices,
            histograms=latencies if self.knows_latencies else (),
        )

    def as_texts(self) -> list[str]:
        """The filters as they are written."""
        return [dimension if value is None else f"{dimension}={value}" for dimension, value in self.wanted]


NO_FILTERS = Filters()


def parse_filters(texts: Iterable[str]) -> Filters:
    """From texts as `DIMENSION=VALUE`, the value as it is, or `DIMENSION` alone for what is unknown.

    Raises `UnknownName` for another dimension, and `UsageError` for one that is narrowed twice.
    """
    wanted: dict[str, str | None] = {}
    for text in texts:
        dimension, equals, value = text.partition("=")
        if dimension not in DIMENSION_NAMES:
            raise UnknownName("dimension", dimension, DIMENSION_NAMES)
        if len(text) > MAX_FILTER:
            raise UsageError(f"The filter {shorten(text)!r} is too long.", f"Use at most {MAX_FILTER:,} characters.")
        if dimension in wanted:
            raise UsageError(f"Two filters are given for {dimension}.", "Give one of them.")
        wanted[dimension] = value if equals else None
    return Filters(tuple(sorted(wanted.items())))


def _value(dimensions: Sequence[str], key: Key, dimension: str) -> str | None:
    return key[dimensions.index(dimension)] if dimension in dimensions else None
