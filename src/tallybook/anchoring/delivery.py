"""Delivering heads: what the file in the home has and a destination has not, to each destination for itself."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from tallybook.anchoring.anchor import Anchor, Parcel
from tallybook.anchoring.cursors import Cursor, CursorFile
from tallybook.anchoring.destination import Destination
from tallybook.anchoring.log import ANCHOR_FILE, AnchorLog, open_private
from tallybook.errors import TallybookError

log = logging.getLogger(__name__)

MAX_ANCHORS = 1000
"""So many heads at most are delivered at once."""


class Receivers(Protocol):
    """The destinations that are set, and how messages are kept free of their secrets."""

    def destinations(self) -> tuple[Destination, ...]: ...

    def scrub(self, text: str) -> str: ...


@dataclass(frozen=True)
class Way:
    """A way of delivering: the name of its files in the home, how many heads go at once, and whether a destination that
    is new begins with the next head rather than with the first."""

    name: str
    at_once: int
    begins_with_next: bool = False


OF_HEADS = Way("anchors", MAX_ANCHORS)
OF_ENTRIES = Way("webhooks", 1, begins_with_next=True)
"""Heads to where they are kept, and news of each entry to whoever wants it."""


@dataclass(frozen=True)
class Delivered:
    """So many heads went to a destination, up to that of `through_seq`."""

    to: str
    anchors: int
    through_seq: int


@dataclass(frozen=True)
class DeliveryState:
    """How far heads have come; `waiting` is None where the file cannot be read, `failing` says why none arrives."""

    to: str
    through_seq: int
    waiting: int | None
    failing: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def but_failing(self, reason: str | None) -> DeliveryState:
        """The same, failing for this reason if it does not fail already."""
        return replace(self, failing=self.failing or reason)


class Deliveries:
    """Delivers the heads in the file of a home to the destinations that are set.

    Level-triggered: each call compares the file with how far each destination is. So one that was down gets what it has
    missed, in order; one that is new gets every head; one that is no longer set is forgotten. Thread-safe, and of all
    threads and processes of a home one at a time delivers.
    """

    def __init__(self, home: Path, settings: Receivers, book_id: str, way: Way = OF_HEADS) -> None:
        self._log = AnchorLog(home / ANCHOR_FILE)
        self._cursors = CursorFile(home / f"{way.name}.json", book_id)
        self._lock_path = home / f"{way.name}.lock"
        self._way = way
        self._settings = settings
        self._destinations = settings.destinations()
        self._book_id = book_id

    def deliver(self, now: datetime) -> list[Delivered]:
        """Tries each destination that lacks heads and is due; does nothing while another thread or process does so.

        What fails is logged, told by `states` and tried again later; no `TallybookError` is raised. May take minutes
        where destinations do not answer.
        """
        if not self._destinations:
            self._cursors.forget()
            return []
        with _alone(self._lock_path) as is_alone:
            return list(self._deliver(now)) if is_alone else []

    def begin(self) -> None:
        """Has a destination that is new, and shall have only what comes, begin here; raises no `TallybookError`."""
        if not self._destinations or not self._way.begins_with_next:
            return
        try:
            self._cursors.keep(self._cursors.of(self._destinations, self._log.last()))
        except TallybookError as error:
            log.warning("no head to begin with", extra={"error": error.message})

    def states(self) -> list[DeliveryState]:
        """How far the file is, then each destination; raises no `TallybookError`."""
        cursors = self._cursors.of(self._destinations)
        last, waiting, unreadable = None, dict[str, int](), None
        try:
            last, unreadable = self._log.last(), self._log.forked()
            waiting = {to: len(self._log.after(cursor.through)) for to, cursor in cursors.items()}
        except TallybookError as error:
            unreadable = error.message
        return [
            DeliveryState("file", _seq(last), None if last is None and unreadable else 0, unreadable),
            *(
                DeliveryState(to, _seq(cursor.through), waiting.get(to), cursor.failing)
                for to, cursor in cursors.items()
            ),
        ]

    def _deliver(self, now: datetime) -> Iterator[Delivered]:
        cursors = self._cursors.of(self._destinations)
        self._cursors.keep(cursors)
        for destination in self._destinations:
            to, anchors = destination.to, 0
            for cursor, taken in self._steps(destination, cursors[to], now):
                cursors[to] = cursor
                self._cursors.keep(cursors)
                anchors += taken
            if anchors:
                yield Delivered(to, anchors, _seq(cursors[to].through))

    def _steps(self, destination: Destination, cursor: Cursor, now: datetime) -> Iterator[tuple[Cursor, int]]:
        """Its cursor after each parcel, with how many heads it took; after a failure, the last."""
        if not cursor.is_due(now):
            return
        try:
            for anchors in _parcelled(self._log.after(cursor.through), self._way.at_once):
                destination.deliver(Parcel(self._book_id, anchors), now)
                cursor = cursor.moved(anchors[-1])
                yield cursor, len(anchors)
        except TallybookError as error:
            reason = self._settings.scrub(error.message)
            log.warning(
                "heads not delivered",
                extra={"to": destination.to, "through_seq": _seq(cursor.through), "error": reason},
            )
            yield cursor.failed(reason, now), 0


def _parcelled(anchors: Sequence[Anchor], at_once: int) -> Iterator[tuple[Anchor, ...]]:
    for start in range(0, len(anchors), at_once):
        yield tuple(anchors[start : start + at_once])


def _seq(anchor: Anchor | None) -> int:
    return anchor.seq if anchor else 0


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other thread or process is in here, which then holds until the end."""
    try:
        file = open_private(path)
    except OSError as error:
        log.warning("heads not delivered", extra={"error": str(error)})
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
