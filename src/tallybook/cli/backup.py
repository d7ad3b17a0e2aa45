"""Commands that copy the book, and put a copy back."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallybook.cli.cells import say, shown_path
from tallybook.cli.common import clock, json_flag, out, print_json, settings, with_settings
from tallybook.errors import BookError, UnreadableFile, UsageError
from tallybook.wording import count_of

if TYPE_CHECKING:
    from tallybook.anchoring.anchor import Anchor
    from tallybook.verification import Verification

INTACT = "intact"
SOUND = (INTACT, "truncated", "forked")
SHOWN_DIGITS = 12
SQLITE_HEADER = b"SQLite format 3\0"
file_argument = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@click.command()
@file_argument
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_flag
@with_settings
def backup(file: Path, force: bool, as_json: bool) -> int:
    """Copy the book to FILE, while a server closes days or without one, and verify the copy.

    FILE is one file, readable by its owner only, and appears when it is whole. An altered book is copied too, and exits
    with 1. The logs are no part of it.
    """
    from tallybook.book.backup import book_file, copied, publish, refuse_own

    book = book_file(settings().book, "backup", file)
    refuse_own(file, book)
    _refuse_existing(file, force)
    with copied(book, file) as copy:
        verification = _verify(copy)
        _refuse_to_worsen(file, verification)
        answer = {"file": str(file), "bytes": copy.stat().st_size, **_standing(verification), "sha256": _sha256(copy)}
        publish(copy, file)
    if as_json:
        print_json(answer)
    else:
        click.echo(_line(file, verification))
    if verification.verdict == INTACT:
        return 0
    _warn(f"The book is {verification.verdict}, and so is its copy. `tallybook verify` says where.")
    return 1


@click.command()
@file_argument
@click.option("--yes", is_flag=True, help="Do not ask, where a book is to be replaced.")
@json_flag
@with_settings
def restore(file: Path, yes: bool, as_json: bool) -> None:
    """Put the backup FILE in the place of the book, which is kept beside it.

    FILE is verified first. Stop the server before and start it again afterwards. What the home's anchors.log has of the
    book beyond the end of FILE is told: it is lost.
    """
    from tallybook.book.backup import book_file, copied, refuse_own, replace_book
    from tallybook.home import prepare_home

    chosen = settings()
    book = book_file(chosen.book, "restore", file)
    refuse_own(file, book)
    _refuse_beside_server(chosen.home)
    prepare_home(chosen.home)
    with copied(file, book) as copy:
        anchors = _exported(chosen.home)
        verification = _verify(copy, anchors)
        _refuse_altered(file, verification)
        _confirm(book, _line(file, verification), yes)
        aside = replace_book(copy, book, clock())
    lost = _entries_lost(verification, anchors) if anchors else None
    if as_json:
        places = {"file": str(file), "book": str(book), "aside": aside and str(aside)}
        print_json({**places, **_standing(verification), "behind_anchors": lost})
    else:
        click.echo(f"Restored {_line(file, verification)}")
        if aside:
            say(out, f"The book that was there is kept as {shown_path(aside)}")
    if verification.verdict != INTACT:
        _warn(f"{_difference(verification, lost)} `tallybook verify --anchor` will say {verification.verdict}.")


def _verify(copy: Path, anchors: Iterable[Anchor] = ()) -> Verification:
    from tallybook.book.backup import opened_copy
    from tallybook.verification import verify_book

    with opened_copy(copy, clock()) as book:
        return verify_book(book, anchors)


def _exported(home: Path) -> list[Anchor]:
    """The heads in the home's anchors.log; one that cannot be read is told, and keeps no book from being restored."""
    from tallybook.anchoring.anchor import read_anchors
    from tallybook.anchoring.log import ANCHOR_FILE

    file = home / ANCHOR_FILE
    try:
        return read_anchors(file) if file.exists() else []
    except UnreadableFile as error:
        _warn(f"{error.message} The restored book is compared with no anchors.")
        return []


def _entries_lost(verification: Verification, anchors: Iterable[Anchor]) -> int:
    """How many entries the anchors tell of beyond the end of the book."""
    return max(0, max(anchor.seq for anchor in anchors) - _entries(verification))


def _entries(verification: Verification) -> int:
    return verification.closings + verification.adjustments


def _difference(verification: Verification, lost: int | None) -> str:
    if not lost:
        return "The anchors.log of this home has other heads than the restored book."
    end = _entries(verification)
    entries = "1 entry is" if lost == 1 else f"{lost:,} entries are"
    return f"The restored book ends at entry {end:,}; anchors.log has heads up to {end + lost:,}: {entries} lost."


def _refuse_existing(file: Path, force: bool) -> None:
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is no file.", "Name the file that the copy is to be.")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already.", "Give --force to replace it, or name another.")
    if file.exists() and not _may_be_backup(file):
        raise UsageError(f"{file} is no backup, but something else.", "Name another file.")


def _may_be_backup(file: Path) -> bool:
    """Whether it is a SQLite database, or empty: not even --force puts a copy in the place of anything else."""
    with file.open("rb") as opened:
        return opened.read(len(SQLITE_HEADER)) in (b"", SQLITE_HEADER)


def _refuse_to_worsen(file: Path, verification: Verification) -> None:
    """A good backup is worth more than the copy of a book that no longer is."""
    if file.exists() and verification.verdict != INTACT:
        raise BookError(f"The book is {verification.verdict}, so {file} was left as it is.", "Name another file.")


def _refuse_beside_server(home: Path) -> None:
    from tallybook.client import find_server

    if server := find_server(home):
        raise UsageError(f"The server at {server.url} has the book open.", "Stop it, restore, and start it again.")


def _refuse_altered(file: Path, verification: Verification) -> None:
    """Against anchors a sound backup may be truncated or forked: that is what restoring is about."""
    if verification.verdict not in SOUND:
        raise BookError(f"{file} is {verification.verdict}; nothing was restored.", "Go back to an earlier backup.")


def _confirm(book: Path, line: str, yes: bool) -> None:
    if yes or not book.exists():
        return
    if not sys.stdin.isatty():
        raise UsageError(f"There is a book at {book}.", "Give --yes to replace it; it is kept beside the other.")
    click.echo(line, err=True)
    if not click.confirm(f"Replace {book} by it? The present one is kept.", err=True):
        raise UsageError("Nothing was replaced.")


def _sha256(copy: Path) -> str:
    with copy.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _standing(verification: Verification) -> dict[str, Any]:
    return {name: getattr(verification, name) for name in ("closings", "head", "verdict")}


def _line(file: Path, verification: Verification) -> str:
    """What the file is, whatever anchors tell of a longer book."""
    verdict = INTACT if verification.verdict in SOUND else verification.verdict
    head = f"head {verification.head[:SHOWN_DIGITS]}…, " if verification.head else ""
    return f"{file}: {count_of(verification.closings, 'closing')}, {head}{verdict}"


def _warn(sentences: str) -> None:
    click.echo(f"tallybook: {sentences}", err=True)
