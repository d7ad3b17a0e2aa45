"""What a page needs to be told, asked of the bookkeeper."""

from __future__ import annotations

from collections import Counter

from tallybook.book.ledger import Book
from tallybook.bookkeeper import Bookkeeper
from tallybook.days import day_of
from tallybook.measures import REQUESTS
from tallybook.operations import Teller, calendars, first_day_of, survey, with_today
from tallybook.page.asked import Asked
from tallybook.page.breakdown import in_order
from tallybook.page.download import DAYS, HOURS
from tallybook.page.figures import Row
from tallybook.page.ledger import LedgerView, ledger_view
from tallybook.page.overview import Overview, overview
from tallybook.page.reading_day import read_day, read_hours
from tallybook.standing import gone_days

__all__ = ["has_anything", "read_day", "read_ledger", "read_overview", "read_rows"]


def has_anything(keeper: Bookkeeper) -> bool:
    """Whether there is a source at all: our own logs count from their first record on."""
    return bool(keeper.sources())


def read_overview(teller: Teller, asked: Asked) -> Overview:
    """The overview, as it is told."""
    return overview(asked, survey(teller, **asked.stats()))


def read_ledger(keeper: Bookkeeper) -> LedgerView:
    """The book's own page, as the bookkeeper tells it."""
    status = keeper.status()
    days = calendars(keeper, first_day_of(status))
    return ledger_view(status, days, keeper.book.adjustments(), _lost(keeper.book))


def _lost(book: Book) -> Counter[str]:
    """How many requests the sources have lost of each closed day, as they were last compared."""
    gone, lost = gone_days(book), Counter[str]()
    for note in book.reconciliations.list():
        if note.day in gone.get(note.source, ()):
            lost[str(note.day)] -= note.change[REQUESTS]
    return lost


def read_rows(keeper: Bookkeeper, asked: Asked, table: str) -> list[Row]:
    """The rows of a table of the page: its days, the hours of its only one, or a breakdown in its order."""
    if table == HOURS:
        return read_hours(keeper, asked)
    arguments = with_today(asked.stats(), day_of(keeper.now()))
    if table == DAYS:
        days: list[Row] = keeper.stats(**arguments)["series"]
        return days
    return in_order(keeper.stats(**arguments, by=table)["by"]["rows"], asked.sort)
