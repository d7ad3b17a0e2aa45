"""The calendar of the book: a cell for each day, a column for each week, coloured by the day's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from tallybook.page.absence import CLOSES_ITSELF
from tallybook.page.figures import Row
from tallybook.page.series import STATES, state_of
from tallybook.wording import count_of

CELL = 15
GAP = 3
LEFT = 30
TOP = 18
STATE_NAMES = ("closed", "zero", "missing", "open", "source-gone", "restated")


@dataclass(frozen=True)
class Since:
    """What became of days after they were closed: what was added to them, in words, and how many requests the source
    has lost."""

    added: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


NOT_TOLD = Since()


@dataclass(frozen=True)
class Cell:
    """A day: where it lies, its state, and in words what there is to say of it."""

    day: date
    x: int
    y: int
    state: str
    title: str


@dataclass(frozen=True)
class Calendar:
    """The picture: its cells, and the months over it."""

    title: str
    width: int
    height: int
    cells: tuple[Cell, ...]
    months: tuple[tuple[int, str], ...]
    counts: tuple[tuple[str, int], ...]


def calendar(rows: Sequence[Row], reasons: Mapping[str, str], since: Since = NOT_TOLD) -> Calendar:
    """From the series of consecutive days; `reasons` says why a day is missing, `since` what became of closed ones."""
    first = date.fromisoformat(rows[0]["date"])
    monday = first - timedelta(days=first.weekday())
    cells = tuple(_cell(row, monday, reasons, since) for row in rows)
    states = [cell.state for cell in cells]
    months = {cell.x: f"{cell.day:%b}" for cell in cells if cell.day.day <= 7 and cell.day.weekday() == 0}
    return Calendar(
        title=f"{first} to {rows[-1]['date']}",
        width=max(cell.x for cell in cells) + CELL,
        height=TOP + 7 * (CELL + GAP),
        cells=cells,
        months=tuple(months.items()),
        counts=_counted(states),
    )


def counts_of(calendars: Sequence[Calendar]) -> tuple[tuple[str, int], ...]:
    """How many days of all the calendars are in each state that there is."""
    return _counted([cell.state for each in calendars for cell in each.cells])


def _counted(states: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple((state, states.count(state)) for state in STATE_NAMES if state in states)


def _cell(row: Row, monday: date, reasons: Mapping[str, str], since: Since) -> Cell:
    day = date.fromisoformat(row["date"])
    week, weekday = divmod((day - monday).days, 7)
    x, y = LEFT + week * (CELL + GAP), TOP + weekday * (CELL + GAP)
    return Cell(day, x, y, state_of(row), _title(day, row, reasons, since))


def _title(day: date, row: Row, reasons: Mapping[str, str], since: Since) -> str:
    parts = [f"{day:%a} {day}: {STATES[row['state']]}"]
    if float(row["requests"]):
        parts.append(count_of(int(row["requests"]), "request"))
    if adjustments := row.get("adjustments"):
        added = since.added.get(row["date"])
        parts.append(f"restated by {count_of(adjustments, 'adjustment')}{f': {added}' if added else ''}")
    if row["state"] == "source-gone" and (lost := since.lost.get(row["date"])):
        parts.append(f"the source has {count_of(lost, 'request')} fewer than the book")
    if row["state"] == "missing":
        parts.append(reasons.get(str(day), CLOSES_ITSELF))
    return "; ".join(parts)
