"""Days whose log records we have deleted ourselves, so that their absence surprises nobody."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa

from tallybook.book.engine import reading, writing
from tallybook.book.schema import prunings
from tallybook.days import format_instant


class Prunings:
    """The prunings of an open book. Thread-safe; every method is one transaction and raises `BookError`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def days(self, source: str) -> dict[date, int]:
        """The source's days that were pruned, and how many records were deleted of each."""
        query = sa.select(prunings.c.day, prunings.c.records).where(prunings.c.source == source)
        with reading(self._engine) as connection:
            return {date.fromisoformat(row.day): row.records for row in connection.execute(query)}

    def note(self, source: str, day: date, records: int, now: datetime, archive: str | None) -> None:
        """Notes that a day is pruned, before it is; what was noted before stays."""
        row = {
            "source": source,
            "day": day.isoformat(),
            "records": records,
            "pruned_at": format_instant(now),
            "archive": archive,
        }
        with writing(self._engine) as connection:
            known = sa.select(prunings.c.day).where(prunings.c.source == source, prunings.c.day == row["day"])
            if connection.scalar(known) is None:
                connection.execute(sa.insert(prunings), row)
