"""The brute-force oracle: what a day must come to, from a list of records, in plain Python and nothing of ours.

No numpy, no SQL, no import from tallybook: the rules are written out once more, as the mission states them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

Record = dict[str, Any]
Key = tuple[str | None, ...]

MEASURES = [
    "requests",
    "success",
    "failed",
    "status_count",
    "tokens_in",
    "tokens_in_count",
    "tokens_out",
    "tokens_out_count",
    "tokens_cached",
    "tokens_cached_count",
    "tokens_reasoning",
    "tokens_reasoning_count",
    "latency_sum_ms",
    "latency_count",
    "ttft_sum_ms",
    "ttft_count",
    "cost_nanousd",
    "priced_requests",
]
SUMS = {
    "tokens_in": ("tokens_in", "tokens_in_count"),
    "tokens_out": ("tokens_out", "tokens_out_count"),
    "tokens_cached": ("tokens_cached", "tokens_cached_count"),
    "tokens_reasoning": ("tokens_reasoning", "tokens_reasoning_count"),
    "latency_ms": ("latency_sum_ms", "latency_count"),
    "ttft_ms": ("ttft_sum_ms", "ttft_count"),
    "cost_nanousd": ("cost_nanousd", "priced_requests"),
}
FIELD_OF = {"model": "model_name"}
DIMENSIONS = ("model", "provider", "team", "api_key")
MAX_NAME = 512


def on(day: date, records: Iterable[Record]) -> list[Record]:
    """The records with start <= created_at < start + 24 h, in UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [entry for entry in records if start <= entry["created_at"] < start + timedelta(hours=24)]


def totals(records: Iterable[Record]) -> dict[str, int]:
    """Every measure of the records."""
    sums = dict.fromkeys(MEASURES, 0)
    for entry in records:
        status = entry["status_code"]
        sums["requests"] += 1
        sums["status_count"] += status is not None
        sums["success"] += status is not None and 200 <= status < 400
        sums["failed"] += status is not None and (status >= 400 or status == 0)
        for field, (total, count) in SUMS.items():
            if entry[field] is not None:
                sums[total] += entry[field]
                sums[count] += 1
    return sums


def name_of(entry: Record, dimension: str) -> str | None:
    """The record's value of a dimension: an empty text tells nothing, a long one counts by how it begins."""
    value = entry[FIELD_OF.get(dimension, dimension)]
    return value[:MAX_NAME] if value else None


def groups(records: Iterable[Record], dimensions: Sequence[str]) -> dict[Key, list[Record]]:
    """The records by their values of the dimensions."""
    found: dict[Key, list[Record]] = {}
    for entry in records:
        found.setdefault(tuple(name_of(entry, name) for name in dimensions), []).append(entry)
    return found


def top_models(records: Iterable[Record]) -> list[dict[str, Any]]:
    """At most ten models by requests descending, ties by name, unknown before any name."""
    rows: list[dict[str, Any]] = []
    for (model,), part in groups(records, ("model",)).items():
        sums = totals(part)
        rows.append({"model": model, "requests": sums["requests"], "tokens": sums["tokens_in"] + sums["tokens_out"]})
    rows.sort(key=lambda row: (-row["requests"], row["model"] or ""))
    return rows[:10]


def bucket(value_ms: int) -> int:
    """The bucket's number: the value itself below 128, then 64 to each doubling."""
    shift = 0
    while value_ms >> shift >= 128:
        shift += 1
    return 64 * shift + (value_ms >> shift)


def bucketed(value_ms: int) -> int:
    """The midpoint of the value's bucket, found by doubling its width."""
    width = 1
    while value_ms >= 128 * width:
        width *= 2
    low = value_ms // width * width
    return (low + low + width - 1) // 2


def exact_percentile(values: Iterable[int], percent: int) -> int | None:
    """The nearest-rank percentile: the ⌈percent · n / 100⌉-th smallest value."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def percentile(records: Iterable[Record], percent: int) -> int | None:
    """The exact percentile of the latencies that are known, then bucketed."""
    exact = exact_percentile((entry["latency_ms"] for entry in records if entry["latency_ms"] is not None), percent)
    return None if exact is None else bucketed(exact)


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Keys by dimension, unknown first, then by code point."""
    return sorted(keys, key=lambda key: [(value is not None, value or "") for value in key])


def payload(day: date, records: Iterable[Record], dimensions: Sequence[str] = DIMENSIONS) -> dict[str, Any]:
    """Everything that the digest of the day covers."""
    found = on(day, records)
    slices, pairs = groups(found, dimensions), groups(found, ("provider", "model"))
    histograms = []
    for pair in in_order(pairs):
        counts: dict[int, int] = {}
        for entry in pairs[pair]:
            if entry["latency_ms"] is not None:
                counts[bucket(entry["latency_ms"])] = counts.get(bucket(entry["latency_ms"]), 0) + 1
        if counts:
            histograms.append([*pair, [list(item) for item in sorted(counts.items())]])
    return {
        "format": "tallybook-day/1",
        "day": day.isoformat(),
        "dimensions": list(dimensions) if found else [],
        "measures": MEASURES,
        "totals": list(totals(found).values()),
        "top_models": top_models(found),
        "slices": [[*key, *totals(slices[key]).values()] for key in in_order(slices)],
        "histogram_dimensions": ["provider", "model"],
        "histograms": histograms,
    }


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of the content as JSON with sorted keys, without spaces, in UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
