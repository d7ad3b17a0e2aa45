"""Why something is not told: days that are not in the book, latencies of a few records only. Unknown is never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook.filters import parse_filters

TOLD = {"closed", "zero", "source-gone"}
"""The states of a day in which the book tells of it."""

LATENCIES_KEPT = "Latencies are kept by provider and model only."
CLOSES_ITSELF = "A server closes it by itself, ten minutes after the last record of it has arrived."
"""What is said of a missing day where nobody has found a reason."""


@dataclass(frozen=True)
class Absence:
    """That nothing is told of a period: the word that stands in place of a figure, and why."""

    word: str
    reason: str


def absence(stats: Mapping[str, Any], today: date) -> Absence | None:
    """Whether no day of the period is told of, neither from the book nor up to now."""
    first, last = (date.fromisoformat(stats[end]) for end in ("from", "to"))
    states = {row["state"] for row in stats["series"]}
    if float(stats["totals"]["requests"]) or states & TOLD:
        return None
    if first <= today <= last:
        return None if _answers(stats) else Absence("unknown", "No source answers today.")
    days = str(first) if first == last else f"{first} to {last}"
    if first > today:
        return Absence("unknown", f"{days} is not here yet.")
    if states & {"missing", "open"}:
        return Absence("not closed", f"{days} is not closed yet.")
    return Absence("unknown", f"{days} is before the first record.")


def _answers(stats: Mapping[str, Any]) -> bool:
    return any(name not in stats.get("unreachable", {}) for name in stats["sources"])


def why_no_latency(filters: Sequence[str]) -> str:
    """Why no latency is known of what the filters leave; empty where it could be."""
    return "" if parse_filters(filters).knows_latencies else LATENCIES_KEPT
