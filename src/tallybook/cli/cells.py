"""The cells of tables, and how a table looks: figures as people read them, unknown told apart from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

UNKNOWN = "[dim]\N{EN DASH}[/]"
BAR_WIDTH = 8


def number(value: int | str | None) -> str:
    """A whole number with thousands apart; numbers beyond 2^53 come as text."""
    return UNKNOWN if value is None else f"{int(value):,}"


def short(value: int | str | None) -> str:
    """A whole number in at most six signs, for columns."""
    if value is None:
        return UNKNOWN
    whole = int(value)
    for limit, divisor, unit in _SCALES:
        if abs(whole) < limit:
            return f"{whole:,}" if divisor == 1 else f"{_three_digits(whole / divisor)}{unit}"
    return f"{whole / 10**15:,.0f}P"


_SCALES = (
    (100_000, 1, ""),
    (10**6 - 500, 10**3, "k"),
    (10**9 - 5 * 10**5, 10**6, "M"),
    (10**12 - 5 * 10**8, 10**9, "G"),
    (10**15, 10**12, "T"),
)


def milliseconds(value: float | None) -> str:
    """A time as ms below a second, else as seconds."""
    if value is None:
        return UNKNOWN
    if value < 1_000:
        return f"{value:.0f}ms"
    return f"{_three_digits(value / 1_000)}s" if value < 999_500 else f"{value / 1_000:,.0f}s"


def _three_digits(value: float) -> str:
    """Three significant digits, zeros kept: 8.10, 42.0, 133."""
    return f"{value:#.3g}".rstrip(".")


def dollars(value: str | None) -> str:
    """Dollars and cents."""
    if value is None:
        return UNKNOWN
    return "<$0.01" if 0 < float(value) < 0.005 else f"${float(value):,.2f}"


def count_of(count: int, noun: str) -> str:
    """A number with its noun, as in "1 record" and "2,000 records"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say(console: Console, text: str) -> None:
    """One line, however narrow the terminal: what is piped stays whole."""
    console.print(text, soft_wrap=True)


def shown_path(path: Path) -> str:
    """The path as short as it can be typed from here."""
    return escape(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def share(part: Any, whole: Any) -> str:
    """A part in percent of the whole."""
    return UNKNOWN if not int(whole or 0) else f"{100 * int(part) / int(whole):.2f} %"


def name_of(value: str | None) -> str:
    """A model's, team's or key's name as plain text, cut where it would break the table."""
    if value is None:
        return UNKNOWN
    clean = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in value)
    return escape(clean if len(clean) <= 28 else f"{clean[:27]}…")


def bar(value: int, largest: int) -> Text:
    """A bar as long as the value is of the largest."""
    eighths = round(BAR_WIDTH * 8 * value / largest) if largest else 0
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else ""), style="blue")


def new_table(*columns: str, left: int = 1) -> Table:
    """A table with its first columns to the left, the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=0, show_edge=False)
    for place, column in enumerate(columns):
        table.add_column(
            column, justify="left" if place < left or not column else "right", no_wrap=place > 0, overflow="ellipsis"
        )
    return table
