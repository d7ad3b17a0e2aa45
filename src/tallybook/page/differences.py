"""Why a gateway's own page may show other numbers of a day, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tallybook.book.entries import Adjustment, Closing
from tallybook.wording import count_of

ALWAYS = (
    "The day is UTC, from 00:00 to 24:00: in another time zone some requests are of the day before or after.",
    "A request counts on the day of its created_at, not when it ended or was written down.",
    "A record that came twice counts once; counters of gateways often count each attempt.",
    "Success is a status from 200 to 399; failed is 400 and above, and no response at all. Other pages count only 200.",
    "A cost is the one that the gateway logged; where it logged none, it is computed if the price is known.",
    "Percentiles are of all requests of the day, to 0.8 %; other pages often average those of hours.",
)
"""What holds of every day."""


@dataclass(frozen=True)
class SourceDay:
    """A source's part of the day: its closing if it is closed, what was added, and why it is not if it is not."""

    source: str
    closing: Closing | None
    adjustments: Sequence[Adjustment]
    reason: str = ""
    is_missing: bool = False
    pruned: bool = False
    waiting: int = 0
    """Requests that came late and are not posted yet; signed."""

    lost: int = 0
    """Requests that the book has and the source no more."""

    @property
    def restated(self) -> str:
        """By how many requests the day was changed since."""
        requests = sum(entry.change.totals[0] for entry in self.adjustments)
        return f"{requests:+,} requests"


def differences(stats: Mapping[str, Any], parts: Sequence[SourceDay]) -> Iterator[str]:
    """The reasons, those that are facts of this day first."""
    for part in parts:
        yield from _of(part, "left out" if stats["basis"] == "original" else "counted in")
    if unknown := unknown_measures(stats["unknown"]):
        yield f"Unknown, and shown as 0 elsewhere: {'; '.join(unknown)}."
    yield from ALWAYS


def _of(part: SourceDay, treated: str) -> Iterator[str]:
    if part.adjustments:
        entries = count_of(len(part.adjustments), "adjustment")
        yield f"{part.source}: {entries} for records that came late or were changed, {part.restated}, {treated} here."
    if part.waiting:
        yield f"{part.source}: its logs have {part.waiting:+,} requests by now; `tallybook reconcile --post` adds them."
    if part.lost:
        records = count_of(part.lost, "record")
        yield f"{part.source}: the source has lost {records} since the day was closed; the book still counts them."
    if part.pruned:
        yield f"{part.source}: its log records of this day were pruned; the book alone tells of it."


NAMES = {"latency_sum_ms": "latency", "cost_usd": "cost", "failed": "failures"}
NOT_SHOWN = ("tokens_cached", "tokens_reasoning", "ttft_sum_ms")
"""Measures of which nothing is shown on the page."""


def unknown_measures(unknown: Mapping[str, Sequence[str]]) -> list[str]:
    """Which measures that are shown nobody told, and of which sources."""
    return [
        f"{NAMES.get(name, name.replace('_', ' '))} of {', '.join(sources)}"
        for name, sources in unknown.items()
        if name not in NOT_SHOWN
    ]
