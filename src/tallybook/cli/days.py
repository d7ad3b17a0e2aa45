"""Commands that close days."""

from __future__ import annotations

from typing import Any

import click

from tallybook.cli import tables
from tallybook.cli.common import json_flag, out, perform, print_json, with_settings

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
