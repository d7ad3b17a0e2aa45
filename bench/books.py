"""Books to close days into: a new one for each trial, made before the clock runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from bench.clock import Trial
from tallybook.book.ledger import Book
from tallybook.closing import Outcome, close_days
from tallybook.source import Slicing, Source

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


@contextmanager
def new_book(path: Path) -> Iterator[Book]:
    """An empty SQLite book, deleted at the end."""
    book = Book.open(f"sqlite:///{path}", NOW)
    try:
        yield book
    finally:
        book.close()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


def close_all(book: Book, source: Source, days: Sequence[date]) -> int:
    """Closes the days and answers how many records they had; a day that is not closed is an error."""
    results = list(close_days(book, source, days, NOW, Slicing()))
    if len(results) != len(days) or any(result.outcome is not Outcome.CLOSED for result in results):
        raise RuntimeError(f"not every day was closed: {results}")
    return sum(result.requests or 0 for result in results)


def closing_trial(folder: Path, source: Source, days: Sequence[date]) -> Trial:
    """The time to close the days into a new book, from the first look at the source to the last commit."""

    def trial() -> float:
        with new_book(folder / "trial.sqlite") as book:
            start = time.perf_counter()
            close_all(book, source, days)
            return time.perf_counter() - start

    return trial
