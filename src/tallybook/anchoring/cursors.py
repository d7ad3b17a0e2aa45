"""How far each destination is, kept in the home: who delivers next need not be the process that delivered last."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tallybook.anchoring.anchor import Anchor
from tallybook.anchoring.destination import Destination

log = logging.getLogger(__name__)

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)


class Cursor(msgspec.Struct, frozen=True):
    """The last head that a destination took; how often it has failed since then, when it did last, and why."""

    identity: str
    through: Anchor | None = None
    failures: int = 0
    failed_at: datetime | None = None
    failing: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it may be tried: after a failure in a minute, after the next in two, and so on up to an hour.

        A clock that was set back keeps nothing waiting.
        """
        wait = min(FIRST_WAIT * 2 ** min(self.failures - 1, 10), LONGEST_WAIT)
        return self.failed_at is None or not self.failed_at <= now < self.failed_at + wait

    def moved(self, through: Anchor) -> Cursor:
        """The same after a delivery."""
        return Cursor(self.identity, through)

    def failed(self, reason: str, now: datetime) -> Cursor:
        """The same after one more failure."""
        return Cursor(self.identity, self.through, self.failures + 1, now, reason)


class _Kept(msgspec.Struct, frozen=True):
    book_id: str
    destinations: dict[str, Cursor]


class CursorFile:
    """The cursors of one book, by kind of destination. Messages in them hold no secret; only its owner can read it."""

    def __init__(self, path: Path, book_id: str) -> None:
        self._path = path
        self._book_id = book_id
        self._unwritten: _Kept | None = None

    def of(self, destinations: Iterable[Destination], begin_after: Anchor | None = None) -> dict[str, Cursor]:
        """The cursor of each destination; of one that is new, was another before or served another book, a new one."""
        kept = self._unwritten or self._read()
        known = kept.destinations if kept and kept.book_id == self._book_id else {}
        fresh = {each.to: Cursor(_digest(each.identity), begin_after) for each in destinations}
        return {
            to: known[to] if to in known and known[to].identity == new.identity else new for to, new in fresh.items()
        }

    def keep(self, cursors: Mapping[str, Cursor]) -> None:
        """Keeps these and forgets others. What cannot be written is remembered, lest this process send it again."""
        kept = _Kept(self._book_id, dict(cursors))
        if kept == (self._unwritten or self._read()):
            return
        try:
            _write(self._path, kept)
            self._unwritten = None
        except OSError as error:
            self._unwritten = kept
            log.warning("how far heads are delivered is not kept", extra={"error": str(error)})

    def forget(self) -> None:
        """Forgets every destination."""
        self._unwritten = None
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _read(self) -> _Kept | None:
        """What is kept there; a file that cannot be read is like none, and every head is delivered again."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("how far heads are delivered cannot be read", extra={"error": str(error)})
            return None


def _digest(identity: str) -> str:
    """A URL or a command may hold a secret, so what is kept of it only tells it from others."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _write(path: Path, kept: _Kept) -> None:
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2))
    partial.replace(path)
