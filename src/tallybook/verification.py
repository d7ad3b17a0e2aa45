"""Verifying a book offline: the chain of entries, link by link, every day and adjustment against its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import sqlalchemy as sa

from tallybook import histogram
from tallybook.book.condition import CHAINED
from tallybook.book.entries import (
    Adjustment,
    Closing,
    Entry,
    UnreadableRow,
    as_text,
    fingerprint_of,
    read_adjustment,
    read_closing,
)
from tallybook.book.ledger import Book
from tallybook.book.migrate import KNOWN_REVISIONS
from tallybook.change import apply_changes
from tallybook.content import DayContent
from tallybook.digest import PAYLOAD_VERSIONS, digest_change, digest_day, genesis
from tallybook.errors import BookError, BookTooNew, BookTooOld, DamagedBook, NoBook
from tallybook.measures import LATENCY_COUNT, MEASURE_NAMES, REQUESTS, add_totals

INTACT = "intact"
VERDICTS = ("unreadable", "missing", "altered", "forked", "truncated")
"""Worst first: a book has the verdict of the worst of its faults."""

WHOLE_BOOK = (
    (NoBook, "missing"),
    (DamagedBook, "unreadable"),
    (BookTooNew, "unreadable"),
    (BookTooOld, "unreadable"),
)
"""The verdict on a book that cannot even be opened."""


class Exported(Protocol):
    """A head of the chain that was exported when it was the latest."""

    @property
    def seq(self) -> int: ...

    @property
    def chain(self) -> str: ...


@dataclass(frozen=True)
class Fault:
    """Something in the book that is not as it was written: where, as far as it can be told, and what."""

    verdict: str
    table: str
    fault: str
    seq: int | None = None
    source: str | None = None
    day: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class Verification:
    """The verdict, with what it rests on. `unguarded` is what the database would no longer refuse, `strangers` are
    triggers of somebody else.

    Of a book that is `anchored` the entries up to `anchored_through` are vouched for, and none after it.
    """

    verdict: str
    closings: int
    adjustments: int
    head: str | None
    anchored: bool
    anchored_through: int | None
    faults: tuple[Fault, ...]
    unguarded: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        listed = {name: list(getattr(self, name)) for name in ("unguarded", "strangers")}
        return {**asdict(self), **listed, "faults": [asdict(fault) for fault in self.faults]}


def verify_book(book: Book, anchors: Iterable[Exported] | None = None) -> Verification:
    """Walks the whole chain and recomputes every digest from the rows.

    With `anchors` the book must also contain each of those heads: one beyond its end means `truncated`, one that
    differs means `forked`. Without them an owner who rewrote everything consistently would go unnoticed, and
    `anchored` is false.
    """
    walk, listed = _Walk(book), list(anchors or ())
    faults = [Fault(flaw.verdict, flaw.table, flaw.fault, field=flaw.field) for flaw in book.flaws()]
    if not any(fault.verdict == "missing" and fault.table in CHAINED for fault in faults):
        faults += [*_identity_faults(book), *walk.faults(), *_orphan_faults(book)]
        faults += _anchor_faults(walk.chains, listed)
    return Verification(
        verdict=next((verdict for verdict in VERDICTS if any(fault.verdict == verdict for fault in faults)), INTACT),
        closings=walk.counts["closings"],
        adjustments=walk.counts["adjustments"],
        head=walk.chains[max(walk.chains)] if walk.chains else None,
        anchored=bool(listed),
        anchored_through=max((each.seq for each in listed if walk.chains.get(each.seq) == each.chain), default=None),
        faults=tuple(faults),
        unguarded=tuple(book.missing_guards()),
        strangers=tuple(book.strange_triggers()),
    )


def verdict_on(error: BookError) -> Verification | None:
    """The verdict on a book that cannot be opened, where that is what the error says."""
    verdict = next((verdict for kind, verdict in WHOLE_BOOK if isinstance(error, kind)), None)
    if verdict is None:
        return None
    return Verification(verdict, 0, 0, None, False, None, (Fault(verdict, "book", error.message),))


def _identity_faults(book: Book) -> Iterator[Fault]:
    try:
        book.identity()
    except UnreadableRow as error:
        yield Fault("unreadable", "book", error.message, field=error.field)


def _orphan_faults(book: Book) -> Iterator[Fault]:
    for table, source, day in book.orphans():
        yield Fault("altered", table, "belongs to no closing", source=_shown(source), day=_shown(day))


def _anchor_faults(chains: dict[int, str], anchors: Iterable[Exported]) -> Iterator[Fault]:
    for anchor in anchors:
        if anchor.seq not in chains:
            yield Fault("truncated", "closings", "anchored, but no longer in the book", seq=anchor.seq)
        elif chains[anchor.seq] != anchor.chain:
            yield Fault("forked", "closings", "differs from the anchored head", seq=anchor.seq)


@dataclass
class _Walk:
    """One pass along the chain. `known` is what the days come to, with the adjustments seen so far."""

    book: Book
    chains: dict[int, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"closings": 0, "adjustments": 0})
    known: dict[tuple[str, str], DayContent] = field(default_factory=dict)
    adjusted: set[tuple[str, str]] = field(default_factory=set)
    closed: set[tuple[str, str]] = field(default_factory=set)
    due: int = 1
    prev_chain: str | None = None

    def faults(self) -> Iterator[Fault]:
        rows = self.book.entry_rows()
        self.adjusted = {(row.source, row.day) for table, row in rows if table == "adjustments"}
        alone = [row for _, row in rows]
        for (table, row), before, after in zip(rows, [None, *alone], [*alone[1:], None], strict=False):
            self.counts[table] += 1
            yield from self._row_faults(table, row, before, after)
            if type(row.seq) is int:
                self.chains[row.seq], self.due, self.prev_chain = row.chain, row.seq + 1, row.chain

    def _row_faults(
        self, table: str, row: sa.Row[Any], before: sa.Row[Any] | None, after: sa.Row[Any] | None
    ) -> Iterator[Fault]:
        try:
            entry = read_closing(row) if table == "closings" else read_adjustment(row)
        except UnreadableRow as error:
            seq = row.seq if type(row.seq) is int else None
            yield Fault(error.verdict, table, error.message, seq, _shown(row.source), _shown(row.day), error.field)
            return
        expected = self._expected(entry)
        yield from _sequence_faults(table, entry, self.due)
        yield from _place_faults(table, entry, expected, is_first=not self.chains)
        if entry.link() != entry.chain:
            named = _changed_field(entry, expected, before, after)
            place = (entry.seq, entry.source, str(entry.day), named)
            yield Fault("altered", table, "chain does not match the entry's fields", *place)
        if isinstance(entry, Closing):
            yield from self._day_faults(entry)
        else:
            yield from self._adjustment_faults(entry)

    def _expected(self, entry: Entry) -> dict[str, Any]:
        """What fields of the entry must be, as the entries before it tell."""
        if entry.seq > self.due:
            return {}
        if self.chains:
            return {"prev_chain": self.prev_chain}
        try:
            identity = self.book.identity()
        except UnreadableRow:
            return {"prev_chain": ""}
        return {"prev_chain": genesis(identity.book_id, identity.created_at, entry.payload_version)}

    def _day_faults(self, closing: Closing) -> Iterator[Fault]:
        place = (closing.seq, closing.source, str(closing.day))
        if (closing.source, str(closing.day)) in self.closed:
            yield Fault("altered", "closings", "the day is closed twice", *place, "day")
        self.closed.add((closing.source, str(closing.day)))
        try:
            content, stat = self.book.content_of(closing)
        except UnreadableRow as error:
            yield Fault(error.verdict, error.table or "daily_stats", error.message, *place, error.field)
        except DamagedBook as error:
            yield Fault("unreadable", "daily_stats", error.message, *place)
        else:
            if (closing.source, str(closing.day)) in self.adjusted:
                self.known[closing.source, str(closing.day)] = content
            yield from _content_faults(closing, content, stat)

    def _adjustment_faults(self, adjustment: Adjustment) -> Iterator[Fault]:
        place = (adjustment.seq, adjustment.source, str(adjustment.day))
        before = self.known.get((adjustment.source, str(adjustment.day)))
        if before is None:
            if (adjustment.source, str(adjustment.day)) not in self.closed:
                yield Fault("missing", "adjustments", "the day that it adjusts is not in the book", *place)
            return
        try:
            after = apply_changes(before, [adjustment.change])
        except ValueError as error:
            yield Fault("altered", "adjustments", f"it does not fit the day: {error}", *place, "dimensions")
            return
        self.known[adjustment.source, str(adjustment.day)] = after
        for name, fault in _change_faults(adjustment, before, after):
            yield Fault("altered", "adjustments", fault, *place, name)


def _shown(value: Any) -> str | None:
    """A name that may hold anything, as text that can be printed."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else None


