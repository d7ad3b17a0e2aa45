"""What answers must show of a list of records, in plain Python: nothing here is imported from tallybook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

import oracle
from oracle import Key, Record

OTHER = "(other)"
PERCENTS = (50, 95, 99)
NULL_WHEN_UNKNOWN = ("tokens_cached", "tokens_reasoning", "ttft_sum_ms")
KNOWN_BY = {**dict(oracle.SUMS.values()), "success": "status_count", "failed": "status_count"}
"""For each measure that may be unknown, the count of the records that know it."""

SHOWN_AS = {"cost_nanousd": "cost_usd"}
Pair = Key
"""A provider and a model."""


@dataclass(frozen=True)
class Cut:
    """How a day is cut: by which dimensions, and into how many slices at most."""

    dimensions: tuple[str, ...] = oracle.DIMENSIONS
    max_slices: int = 10_000


@dataclass(frozen=True)
class Told:
    """The records of a day as they were when they were counted, and how the day was cut."""

    records: tuple[Record, ...]
    cut: Cut

    @cached_property
    def slices(self) -> dict[Key, list[Record]]:
        """The records by slice: past the limit the smallest, by requests, are one."""
        found = oracle.groups(self.records, self.cut.dimensions)
        if len(found) <= self.cut.max_slices:
            return found
        order = {key: place for place, key in enumerate(oracle.in_order(found))}
        ranked = sorted(found, key=lambda key: (-len(found[key]), order[key]))
        kept, folded = ranked[: self.cut.max_slices - 1], ranked[self.cut.max_slices - 1 :]
        other = [entry for key in folded for entry in found[key]]
        return {**{key: found[key] for key in kept}, (OTHER,) * len(self.cut.dimensions): other}

    @cached_property
    def latencies(self) -> dict[Pair, list[Record]]:
        """The records by provider and model, those of which no slice tells under one name."""
        pairs = oracle.groups(self.records, ("provider", "model"))
        if not {"provider", "model"} <= set(self.cut.dimensions):
            return pairs
        places = [self.cut.dimensions.index(name) for name in ("provider", "model")]
        named = {(key[places[0]], key[places[1]]) for key in self.slices}
        found: dict[Pair, list[Record]] = {}
        for pair, part in pairs.items():
            found.setdefault(pair if pair in named else (OTHER, OTHER), []).extend(part)
        return found

    def histograms(self) -> dict[Pair, dict[int, int]]:
        """The latencies that are known, counted by bucket."""
        return {pair: counts for pair, part in self.latencies.items() if (counts := _buckets(part))}

    @cached_property
    def content(self) -> tuple[dict[Key, tuple[int, ...]], dict[Pair, dict[int, int]]]:
        """Everything in which two days can differ."""
        return {key: totals(part) for key, part in self.slices.items()}, self.histograms()

    @cached_property
    def row(self) -> dict[str, Any]:
        """What answers show of the day."""
        return row(self.records)

    def payload(self, day: date) -> dict[str, Any]:
        """Everything that the day's digest covers."""
        whole = oracle.payload(day, self.records, self.cut.dimensions)
        slices, histograms = self.slices, self.histograms()
        return whole | {
            "top_models": whole["top_models"] if "model" in self.cut.dimensions else [],
            "slices": [[*key, *totals(slices[key])] for key in oracle.in_order(slices) if slices[key]],
            "histograms": [
                [*pair, [list(item) for item in sorted(histograms[pair].items())]]
                for pair in oracle.in_order(histograms)
            ],
        }

    def digest(self, day: date) -> str:
        return oracle.digest(self.payload(day))


def totals(records: Iterable[Record]) -> tuple[int, ...]:
    """Every measure of the records, in order."""
    return tuple(oracle.totals(records).values())


def subtract(minuend: Sequence[int], subtrahend: Sequence[int]) -> dict[str, int]:
    """The measures in which the two differ, with the signed difference."""
    pairs = zip(oracle.MEASURES, minuend, subtrahend, strict=True)
    return {name: after - before for name, after, before in pairs if after != before}


