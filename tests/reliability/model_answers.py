"""What a home must answer, as the model of it has it: statistics in every vintage, and how its source stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from oracle import Record
from reliability import model_figures as figures
from reliability.model import LOCAL, Entry, Model, days, stamp

STATES = ("closed", "zero", "missing", "open")


@dataclass(frozen=True)
class Vintage:
    """The entries that count, in order: all, without adjustments, or those that were recorded until an instant."""

    entries: tuple[Entry, ...]
    basis: str = "adjusted"
    as_of: datetime | None = None

    def closings(self) -> dict[date, Entry]:
        return {entry.day: entry for entry in self.entries if not entry.adjusts}

    def known(self) -> dict[date, Entry]:
        return {entry.day: entry for entry in self.entries}

    def adjustments(self) -> dict[date, int]:
        counts: dict[date, int] = {}
        for entry in self.entries:
            if entry.adjusts:
                counts[entry.day] = counts.get(entry.day, 0) + 1
        return counts


def adjusted(model: Model) -> Vintage:
    return Vintage(tuple(model.entries))


def original(model: Model) -> Vintage:
    return Vintage(tuple(entry for entry in model.entries if not entry.adjusts), "original")


def as_of(model: Model, instant: datetime) -> Vintage:
    """What was known at the instant."""
    recorded = (entry for entry in model.entries if entry.recorded_at <= stamp(instant))
    return Vintage(tuple(recorded), "adjusted", instant)


def expected_stats(model: Model, vintage: Vintage, first: date, last: date, by: str | None) -> dict[str, Any]:
    """The answer of the statistics over the range."""
    known, adjustments = vintage.known(), vintage.adjustments()
    shown = {day: entry.told for day, entry in known.items() if first <= day <= last}
    records = [entry for told in shown.values() for entry in told.records]
    states = {day: _state(model, vintage, known, day) for day in days(first, last)}
    answer: dict[str, Any] = {
        "period": f"{first}..{last}",
        "from": str(first),
        "to": str(last),
        "timezone": "UTC",
        "basis": vintage.basis,
        "days": {**dict.fromkeys(STATES, 0), **Counter(state for state in states.values() if state != "before")},
        "totals": figures.row(records),
        "top_models": figures.top_models(shown.values()),
        "series": [
            {
                "date": str(day),
                "state": states[day],
                **(known[day].told.row if day in known else _NO_ROW),
                **({"adjustments": adjustments[day]} if day in adjustments else {}),
            }
            for day in days(first, last)
        ],
        "adjustments": sum(count for day, count in adjustments.items() if first <= day <= last),
        "sources": [LOCAL] if model.first_day() else [],
        "unknown": figures.unknown(records, LOCAL),
    }
    if vintage.as_of:
        answer["as_of"] = stamp(vintage.as_of)
    closed = [entry.told for day, entry in vintage.closings().items() if first <= day <= last and entry.told.records]
    if by and (unsliced := sum(by not in told.cut.dimensions for told in closed)):
        answer["not_sliced"] = {by: unsliced}
    return answer | ({"by": {"dimension": by, "rows": figures.by_value(shown.values(), by)}} if by else {})


_NO_ROW = figures.row(())


def _state(model: Model, vintage: Vintage, known: Mapping[date, Entry], day: date) -> str:
    closable = model.last_closable(min(model.now, vintage.as_of or model.now))
    if day in known:
        if vintage.as_of is None and day in gone_days(model):
            return "source-gone"
        return "closed" if known[day].told.records else "zero"
    if day > closable:
        return "open"
    first = model.first_day()
    return "missing" if first is not None and day >= first else "before"


def gone_days(model: Model) -> set[date]:
    """The days of which records were lost, as the last comparison found; what we have pruned is not lost."""
    return {day for day, note in model.notes.items() if note.state == "source-gone"} - model.pruned


def expected_standing(model: Model) -> dict[str, Any]:
    """What `status` says of the source."""
    closings, counts = model.closings(), model.counts()
    change = {day: counts.get(day, 0) - len(entry.told.records) for day, entry in sorted(model.known().items())}
    only_changed = {day for day, note in model.notes.items() if note.state == "drift" and "requests" not in note.change}
    drift = {day: more for day, more in change.items() if more > 0 or (more == 0 and day in only_changed)}
    late = {day: counts[day] for day in sorted(model.pruned) if day in counts and change[day]}
    gone = sorted(day for day, more in change.items() if more < 0 and day not in model.pruned)
    through = _closed_through(model.first_day(), closings)
    return {
        "source": LOCAL,
        "first_day": _iso(model.first_day()),
        "closed_through": _iso(through),
        "days_closed": sum(bool(entry.told.records) for entry in closings.values()),
        "days_zero": sum(not entry.told.records for entry in closings.values()),
        "missing": [str(day) for day in model.missing()],
        "drift": [{"day": str(day), "requests": more} for day, more in drift.items() if day not in model.pruned],
        "source_gone": [str(day) for day in gone],
        "late_after_pruning": [{"day": str(day), "requests": count} for day, count in late.items()],
        "adjustments": sum(entry.adjusts for entry in model.entries),
        "days_pruned": len(model.pruned),
        "pruned_through": _iso(max(model.pruned, default=None)),
        "records_in_logs": len(model.records),
    }


def _closed_through(first: date | None, closings: Iterable[date]) -> date | None:
    closed = set(closings)
    through = None
    while first is not None and first in closed:
        through, first = first, date.fromordinal(first.toordinal() + 1)
    return through


def _iso(day: date | None) -> str | None:
    return str(day) if day else None


def as_stored(entry: Record) -> tuple[Any, ...]:
    """The record as a row of the logs: instants there are in UTC, without saying so."""
    return tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in entry.values())
