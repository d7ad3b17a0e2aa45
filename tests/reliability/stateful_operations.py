"""What a home can be told to do: what must then be in its book, and what it must answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from oracle import Record
from reliability.model import DAY, LOCAL, RECENT_DAYS, Entry, Model, Note, days, on
from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.bookkeeper import Bookkeeper
from tallybook.job import DailyStatsJob
from tallybook.source import Slicing


class Operation:
    """Something that is done to a home, and what the model expects of it; by default, that nothing comes of it."""

    closings: Sequence[date] = ()
    """The days that are closed, in order."""

    archive: Path | None = None

    def __init__(self, model: Model) -> None:
        self.model = model
        self._records = list(model.records)
        self.posted: dict[date, int] = {}

    def do(self, keeper: Bookkeeper) -> Any:
        """Does it, and returns the answer."""
        raise NotImplementedError

    def answer(self) -> Any:
        """What the answer must be; asked when all that came of it is in the model."""
        raise NotImplementedError

    def told(self, day: date) -> list[Record]:
        """The records that a closing of the day holds: what comes while it is done comes late."""
        return on(day, self._records)

    def postings(self) -> tuple[set[date], set[date]]:
        """The days that must be adjusted, and those that may be; asked when the closings are in the model."""
        return set(), set()

    def notes(self, day: date) -> list[Note | None]:
        """What the note on a closed day may be, unless the day is adjusted; asked when the closings are in the model."""
        return [self.model.notes.get(day)]

    def notes_when_adjusted(self, day: date) -> list[Note | None]:
        """The same of a day that was adjusted; asked when the adjustments are in the model."""
        return [self.model.fresh_note(day, whole=True)]

    def prunes(self) -> list[date]:
        """The days that must be pruned; asked when entries and notes are in the model."""
        return []


class Tick(Operation):
    """What a server does each minute. While an import runs it is nothing at all."""

    def __init__(self, model: Model, is_importing: bool = False) -> None:
        super().__init__(model)
        self._is_importing = is_importing
        self._due = [] if is_importing else model.due()
        self.closings = list(self._due)

    def do(self, keeper: Bookkeeper) -> Any:
        with keeper.logs.importing() if self._is_importing else nullcontext():
            return [result.as_json() for result in keeper.run_once()]

    def answer(self) -> Any:
        if not self._is_importing:
            self._remember()
        return [closed(self.model, day, None if day in self.closings else "exists") for day in self._due]

    def _remember(self) -> None:
        if self.model.keep_logs_days is not None:
            self.model.kept_since = self._kept_since()

    def postings(self) -> tuple[set[date], set[date]]:
        must, may = set(), set()
        for day in self.model.closings():
            overdue = {self.model.is_overdue(note, day) for note in self.notes(day)}
            if True in overdue and not self._is_importing and self.model.is_postable(day):
                may.add(day)
                if overdue == {True}:
                    must.add(day)
        return must, may

    def notes(self, day: date) -> list[Note | None]:
        """The latest closed days are compared each time, the older ones at some time."""
        old = self.model.notes.get(day)
        fresh = self.model.fresh_note(day, whole=False) or (old if old and not old.change else None)
        if self._is_importing:
            return [old]
        return [fresh] if day in sorted(self.model.closings())[-RECENT_DAYS:] else [fresh, old]

    def prunes(self) -> list[date]:
        if self._is_importing or self.model.keep_logs_days is None or self._kept_since() == self.model.kept_since:
            return []
        return self.model.prunable(self._kept_since())

    def _kept_since(self) -> date:
        return self.model.now.date() - (self.model.keep_logs_days or 0) * DAY


class Backfill(Operation):
    """Closes every day of a range that can be closed."""

    def __init__(self, model: Model, first: date, last: date, is_importing: bool = False) -> None:
        super().__init__(model)
        self._first, self._last, self._is_importing = first, last, is_importing
        self._outcomes = {day: model.outcome(day, is_importing) for day in days(first, last)}
        self.closings = [day for day, outcome in self._outcomes.items() if outcome in ("closed", "zero")]

    def do(self, keeper: Bookkeeper) -> Any:
        with keeper.logs.importing() if self._is_importing else nullcontext():
            results = keeper.backfill(first=str(self._first), last=str(self._last))["results"]
        return [{name: value for name, value in result.items() if name != "reason"} for result in results]

    def answer(self) -> Any:
        if self.model.first_day() is None:
            return []
        return [
            closed(self.model, day, self._outcome(day)) if self._is_told(day) else _open(day, outcome)
            for day, outcome in self._outcomes.items()
        ]

    def _is_told(self, day: date) -> bool:
        """Where the clock went back, a day that is closed may not be over yet."""
        return day in self.model.closings() and self._outcomes[day] != "refused"

    def _outcome(self, day: date) -> str:
        """A day that another server has closed meanwhile is there already."""
        return self._outcomes[day] if day in self.closings else "exists"


class Reconcile(Operation):
    """Compares the closed days of a range with the logs, and adjusts those that drifted, if told to."""

    def __init__(self, model: Model, first: date, last: date, post: bool) -> None:
        super().__init__(model)
        self._first, self._last, self._post = first, last, post
        self._days = [day for day in sorted(model.closings()) if first <= day <= last]
        self._differences = {day: found for day in self._days if (found := model.differs(day, whole=True))}

    def do(self, keeper: Bookkeeper) -> Any:
        return keeper.reconcile(first=str(self._first), last=str(self._last), post=self._post)

    def answer(self) -> Any:
        more: dict[date, dict[str, Any]] = {
            **{day: {"pruned": True} for day in self.model.pruned},
            **{day: {"adjustment": seq} for day, seq in self.posted.items()},
        }
        return {
            "results": [
                {"source": LOCAL, "day": str(day), "state": state, "change": change, **more.get(day, {})}
                for day, (state, change) in self._differences.items()
            ],
            "failed": [],
            "compared": len(self._days) if self.model.first_day() else 0,
        }

    def postings(self) -> tuple[set[date], set[date]]:
        drifted = {day for day, (state, _) in self._differences.items() if state == "drift"}
        postable = {day for day in drifted if self._post and self.model.is_postable(day)}
        return postable, postable

    def notes(self, day: date) -> list[Note | None]:
        """What was seen is noted, even where another server has adjusted the day meanwhile."""
        if day not in self._days:
            return [self.model.notes.get(day)]
        return [self.model.note(day, *self._differences[day]) if day in self._differences else None]


class CloseElsewhere(Operation):
    """Another server, which has the same book open, closes these days."""

    def __init__(self, model: Model, url: str, days: Sequence[date]) -> None:
        super().__init__(model)
        self._url, self.closings = url, days

    def do(self, keeper: Bookkeeper) -> Any:
        with _other_book(self._url, self.model) as book:
            job = DailyStatsJob(book, [keeper.logs], slicing(self.model))
            return [result.as_json() for day in self.closings for result in job.close(day, self.model.now)]

    def answer(self) -> Any:
        return [closed(self.model, day) for day in self.closings]


class AdjustElsewhere(Operation):
    """Another server adjusts this day, which has drifted; what our server has noted of it stays."""

    def __init__(self, model: Model, url: str, day: date) -> None:
        super().__init__(model)
        self._url, self._day = url, day

    def do(self, keeper: Bookkeeper) -> Any:
        with _other_book(self._url, self.model) as book:
            adjustment = adjust_day(book, keeper.logs, self._day, self.model.now, slicing(self.model))
            return adjustment and adjustment.seq

    def answer(self) -> Any:
        return len(self.model.entries)

    def postings(self) -> tuple[set[date], set[date]]:
        return {self._day}, {self._day}

    def notes_when_adjusted(self, day: date) -> list[Note | None]:
        return self.notes(day)


@contextmanager
def _other_book(url: str, model: Model) -> Iterator[Book]:
    book = Book.open(url, model.now)
    try:
        yield book
    finally:
        book.close()


def slicing(model: Model) -> Slicing:
    """The home's own, as tallybook has it."""
    return Slicing(model.cut.dimensions, model.cut.max_slices)


