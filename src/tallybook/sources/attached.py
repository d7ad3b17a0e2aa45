"""An attached source: somebody else's log table, looked at anew for each reading."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec

from tallybook.content import DayContent
from tallybook.declaration import Declaration
from tallybook.errors import SourceDown, SourceFault, TallybookError, UsageError
from tallybook.measures import Totals
from tallybook.source import Slicing
from tallybook.sources.urls import SourceUrl

if TYPE_CHECKING:
    from tallybook.sources.inspection import Inspection


class AttachedSource:
    """The source that a declaration names. Its table is inspected before each reading, so that a change is noticed.

    A declaration without a pin, as of `tallybook.toml` at first, holds on to what its first inspection found; `keep` is
    told of each declaration whose pin says more than before. The first day is asked for once and remembered until
    `forget`. No message of an error shows a password.
    """

    def __init__(self, declaration: Declaration, keep: Callable[[Declaration], None] = lambda _: None) -> None:
        self.declaration = declaration
        self._keep = keep
        self.name = declaration.name
        self._url = SourceUrl(declaration.url)
        self._first_day = declaration.pinned.first_day if declaration.pinned else None
        self._asked = self._first_day is not None

    @property
    def days_per_read(self) -> int:
        from tallybook.sources.places import open_place  # noqa: PLC0415 - as in `_inspect`

        if wished := self.declaration.settings.get("days_per_read"):
            return int(wished)
        try:
            return open_place(self._url).engine.days_per_read
        except TallybookError:
            return 1

    def forget(self) -> None:
        """Has the next call of `first_day` ask the source."""
        self._asked = False

    def first_day(self) -> date | None:
        if not self._asked:
            with self._told():
                found = self._inspect()
                self._first_day = found.source.first_day()
            self._asked = self._first_day is not None
            self._hold(found)
        return self._first_day

    def known_first_day(self) -> date | None:
        return self._first_day

    def inspection(self) -> Inspection:
        """The source as it is now."""
        with self._told():
            return self._inspect()

    def _inspect(self) -> Inspection:
        from tallybook.sources.inspection import inspect  # noqa: PLC0415 - half a second that not every command should pay

        found = inspect(self.declaration)
        self._hold(found)
        return found

    def _hold(self, found: Inspection) -> None:
        """Pins what was found at first, and what has been learned since of the first day and of failures."""
        pin = self.declaration.pinned or found.pin(None)
        first_day = min(filter(None, (pin.first_day, self._first_day)), default=None)
        pin = msgspec.structs.replace(pin, first_day=first_day, failures=found.failures_seen)
        if pin != self.declaration.pinned:
            self.declaration = msgspec.structs.replace(self.declaration, pinned=pin)
            self._keep(self.declaration)

    def contents(self, days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
        with self._told():
            found = self._inspect()
            for content in found.source.contents(days, slicing):
                self._hold(found)
                yield content

    def totals(self, days: Sequence[date]) -> list[Totals]:
        with self._told():
            return self._inspect().source.totals(days)

    def hours(self, day: date) -> list[Totals]:
        with self._told():
            return self._inspect().source.hours(day)

    def arrived_at(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def arrived_before(self, day: date) -> datetime | None:  # noqa: ARG002 - part of every source
        return None

    def price_versions(self, day: date) -> tuple[str, ...]:  # noqa: ARG002 - as `TableSource` has it
        return ()

    def imports_begun(self) -> int:
        return 0

    def busy(self) -> str | None:
        return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Hides the URL's secrets; what is wrong with the declaration is, to one who closes, the source's fault."""
        try:
            yield
        except (SourceDown, SourceFault) as error:
            raise type(error)(self._url.scrub(error.message), self._url.scrub(error.remedy)) from None
        except UsageError as error:
            raise SourceFault(self._url.scrub(error.message), error.remedy) from None