def _sequence_faults(table: str, entry: Entry, due: int) -> Iterator[Fault]:
    place = (entry.seq, entry.source, str(entry.day), "seq")
    if entry.seq > due:
        yield Fault("missing", table, f"the sequence goes on with {entry.seq} where {due} was due", *place)
    elif entry.seq < due:
        yield Fault("altered", table, f"the sequence has {entry.seq} twice", *place)


def _place_faults(table: str, entry: Entry, expected: dict[str, Any], is_first: bool) -> Iterator[Fault]:
    """Whether the entry follows the one before it; the first, whose own link is right, tells of another identity."""
    place = (entry.seq, entry.source, str(entry.day))
    if entry.prev_chain == expected.get("prev_chain", entry.prev_chain):
        return
    if is_first and entry.link() == entry.chain:
        # Version 2 is bound to created_at as well, and the hash does not tell which of both it was.
        named = "book_id" if entry.payload_version == 1 else None
        yield Fault("altered", "book", "the first entry is not linked to this identity", *place, named)
    else:
        fault = "prev_chain is not the chain of the entry before"
        yield Fault("altered", table, fault, *place, "prev_chain")


def _changed_field(
    entry: Entry, expected: dict[str, Any], before: sa.Row[Any] | None, after: sa.Row[Any] | None
) -> str | None:
    """The one field that was changed, where putting back what it may have been makes the link right again."""
    if after is not None and after.prev_chain == entry.link():
        return "chain"
    candidates = [
        *(("payload_version", version) for version in PAYLOAD_VERSIONS),
        *(("schema_version", revision) for revision in KNOWN_REVISIONS),
        *expected.items(),
        *((str(name), value) for near in (before, after) if near for name, value in near._asdict().items()),
    ]
    return next((name for name, value in candidates if _makes_right(entry, name, value)), None)


