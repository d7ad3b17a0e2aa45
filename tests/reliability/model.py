"""A brute-force model of one home: every record that is in its logs, and what its book must say of every day.

Nothing here is imported from tallybook: the rules are written out once more, over plain lists of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from oracle import Record
from reliability import model_figures as figures
from reliability.model_figures import Cut, Told

DAY = timedelta(days=1)
QUIET = timedelta(minutes=10)
RECENT_DAYS = 7
LOCAL = "local"


@dataclass(frozen=True)
class Entry:
    """A closing, or an adjustment, and what the day's records were when it was written."""

    seq: int
    day: date
    recorded_at: str
    told: Told
    adjusts: bool


@dataclass(frozen=True)
class Note:
    """That a closed day differs, with the measures in which it does."""

    state: str
    since: str
    change: dict[str, int]


@dataclass
class Model:
    """What has happened. `deleted` and `pruned_records` count what went out of the logs, on purpose only."""

    now: datetime
    cut: Cut = field(default_factory=Cut)
    adjust_after_days: int | None = None
    keep_logs_days: int | None = None
    records: list[Record] = field(default_factory=list)
    arrivals: dict[date, datetime] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    notes: dict[date, Note] = field(default_factory=dict)
    pruned: set[date] = field(default_factory=set)
    archived: dict[date, list[Record]] = field(default_factory=dict)
    accepted: int = 0
    deleted: int = 0
    pruned_records: int = 0
    kept_since: date | None = None

    def restart(self) -> None:
        """What only a running server remembers is forgotten: since when it keeps logs."""
        self.kept_since = None

    # The logs

    def accept(self, batch: Sequence[Record]) -> int:
        """How many of the records are new: no other has the same `request_id` and status."""
        before = len(self.records)
        for entry in batch:
            if entry["request_id"] is None or _identity(entry) not in map(_identity, self.records):
                self.records.append(entry)
                self.arrivals[_day(entry)] = self.now
        self.accepted += len(self.records) - before
        return len(self.records) - before

    def take_out(self, gone: Sequence[Record]) -> None:
        """The records are deleted by somebody."""
        self.records = [entry for entry in self.records if not any(entry is other for other in gone)]
        self.deleted += len(gone)

    def change(self, changed: Record, **fields: Any) -> None:
        """The record is changed in place by somebody."""
        self.records = [{**entry, **fields} if entry is changed else entry for entry in self.records]

    def prune(self, day: date) -> None:
        """The day's records are deleted by us."""
        gone = self.on(day)
        self.records = [entry for entry in self.records if _day(entry) != day]
        self.pruned_records += len(gone)

    def on(self, day: date) -> list[Record]:
        return on(day, self.records)

    def counts(self) -> dict[date, int]:
        counts: dict[date, int] = {}
        for entry in self.records:
            counts[_day(entry)] = counts.get(_day(entry), 0) + 1
        return dict(sorted(counts.items()))

    # The book

    def closings(self) -> dict[date, Entry]:
        return {entry.day: entry for entry in self.entries if not entry.adjusts}

    def known(self) -> dict[date, Entry]:
        """What the book knows of each closed day: what was told when it was last posted."""
        return {entry.day: entry for entry in self.entries}

    def first_day(self) -> date | None:
        """The day of the earliest record, or of the earliest closing."""
        return min([*map(_day, self.records), *self.closings()], default=None)

    def last_closable(self, now: datetime | None = None) -> date:
        """Yesterday, from five minutes after midnight on."""
        return ((now or self.now) - timedelta(minutes=5)).date() - DAY

    def outcome(self, day: date, is_importing: bool = False) -> str:
        """What closing the day answers."""
        first = self.first_day()
        if day > self.last_closable():
            return "refused"
        if day in self.closings():
            return "exists"
        if first is None or day < first:
            return "skipped"
        if is_importing:
            return "failed"
        return "closed" if self.on(day) else "zero"

    def missing(self) -> list[date]:
        first = self.first_day()
        last = self.last_closable()
        return [day for day in days(first, last) if day not in self.closings()] if first else []

    def due(self) -> list[date]:
        """The missing days that are closed unasked: yesterday, and what nothing has arrived for of late."""
        return [day for day in self.missing() if self._is_due_at_once(day) or self._is_settled(day)]

    def _is_due_at_once(self, day: date) -> bool:
        return day == (self.now - DAY).date() and day in self.arrivals

    def _is_settled(self, day: date) -> bool:
        """An empty day waits for all that are older than yesterday."""
        older = [at for other, at in self.arrivals.items() if other < (self.now - DAY).date()]
        arrived = self.arrivals.get(day) or max(older, default=None)
        return arrived is None or abs(self.now - arrived) >= QUIET

    def is_quiet(self, day: date) -> bool:
        return day not in self.arrivals or abs(self.now - self.arrivals[day]) >= QUIET

    def close(self, seq: int, day: date, told: Iterable[Record]) -> Entry:
        """The day is closed, with those records."""
        return self._add(Entry(seq, day, stamp(self.now), Told(tuple(told), self.cut), adjusts=False))

    def adjust(self, seq: int, day: date) -> Entry:
        """The day is adjusted to what the logs now say; it stays cut as it was. Never before what it adjusts."""
        at = max(stamp(self.now), self.known()[day].recorded_at)
        return self._add(Entry(seq, day, at, self.told(day), adjusts=True))

    def _add(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry

    def told(self, day: date) -> Told:
        """What the logs say of a closed day, cut as the book has it."""
        known = self.known()[day].told
        return Told(tuple(self.on(day)), self._like(known) if known.records else self.cut)

    def _like(self, known: Told) -> Cut:
        """A day that was folded stays so; one that was not is cut into no fewer than it has."""
        slices = known.content[0]
        is_folded = (figures.OTHER,) * len(known.cut.dimensions) in slices
        most = len(slices) if is_folded else max(len(slices), self.cut.max_slices)
        return replace(known.cut, max_slices=most)

    # Differences

    def differs(self, day: date, whole: bool) -> tuple[str, dict[str, int]] | None:
        """The state of a closed day that its source tells otherwise, with the signed measures; `whole` sees slices.

        Of a day that we have pruned ourselves nothing can be said any more, whatever has come since.
        """
        known, told = self.known()[day].told, self.told(day)
        change = figures.subtract(figures.totals(told.records), figures.totals(known.records))
        if not change and not (whole and told.content != known.content):
            return None
        return ("source-gone" if day in self.pruned or change.get("requests", 0) < 0 else "drift"), change

    def is_postable(self, day: date) -> bool:
        """Whether an adjustment is due: the day differs, and its source did not shrink."""
        difference = self.differs(day, whole=True)
        return difference is not None and difference[0] == "drift"

    def fresh_note(self, day: date, whole: bool) -> Note | None:
        """The note that comparing the day now leaves."""
        difference = self.differs(day, whole)
        return self.note(day, *difference) if difference else None

    def note(self, day: date, state: str, change: dict[str, int]) -> Note:
        """The note on a day that is found to differ; it is dated as the one before, if that said the same."""
        before = self.notes.get(day)
        began = stamp(self.now)
        return Note(state, min(before.since, began) if before and before.state == state else began, change)

    def is_overdue(self, note: Note | None, day: date) -> bool:
        """Whether the drift has lasted long enough to be posted unasked."""
        if self.adjust_after_days is None or note is None or note.state != "drift":
            return False
        return self.now - datetime.fromisoformat(note.since) >= self.adjust_after_days * DAY and self.is_quiet(day)

    def why_kept(self, day: date) -> str | None:
        """Why the day's records may not be pruned."""
        entry = self.known().get(day)
        if entry is None:
            return "not closed"
        told, known = figures.totals(self.on(day)), figures.totals(entry.told.records)
        if told == known and self.told(day).content == entry.told.content:
            return None
        if day in self.pruned:
            return "records came after it was pruned"
        if told[0] > known[0]:
            return "records arrived after it was closed"
        return "the logs have fewer records than the book" if told[0] < known[0] else _CHANGED

    def prunable(self, before: date) -> list[date]:
        return [day for day in self.counts() if day < before and self.why_kept(day) is None]


_CHANGED = "records were changed after it was closed"


def on(day: date, records: Iterable[Record]) -> list[Record]:
    """Those of the day."""
    return [entry for entry in records if _day(entry) == day]


def days(first: date, last: date) -> Iterator[date]:
    """Every day from first to last, both included."""
    return (first + number * DAY for number in range((last - first).days + 1))


def stamp(instant: datetime) -> str:
    """An instant as the book has it."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(entry: Record) -> date:
    day: date = entry["created_at"].date()
    return day


def _identity(entry: Record) -> tuple[Any, Any]:
    return entry["request_id"], entry["status_code"]
