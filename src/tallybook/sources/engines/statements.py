"""The aggregate's statements over a relation, in an engine's own SQL."""

from __future__ import annotations

from tallybook import aggregate
from tallybook.sources.relation import Edges, Relation, window_of


def groupings_of(relation: Relation, dimensions: tuple[str, ...], edges: Edges, dialect: str) -> tuple[str, ...]:
    """Both groupings of the records of each span, by bucket and by slice."""
    select = relation.select(dialect, window_of(edges))
    return aggregate.compile_for(relation.shape, select, dimensions, relation.partings(dialect, edges), dialect)


def totals_of(relation: Relation, edges: Edges, dialect: str) -> str:
    """The grouping of the records by span alone."""
    select = relation.select(dialect, window_of(edges))
    return aggregate.compile_totals(relation.shape, select, relation.partings(dialect, edges), dialect)
