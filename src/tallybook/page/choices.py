"""Switches: several links of which one is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallybook.page.asked import MEASURES, PERIODS, Asked


@dataclass(frozen=True)
class Choice:
    """One of several links."""

    name: str
    title: str
    link: str
    is_chosen: bool


def periods(asked: Asked) -> Iterator[Choice]:
    """The periods that have a name."""
    for name, title in PERIODS.items():
        yield Choice(name, title, asked.within(name), name == asked.named_period)


def measures(asked: Asked, names: Sequence[str], chosen: str) -> Iterator[Choice]:
    """The measures that can be drawn."""
    for name in names:
        yield Choice(name, MEASURES[name], asked.url(measure=name), name == chosen)


def sources(asked: Asked, names: Sequence[str]) -> Iterator[Choice]:
    """All sources together, and each; nothing to choose where there is one."""
    if len(names) > 1:
        yield Choice("", "All sources", asked.url(source=None), asked.source is None)
        for name in names:
            yield Choice(name, name, asked.url(source=name), asked.source == name)
