"""The headline: a few figures, large, each with its change since the days before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook.page.figures import Change, Figure, change

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Tile:
    """A headline figure, None where unknown, and its change; where that cannot be told, `instead` may say why."""

    name: str
    text: str | None
    change: Change | None
    instead: str = ""


def headline(figures: Sequence[Figure], stats: Answer, before: Answer) -> Iterator[Tile]:
    """The figures of a period beside those of the days before it, of which there must be as many.

    Of a period that is not over sums are not compared: they would be found too small at any hour.
    """
    is_covered = _is_covered(before)
    for figure in figures:
        instead = "" if is_covered else "no comparison"
        if figure.is_sum and stats["days"]["open"]:
            instead = "so far"
        compared = None if instead else change(figure, stats["totals"], before["totals"])
        yield Tile(figure.name, figure.text(stats["totals"]), compared, instead)


def _is_covered(stats: Answer) -> bool:
    """Whether none of the days is before the first record."""
    days = date.fromisoformat(stats["to"]) - date.fromisoformat(stats["from"])
    return bool(sum(stats["days"].values()) == days.days + 1)
