"""The chart of a measure by day, or by hour, from rows of statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from tallybook.page.absence import why_no_latency
from tallybook.page.asked import Asked
from tallybook.page.chart import SIZES, Chart, Column, Series
from tallybook.page.figures import CHARTED, REQUESTS, TOLD, Measure, Row

STATES = {
    "closed": "closed",
    "zero": "closed, without any record",
    "missing": "missing: not closed yet",
    "open": "open: not over yet",
    "source-gone": "closed; the source has lost records since",
    "before": "before the first record",
}
"""The states of a day in words."""


LONG_DAYS = 300
"""In a chart of more days the month alone would not tell when it was."""

BY_HOUR = ("requests", "tokens", "cost")
"""The measures that hours have; of latencies there are histograms by day only."""


def day_charts(asked: Asked, rows: Sequence[Row]) -> list[Chart]:
    """The chart over days in each size; each leads to the day's page, asked the same."""
    measure = CHARTED[asked.measure]
    if measure.name == "latency" and (reason := why_no_latency(asked.filter)):
        measure = replace(measure, nothing=reason.rstrip("."))
    return _charts(measure, rows, [_day(row, asked, measure, len(rows) > LONG_DAYS) for row in rows])


def hour_charts(measure: str, rows: Sequence[Row]) -> list[Chart]:
    """The chart over the 24 hours of a day in each size."""
    columns = [
        Column(f"{hour:02}", f"{hour:02}:00 to {hour + 1:02}:00 UTC", told=_told(row, CHARTED[measure]))
        for hour, row in enumerate(rows)
    ]
    return _charts(CHARTED[measure], rows, columns, [(hour + 0.5, f"{hour:02}:00") for hour in range(0, 24, 3)])


def _charts(
    measure: Measure, rows: Sequence[Row], columns: Sequence[Column], axis: Sequence[tuple[float, str]] = ()
) -> list[Chart]:
    series = [Series(part.name, part.kind, [part.of(row) for row in rows]) for part in measure.parts]
    drawn = [each for each in series if any(each.values) or each is series[0]]
    return [
        Chart(
            size,
            columns,
            drawn,
            measure.write,
            measure.stacked,
            axis=axis,
            is_whole=measure.is_whole,
            nothing=measure.nothing,
        )
        for size in SIZES
    ]


@dataclass(frozen=True)
class Legend:
    """A colour of the chart, what it stands for, and its figure over all of it, None where unknown."""

    name: str
    kind: str
    text: str | None


def legend(measure: str, rows: Sequence[Row], totals: Row | None) -> Iterator[Legend]:
    """The parts that the rows have, the first of them always, each with its total; None where that is unknown."""
    parts = CHARTED[measure].parts
    for part in parts:
        if part is parts[0] or any(part.of(row) for row in rows):
            value = part.of(totals) if totals else None
            text = None if value is None else (part.total or REQUESTS).write(value)
            yield Legend(part.name, part.kind, text)


def state_of(row: Row) -> str:
    """The state of a day, as it is coloured: one that is closed and was adjusted is restated."""
    return "restated" if row.get("adjustments") and row["state"] == "closed" else str(row["state"])


def _day(row: Row, asked: Asked, measure: Measure, is_long: bool) -> Column:
    day = date.fromisoformat(row["date"])
    label = f"{day:%b %Y}" if is_long else f"{day.day} {day:%b}"
    restated = row.get("adjustments")
    title = f"{day:%a} {day}" + (f", restated ({restated})" if restated else "")
    return Column(label, title, row["state"], asked.on(day), _told(row, measure) or ((STATES[row["state"]], ""),))


def _told(row: Row, measure: Measure) -> tuple[tuple[str, str], ...]:
    """What is known of the row, figure by figure, and what is unknown of the measure; nothing without requests."""
    if not float(row["requests"]):
        return ()
    asked_for = {part.total for part in measure.parts}
    figures = ((figure, figure.text(row)) for figure in TOLD)
    return tuple((figure.name, text or "unknown") for figure, text in figures if text or figure in asked_for)
