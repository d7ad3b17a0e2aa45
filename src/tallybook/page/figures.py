"""The figures of a row of statistics, each as one row of data here: how it is read, written and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tallybook import wording
from tallybook.page.scale import round_number, round_time

Row = Mapping[str, Any]
Number = float | None


def known(name: str) -> Callable[[Row], Number]:
    """The sum of a measure; None where there were requests and none of them told it."""
    return lambda row: _number(row[name]) if row[f"{name}_count"] or not row["requests"] else None


def _number(value: int | str | None) -> Number:
    """Numbers beyond 2^53 come as text."""
    return None if value is None else float(value)


def _requests(row: Row) -> Number:
    return _number(row["requests"])


def _failed(row: Row) -> Number:
    return _number(row["failed"]) if row["status_count"] or not row["requests"] else None


def _success_rate(row: Row) -> Number:
    told = float(row["status_count"])
    return None if row["success"] is None or not told else 100 * float(row["success"]) / told


def _cost(row: Row) -> Number:
    return None if row["cost_usd"] is None else float(row["cost_usd"])


def _tokens(row: Row) -> Number:
    both = [known("tokens_in")(row), known("tokens_out")(row)]
    return None if both == [None, None] else sum(value or 0 for value in both)


def _latency(percent: int) -> Callable[[Row], Number]:
    return lambda row: _number(row[f"latency_p{percent}_ms"])


def as_whole(value: float) -> str:
    return wording.whole(int(value))


def as_short(value: float) -> str:
    return wording.short(int(value))


def as_dollars(value: float) -> str:
    return wording.dollars(str(value))


def as_percent(value: float) -> str:
    return f"{value:.2f} %"


def share_of(part: float, whole: float) -> str:
    """A part in whole percent; one that is neither nothing nor all is called neither."""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1 %"
    return ">99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def shown_span(first: str, last: str, year: int) -> str:
    """A range of days as people write it; a year only where it is not the one that is meant anyway."""
    ends = [date.fromisoformat(day) for day in dict.fromkeys((first, last))]
    return " to ".join(f"{day.day} {day:%b}{'' if day.year == year else f' {day.year}'}" for day in ends)


@dataclass(frozen=True)
class Figure:
    """One figure: its name, its value in a row, how it is written, whether more of it is good, bad or neither, and
    whether it grows with each record."""

    name: str
    of: Callable[[Row], Number]
    write: Callable[[float], str]
    more_is: str = ""
    in_points: bool = False
    is_sum: bool = False

    def text(self, row: Row) -> str | None:
        """The figure as people read it; None where it is unknown."""
        value = self.of(row)
        return None if value is None else self.write(value)


REQUESTS = Figure("Requests", _requests, as_whole, is_sum=True)
SUCCESS = Figure("Success", _success_rate, as_percent, "good", in_points=True)
FAILED = Figure("Failed", _failed, as_whole, "bad", is_sum=True)
TOKENS = Figure("Tokens", _tokens, as_short, is_sum=True)
TOKENS_IN = Figure("Tokens in", known("tokens_in"), as_short, is_sum=True)
TOKENS_OUT = Figure("Tokens out", known("tokens_out"), as_short, is_sum=True)
COST = Figure("Cost", _cost, as_dollars, is_sum=True)
P50 = Figure("p50", _latency(50), wording.milliseconds, "bad")
P95 = Figure("p95", _latency(95), wording.milliseconds, "bad")
P99 = Figure("p99", _latency(99), wording.milliseconds, "bad")

LATENCIES = (P50, P95, P99)

HEADLINE = (REQUESTS, SUCCESS, TOKENS_IN, TOKENS_OUT, COST, P50, P95)
"""What stands large at the top."""

TOLD = (REQUESTS, FAILED, TOKENS_IN, TOKENS_OUT, COST, P50, P95, P99)
"""What is told of a column on hover."""

IN_TABLES = {"requests": REQUESTS, "failed": FAILED, "tokens": TOKENS, "cost": COST, "p95": P95}
"""The columns of a breakdown, by the name of the order that they give."""


@dataclass(frozen=True)
class Change:
    """How a figure differs from the one before: a text, whether it rose or fell, and whether that is good."""

    text: str
    direction: str
    verdict: str


def change(figure: Figure, now: Row, before: Row) -> Change | None:
    """The change against the row before; None where there is nothing to compare."""
    value, old = figure.of(now), figure.of(before)
    if value is None or old is None or (not old and not figure.in_points):
        return None
    difference = value - old if figure.in_points else 100 * (value - old) / old
    if abs(difference) < 0.05:
        return Change("no change", "same", "neutral")
    direction = "up" if difference > 0 else "down"
    verdict = {"good": ("good", "bad"), "bad": ("bad", "good")}.get(figure.more_is, ("neutral",) * 2)
    unit = " points" if figure.in_points else " %"
    size = f"{abs(difference):,.1f}" if abs(difference) < 1000 else f"{abs(difference):,.0f}"
    return Change(f"{size}{unit}", direction, verdict[difference < 0])


@dataclass(frozen=True)
class Part:
    """A series of a chart: the class of its colour, its value in a row, and what the legend says of a period."""

    name: str
    kind: str
    of: Callable[[Row], Number]
    total: Figure | None = None


def _without_status(row: Row) -> Number:
    return float(row["requests"]) - float(row["success"] or 0) - float(row["failed"] or 0)


def _success(row: Row) -> Number:
    return _number(row["success"])


@dataclass(frozen=True)
class Measure:
    """A measure that can be charted; `write` is how it stands at a tick, `nothing` what is said of an empty chart."""

    name: str
    title: str
    parts: Sequence[Part]
    write: Callable[[float], str]
    stacked: bool = True
    is_whole: bool = True
    nothing: str = "nothing to draw"


CHARTED = {
    measure.name: measure
    for measure in (
        Measure(
            "requests",
            "Requests",
            (
                Part("succeeded", "success", _success),
                Part("failed", "failed", lambda row: _number(row["failed"]), FAILED),
                Part("no status", "unknown", _without_status),
            ),
            round_number,
        ),
        Measure(
            "tokens",
            "Tokens",
            (
                Part("in", "first", known("tokens_in"), TOKENS_IN),
                Part("out", "second", known("tokens_out"), TOKENS_OUT),
            ),
            round_number,
        ),
        Measure(
            "cost",
            "Cost",
            (Part("cost", "first", _cost, COST),),
            lambda value: f"${value:,.6g}",
            is_whole=False,
            nothing="No price is known",
        ),
        Measure(
            "latency",
            "Latency",
            (
                Part("p50", "second", _latency(50), P50),
                Part("p95", "first", _latency(95), P95),
                Part("p99", "third", _latency(99), P99),
            ),
            round_time,
            stacked=False,
            nothing="No latency is known",
        ),
    )
}
