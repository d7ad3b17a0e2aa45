"""What commands print for people: tables that fit a terminal, unknown told apart from nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tallybook.cli.cells import (
    UNKNOWN,
    bar,
    dollars,
    milliseconds,
    name_of,
    new_table,
    number,
    say,
    share,
    short,
    shown_path,
    sparkline,
)
from tallybook.measures import HISTOGRAM_DIMENSIONS
from tallybook.wording import count_of

Row = dict[str, Any]
SHOWN_ROWS = 20
SHOWN_REASONS = 3
WIDE = 10_000
"""Wider than any table, so that none is measured as it would be cut."""

STATE_STYLES = {
    "closed": "green",
    "zero": "cyan",
    "missing": "bold red",
    "open": "yellow",
    "source-gone": "magenta",
    "before": "dim",
}
OUTCOME_STYLES = {
    "closed": "green",
    "zero": "cyan",
    "exists": "dim",
    "skipped": "dim",
    "refused": "yellow",
    "failed": "bold red",
}


def print_stats(console: Console, answer: Row) -> None:
    """The period's figures, its days or rows, and the top models."""
    days = ", ".join(f"{count} {state}" for state, count in answer["days"].items() if count) or "no days"
    say(console, f"[bold]{answer['period']}[/]  {answer['from']} to {answer['to']} UTC  [dim]{days}[/]")
    console.print()
    _print_headline(console, answer["totals"])
    console.print()
    if not any(answer["days"].values()):
        say(console, "There is nothing of these days: `tallybook status` tells from when on there is.")
        return
    _print_trends(console, answer["series"])
    if answer["days"]["missing"]:
        say(
            console,
            f"[bold red]{answer['days']['missing']} closable days are missing[/]: `tallybook status` names them.",
        )
    if "by" in answer:
        console.print(_by_table(answer["by"]))
        _print_rest(console, answer["by"]["rows"], answer["by"]["dimension"])
        _print_unknown(console, answer)
        return
    console.print(_series_table(answer["series"]))
    _print_unknown(console, answer)
    if answer["top_models"]:
        console.print()
        console.print(_top_table(answer["top_models"], answer["totals"]))


def _print_unknown(console: Console, answer: Row) -> None:
    """What a dash means and which source does not know it, and what else to know of the figures."""
    shown = {name: answer["unknown"][name] for name in SHOWN_MEASURES if name in answer["unknown"]}
    if shown:
        told = "; ".join(
            f"{name.replace('_sum_ms', '')} of {', '.join(map(name_of, who))}" for name, who in shown.items()
        )
        say(console, f"[dim]\N{EN DASH} is unknown, not zero: {told}[/]")
    for dimension, days in answer.get("not_sliced", {}).items():
        say(console, f"[yellow]Nothing is kept by {dimension} of {count_of(days, 'closed day')}[/] of this period.")
    if not _asked_of(answer) <= {*HISTOGRAM_DIMENSIONS}:
        say(console, "[dim]Latencies are kept by provider and model only.[/]")
    if answer["adjustments"]:
        say(console, f"[dim]Restated: {count_of(answer['adjustments'], 'adjustment')}, counted in here.[/]")
    for name, reason in answer.get("unreachable", {}).items():
        say(console, f"[yellow]Today without {escape(name)}[/]: {escape(reason)}")


def _asked_of(answer: Row) -> set[str]:
    """The dimensions that the answer is narrowed or broken down by."""
    narrowed = {text.partition("=")[0] for text in answer.get("filters", ())}
    return narrowed | ({answer["by"]["dimension"]} if "by" in answer else set())


SHOWN_MEASURES = ("failed", "tokens_in", "tokens_out", "cost_usd", "latency_sum_ms")


def _print_headline(console: Console, totals: Row) -> None:
    """In one row where the figures fit, else in as few as they need."""
    figures = _headline(totals)
    grids = (_side_by_side(figures, count) for count in (len(figures), 4, 2))
    console.print(next((grid for grid in grids if _fits(console, grid)), _side_by_side(figures, 1)))


