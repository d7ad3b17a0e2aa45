"""Findings and how they are printed: for people, and as Markdown for BENCHMARKS.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

from rich.console import Console
from rich.table import Table

from bench.clock import Comparison

HEADINGS = ("what", "ours", "the other's", "measured", "target", "reached")
PIPED_WIDTH = 120


@dataclass(frozen=True)
class Finding:
    """One row of a table; `reached` is empty where nothing was promised."""

    what: str
    ours: str
    other: str
    measured: str
    target: str = ""
    reached: str = ""


@dataclass(frozen=True)
class Findings:
    """One table."""

    title: str
    rows: list[Finding]


def ratio(what: str, comparison: Comparison, at_most: float | None = None) -> Finding:
    """Our time over the other's, against a target."""
    finding = Finding(what, _time(comparison.ours_s), _time(comparison.other_s), f"{comparison.ratio:.2f}x")
    return _against(finding, comparison.ratio, at_most, "<= {:.2f}x")


def speedup(what: str, comparison: Comparison, at_least: float | None = None) -> Finding:
    """The other's time over ours, against a target."""
    times = comparison.other_s / comparison.ours_s
    finding = Finding(what, _time(comparison.ours_s), _time(comparison.other_s), f"{times:,.0f}x faster")
    return _against(
        finding, -times, None if at_least is None else -at_least, f">= {at_least:,.0f}x" if at_least else ""
    )


def limit(what: str, value: float, unit: str, below: float | None = None) -> Finding:
    """A figure of ours alone, against a target."""
    return _against(Finding(what, f"{value:,.1f} {unit}", "", ""), value, below, f"< {{:,.0f}} {unit}")


def share(
    what: str, ours_per_s: float, other_per_s: float | None, at_least: float | None, per_s: float | None
) -> list[Finding]:
    """Our rate as a share of the other's, and by itself, each against its target."""
    ours, other = f"{ours_per_s:,.0f}/s", f"{other_per_s:,.0f}/s" if other_per_s else ""
    rows = []
    if other_per_s and at_least:
        part = ours_per_s / other_per_s
        rows.append(
            Finding(what, ours, other, f"{part:.2f}", f">= {at_least:.2f}", "yes" if part >= at_least else "no")
        )
    if per_s:
        rows.append(Finding(what, ours, "", "", f">= {per_s:,.0f}/s", "yes" if ours_per_s >= per_s else "no"))
    return rows


def _against(finding: Finding, value: float, target: float | None, form: str) -> Finding:
    if target is None:
        return finding
    return replace(finding, target=form.format(abs(target)), reached="yes" if value <= target else "no")


def _time(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.1f} ms"


def show(findings: Findings) -> None:
    """Prints the table for people."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    table = Table(*HEADINGS)
    for row in findings.rows:
        table.add_row(*astuple(row))
    console.print(findings.title, table, sep="\n")


def as_markdown(findings: Findings) -> str:
    """The table for BENCHMARKS.md."""
    lines: Iterable[tuple[str, ...]] = (HEADINGS, ("---",) * len(HEADINGS), *map(astuple, findings.rows))
    return f"### {findings.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
