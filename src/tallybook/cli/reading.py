"""Commands that read the book."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tallybook.cli import tables
from tallybook.cli.cells import say, shown_path
from tallybook.cli.common import clock, json_flag, out, perform, print_json, with_settings
from tallybook.errors import OutputError, UsageError
from tallybook.measures import DIMENSION_NAMES

with_filters = click.option(
    "--filter",
    "filters",
    metavar="DIMENSION=VALUE",
    multiple=True,
    help="Only these records; DIMENSION alone is unknown. May be repeated.",
)


@click.command()
@click.argument("period")
@click.option("--by", metavar="DIMENSION", help=f"Break the period down by {', '.join(DIMENSION_NAMES)}.")
@click.option("--source", metavar="NAME", help="One source; all if not given.")
@with_filters
@click.option("--basis", metavar="B", default="adjusted", help="adjusted (the default) or original.")
@click.option("--as-of", metavar="T", help="As it was known at this instant, or at the end of this day.")
@click.option("--live", is_flag=True, help="Add today, from the logs.")
@json_flag
@click.option("--csv", "as_csv", is_flag=True, help="Print the days, or with --by its rows, as CSV.")
@with_settings
def stats(period: str, as_json: bool, as_csv: bool, **asked: Any) -> None:
    """Show the statistics of PERIOD.

    PERIOD is today, yesterday, last7d, last30d, last90d, week, month, year, all, a day, or FROM..TO. All but today are
    answered from closed days, however many records there were. Late records that were posted as adjustments are in
    them; --basis original leaves them out, and --as-of goes back to what the book knew then.
    """
    if as_json and as_csv:
        raise UsageError("Both --json and --csv are given.", "Give one of them.")
    answer = perform("stats", {"period": period, **asked})
    if as_json:
        print_json(answer)
    elif as_csv:
        click.echo(tables.as_csv(answer), nl=False)
    else:
        tables.print_stats(out, answer)


@click.command()
@json_flag
@with_settings
def status(as_json: bool) -> None:
    """Show how each source stands: first day, closed through, missing days, drift, what is safe to prune."""
    answer = perform("status", {})
    if as_json:
        print_json(answer)
    else:
        tables.print_status(out, answer)


@click.command()
@click.argument("period")
@click.option(
    "--output", "-o", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The file to write."
)
@click.option("--source", metavar="NAME", help="One source; all if not given.")
@with_filters
@click.option("--basis", metavar="B", default="adjusted", help="adjusted (the default) or original.")
@click.option("--title", metavar="TEXT", default="LLM API traffic", help="What stands at its top.")
@with_settings
def report(period: str, output: Path, title: str, filters: tuple[str, ...], **asked: Any) -> None:
    """Write the figures of PERIOD to one file of HTML that needs nothing else, to mail or to keep.

    PERIOD is what `stats` takes. An existing file is replaced, when the new one is whole.
    """
    from tallybook.page.asked import MEASURES, Asked
    from tallybook.page.overview import overview
    from tallybook.page.report import report as written

    wanted = Asked(period=period, filter=filters, **asked)
    survey = perform("survey", wanted.stats())
    views = {measure: overview(replace(wanted, measure=measure), survey) for measure in MEASURES}
    _write(output, written(views, clock(), title))
    say(out, f"{shown_path(output)}  {next(iter(views.values())).span}")


def _write(file: Path, text: str) -> None:
    """In one step, so that a reader never finds half a report."""
    partial = file.with_name(f".{file.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{file} cannot be written: {error.strerror}.", "Name another file with -o.") from None
