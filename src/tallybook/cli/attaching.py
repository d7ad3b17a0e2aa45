"""Commands on other people's logs: attaching them as sources, listing and detaching."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tallybook.cli.cells import UNKNOWN, new_table, number, say
from tallybook.cli.common import json_flag, out, perform, print_json, with_settings
from tallybook.cli.logs import read_pairs
from tallybook.config import read_query
from tallybook.wording import count_of


@click.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--preset",
    metavar="P",
    help="The gateway: litellm, new-api, one-api, one-hub, aiproxy, bifrost, tensorzero, helicone or langfuse; "
    "log_records if not given.",
)
@click.option(
    "--query",
    "query_file",
    metavar="FILE.sql",
    type=click.Path(path_type=Path),
    help="A SELECT of the record's columns instead of a preset.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=read_pairs,
    metavar="NAME=COLUMN",
    help="The column of a field, or an SQL expression.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    callback=read_pairs,
    metavar="NAME=VALUE",
    help="One value of a field for every record, or an option: table, time_unit, failures, timeout_s, days_per_read …",
)
@json_flag
@with_settings
def attach(
    name: str,
    url: str,
    preset: str | None,
    query_file: Path | None,
    columns: dict[str, str],
    values: dict[str, str],
    as_json: bool,
) -> None:
    """Attach the log table of a gateway as the source NAME, reading only.

    It is tried at once, and what was found is shown. From then on its days are closed like our own. A password may
    stand in the environment: write ${VARIABLE} in the URL, within quotes.

    \b
    tallybook attach gw sqlite:////var/lib/new-api/one-api.db --preset new-api
    tallybook attach llm 'postgresql://reader:${LITELLM_PASSWORD}@db/litellm' --preset litellm
    tallybook attach lake 'parquet:///data/logs/*.parquet' --map tokens_in=prompt_tokens
    """
    from tallybook.errors import UsageError
    from tallybook.sources.urls import absolute

    if preset and query_file:
        raise UsageError("Both --preset and --query are given.", "Give one of them.")
    arguments = {
        "name": name,
        "url": absolute(url),
        "preset": preset or "log_records",
        "query": read_query(query_file) if query_file else None,
        "columns": columns,
        "settings": values,
    }
    answer = perform("attach", arguments)
    if as_json:
        print_json(answer)
    else:
        _print_found(out, answer)


@click.command()
@json_flag
@with_settings
def sources(as_json: bool) -> None:
    """List the attached sources, and how far each is closed."""
    answer = perform("sources", {})
    if as_json:
        print_json(answer)
    else:
        _print_sources(out, answer["sources"])


@click.command()
@click.argument("name")
@json_flag
@with_settings
def detach(name: str, as_json: bool) -> None:
    """Forget the attached source NAME. Its closed days stay in the book."""
    answer = perform("detach", {"name": name})
    if as_json:
        print_json(answer)
    else:
        out.print(f"{answer['source']} is detached; {count_of(answer['days_kept'], 'closed day')} kept in the book.")


def _print_found(console: Console, found: dict[str, Any]) -> None:
    """What attaching saw: where the records are, what they tell and what not, and what would help."""
    name, what = escape(found["source"]), f"{found['preset']} on {found['engine']}, {found['table']}"
    say(console, f"[bold]{name}[/]  {escape(what)}")
    grid = Table.grid(padding=(0, 2))
    for label, value in _found_rows(found):
        grid.add_row(f"  [dim]{label}[/]", value)
    console.print(grid)
    for warning in [*_twice(found), *found["warnings"]]:
        say(console, f"  [yellow]{escape(warning)}[/]")
    if found["create_index"]:
        say(console, f"  it would help:  {escape(found['create_index'])};")
    if found["first_record"]:
        days = f"{found['first_record'][:10]} {found['yesterday']['day']}"
        say(console, f"Attached. To close what there is: tallybook backfill {days} --source {name}")


def _twice(found: dict[str, Any]) -> list[str]:
    same = found.get("same_as")
    return [f"the same records are attached as {same} already: each will count twice"] if same else []


def _found_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    limits = found["limits"]
    spans = f"{found['first_record']} to {found['last_record']}" if found["first_record"] else "none yet"
    return [
        ("records", spans),
        ("yesterday", f"{found['yesterday']['day']}: {number(found['yesterday']['requests'])} requests"),
        ("time", f"{escape(found['time']['column'])}, {_TIME_NAMES[found['time']['unit']]}"),
        ("fills", ", ".join(found["fills"])),
        ("cannot fill", ", ".join(found["cannot_fill"]) or "nothing: all are there"),
        ("failures", limits["failures"]),
        ("latency", limits["latency_resolution"]),
        ("first token", limits["ttft"]),
        ("counts", f"by {limits['count_by']}"),
        *(("note", escape(note)) for note in limits["notes"]),
    ]


_TIME_NAMES = {
    "epoch_s": "seconds since 1970",
    "epoch_ms": "milliseconds since 1970",
    "epoch_us": "microseconds since 1970",
    "epoch_ns": "nanoseconds since 1970",
    "naive": "a timestamp in UTC",
    "zoned": "a timestamp with its zone",
    "text": "text, in UTC where it has no offset",
}


def _print_sources(console: Console, sources: Sequence[dict[str, Any]]) -> None:
    """One line for each attached source."""
    if not sources:
        say(console, "No source is attached. Attach one: `tallybook attach NAME URL --preset P`.")
        return
    table = new_table("source", "preset", "first day", "closed through", "url", left=5)
    for column in table.columns:
        column.no_wrap = column is not table.columns[-1]
    table.columns[-1].overflow = "fold"
    for source in sources:
        table.add_row(
            escape(source["source"]),
            escape(source["preset"]),
            source["first_day"] or UNKNOWN,
            source["closed_through"] or "nothing yet",
            escape(source["url"]),
        )
    console.print(table)
