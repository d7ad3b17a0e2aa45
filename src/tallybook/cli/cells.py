"""The cells of tables, and how a table looks: figures as people read them, unknown told apart from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tallybook import wording

UNKNOWN = "[dim]\N{EN DASH}[/]"
BAR_WIDTH = 8
NAME_WIDTH = 28


def number(value: int | str | None) -> str:
    """A whole number with thousands apart."""
    return UNKNOWN if value is None else wording.whole(value)


def short(value: int | str | None) -> str:
    """A whole number in at most six signs, for columns."""
    return UNKNOWN if value is None else wording.short(value)


def milliseconds(value: float | None) -> str:
    """A time as ms below a second, else as seconds."""
    return UNKNOWN if value is None else wording.milliseconds(value)


def dollars(value: str | None) -> str:
    """Dollars and cents."""
    return UNKNOWN if value is None else wording.dollars(value)


def say(console: Console, text: str) -> None:
    """One line, however narrow the terminal: what is piped stays whole."""
    console.print(text, soft_wrap=True)


def shown_path(path: Path) -> str:
    """The path as short as it can be typed from here."""
    return escape(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def share(part: Any, whole: Any) -> str:
    """A part in percent of the whole."""
    return UNKNOWN if not int(whole or 0) else wording.percent(int(part), int(whole))


def name_of(value: str | None) -> str:
    """A model's, team's or key's name as plain text, cut where it would break the table."""
    return UNKNOWN if value is None else escape(wording.printable(value, NAME_WIDTH))


def bar(value: int, largest: int) -> Text:
    """A bar as long as the value is of the largest."""
    eighths = round(BAR_WIDTH * 8 * value / largest) if largest else 0
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else ""), style="blue")


def sparkline(values: Sequence[float | None]) -> Text:
    """A sign for each value, as high as it is of the largest; a dot where there is none."""
    largest = max((value for value in values if value is not None), default=0)
    signs = ("·" if value is None else _HEIGHTS[round(7 * value / largest) if largest else 0] for value in values)
    return Text("".join(signs), style="blue")


_HEIGHTS = "▁▂▃▄▅▆▇█"


def new_table(*columns: str, left: int = 1) -> Table:
    """A table with its first columns to the left, the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=0, show_edge=False)
    for place, column in enumerate(columns):
        table.add_column(
            column, justify="left" if place < left or not column else "right", no_wrap=place > 0, overflow="ellipsis"
        )
    return table
