"""When a source's first and last records were created, however its times are written."""

from __future__ import annotations

from datetime import datetime, timedelta

from tallybook.days import EPOCH
from tallybook.errors import LogsError
from tallybook.sources.engines.engine import Engine
from tallybook.sources.instants import read_instant
from tallybook.sources.relation import Relation

TEXTS_AT_ONCE = 1_000
"""So many texts at an end of the column may be no instants."""

NEAR = timedelta(days=2)
"""Text sorts as it is written: an offset, and what stands before the time, put an instant that far off at most."""


def first_instant(
    relation: Relation, engine: Engine, since: datetime, until: datetime | None = None
) -> datetime | None:
    """When the first record from `since` on was created, and before `until`; None where there is none."""
    if relation.time != "text":
        return _at_the_end("ASC", relation, engine, since, until)
    near = _nearest("ASC", relation, engine, since, until)
    found = near and _spelled("ASC", relation, engine, near - NEAR, near + NEAR)
    return min((each for each in found or [] if each >= since and (not until or each < until)), default=None)


def last_instant(relation: Relation, engine: Engine, since: datetime) -> datetime | None:
    """When the last record from `since` on was created; None where there is none."""
    if relation.time != "text":
        return _at_the_end("DESC", relation, engine, since)
    near = _nearest("DESC", relation, engine, since)
    found = near and _spelled("DESC", relation, engine, near - NEAR, near + NEAR)
    return max((each for each in found or [] if each >= since), default=None)


def unread_times(relation: Relation, engine: Engine) -> int:
    """How many of the last texts are no instants, so that their records are left out."""
    if relation.time != "text":
        return 0
    texts = engine.rows(relation.select_times(engine.dialect, "DESC", TEXTS_AT_ONCE, EPOCH))
    return sum(_instant_of(text) is None for (text,) in texts)


def _at_the_end(
    order: str, relation: Relation, engine: Engine, since: datetime, until: datetime | None = None
) -> datetime | None:
    rows = engine.rows(relation.select_times(engine.dialect, order, 1, since, until))
    return read_instant(relation.time, rows[0][0]) if rows else None


def _nearest(
    order: str, relation: Relation, engine: Engine, since: datetime, until: datetime | None = None
) -> datetime | None:
    """The first instant in the order of the text; what is none is passed over, as it is when days are closed."""
    texts = [text for (text,) in engine.rows(relation.select_times(engine.dialect, order, TEXTS_AT_ONCE, since, until))]
    found = next(filter(None, map(_instant_of, texts)), None)
    if found is None and texts:
        raise LogsError(
            f"The column {relation.time_column} holds {str(texts[0])[:40]!r} where an instant belongs.",
            "Attach it with --query, and a SELECT that leaves such rows out.",
        )
    return found


def _spelled(order: str, relation: Relation, engine: Engine, since: datetime, until: datetime) -> list[datetime]:
    """The instants among the first or last texts of each spelling."""
    rows = engine.rows(relation.select_spellings(engine.dialect, order, max(since, EPOCH), until))
    return [instant for (text,) in rows if (instant := _instant_of(text))]


def _instant_of(text: object) -> datetime | None:
    try:
        return read_instant("text", text)
    except LogsError:
        return None
