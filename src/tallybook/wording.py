"""Figures as people read them, in the terminal and on the page. What is unknown is the caller's to show."""

from __future__ import annotations

_SCALES = (
    (10_000, 1, ""),
    (10**6 - 500, 10**3, "k"),
    (10**9 - 5 * 10**5, 10**6, "M"),
    (10**12 - 5 * 10**8, 10**9, "G"),
    (10**15, 10**12, "T"),
)


def whole(value: int | str) -> str:
    """A whole number with thousands apart; numbers beyond 2^53 come as text."""
    return f"{int(value):,}"


def short(value: int | str) -> str:
    """A whole number in at most six signs."""
    number = int(value)
    for limit, divisor, unit in _SCALES:
        if abs(number) < limit:
            return f"{number:,}" if divisor == 1 else f"{_three_digits(number / divisor)}{unit}"
    return f"{number / 10**15:,.0f}P"


def milliseconds(value: float) -> str:
    """A time as ms below a second, else as seconds."""
    if value < 1_000:
        return f"{value:.0f}ms"
    return f"{_three_digits(value / 1_000)}s" if value < 999_500 else f"{value / 1_000:,.0f}s"


def _three_digits(value: float) -> str:
    """Three significant digits, zeros kept: 8.10, 42.0, 133."""
    return f"{value:#.3g}".rstrip(".")


def dollars(value: str) -> str:
    """Dollars and cents."""
    return "<$0.01" if 0 < float(value) < 0.005 else f"${float(value):,.2f}"


def percent(part: float, total: float) -> str:
    """A part in percent of a total that is not 0."""
    return f"{100 * part / total:.2f} %"


def count_of(count: int, noun: str) -> str:
    """A number with its noun, as in "1 record" and "2,000 records"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(name: str, limit: int) -> str:
    """A name that somebody else chose, as plain text of so many signs at most: what would not print, or would turn the
    text around it, shows as a replacement sign."""
    cut = name if len(name) <= limit else f"{name[: limit - 1]}…"
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in cut)
