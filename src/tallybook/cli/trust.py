"""Commands that check what was closed, against itself, against heads kept elsewhere, and against the logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallybook.cli import entry_tables
from tallybook.cli.common import clock, json_flag, opened_book, out, perform, print_json, settings, with_settings
from tallybook.errors import BookError

if TYPE_CHECKING:
    from tallybook.anchoring.anchor import Anchor
    from tallybook.book.ledger import Book


@click.command()
@click.option(
    "--anchor",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Heads that were exported, as in the home's anchors.log.",
)
@json_flag
@with_settings
def verify(anchor: Path | None, as_json: bool) -> int:
    """Verify the book offline: every link of the chain, every day and adjustment against its digest.

    Exits with 1 when anything is not as it was written. Without --anchor the book is checked against itself alone.
    docs/verify.md has the format, and a second verifier that needs nothing but Python.
    """
    answer = _verdict(anchor)
    if as_json:
        print_json(answer)
    else:
        entry_tables.print_verdict(out, answer, settings().home)
    return 0 if answer["verdict"] == "intact" else 1


def _verdict(anchor: Path | None) -> dict[str, Any]:
    """A book that cannot even be opened has a verdict too, beside the error."""
    from tallybook.book.ledger import Book
    from tallybook.verification import verdict_on, verify_book

    try:
        book = Book.open_to_verify(settings().book)
        try:
            return verify_book(book, _heads(anchor, book) if anchor else None).as_json()
        finally:
            book.close()
    except BookError as error:
        verification = verdict_on(error)
        if verification is None:
            raise
        click.echo(f"tallybook: {error.message} {error.remedy}", err=True)
        return verification.as_json()


def _heads(anchor: Path, book: Book) -> list[Anchor]:
    """The heads of this book in the file; all, where the book does not say who it is, which verifying tells."""
    from tallybook.anchoring.anchor import read_anchors

    try:
        book_id = book.identity().book_id
    except BookError:
        return read_anchors(anchor)
    return read_anchors(anchor, book_id)


@click.command()
@click.argument("first", metavar="[FROM", required=False)
@click.argument("last", metavar="TO]", required=False)
@click.option("--post", is_flag=True, help="Write an adjustment for each day that drifted.")
@json_flag
@with_settings
def reconcile(first: str | None, last: str | None, post: bool, as_json: bool) -> int:
    """Compare closed days with what their sources say now.

    Lists the days that differ, measure by measure: `drift` where records came or changed after closing, `source-gone`
    where the source has fewer than the book. Nothing is written but with --post: then each day that drifted gets an
    adjustment, signed and chained, and the closed day stays as it is. A day whose source is gone is never adjusted.
    """
    answer = perform("reconcile", {"first": first, "last": last, "post": post})
    if as_json:
        print_json(answer)
    else:
        entry_tables.print_drift(out, answer)
    for failed in answer["failed"]:
        click.echo(f"tallybook: {failed['source']}: {failed['reason']} Run it again when the source is back.", err=True)
    return 1 if answer["failed"] else 0


@click.command()
@click.argument("first", metavar="[FROM", required=False)
@click.argument("last", metavar="TO]", required=False)
@click.option("--source", metavar="NAME", help="One source; all if not given.")
@json_flag
@with_settings
def adjustments(first: str | None, last: str | None, source: str | None, as_json: bool) -> None:
    """List the adjustments, all or those to the days from FROM to TO.

    Each is a signed correction that was added to a closed day later on, with its reason and when it was recorded.
    """
    from tallybook.periods import bounds_of

    bounds = bounds_of(first, last)
    with opened_book() as book:
        listed = [adjustment.as_json() for adjustment in book.adjustments(source, *bounds)]
    if as_json:
        print_json({"adjustments": listed})
    else:
        entry_tables.print_adjustments(out, listed, is_chosen=bool(first or last or source))


@click.command()
@json_flag
@with_settings
def migrate(as_json: bool) -> None:
    """Bring the book to this version's schema, and put its guards up again.

    A server does the first by itself where it owns the tables; where it only may write, the owner runs this.
    """
    from tallybook.book.ledger import Book
    from tallybook.book.migrate import HEAD

    book = Book.open(settings().book, clock())
    try:
        restored = book.raise_guards()
    finally:
        book.close()
    if as_json:
        print_json({"schema_version": HEAD, "guards_restored": restored})
    else:
        entry_tables.print_migrated(out, HEAD, restored)
