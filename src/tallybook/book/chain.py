"""The chain: where the next entry goes, and how an entry is made that goes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from tallybook.book.entries import Adjustment, Closing, UnreadableRow, as_text, fingerprint_of
from tallybook.book.migrate import HEAD
from tallybook.book.schema import adjustments, book, closings
from tallybook.change import Change
from tallybook.content import DayContent
from tallybook.days import format_instant
from tallybook.digest import PAYLOAD_VERSION, digest_change, genesis
from tallybook.measures import add_totals


@dataclass(frozen=True)
class Identity:
    """What tells this book from any other: the chain begins with it."""

    book_id: str
    created_at: str


@dataclass(frozen=True)
class Link:
    """Where in the chain the next entry goes."""

    seq: int
    prev_chain: str


def read_identity(connection: sa.Connection) -> Identity:
    """The book's identity; `UnreadableRow` where it has none, or several."""
    rows = connection.execute(sa.select(book)).all()
    if (ids := [row.id for row in rows]) != [1]:
        raise UnreadableRow(f"the book should have one identity, of id 1; the ids are {ids}", "id")
    return Identity(rows[0].book_id, rows[0].created_at)


def last_seq_of(connection: sa.Connection) -> int:
    """The sequence number of the latest entry; 0 where there is none."""
    return max(connection.scalar(sa.select(sa.func.max(table.c.seq))) or 0 for table in (closings, adjustments))


def next_link(connection: sa.Connection) -> Link:
    """The place after the latest entry, or the first of all."""
    heads = [
        connection.execute(sa.select(table.c.seq, table.c.chain).order_by(table.c.seq.desc()).limit(1)).first()
        for table in (closings, adjustments)
    ]
    head = max((head for head in heads if head), key=lambda head: head.seq, default=None)
    if head is not None:
        return Link(head.seq + 1, head.chain)
    identity = read_identity(connection)
    return Link(1, genesis(identity.book_id, identity.created_at))


def new_closing(
    link: Link, source: str, content: DayContent, digest: str, now: datetime, prices: Sequence[str]
) -> Closing:
    """The closing of the day, hashed into its place; `prices` are kept sorted."""
    closing = Closing(
        seq=link.seq,
        source=source,
        day=content.day,
        state="closed" if content.records else "zero",
        records=content.records,
        fingerprint=fingerprint_of(content.totals),
        payload_version=PAYLOAD_VERSION,
        digest=digest,
        prev_chain=link.prev_chain,
        closed_at=format_instant(now),
        unknown=as_text(content.unknown),
        prices=as_text(sorted(set(prices))),
        schema_version=HEAD,
    )
    return replace(closing, chain=closing.link())


def new_adjustment(
    link: Link, source: str, before: DayContent, change: Change, reason: str, now: datetime, prices: Sequence[str]
) -> Adjustment:
    """The adjustment of the day that was `before`, hashed into its place."""
    adjustment = Adjustment(
        seq=link.seq,
        source=source,
        day=change.day,
        recorded_at=format_instant(now),
        reason=reason,
        change=change,
        fingerprint_before=fingerprint_of(before.totals),
        fingerprint_after=fingerprint_of(add_totals([before.totals, change.totals])),
        prices=as_text(sorted(set(prices))),
        payload_version=PAYLOAD_VERSION,
        schema_version=HEAD,
        digest=digest_change(change),
        prev_chain=link.prev_chain,
    )
    return replace(adjustment, chain=adjustment.link())
