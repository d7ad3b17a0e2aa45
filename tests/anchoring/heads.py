"""Heads to begin a story with, and a book as the file of heads asks it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from tallybook.anchoring.anchor import Anchor, format_anchor

Entries = Callable[[int], list[Anchor]]

FIRST_AT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


def head(seq: int, history: str = "") -> Anchor:
    """The head after entry `seq`: one a minute. Two histories of a book have no chain in common."""
    chain = hashlib.sha256(f"{history}{seq}".encode()).hexdigest()
    return Anchor(seq, chain, f"{FIRST_AT + timedelta(minutes=seq):%Y-%m-%dT%H:%M:%SZ}")


def heads(first: int, last: int, history: str = "") -> list[Anchor]:
    """The heads of the entries `first` to `last`."""
    return [head(seq, history) for seq in range(first, last + 1)]


def book_of(anchors: Iterable[Anchor]) -> Entries:
    """What a book with these heads answers to `AnchorLog.keep`."""
    listed = list(anchors)
    return lambda after_seq: [anchor for anchor in listed if anchor.seq > after_seq]


def format_heads(anchors: Iterable[Anchor]) -> str:
    """The lines of the heads."""
    return "".join(map(format_anchor, anchors))


def told(anchors: Iterable[Anchor]) -> list[tuple[int, str, str]]:
    """Everything of the heads: two that are equal may still differ in their instants."""
    return [(anchor.seq, anchor.chain, anchor.at) for anchor in anchors]
