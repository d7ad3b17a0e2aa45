"""What a closed day holds: totals, top models, slices and histograms, and the checks that tie them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from tallybook import histogram
from tallybook.errors import CloseFailed
from tallybook.histogram import Histogram
from tallybook.measures import (
    HISTOGRAM_DIMENSIONS,
    LATENCY_COUNT,
    MAX_TOTAL,
    MEASURE_NAMES,
    NOTHING,
    OTHER,
    REQUESTS,
    TOKENS_IN,
    TOKENS_OUT,
    Totals,
    add_totals,
)

TOP_MODELS = 10

Key = tuple[str | None, ...]
"""A value for each dimension; None is unknown."""


@dataclass(frozen=True)
class Slice:
    """The day's figures for one combination of dimension values."""

    key: Key
    totals: Totals


@dataclass(frozen=True)
class LatencyHistogram:
    """The latencies of the day for one combination of `HISTOGRAM_DIMENSIONS`."""

    key: Key
    counts: Histogram


@dataclass(frozen=True)
class TopModel:
    """One row of the day's top models; tokens are in + out."""

    model: str | None
    requests: int
    tokens: int

    def as_json(self) -> dict[str, Any]:
        return {"model": self.model, "requests": self.requests, "tokens": self.tokens}


@dataclass(frozen=True)
class DayContent:
    """Everything that is known of a day from one source, in canonical order."""

    day: date
    dimensions: tuple[str, ...]
    totals: Totals
    top_models: tuple[TopModel, ...]
    slices: tuple[Slice, ...]
    histograms: tuple[LatencyHistogram, ...]
    unknown: tuple[str, ...] = ()
    """Measures that the source cannot know, so that their 0 means nothing."""

    @property
    def records(self) -> int:
        return self.totals[REQUESTS]

    @cached_property
    def latency_histogram(self) -> Histogram:
        """The whole day's latencies."""
        return histogram.merge(part.counts for part in self.histograms)


def canonical_order(key: Key) -> tuple[tuple[bool, str], ...]:
    """Sorts keys by dimension, unknown first, then by code point: the order in which a day is hashed."""
    return tuple((value is not None, value or "") for value in key)


def empty_content(day: date, unknown: tuple[str, ...] = ()) -> DayContent:
    """A day without records; how it would have been sliced is no part of it."""
    return DayContent(day, (), NOTHING, (), (), (), unknown)


@dataclass(frozen=True)
class DayBuckets:
    """A day's latencies as they were read: a histogram for each provider and model, and how many records there were."""

    histograms: Mapping[Key, Histogram]
    records: int


NO_BUCKETS = DayBuckets({}, 0)


def build_content(
    day: date,
    dimensions: tuple[str, ...],
    slices: Sequence[Slice],
    buckets: DayBuckets,
    max_slices: int,
    unknown: tuple[str, ...] = (),
) -> DayContent:
    """The day's content from what the two groupings say of it, and what the source cannot know.

    Raises `CloseFailed` when they disagree, which means that the source changed between them, and when a total is
    beyond 64 bits.
    """
    totals = add_totals(part.totals for part in slices)
    _check_agreement(day, totals, buckets)
    if not slices:
        return empty_content(day, unknown)
    kept = fold_smallest(slices, max_slices)
    return DayContent(
        day,
        dimensions,
        totals,
        top_models(dimensions, slices),
        tuple(sorted(kept, key=lambda part: canonical_order(part.key))),
        _fold_histograms(dimensions, buckets.histograms, kept),
        unknown,
    )


def _check_agreement(day: date, totals: Totals, buckets: DayBuckets) -> None:
    latencies = sum(histogram.total(counts) for counts in buckets.histograms.values())
    if buckets.records != totals[REQUESTS] or latencies != totals[LATENCY_COUNT]:
        raise CloseFailed(
            f"The source changed while {day} was read: {totals[REQUESTS]} records, then {buckets.records}.",
            "It stays open and is tried again.",
        )
    for name, value in zip(MEASURE_NAMES, totals, strict=True):
        if abs(value) > MAX_TOTAL:
            raise CloseFailed(
                f"The total {name} of {day} is {value}, beyond 64 bits.", "Look for absurd values in the source."
            )


def top_models(dimensions: tuple[str, ...], slices: Iterable[Slice]) -> tuple[TopModel, ...]:
    """The day's models by requests descending, then by name; at most ten."""
    if "model" not in dimensions:
        return ()
    place = dimensions.index("model")
    by_model: dict[str | None, tuple[int, int]] = {}
    for part in slices:
        requests, tokens = by_model.get(part.key[place], (0, 0))
        more_tokens = part.totals[TOKENS_IN] + part.totals[TOKENS_OUT]
        by_model[part.key[place]] = (requests + part.totals[REQUESTS], tokens + more_tokens)
    return rank_models(by_model)


def rank_models(by_model: dict[str | None, tuple[int, int]]) -> tuple[TopModel, ...]:
    """The ten models with most requests, ties by name, from (requests, tokens) by model."""
    ranked = sorted(by_model.items(), key=lambda entry: (-entry[1][0], entry[0] is not None, entry[0] or ""))
    return tuple(TopModel(model, requests, tokens) for model, (requests, tokens) in ranked[:TOP_MODELS])


def fold_smallest(slices: Sequence[Slice], max_slices: int) -> list[Slice]:
    """At most `max_slices` slices: the smallest by requests become one `(other)` slice, totals staying exact."""
    if len(slices) <= max_slices:
        return list(slices)
    ranked = sorted(slices, key=lambda part: (-part.totals[REQUESTS], canonical_order(part.key)))
    kept, folded = ranked[: max_slices - 1], ranked[max_slices - 1 :]
    other = Slice((OTHER,) * len(folded[0].key), add_totals(part.totals for part in folded))
    return _merge_same_key([*kept, other])


def _merge_same_key(slices: Iterable[Slice]) -> list[Slice]:
    """A source may itself use the name `(other)`; its slice and ours are then one."""
    merged: dict[Key, Totals] = {}
    for part in slices:
        merged[part.key] = add_totals([merged.get(part.key, NOTHING), part.totals])
    return [Slice(key, totals) for key, totals in merged.items()]


def _fold_histograms(
    dimensions: tuple[str, ...], histograms: Mapping[Key, Histogram], slices: Iterable[Slice]
) -> tuple[LatencyHistogram, ...]:
    """The histograms, those of pairs that no kept slice names folded into `(other)`."""
    if set(HISTOGRAM_DIMENSIONS) <= set(dimensions):
        places = [dimensions.index(name) for name in HISTOGRAM_DIMENSIONS]
        named = {tuple(part.key[place] for place in places) for part in slices}
    else:
        named = set(histograms)
    folded: dict[Key, list[Histogram]] = {}
    for key, counts in histograms.items():
        folded.setdefault(key if key in named else (OTHER, OTHER), []).append(counts)
    return tuple(
        LatencyHistogram(key, parts[0] if len(parts) == 1 else histogram.merge(parts))
        for key, parts in sorted(folded.items(), key=lambda entry: canonical_order(entry[0]))
    )
