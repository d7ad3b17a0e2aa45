"""Where the heads of a book's chain go: into the file of the home at once, from there to every destination."""

from __future__ import annotations

import logging
from datetime import datetime

from tallybook.anchoring.delivery import OF_ENTRIES, Deliveries, DeliveryState
from tallybook.anchoring.log import ANCHOR_FILE, AnchorLog
from tallybook.announcing.message import Reporter
from tallybook.announcing.webhook import Announcements
from tallybook.book.ledger import Book
from tallybook.config import Settings
from tallybook.errors import TallybookError

log = logging.getLogger(__name__)


class Heads:
    """The heads of an open book. Thread-safe; what fails is logged and told by the states, and tried again later."""

    def __init__(self, book: Book, settings: Settings) -> None:
        self._book = book
        self._file = AnchorLog(settings.home / ANCHOR_FILE)
        book_id = book.identity().book_id
        self._anchors = Deliveries(settings.home, settings.anchors, book_id)
        told = Announcements(settings.webhooks, Reporter(book))
        self._news = Deliveries(settings.home, told, book_id, OF_ENTRIES)
        self._news.begin()
        self._conflict: str | None = None

    def keep(self) -> None:
        """Appends what the file lacks; a file that cannot be written keeps no day from being closed."""
        try:
            kept = self._file.keep(self._book.heads)
        except TallybookError as error:
            log.warning("head not anchored", extra={"error": error.message})
            return
        if kept.conflict:
            log.error("the book is not the one that was anchored", extra={"error": kept.conflict})
        self._conflict = kept.conflict

    def send(self, now: datetime) -> None:
        """To the file what a crash kept from it, and from there to wherever else heads go."""
        self.keep()
        self._anchors.deliver(now)
        self._news.deliver(now)

    def anchor_states(self) -> list[DeliveryState]:
        """How far heads have come, to the file and to each destination; whether the file holds another history."""
        file, *others = self._anchors.states()
        return [file.but_failing(self._conflict), *others]

    def news_states(self) -> list[DeliveryState]:
        """How far news of entries has come, to each webhook that is told."""
        return list(self._news.states())[1:]
