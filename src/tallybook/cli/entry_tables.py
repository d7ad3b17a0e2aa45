"""What commands print for people of the book's entries: verdicts, drift, adjustments, prunings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tallybook.cli.cells import new_table, say, shown_path
from tallybook.wording import count_of

Row = dict[str, Any]
SHOWN_ROWS = 20
SHOWN_KEPT = 5


def print_verdict(console: Console, answer: Row, home: Path) -> None:
    """The verdict, what it rests on, and each fault."""
    style = "green" if answer["verdict"] == "intact" else "bold red"
    anchored = _anchored(answer) if answer["anchored"] else "consistent, NOT anchored"
    if answer["verdict"] != "intact":
        anchored = "compared with the anchors" if answer["anchored"] else "NOT anchored"
    adjusted = f", {count_of(answer['adjustments'], 'adjustment')}" if answer["adjustments"] else ""
    say(console, f"[{style}]{answer['verdict']}[/]  {answer['closings']:,} closings{adjusted}, {anchored}")
    if answer["head"]:
        say(console, f"head  {answer['head']}")
    for fault in answer["faults"][:SHOWN_ROWS]:
        say(console, f"  [red]{escape(_place(fault))}[/]  {_column(fault)}: {escape(fault['fault'])}")
    if len(answer["faults"]) > SHOWN_ROWS:
        say(console, f"  and {len(answer['faults']) - SHOWN_ROWS} more; --json has them all")
    if answer["unguarded"]:
        what = ", ".join(answer["unguarded"][:SHOWN_KEPT])
        say(
            console,
            f"[yellow]The database no longer refuses[/] {escape(what)}: `tallybook migrate` puts guards up again.",
        )
    if answer["strangers"]:
        what = escape(", ".join(answer["strangers"][:SHOWN_KEPT]))
        say(console, f"[yellow]Triggers that are none of tallybook's[/]: {what}. They may change what is written.")
    if not answer["anchored"] and answer["closings"]:
        say(
            console,
            f"[dim]To anchor it: --anchor {shown_path(home / 'anchors.log')}, or better a copy kept elsewhere.[/]",
        )


def _anchored(answer: Row) -> str:
    """How far: of the entries after the last anchor an intact chain says nothing."""
    through, entries = answer["anchored_through"], answer["closings"] + answer["adjustments"]
    return "anchored" if through == entries else f"anchored up to entry {through} of {entries}"


def _column(fault: Row) -> str:
    return f"{fault['table']}.{fault['field']}" if fault["field"] else str(fault["table"])


def _place(fault: Row) -> str:
    named = " ".join(str(fault[part]) for part in ("source", "day") if fault[part])
    return named or (f"entry {fault['seq']}" if fault["seq"] else "the book")


def print_drift(console: Console, answer: Row) -> None:
    """Each day that its source tells differently now; nothing is said of sources that are silent."""
    drifts = answer["results"]
    if not drifts and not answer["compared"]:
        if not answer["failed"]:
            say(console, "There is no closed day to compare.")
        return
    if not drifts:
        others = " of the other sources" if answer["failed"] else ""
        say(console, f"Every closed day{others} is as its source tells it: {answer['compared']:,} compared.")
        return
    pruned = [drift for drift in drifts if drift.get("pruned")]
    listed = [drift for drift in drifts if not drift.get("pruned")]
    if listed:
        console.print(_drift_table(listed))
    if pruned:
        say(console, f"[dim]{count_of(len(pruned), 'day')} with nothing to compare: their logs were pruned.[/]")


def _drift_table(drifts: Sequence[Row]) -> Table:
    table = _wrapping_table("day", "source", "state", "change")
    for drift in drifts:
        state = f"adjusted, entry {drift['adjustment']}" if "adjustment" in drift else drift["state"]
        table.add_row(drift["day"], escape(drift["source"]), Text(state, style="yellow"), _change(drift["change"]))
    return table


def _wrapping_table(*columns: str) -> Table:
    """A table whose last column takes as many lines as it needs, so that no other is cut."""
    table = new_table(*columns, left=len(columns))
    table.columns[-1].no_wrap = False
    return table


def _change(change: Row) -> str:
    """The measures that changed, without the counts of what is known, which --json has."""
    shown = {name: value for name, value in change.items() if not name.endswith("_count")}
    return ", ".join(f"{name} {int(value):+,}" for name, value in shown.items()) or "other slices, same totals"


def print_adjustments(console: Console, adjustments: Sequence[Row], is_chosen: bool = False) -> None:
    """Each adjustment: what it is to, when it was recorded, why, and by how much."""
    if not adjustments:
        say(console, "None of these closed days was adjusted." if is_chosen else "No closed day was ever adjusted.")
        return
    table = _wrapping_table("entry", "recorded at", "day", "source", "change")
    for each in adjustments:
        place = (str(each["seq"]), each["recorded_at"], each["day"], escape(each["source"]))
        table.add_row(*place, f"{escape(each['reason'])}: {_change(each['change'])}")
    console.print(table)


def print_pruned(console: Console, answer: Row) -> None:
    """What was deleted, and what was kept and why."""
    say(
        console,
        f"Deleted {count_of(answer['deleted_records'], 'record')} "
        f"of {count_of(len(answer['deleted_days']), 'closed day')}; the statistics stay.",
    )
    if archives := answer.get("archives"):
        folder = shown_path(Path(archives[0]).parent)
        say(console, f"Archived in {count_of(len(archives), 'file')} in {folder}")
    for kept in answer["kept"]:
        say(console, f"  [yellow]kept[/] {kept['day']}: {escape(kept['reason'])}")


def print_migrated(console: Console, schema_version: str, restored: Sequence[str]) -> None:
    """Where the book is now, and which guards had been down."""
    say(console, f"The book has schema {schema_version}; its guards are up.")
    for guard in restored:
        say(console, f"  [yellow]was down[/] {guard}")