def _makes_right(entry: Entry, name: str, value: Any) -> bool:
    """Whether the link is right with that value, which may be anything, in a field that is a column of its own."""
    if name not in vars(entry) or name in ("day", "chain"):
        return False
    try:
        return replace(entry, **{name: value}).link() == entry.chain
    except ValueError:  # a text that is no UTF-8
        return False


def _content_faults(closing: Closing, content: DayContent, stat: sa.Row[Any] | None) -> Iterator[Fault]:
    place = (closing.seq, closing.source, str(closing.day))
    merged = as_text(histogram.merge(part.counts for part in content.histograms))
    latencies = sum(histogram.total(part.counts) for part in content.histograms)
    checks = (
        ("closings", "state", (stat is not None) == (closing.state == "closed"), "not what the day's rows say"),
        ("daily_stats", "created_at", stat is None or stat.created_at == closing.closed_at, "not the time of closing"),
        ("daily_stats", "histogram", stat is None or stat.histogram == merged, "not the sum of the day's histograms"),
        ("daily_stats", "requests", content.totals[REQUESTS] == closing.records, "not the closing's number of records"),
        (
            "closings",
            "fingerprint",
            closing.fingerprint == fingerprint_of(content.totals),
            "not that of the day's totals",
        ),
        ("closings", "digest", digest_day(content) == closing.digest, "digest does not match the day's rows"),
        ("daily_stats", "latency_count", latencies == content.totals[LATENCY_COUNT], "not what the histograms count"),
    )
    for table, name, holds, fault in checks:
        if not holds:
            yield Fault("altered", table, fault if fault.startswith(name) else f"{name} is {fault}", *place, name)
    yield from _sum_faults(closing, content)


def _sum_faults(closing: Closing, content: DayContent) -> Iterator[Fault]:
    sums = add_totals(part.totals for part in content.slices)
    for name, total, added in zip(MEASURE_NAMES, content.totals, sums, strict=True):
        if total != added:
            fault = f"{name} is {total} for the day, and {added} in its slices"
            yield Fault("altered", "daily_slices", fault, closing.seq, closing.source, str(closing.day), name)


def _change_faults(adjustment: Adjustment, before: DayContent, after: DayContent) -> Iterator[tuple[str | None, str]]:
    change = adjustment.change
    latencies = sum(histogram.total(part.counts) for part in change.histograms)
    checks = (
        ("fingerprint_before", adjustment.fingerprint_before == fingerprint_of(before.totals), "not the day before it"),
        ("fingerprint_after", adjustment.fingerprint_after == fingerprint_of(after.totals), "not the day after it"),
        ("histograms", latencies == change.totals[LATENCY_COUNT], "not as many as the latencies"),
        ("digest", digest_change(change) == adjustment.digest, "not that of its slices and histograms"),
    )
    for name, holds, fault in checks:
        if not holds:
            yield name, f"{name} is {fault}"
    sums = add_totals(part.totals for part in change.slices)
    for name, total, added in zip(MEASURE_NAMES, change.totals, sums, strict=True):
        if total != added:
            yield name, f"{name} is {total:+}, and {added:+} in its slices"
