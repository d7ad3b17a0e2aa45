"""Verifying a book offline: the chain of closings, link by link, and every day against its digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tallybook import histogram
from tallybook.book.ledger import Book, Closing, UnreadableRow
from tallybook.content import DayContent
from tallybook.digest import canonical_bytes, digest_day, genesis
from tallybook.errors import UnreadableFile, first_line
from tallybook.measures import REQUESTS, add_totals


@dataclass(frozen=True)
class Fault:
    """Something in the book that is not as it was written."""

    seq: int | None
    source: str | None
    day: str | None
    table: str
    fault: str


@dataclass(frozen=True)
class Anchor:
    """A head of the chain that was exported when it was the latest."""

    seq: int
    chain: str


@dataclass(frozen=True)
class Verification:
    """The verdict: `intact`, `altered`, `truncated` or `forked`, with what it rests on."""

    verdict: str
    closings: int
    head: str | None
    anchored: bool
    faults: tuple[Fault, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "faults": [asdict(fault) for fault in self.faults]}


def verify_book(book: Book, anchors: Iterable[Anchor] | None = None) -> Verification:
    """Walks the whole chain and recomputes every digest from the rows.

    With `anchors` the book must also contain each of those heads: one beyond its end means `truncated`, one that
    differs means `forked`. Without them an owner who rewrote everything consistently would go unnoticed, and
    `anchored` is false.
    """
    faults: list[Fault] = []
    chains: dict[int, str] = {}
    expected_seq, prev_chain = 1, genesis(book.book_id())
    for closing in _readable_closings(book, faults):
        faults += _closing_faults(closing, expected_seq, prev_chain)
        faults += _day_faults(book, closing)
        chains[closing.seq] = closing.chain
        expected_seq, prev_chain = closing.seq + 1, closing.chain
    faults += [Fault(None, source, day, table, "belongs to no closing") for table, source, day in book.orphans()]
    verdict = "altered" if faults else "intact"
    listed = list(anchors or ())
    for anchor in listed:
        if anchor.seq not in chains:
            verdict = "truncated" if verdict == "intact" else verdict
            faults.append(Fault(anchor.seq, None, None, "closings", "anchored, but no longer in the book"))
        elif chains[anchor.seq] != anchor.chain:
            verdict = "forked" if verdict == "intact" else verdict
            faults.append(Fault(anchor.seq, None, None, "closings", "differs from the anchored head"))
    return Verification(verdict, len(chains), chains[max(chains)] if chains else None, bool(listed), tuple(faults))


def _readable_closings(book: Book, faults: list[Fault]) -> list[Closing]:
    try:
        return book.closings()
    except UnreadableRow as error:
        faults.append(Fault(None, None, None, "closings", f"cannot be read: {error.message}"))
        return []


def _day_faults(book: Book, closing: Closing) -> list[Fault]:
    try:
        content, stat = book.content_of(closing)
    except UnreadableRow as error:
        return [Fault(closing.seq, closing.source, str(closing.day), "daily_stats", f"cannot be read: {error.message}")]
    return list(_content_faults(closing, content, stat))


def _closing_faults(closing: Closing, expected_seq: int, prev_chain: str) -> Iterator[Fault]:
    checks = (
        (closing.seq == expected_seq, f"the sequence goes on with {closing.seq} where {expected_seq} was due"),
        (closing.prev_chain == prev_chain, "prev_chain is not the chain of the closing before"),
        (closing.link() == closing.chain, "chain does not match the closing's fields"),
    )
    for holds, fault in checks:
        if not holds:
            yield Fault(closing.seq, closing.source, str(closing.day), "closings", fault)


def _content_faults(closing: Closing, content: DayContent, stat: sa.Row[Any] | None) -> Iterator[Fault]:
    checks = (
        (
            "daily_stats",
            (stat is not None) == (closing.state == "closed"),
            "the daily stat is missing, or one too many",
        ),
        ("daily_stats", stat is None or stat.created_at == closing.closed_at, "created_at is not the time of closing"),
        (
            "daily_stats",
            stat is None or _histogram_holds(content, stat),
            "histogram is not the sum of the day's histograms",
        ),
        ("daily_stats", content.totals[REQUESTS] == closing.records, "requests is not the closing's number of records"),
        (
            "daily_slices",
            add_totals(part.totals for part in content.slices) == content.totals,
            "the slices do not add up",
        ),
        ("closings", digest_day(content) == closing.digest, "digest does not match the day's rows"),
    )
    for table, holds, fault in checks:
        if not holds:
            yield Fault(closing.seq, closing.source, str(closing.day), table, fault)


def _histogram_holds(content: DayContent, stat: sa.Row[Any]) -> bool:
    merged = histogram.merge(part.counts for part in content.histograms)
    return bool(stat.histogram == canonical_bytes(merged).decode())


_ANCHOR_LINE = re.compile(r"(\d+) ([0-9a-f]{64})(?: .*)?")


def format_anchor(closing: Closing) -> str:
    """The line by which a head is exported: sequence number, chain, time of closing."""
    return f"{closing.seq} {closing.chain} {closing.closed_at}\n"


def read_anchors(file: Path) -> list[Anchor]:
    """The heads in a file of anchor lines."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise UnreadableFile(
            f"The anchors in {file} cannot be read: {reason}.", "Name the file with --anchor."
        ) from error
    matches = [_ANCHOR_LINE.fullmatch(line) for line in lines if line.strip()]
    if not matches or None in matches:
        where = f"Line {matches.index(None) + 1} of {file} is no anchor" if matches else f"{file} holds no anchors"
        raise UnreadableFile(f"{where}.", "Give the anchors.log of the book's home, or a copy of it.")
    return [Anchor(int(match[1]), match[2]) for match in matches if match]
