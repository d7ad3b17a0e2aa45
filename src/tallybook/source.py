"""What closing needs of a source of log records, whatever it is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from tallybook.content import DayContent
from tallybook.measures import DEFAULT_DIMENSIONS, OTHER, Totals

DEFAULT_MAX_SLICES = 10_000


@dataclass(frozen=True)
class Slicing:
    """How a day is cut: by which dimensions, into how many slices before the smallest fold into `(other)`."""

    dimensions: tuple[str, ...] = DEFAULT_DIMENSIONS
    max_slices_per_day: int = DEFAULT_MAX_SLICES

    def like(self, known: DayContent) -> Slicing:
        """How to read a day again of which this is known: cut as it was, whatever the settings say by now.

        A day that was folded stays folded into as many slices; one that was whole is not folded into fewer than it has.
        """
        dimensions, count = known.dimensions or self.dimensions, len(known.slices)
        is_folded = any(part.key == (OTHER,) * len(dimensions) for part in known.slices)
        return Slicing(dimensions, count if is_folded else max(count, self.max_slices_per_day))


DEFAULT_SLICING = Slicing()


class Source(Protocol):
    """A set of log records with a name. Faults are raised as `LogsError`."""

    @property
    def name(self) -> str: ...

    @property
    def days_per_read(self) -> int:
        """How many days `contents` should at most be asked for at once."""

    def first_day(self) -> date | None:
        """The day of the earliest record; None while there is no record."""

    def known_first_day(self) -> date | None:
        """The same as far as it is known without asking anybody."""

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        """The content of each of the consecutive days, in order, all from one read of the source."""

    def totals(self, days: Sequence[date]) -> list[Totals]:
        """The totals that `contents` would give of each of the consecutive days, by a read that costs far less.

        A day without records has `NOTHING`. Raises `CloseFailed` where a total is beyond 64 bits.
        """

    def hours(self, day: date) -> list[Totals]:
        """The totals of each of the day's 24 hours in UTC, in order; `NOTHING` for one without records."""

    def arrived_at(self, day: date) -> datetime | None:
        """When a record of the day last arrived; None where the source cannot tell."""

    def arrived_before(self, day: date) -> datetime | None:
        """When a record of any day before this one last arrived; None where the source cannot tell."""

    def price_versions(self, day: date) -> tuple[str, ...]:
        """The versions of the prices that costs of the day's records were computed with here; none if they came so."""

    def imports_begun(self) -> int:
        """How many imports have ever begun; one that begins while a day is read may leave it half filled."""

    def busy(self) -> str | None:
        """Why no day may be closed at the moment, if so: a day must not be closed half filled."""
