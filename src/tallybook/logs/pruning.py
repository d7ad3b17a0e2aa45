"""Deleting days from our own logs: what must be so before a day's records go, whichever database keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from tallybook.logs.archive import Archive, ArchivedDay, NotArchived
from tallybook.measures import REQUESTS, Totals

WhyKeep = Callable[[date, Totals], str | None]
"""Asked with a day and the totals of its records as they are now; answers why they must be kept, if so."""

OnDelete = Callable[[date, int, ArchivedDay | None], None]
"""Told of a day whose so many records are about to be deleted, and of its archive; where it raises, none is."""


@dataclass(frozen=True)
class Deleted:
    """What became of the days: the numbers of records deleted, why others were kept, and where the deleted ones lie."""

    records: dict[date, int] = field(default_factory=dict)
    kept: dict[date, str] = field(default_factory=dict)
    archives: dict[date, ArchivedDay] = field(default_factory=dict)


def tell_nobody(_day: date, _records: int, _archived: ArchivedDay | None) -> None:
    """For a deletion that nobody needs to know of before."""


class Pruning:
    """Says of one day after the other whether its records may be deleted now, and what became of all of them."""

    def __init__(self, source: str, why_keep: WhyKeep, archive: Archive | None, on_delete: OnDelete) -> None:
        self._source = source
        self._why_keep = why_keep
        self._archive = archive
        self._on_delete = on_delete
        self.deleted = Deleted()

    def releases(self, day: date, totals: Totals, records: Callable[[], Iterable[pa.RecordBatch]]) -> bool:
        """Whether the day's records may go: nobody has a reason against it, they are archived, and it has been told.

        `totals` and `records` must be of what is deleted, and nothing may be added to it meanwhile. A day that has no
        record any more, because another server has deleted them, is passed over.
        """
        if not totals[REQUESTS]:
            return False
        if (reason := self._why_keep(day, totals)) is not None:
            self.deleted.kept[day] = reason
            return False
        try:
            archived = self._archive.write(self._source, day, records(), totals) if self._archive else None
        except NotArchived as error:
            self.deleted.kept[day] = str(error)
            return False
        self._on_delete(day, totals[REQUESTS], archived)
        self.deleted.records[day] = totals[REQUESTS]
        if archived:
            self.deleted.archives[day] = archived
        return True
