"""The overview: headline figures, one large chart, who had how much, and how the book stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tallybook.page.asked import MEASURES, PERIODS, Asked
from tallybook.page.breakdown import Breakdown, Chip, break_down, chips
from tallybook.page.calendar import Calendar, calendar
from tallybook.page.chart import Chart
from tallybook.page.differences import unknown_measures
from tallybook.page.figures import HEADLINE, REQUESTS
from tallybook.page.headline import Answer, Tile, headline
from tallybook.page.series import BY_HOUR, Legend, day_charts, hour_charts, legend
from tallybook.page.standing import Standing, reasons_of
from tallybook.wording import count_of


@dataclass(frozen=True)
class Choice:
    """One of several links of which one is chosen."""

    name: str
    title: str
    link: str
    is_chosen: bool


@dataclass(frozen=True)
class Note:
    """Something to know before the figures are believed; `link` where there is more to read."""

    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Overview:
    """All that the template shows."""

    asked: Asked
    span: str
    before: str
    is_live: bool
    periods: tuple[Choice, ...]
    sources: tuple[Choice, ...]
    measures: tuple[Choice, ...]
    chips: tuple[Chip, ...]
    tiles: tuple[Tile, ...]
    notes: tuple[Note, ...]
    charts: tuple[Chart, ...]
    charted: str
    legend: tuple[Legend, ...]
    breakdowns: tuple[Breakdown, ...]
    calendar: Calendar
    standing: Standing
    first: str
    last: str
    day_link: str
    """The link to the page of the day, where the period is one."""


def overview(asked: Asked, survey: Answer) -> Overview:
    """The overview of what the operation `survey` answers."""
    stats, before = survey["stats"], survey["before"]
    first, last = stats["from"], stats["to"]
    return Overview(
        asked=asked,
        span=first if first == last else f"{first} to {last}",
        before=f"{before['from']} to {before['to']}",
        is_live=any(row["state"] == "open" for row in stats["series"]),
        periods=tuple(
            Choice(name, title, asked.within(name), name == asked.named_period) for name, title in PERIODS.items()
        ),
        sources=tuple(_sources(asked, survey["status"])),
        measures=tuple(
            Choice(name, title, asked.url(measure=name), name == asked.measure) for name, title in MEASURES.items()
        ),
        chips=tuple(chips(asked)),
        tiles=tuple(headline(HEADLINE, stats, before)),
        notes=tuple(_notes(asked, survey)),
        charts=tuple(_charts(asked, survey)),
        charted="hour" if survey["hours"] and asked.measure in BY_HOUR else "day",
        legend=tuple(legend(asked.measure, stats["series"], stats["totals"])),
        breakdowns=tuple(break_down(dimension, rows, asked) for dimension, rows in survey["by"].items()),
        calendar=calendar(survey["days"], reasons_of(survey["status"])),
        standing=Standing.of(survey["status"]),
        first=first,
        last=last,
        day_link=asked.on(first) if first == last else "",
    )


def _charts(asked: Asked, survey: Answer) -> list[Chart]:
    if survey["hours"] and asked.measure in BY_HOUR:
        return hour_charts(asked.measure, survey["hours"])
    return day_charts(asked, survey["stats"]["series"])


def _sources(asked: Asked, status: Answer) -> Iterator[Choice]:
    """All sources together, and each; nothing to choose where there is one."""
    names = [source["source"] for source in status["sources"]]
    if len(names) > 1:
        yield Choice("", "All sources", asked.url(source=None), asked.source is None)
        for name in names:
            yield Choice(name, name, asked.url(source=name), asked.source == name)


def _notes(asked: Asked, survey: Answer) -> Iterator[Note]:
    stats = survey["stats"]
    if any(source["synthetic"] for source in survey["status"]["sources"]):
        yield Note("demo", "Synthetic demo traffic: nobody sent these requests.")
    if missing := stats["days"]["missing"]:
        yield Note("warning", f"{count_of(missing, 'day')} of this period {_is(missing)} not closed yet.", "book")
    if gone := stats["days"].get("source-gone"):
        yield Note("warning", f"Of {count_of(gone, 'closed day')} the source has lost records since.", "book")
    if restated := _restated(asked, survey):
        yield Note("restated", restated, "book#adjustments")
    for name, reason in stats.get("unreachable", {}).items():
        yield Note("warning", f"Today without {name}: {reason}")
    if unknown := unknown_measures(stats["unknown"]):
        yield Note("unknown", f"Unknown, which is not zero: {'; '.join(unknown)}.")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _restated(asked: Asked, survey: Answer) -> str:
    """By how much late records have changed the number of requests."""
    adjustments = survey["stats"]["adjustments"]
    if asked.basis == "original":
        return "Shown as first closed, without adjustments."
    if not adjustments:
        return ""
    before, now = REQUESTS.of(survey["original"]["totals"]), REQUESTS.of(survey["stats"]["totals"])
    share = f" {100 * (now - before) / before:+.1f} %" if before and now is not None else ""
    return f"restated{share}: {count_of(adjustments, 'adjustment')}"