class Prune(Operation):
    """Deletes the records of days before a day, into an archive first if there is one."""

    def __init__(self, model: Model, before: date, archive: Path | None) -> None:
        super().__init__(model)
        self._before, self.archive = before, archive
        self._counts = {day: count for day, count in model.counts().items() if day < before}
        self._kept = {day: why for day in self._counts if (why := self._why_kept(day))}
        self._pruned = [day for day in self._counts if day not in self._kept]

    def _why_kept(self, day: date) -> str | None:
        return self.model.why_kept(day) or self._why_not_archived(day)

    def _why_not_archived(self, day: date) -> str | None:
        there = self.model.archived.get(day)
        if self.archive is None or there is None or same_records(there, self.model.on(day)):
            return None
        return f"{self._file(day)} is there and holds other records; move it away"

    def _file(self, day: date) -> Path:
        return (self.archive or Path()) / f"{LOCAL}-{day}.parquet"

    def do(self, keeper: Bookkeeper) -> Any:
        return keeper.prune(before=str(self._before), archive=str(self.archive) if self.archive else None)

    def answer(self) -> Any:
        answer = {
            "deleted_records": sum(self._counts[day] for day in self._pruned),
            "deleted_days": [str(day) for day in self._pruned],
            "kept": [{"day": str(day), "reason": why} for day, why in self._kept.items()],
        }
        return answer | ({"archives": [str(self._file(day)) for day in self._pruned]} if self.archive else {})

    def prunes(self) -> list[date]:
        return self._pruned


def closed(model: Model, day: date, outcome: str | None = None) -> dict[str, Any]:
    """The result for a day that is in the book."""
    entry: Entry = model.closings()[day]
    state = "closed" if entry.told.records else "zero"
    requests, digest = len(entry.told.records), entry.told.digest(day)
    return {"source": LOCAL, "day": str(day), "outcome": outcome or state, "requests": requests, "digest": digest}


def _open(day: date, outcome: str) -> dict[str, Any]:
    return {"source": LOCAL, "day": str(day), "outcome": outcome, "requests": None, "digest": None}


def same_records(one: Sequence[Record], other: Sequence[Record]) -> bool:
    """Whether both hold the same records, in whatever order."""
    return sorted(map(repr, one)) == sorted(map(repr, other))
