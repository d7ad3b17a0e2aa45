"""The headline: a few figures, large, each with its change since the days before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook.page.absence import Absence, why_no_latency
from tallybook.page.figures import COST, LATENCIES, Change, Figure, Row, change, share_of, shown_span

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Tile:
    """A headline figure, None where unknown, and its change; where that cannot be told, `instead` may say why.

    `word` stands where the figure is unknown and `why` is its reason; `part` says of which part the figure is.
    """

    name: str
    text: str | None
    change: Change | None
    instead: str = ""
    word: str = "unknown"
    why: str = ""
    part: str = ""


def headline(figures: Sequence[Figure], stats: Answer, before: Answer, absent: Absence | None = None) -> Iterator[Tile]:
    """The figures of a period beside those of the days before it, of which there must be as many.

    Of a period that is not over sums are not compared: they would be found too small at any hour; nor are they where a
    day of either is missing, which would count as nothing. Where nothing is told of the period, `absent` says why.
    """
    if absent:
        yield from (Tile(figure.name, None, None, "", absent.word, absent.reason) for figure in figures)
        return
    no_latency = why_no_latency(stats.get("filters", ()))
    for figure in figures:
        instead = _instead(figure, stats, before)
        compared = None if instead else change(figure, stats["totals"], before["totals"])
        yield Tile(
            figure.name,
            figure.text(stats["totals"]),
            compared,
            instead,
            why=no_latency if figure in LATENCIES else "",
            part=_priced(stats["totals"]) if figure is COST else "",
        )


def _instead(figure: Figure, stats: Answer, before: Answer) -> str:
    """What stands in place of a change that cannot be told; empty where it can."""
    if figure.is_sum and stats["days"]["open"]:
        return "so far"
    is_lacking = figure.is_sum and (stats["days"]["missing"] or before["days"]["missing"])
    return "no comparison" if is_lacking or not _is_covered(before) else ""


def against(tiles: Sequence[Tile], stats: Answer, before: Answer) -> str:
    """Which days the changes are against; empty where there is no change."""
    if not any(tile.change for tile in tiles):
        return ""
    return f"against {shown_span(before['from'], before['to'], date.fromisoformat(stats['to']).year)}"


def _priced(row: Row) -> str:
    """How many requests have a price, where some have none; without any the cost itself is unknown."""
    requests, priced = float(row["requests"]), float(row["priced_requests"] or 0)
    return f"{share_of(priced, requests)} of requests priced" if 0 < priced < requests else ""


def _is_covered(stats: Answer) -> bool:
    """Whether none of the days is before the first record."""
    days = date.fromisoformat(stats["to"]) - date.fromisoformat(stats["from"])
    return bool(sum(stats["days"].values()) == days.days + 1)
