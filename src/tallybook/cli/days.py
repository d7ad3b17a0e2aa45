"""Commands that close days and check closed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tallybook.cli import tables
from tallybook.cli.common import json_flag, opened_book, out, perform, print_json, settings, with_settings

SHOWN_REASONS = 3
source_flag = click.option("--source", metavar="NAME", help="One source; all if not given.")


@click.command()
@click.argument("day", required=False)
@source_flag
@json_flag
@with_settings
def close(day: str | None, source: str | None, as_json: bool) -> int:
    """Close yesterday, or DAY.

    A closed day never changes: closing it again answers `exists`. A day that is not over, and five minutes more, is
    refused. A day before the first record is skipped.
    """
    return _closing("close", {"day": day, "source": source}, as_json)


@click.command()
@click.argument("first", metavar="FROM")
@click.argument("last", metavar="TO")
@source_flag
@json_flag
@with_settings
def backfill(first: str, last: str, source: str | None, as_json: bool) -> int:
    """Close every closable day from FROM to TO, both included.

    The logs are read once, however long the range. A day that fails is named and the others go on. Ctrl-C stops between
    two days; what is closed stays closed.
    """
    return _closing("backfill", {"first": first, "last": last, "source": source}, as_json)


def _closing(operation: str, arguments: dict[str, Any], as_json: bool) -> int:
    show = None if as_json else tables.ResultPrinter(out)
    answer = perform(operation, arguments, on_result=show)
    if as_json:
        print_json(answer)
    elif show:
        show.close()
    return _explain(answer["results"])


EXPLAINED = {
    "failed": (1, "It stays open: run the command again, or leave it to the server."),
    "refused": (2, "Wait until then."),
}


def _explain(results: list[dict[str, Any]]) -> int:
    """The exit code; for days that were not closed, what it is about on standard error."""
    for outcome, (code, remedy) in EXPLAINED.items():
        concerned = [result for result in results if result["outcome"] == outcome]
        if concerned:
            reasons = "; ".join(_reason(result) for result in concerned[:SHOWN_REASONS])
            more = f"; and {len(concerned) - SHOWN_REASONS} more" if len(concerned) > SHOWN_REASONS else ""
            click.echo(f"tallybook: {reasons}{more}. {remedy}", err=True)
            return code
    return 0


def _reason(result: dict[str, Any]) -> str:
    reason = result["reason"].rstrip(".")
    return reason if result["day"] in reason else f"{result['day']} of {result['source']}: {reason}"


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
    """Verify the book offline: every link of the chain, every day against its digest.

    Exits with 1 when anything is not as it was written. Without --anchor the book is checked against itself alone.
    """
    from tallybook.verification import read_anchors, verify_book

    anchors = read_anchors(anchor) if anchor else None
    with opened_book() as book:
        answer = verify_book(book, anchors).as_json()
    if as_json:
        print_json(answer)
    else:
        tables.print_verdict(out, answer, settings().home)
    return 0 if answer["verdict"] == "intact" else 1


@click.command()
@click.argument("first", metavar="[FROM", required=False)
@click.argument("last", metavar="TO]", required=False)
@json_flag
@with_settings
def reconcile(first: str | None, last: str | None, as_json: bool) -> int:
    """Compare closed days with what their sources say now.

    Lists the days that differ, measure by measure: `drift` where records came or changed after closing, `source-gone`
    where the source has fewer than were closed. Nothing is written.
    """
    answer = perform("reconcile", {"first": first, "last": last})
    if as_json:
        print_json(answer)
    else:
        tables.print_drift(out, answer["results"], [failed["source"] for failed in answer["failed"]])
    for failed in answer["failed"]:
        click.echo(f"tallybook: {failed['source']}: {failed['reason']} Run it again when the source is back.", err=True)
    return 1 if answer["failed"] else 0
