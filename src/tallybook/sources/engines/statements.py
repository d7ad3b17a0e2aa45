"""The aggregate's statements over a relation, in an engine's own SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from tallybook import aggregate
from tallybook.sources.relation import Relation, window_of


def groupings_of(
    relation: Relation, dimensions: tuple[str, ...], days: Sequence[date], dialect: str
) -> tuple[str, ...]:
    """Both groupings of the consecutive days' records, by bucket and by slice."""
    select = relation.select(dialect, window_of(days))
    return aggregate.compile_for(relation.shape, select, dimensions, relation.midnights(dialect, days), dialect)


def totals_of(relation: Relation, days: Sequence[date], dialect: str) -> str:
    """The grouping of the consecutive days' records by day alone."""
    select = relation.select(dialect, window_of(days))
    return aggregate.compile_totals(relation.shape, select, relation.midnights(dialect, days), dialect)
