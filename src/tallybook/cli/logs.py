"""Commands on our own logs: bringing records in, and deleting those that are in the book."""

from __future__ import annotations

from pathlib import Path

import click

from tallybook.cli import entry_tables, tables
from tallybook.cli.common import json_flag, out, perform, print_json, settings, with_settings
from tallybook.errors import UsageError


def read_pairs(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The NAME=VALUE pairs of an option that may be given several times."""
    pairs = {}
    for value in values:
        name, separator, rest = value.partition("=")
        if not separator or not name or not rest:
            raise UsageError(
                f"{parameter.opts[0]} {value!r} is not NAME=VALUE.", "Write for example --map tokens_in=ContextTokens."
            )
        pairs[name] = rest
    return pairs


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=read_pairs,
    metavar="NAME=COLUMN",
    help="The file's column for a field of the record.",
)
@click.option(
    "--set",
    "constants",
    multiple=True,
    callback=read_pairs,
    metavar="NAME=VALUE",
    help="One value of a field for every record.",
)
@click.option(
    "--time-unit",
    type=click.Choice(["s", "ms", "us"]),
    default="ms",
    help="Unit of a created_at that is a number; ms if not given.",
)
@click.option(
    "--skip-invalid", is_flag=True, help="Leave out records that cannot be taken, rather than refuse the file."
)
@json_flag
@with_settings
def import_(
    files: tuple[Path, ...],
    columns: dict[str, str],
    constants: dict[str, str],
    time_unit: str,
    skip_invalid: bool,
    as_json: bool,
) -> None:
    """Import CSV, JSON lines or Parquet files, plain or .gz, into our own logs.

    Columns named like the record's fields are found by themselves; others take --map. In JSON lines COLUMN may be a
    path, as usage.prompt_tokens. A time without an offset is UTC. A file is imported whole or not at all, and the same
    content only once.

    \b
    tallybook import trace.csv --map created_at=TIMESTAMP --map tokens_in=ContextTokens --set model_name=code
    """
    arguments = {
        "files": [str(file.absolute()) for file in files],
        "columns": columns,
        "constants": constants,
        "unit": time_unit,
        "skip_invalid": skip_invalid,
    }
    answer = perform(
        "import", arguments, on_result=None if as_json else lambda result: tables.print_imported(out, result)
    )
    if as_json:
        print_json(answer)


@click.command()
@click.option("--before", required=True, metavar="DAY", help="Delete records of closed days before this day.")
@click.option(
    "--archive", metavar="DIR", type=click.Path(path_type=Path), help="First write each day into a file here."
)
@json_flag
@with_settings
def prune(before: str, archive: Path | None, as_json: bool) -> None:
    """Delete our own log records of closed days before DAY.

    The statistics stay. A day that is not closed, or of which the logs do not say what the book says, is kept and
    named: `tallybook reconcile --post` brings the book up to date. With --archive each day's records are first written
    to a Parquet file of its own, which `tallybook import` can read.
    """
    folder = str(archive.absolute()) if archive else None
    answer = perform("prune", {"before": before, "archive": folder})
    if as_json:
        print_json(answer)
    else:
        entry_tables.print_pruned(out, answer)


@click.command()
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How many days before today.")
@json_flag
@with_settings
def demo(days: int, as_json: bool) -> None:
    """Fill the home with labelled synthetic traffic and close its days, to see something at once.

    Use a home of its own, as in `tallybook --home ./demo demo`: the records are real to the book. One day has none.
    """
    answer = perform("demo", {"days": days})
    if as_json:
        print_json(answer)
    else:
        tables.print_demo(out, answer, settings().home)
