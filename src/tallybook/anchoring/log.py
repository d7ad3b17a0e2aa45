"""The file of heads in the home: append-only, on by default, and the queue of what is delivered elsewhere."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tallybook.anchoring.anchor import Anchor, anchors_in, format_anchor, parse_line
from tallybook.errors import TallybookError, UnreadableFile, first_line

ANCHOR_FILE = "anchors.log"
TAIL_BYTES = 4096
"""Enough for some forty lines, so that of a file of any length only the end is read."""


class NotAnchored(TallybookError):
    """The file of heads cannot be read or written. Nothing is lost: what it lacks is appended when it can be."""

    code = "not_anchored"


@dataclass(frozen=True)
class Kept:
    """The heads that were appended; `conflict` says in what the book is not the one whose heads the file holds."""

    appended: tuple[Anchor, ...]
    conflict: str | None = None


class AnchorLog:
    """A file of heads, each in it once, in lines that are never changed. Many threads and processes may append to it.

    Every call raises `NotAnchored` where the file cannot be read or written, `UnreadableFile` where it is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at: tuple[int, int | None] = (0, None)

    def keep(self, entries: Callable[[int], Iterable[Anchor]]) -> Kept:
        """Appends the heads of the book that the file lacks; `entries` answers those with a `seq` above the given one.

        They are on disk when this returns. As long as the book goes on from the file's last line, only the end of both
        is read. Else every head of the book that the file does not hold is appended beside what is there, so that the
        file shows both histories, and `conflict` says so. Must not be called within a transaction of the book: it waits
        for others who do the same.
        """
        with self._locked() as file:
            last = self._last_in(file)
            known = [last] if last else []
            heads = list(entries(last.seq - 1 if last else 0))
            if heads[: len(known)] == known:
                return Kept(self._append(file, heads[len(known) :]))
            heads, held = list(entries(0)), self._all_in(file)
            return Kept(self._append(file, _lacking(held, heads)), self._conflict(held, heads))

    def add(self, anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
        """Appends those of the heads that the file does not hold."""
        with self._locked() as file:
            return self._append(file, _lacking(self._all_in(file), anchors))

    def last(self) -> Anchor | None:
        """The head in the last line; None where there is no file, or an empty one."""
        with self._reading() as file:
            return self._last_in(file) if file else None

    def forked(self) -> str | None:
        """In a sentence, that the file holds two histories of a book; None where it holds one.

        It is read only where it has grown since.
        """
        with self._reading() as file:
            size = file.seek(0, os.SEEK_END) if file else 0
            if file and size != self._looked_at[0]:
                self._looked_at = size, _first_forked(self._all_in(file))
        seq = self._looked_at[1] if size else None
        return None if seq is None else f"{self._path} holds two histories of the book, from entry {seq} on."

    def after(self, anchor: Anchor | None) -> list[Anchor]:
        """The heads in the lines below the one with this head; all of them where there is none.

        A `seq` would not do for it: where the book was rewritten, several lines have the same.
        """
        with self._reading() as file:
            if file is None or self._last_in(file) in (anchor, None):
                return []
            anchors = self._all_in(file)
        return anchors[len(anchors) - anchors[::-1].index(anchor) :] if anchor in anchors else anchors

    def _append(self, file: BinaryIO, anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
        """Writes the lines, then waits until the whole file is on disk, of a new one the name too."""
        is_new = file.seek(0, os.SEEK_END) == 0
        file.write("".join(map(format_anchor, anchors)).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
        if is_new:
            _flush_folder(self._path.parent)
        return tuple(anchors)

    def _last_in(self, file: BinaryIO) -> Anchor | None:
        line, _ = _tail(file)
        found = parse_line(line.decode("ascii", "replace"))
        if found is None:
            raise UnreadableFile(f"The last line of {self._path} is no anchor.", "Move it away, and keep it.")
        return found[-1] if found else None

    def _all_in(self, file: BinaryIO) -> list[Anchor]:
        """The heads in the lines that have an end: another process may be writing the last one."""
        file.seek(0)
        whole, end, _ = file.read().rpartition(b"\n")
        return list(anchors_in((whole + end).decode("ascii", "replace"), self._path))

    def _conflict(self, held: Sequence[Anchor], heads: Sequence[Anchor]) -> str | None:
        in_book = {head.seq: head for head in heads}
        strange = [anchor.seq for anchor in held if in_book.get(anchor.seq) != anchor]
        if not strange:
            return None
        first = min(strange)
        if first in in_book:
            return f"Entry {first} of the book is not the one that {self._path} holds."
        return f"The book ends before entry {first}, which {self._path} holds."

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, made if it is missing, held by nobody else, and whole."""
        with self._told("written"), open_private(self._path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _mend(file)
            yield file

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO | None]:
        with self._told("read"):
            try:
                file = self._path.open("rb")
            except FileNotFoundError:
                yield None
                return
            with file:
                yield file

    @contextmanager
    def _told(self, act: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotAnchored(
                f"The heads of the book cannot be {act} in {self._path}: {error.strerror or first_line(error)}.",
                "Make room there or mend its permissions; what is missing is appended then.",
            ) from error


def open_private(path: Path) -> BinaryIO:
    """The file, to be read and appended to; if it is missing it is made, for its owner only."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")


def _first_forked(anchors: Sequence[Anchor]) -> int | None:
    """The first `seq` that has several chains."""
    chains: dict[int, str] = {}
    return min((each.seq for each in anchors if chains.setdefault(each.seq, each.chain) != each.chain), default=None)


def _lacking(held: Iterable[Anchor], heads: Iterable[Anchor]) -> list[Anchor]:
    known = set(held)
    return [head for head in heads if head not in known]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mend(file: BinaryIO) -> None:
    """Takes away a last line that a crash cut short: the book has what it said. One that lacks only its end gets it."""
    _, cut = _tail(file)
    found = parse_line(cut.decode("ascii", "replace"))
    if found and found[-1].at.endswith("Z"):
        file.write(b"\n")
        file.flush()
    elif cut:
        file.truncate(file.seek(0, os.SEEK_END) - len(cut))


def _tail(file: BinaryIO) -> tuple[bytes, bytes]:
    """The last line that has an end and is not blank, and what stands below it without one."""
    size = file.seek(0, os.SEEK_END)
    lines = [b""]
    for start in (max(0, size - TAIL_BYTES), 0):
        file.seek(start)
        lines = ((b"" if start else b"\n") + file.read(size - start)).split(b"\n")
        whole = [line for line in lines[1:-1] if line.strip()]
        if whole:
            return whole[-1], lines[-1]
    return b"", lines[-1]