def _headline(totals: Row) -> Sequence[tuple[str, str]]:
    """Each figure's label and how it is written."""
    known = totals["status_count"]
    return (
        ("requests", number(totals["requests"])),
        ("success", UNKNOWN if totals["failed"] is None else share(totals["success"], known)),
        ("tokens in", short(_known(totals, "tokens_in"))),
        ("tokens out", short(_known(totals, "tokens_out"))),
        ("cost", dollars(totals["cost_usd"])),
        ("p50", milliseconds(totals["latency_p50_ms"])),
        ("p95", milliseconds(totals["latency_p95_ms"])),
        ("p99", milliseconds(totals["latency_p99_ms"])),
    )


def _side_by_side(figures: Sequence[tuple[str, str]], count: int) -> Table:
    """So many figures a row, each below its label."""
    grid = Table.grid(padding=(0, 3))
    for start in range(0, len(figures), count):
        row = figures[start : start + count]
        grid.add_row(*(f"[dim]{label}[/]" for label, _ in row))
        grid.add_row(*(f"[bold]{value}[/]" for _, value in row))
    return grid


def _fits(console: Console, grid: Table) -> bool:
    return console.measure(grid, options=console.options.update(max_width=WIDE)).maximum <= console.width


def _known(row: Row, name: str) -> Any:
    """A sum, or None where there were requests but none of them told the value."""
    return row[name] if row[f"{name}_count"] or not row["requests"] else None


def _known_tokens(row: Row) -> float | None:
    """Those in and out that are known; None where neither is."""
    known = [float(told) for name in ("tokens_in", "tokens_out") if (told := _known(row, name)) is not None]
    return sum(known) if known else None


TRENDS: dict[str, tuple[Callable[[Row], float | None], Callable[[Any], str]]] = {
    "requests": (lambda row: float(row["requests"]), lambda value: short(int(value))),
    "tokens": (_known_tokens, lambda value: short(int(value))),
    "cost": (
        lambda row: None if row["cost_usd"] is None else float(row["cost_usd"]),
        lambda value: dollars(str(value)),
    ),
    "p95": (lambda row: row["latency_p95_ms"], milliseconds),
}
"""What is drawn day by day, and how its least and its most are written."""

SHORTEST_TREND, LONGEST_TREND = 3, 92
TREND_WORDS = 44
"""How many columns of the terminal the words around a trend may take; the days that are left without are the oldest."""


def _print_trends(console: Console, series: Sequence[Row]) -> None:
    """How the figures went from day to day, where there are days enough to see it and not too many for a line."""
    if not SHORTEST_TREND <= len(series) <= LONGEST_TREND:
        return
    latest = [row for row in series if row["state"] != "before"][-max(console.width - TREND_WORDS, SHORTEST_TREND) :]
    grid = Table.grid(padding=(0, 2))
    for name, (of, write) in TRENDS.items():
        values = [of(row) if row["requests"] else None for row in latest]
        known = [value for value in values if value is not None]
        if len(known) >= SHORTEST_TREND:
            grid.add_row(
                f"[dim]{name}[/]", sparkline(values), f"[dim]{write(min(known))} to {write(max(known))} a day[/]"
            )
    if grid.row_count:
        console.print(grid)
        console.print()


def _failed(row: Row) -> Any:
    return row["failed"] if row["status_count"] or not row["requests"] else None


FIGURES: dict[str, Callable[[Row], str]] = {
    "requests": lambda row: number(row["requests"]),
    "failed": lambda row: short(_failed(row)),
    "in": lambda row: short(_known(row, "tokens_in")),
    "out": lambda row: short(_known(row, "tokens_out")),
    "cost": lambda row: dollars(row["cost_usd"]),
    "p50": lambda row: milliseconds(row["latency_p50_ms"]),
    "p95": lambda row: milliseconds(row["latency_p95_ms"]),
}