def _buckets(records: Iterable[Record]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for entry in records:
        if entry["latency_ms"] is not None:
            place = oracle.bucket(entry["latency_ms"])
            counts[place] = counts.get(place, 0) + 1
    return counts


def row(records: Sequence[Record], of_percentiles: Sequence[Record] | None = None) -> dict[str, Any]:
    """The measures of the records as an answer shows them; percentiles are of the same records, if of no others."""
    sums = oracle.totals(records)
    shown: dict[str, Any] = {
        name: None if name in NULL_WHEN_UNKNOWN and not sums[KNOWN_BY[name]] else value for name, value in sums.items()
    }
    cost = shown.pop("cost_nanousd")
    shown["cost_usd"] = _usd(cost) if sums["priced_requests"] else None
    shown["latency_avg_ms"] = _average(sums["latency_sum_ms"], sums["latency_count"])
    shown["ttft_avg_ms"] = _average(sums["ttft_sum_ms"], sums["ttft_count"])
    ranked = records if of_percentiles is None else of_percentiles
    return shown | {f"latency_p{percent}_ms": oracle.percentile(ranked, percent) for percent in PERCENTS}


def _usd(nanousd: int) -> str:
    return f"{Decimal(nanousd).scaleb(-9).normalize():f}"


def _average(total: int, count: int) -> float | None:
    return round(total / count, 2) if count else None


def by_value(days: Iterable[Told], dimension: str) -> list[dict[str, Any]]:
    """The rows of a breakdown, most requests first; a day that was not cut by the dimension knows none of its values."""
    found: dict[str | None, list[Record]] = {}
    ranked: dict[str | None, list[Record]] = {}
    for day in days:
        place = day.cut.dimensions.index(dimension) if dimension in day.cut.dimensions else None
        for key, part in day.slices.items():
            if part:
                found.setdefault(None if place is None else key[place], []).extend(part)
        for (provider, model), part in day.latencies.items():
            of = {"provider": provider, "model": model}
            if dimension in of:
                ranked.setdefault(of[dimension], []).extend(part)
    values = sorted(found, key=lambda value: (-len(found[value]), value is not None, value or ""))
    return [{"value": value, **row(found[value], ranked.get(value, []))} for value in values]


def top_models(days: Iterable[Told]) -> list[dict[str, Any]]:
    """The ten models with most requests."""
    rows = [
        {"model": row["value"], "requests": row["requests"], "tokens": row["tokens_in"] + row["tokens_out"]}
        for row in by_value(days, "model")
    ]
    return rows[:10]


def unknown(records: Iterable[Record], source: str) -> dict[str, list[str]]:
    """The measures of which none of the source's records tells anything."""
    sums = oracle.totals(records)
    silent = [name for name, count in KNOWN_BY.items() if sums["requests"] and not sums[count]]
    return {SHOWN_AS.get(name, name): [source] for name in sorted(silent)}


def changed_slices(before: Told, after: Told) -> list[list[Any]]:
    """The signed measures of each slice that is not what it was, in order."""
    nothing = totals(())
    one, other = before.content[0], after.content[0]
    changed = {
        key: [new - old for new, old in zip(other.get(key, nothing), one.get(key, nothing), strict=True)]
        for key in {*one, *other}
    }
    return [[*key, *changed[key]] for key in oracle.in_order(changed) if any(changed[key])]


def changed_histograms(before: Told, after: Told) -> list[list[Any]]:
    """The signed counts of each bucket that does not hold what it did, in order."""
    one, other = before.content[1], after.content[1]
    found = []
    for pair in oracle.in_order({*one, *other}):
        old, new = one.get(pair, {}), other.get(pair, {})
        changed = [[place, new.get(place, 0) - old.get(place, 0)] for place in sorted({*old, *new})]
        if counts := [entry for entry in changed if entry[1]]:
            found.append([*pair, counts])
    return found
