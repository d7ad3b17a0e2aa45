"""Changes to a closed day: what its source says now, minus what the book has, slice by slice and bucket by bucket.

Every number is signed. Contents and changes add up exactly, in any order: the content that was closed, plus all changes
posted until some instant, is what was known of the day at that instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from tallybook import histogram
from tallybook.content import DayContent, Key, LatencyHistogram, Slice, canonical_order, top_models
from tallybook.histogram import Histogram
from tallybook.measures import MEASURES, NOTHING, Totals, add_totals


@dataclass(frozen=True)
class Change:
    """What is added to a day's content, in canonical order; slices and histograms that do not change are left out."""

    day: date
    dimensions: tuple[str, ...]
    totals: Totals
    slices: tuple[Slice, ...]
    histograms: tuple[LatencyHistogram, ...]

    def __bool__(self) -> bool:
        return bool(self.slices or self.histograms)


def change_between(before: DayContent, now: DayContent) -> Change:
    """The change that makes `now` of `before`; both are of one day, sliced by the same dimensions or empty."""
    dimensions = _common_dimensions(before.dimensions, now.dimensions)
    slices = _add_slices([*_negated(before.slices), *now.slices])
    histograms = _add_histograms([*_taken_away(before.histograms), *now.histograms])
    return Change(now.day, dimensions, subtract_totals(now.totals, before.totals), slices, histograms)


def apply_changes(content: DayContent, changes: Iterable[Change]) -> DayContent:
    """The content with the changes added; a `ValueError` where they are of another day or sliced otherwise."""
    for change in changes:
        content = _apply(content, change)
    return content


def _apply(content: DayContent, change: Change) -> DayContent:
    if change.day != content.day:
        raise ValueError(f"a change of {change.day} is none of {content.day}")
    slices = _add_slices([*content.slices, *change.slices])
    dimensions = _common_dimensions(content.dimensions, change.dimensions)
    return replace(
        content,
        dimensions=dimensions if slices else (),
        totals=add_totals([content.totals, change.totals]),
        top_models=top_models(dimensions, slices),
        slices=slices,
        histograms=_add_histograms([*content.histograms, *change.histograms]),
    )


def subtract_totals(minuend: Totals, subtrahend: Totals) -> Totals:
    """The difference, measure by measure."""
    return tuple(after - before for after, before in zip(minuend, subtrahend, strict=True))


def _common_dimensions(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if one and other and one != other:
        raise ValueError(f"sliced by {', '.join(one)} and by {', '.join(other)}")
    return one or other


def _negated(slices: Iterable[Slice]) -> list[Slice]:
    return [Slice(part.key, subtract_totals(NOTHING, part.totals)) for part in slices]


def _taken_away(histograms: Iterable[LatencyHistogram]) -> list[LatencyHistogram]:
    return [LatencyHistogram(part.key, tuple((bucket, -count) for bucket, count in part.counts)) for part in histograms]


def _add_slices(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    sums: dict[Key, list[int]] = {}
    for part in slices:
        total = sums.setdefault(part.key, [0] * len(MEASURES))
        for place, value in enumerate(part.totals):
            total[place] += value
    left = [Slice(key, tuple(total)) for key, total in sums.items() if any(total)]
    return tuple(sorted(left, key=lambda part: canonical_order(part.key)))


def _add_histograms(histograms: Iterable[LatencyHistogram]) -> tuple[LatencyHistogram, ...]:
    parts: dict[Key, list[Histogram]] = {}
    for part in histograms:
        parts.setdefault(part.key, []).append(part.counts)
    merged = [LatencyHistogram(key, histogram.merge(counts)) for key, counts in parts.items()]
    return tuple(sorted((part for part in merged if part.counts), key=lambda part: canonical_order(part.key)))