def _shown_figures(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """The columns of figures that at least one row knows."""
    return {name: figure for name, figure in FIGURES.items() if any(figure(row) != UNKNOWN for row in rows)}


def _series_table(series: Sequence[Row]) -> Table:
    figures = _shown_figures([row for row in series if row["requests"]])
    table = new_table("day", "state", "", *figures, left=3)
    largest = max((int(row["requests"]) for row in series), default=0)
    for row in _from_the_first(series):
        state = Text(row["state"], style=STATE_STYLES[row["state"]])
        cells = [figure(row) for figure in figures.values()] if row["requests"] else [""] * len(figures)
        table.add_row(row["date"], state, bar(int(row["requests"]), largest), *cells)
    return table


def _from_the_first(series: Sequence[Row]) -> Sequence[Row]:
    """The days without those before the first record, unless there is nothing else."""
    return [row for row in series if row["state"] != "before"] or series


def _by_table(by: Row) -> Table:
    rows = by["rows"][:SHOWN_ROWS]
    figures = _shown_figures(rows)
    table = new_table(by["dimension"], "", *figures, left=2)
    largest = max((int(row["requests"]) for row in rows), default=0)
    for row in rows:
        table.add_row(
            name_of(row["value"]), bar(int(row["requests"]), largest), *(figure(row) for figure in figures.values())
        )
    return table


def _print_rest(console: Console, rows: Sequence[Row], dimension: str) -> None:
    if len(rows) > SHOWN_ROWS:
        say(console, f"[dim]and {len(rows) - SHOWN_ROWS} more; --json and --csv have them all[/]")
    if not rows:
        say(console, f"[dim]No requests, so nothing by {dimension}.[/]")


def _top_table(models: Sequence[Row], totals: Row) -> Table:
    table = new_table("top models", "requests", "share", "tokens")
    for top in models:
        table.add_row(
            name_of(top["model"]),
            number(top["requests"]),
            share(top["requests"], totals["requests"]),
            short(top["tokens"]),
        )
    return table


def as_csv(answer: Row) -> str:
    """The days of the period, or with `by` its rows, as CSV; unknown is empty."""
    rows = answer["by"]["rows"] if "by" in answer else answer["series"]
    fallback = ["value" if "by" in answer else "date", *answer["totals"]]
    names = list(dict.fromkeys(name for row in rows for name in row)) or fallback
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def print_status(console: Console, answer: Row) -> None:
    """Each source and how it stands."""
    if not answer["sources"]:
        say(
            console,
            "No records yet. Send some to POST /v1/log-records, `tallybook import` a file, "
            "or have a look with `tallybook --home ./tallybook-demo demo`.",
        )
        return
    for source in answer["sources"]:
        label = "  [magenta]synthetic demo traffic[/]" if source["synthetic"] else ""
        say(console, f"[bold]{escape(source['source'])}[/]{label}")
        grid = Table.grid(padding=(0, 2))
        for name, value in _status_rows(source):
            grid.add_row(f"  [dim]{name}[/]", value)
        console.print(grid)
    say(console, f"[dim]{answer['closings']} closings in the book[/]")


def _status_rows(source: Row) -> list[tuple[str, str]]:
    return [
        ("first day", source["first_day"] or "none"),
        ("closed through", source["closed_through"] or "[yellow]nothing yet[/]"),
        ("days", f"{source['days_closed']} closed, {source['days_zero']} zero"),
        ("missing", f"[bold red]{_days(source['missing'])}[/]" if source["missing"] else "none"),
        *(("failed", f"[bold red]{escape(_days(days))}: {escape(reason)}[/]") for reason, days in _failures(source)),
        ("drift", _drift(source["drift"])),
        *([("source gone", f"[magenta]{_days(source['source_gone'])}[/]")] if source["source_gone"] else []),
        *([("adjustments", number(source["adjustments"]))] if source["adjustments"] else []),
        *(
            [("pruned", f"{source['days_pruned']} days, through {source['pruned_through']}")]
            if source["days_pruned"]
            else []
        ),
        *([("late", _late(source["late_after_pruning"]))] if source["late_after_pruning"] else []),
        ("records in logs", number(source["records_in_logs"])),
        ("safe to prune", f"before {source['safe_to_prune_before']}" if source["safe_to_prune_before"] else "nothing"),
    ]


def _drift(drift: Sequence[Row] | None) -> str:
    if drift is None:
        return f"{UNKNOWN} [dim]not compared yet[/]"
    if not drift:
        return "none"
    listed = ", ".join(f"{entry['day']} {entry['requests']:+,}" for entry in drift[:5])
    more = f" and {len(drift) - 5} days more" if len(drift) > 5 else ""
    return f"[yellow]{listed}{more} requests since closing[/]"


def _late(late: Sequence[Row]) -> str:
    count = sum(entry["requests"] for entry in late)
    return f"[yellow]{count_of(count, 'record')} of pruned days came later, and are in no statistic[/]"


def _failures(source: Row) -> list[tuple[str, list[str]]]:
    """The latest reasons for which days failed, each with its days."""
    by_reason: dict[str, list[str]] = {}
    for entry in source["failed"]:
        by_reason.setdefault(entry["reason"], []).append(entry["day"])
    return list(by_reason.items())[-SHOWN_REASONS:]


def _days(days: Sequence[str]) -> str:
    return ", ".join(days) if len(days) <= 5 else f"{len(days)} days, {days[0]} to {days[-1]}"


class ResultPrinter:
    """Prints each closed day as it comes; `exists` and `skipped` are only counted."""

    COUNTED = ("exists", "skipped")

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counts: dict[str, int] = {}
        self._shown = 0

    def __call__(self, result: Row) -> None:
        outcome = result["outcome"]
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        if outcome in self.COUNTED and self._counts[outcome] > 1:
            return
        self._shown += 1
        detail = escape(result.get("reason") or "")
        if result["digest"]:
            detail = f"{result['requests']:>12,} requests  [dim]{result['digest'][:12]}[/]"
        say(
            self._console,
            f"{result['day']}  {escape(result['source'])}  [{OUTCOME_STYLES[outcome]}]{outcome:8}[/] {detail}",
        )

    def close(self) -> None:
        """Says what was only counted, and what to do where there was nothing."""
        if not self._counts:
            say(self._console, "No source has a record yet, so there is nothing to close.")
        if sum(self._counts.values()) > 1:
            listed = ", ".join(f"{count} {outcome}" for outcome, count in self._counts.items())
            say(self._console, f"[dim]{listed}[/]")


def print_imported(console: Console, result: Row) -> None:
    """One line a file, and what its records do not tell."""
    name = shown_path(Path(result["file"]))
    if result["already"]:
        say(console, f"{name}: [dim]imported before; nothing added[/]")
        return
    extra = "".join(f", {result[what]:,} {what}" for what in ("duplicates", "skipped") if result[what])
    say(console, f"{name}: [green]{count_of(result['accepted'], 'record')}[/]{extra}")
    if result["unknown"]:
        say(console, f"  [yellow]unknown in this file[/]: {', '.join(result['unknown'])}")


def print_demo(console: Console, answer: Row, home: Path) -> None:
    """What the demo brought, and where to look."""
    outcomes = [result["outcome"] for result in answer["results"]]
    say(
        console,
        f"{answer['records']:,} records of [magenta]synthetic demo traffic[/] stored; "
        f"{outcomes.count('closed')} days closed, {outcomes.count('zero')} zero.",
    )
    say(
        console,
        f"[dim]Next: `tallybook --home {shown_path(home)} stats last30d`, then `status`, `verify` or `serve`.[/]",
    )
