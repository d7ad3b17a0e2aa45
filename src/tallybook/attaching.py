"""Attaching somebody else's log table as a source, listing what is attached, and letting go of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tallybook.book.ledger import Book
from tallybook.days import day_of
from tallybook.declaration import Declaration
from tallybook.errors import TallybookError
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource
from tallybook.sources.registry import Registry
from tallybook.sources.urls import SourceUrl
from tallybook.standing import closed_through

if TYPE_CHECKING:
    from tallybook.sources.inspection import Findings


class Attachments:
    """The attached sources of a home, beside what the book has of them."""

    def __init__(self, registry: Registry, book: Book, slicing: Slicing) -> None:
        self._registry = registry
        self._book = book
        self._slicing = slicing

    def attach(self, wanted: Declaration, now: datetime) -> Findings:
        """Looks at the table and, where it can be read, keeps it as a source; answers what was found."""
        found = self._examine(wanted, now)
        self._registry.add(found.inspection.pinned(day_of(found.first) if found.first else None))
        return found

    def _examine(self, declaration: Declaration, now: datetime) -> Findings:
        from tallybook.sources.inspection import examine  # noqa: PLC0415 - it imports Ibis, and most commands need none

        url = SourceUrl(declaration.url)
        try:
            return examine(declaration, now, self._slicing)
        except TallybookError as error:
            error.message, error.remedy = url.scrub(error.message), url.scrub(error.remedy)
            raise

    def list(self) -> list[dict[str, Any]]:
        """The attached sources, as they were declared; none of them is asked anything."""
        return [self._described(source) for source in self._registry.sources()]

    def _described(self, source: AttachedSource) -> dict[str, Any]:
        declaration = source.declaration
        closed = self._book.days_closed(source.name)
        first_day = min(filter(None, (source.known_first_day(), min(closed, default=None))), default=None)
        return {
            "source": source.name,
            "url": SourceUrl(declaration.url).shown(),
            "preset": "query" if declaration.query else declaration.preset,
            "table": declaration.pinned.table if declaration.pinned else None,
            "declared_in": self._registry.origin_of(source.name),
            "first_day": _iso(first_day),
            "closed_through": _iso(closed_through(min(closed, default=None), closed)),
        }

    def detach(self, name: str) -> int:
        """Forgets an attached source; answers how many closed days of it stay in the book."""
        self._registry.remove(name)
        return len(self._book.days_closed(name))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
