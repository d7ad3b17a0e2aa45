"""The operations that a command may need the logs for, by name: here, or in the server that holds the home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from tallybook.bookkeeper import Answer, Bookkeeper, Watch
from tallybook.days import ONE_DAY, day_of, parse_day
from tallybook.hours import hours_of
from tallybook.live import today_once
from tallybook.logs.own import LOCAL
from tallybook.periods import between, parse_period
from tallybook.source import Source

CALENDAR_WEEKS = 53
LEAST_WEEKS = 20
"""A calendar of fewer would look lost."""

MAX_CALENDARS = 10
UNWATCHED = Watch()


class Teller(Protocol):
    """Who tells what a survey asks: the bookkeeper, or somebody who remembers what it said."""

    @property
    def dimensions(self) -> tuple[str, ...]: ...

    def now(self) -> datetime: ...

    def sources(self) -> list[Source]: ...

    def status(self) -> Answer: ...

    @property
    def stats(self) -> Callable[..., Answer]: ...


def survey(
    keeper: Teller,
    watch: Watch = UNWATCHED,  # noqa: ARG001 - every operation is called alike
    *,
    period: str | None = None,
    first: str | None = None,
    last: str | None = None,
    source: str | None = None,
    filters: Sequence[str] = (),
    basis: str = "adjusted",
) -> Answer:
    """All that an overview shows: the statistics of a period, by each dimension, of the days before, and the status.

    A period that has today in it is told up to now. `original` has the totals as first closed, where there are
    adjustments; `days` is the series of the last year; `hours` are those of a period of one day, where `_hours` can
    tell them.
    """
    narrowed: dict[str, Any] = {"source": source, **({"filters": list(filters)} if filters else {})}
    asked = with_today({"period": period, "first": first, "last": last, **narrowed}, day_of(keeper.now()))
    with today_once():
        stats = keeper.stats(**asked, basis=basis)
        first_before, last_before = _before(date.fromisoformat(stats["from"]), date.fromisoformat(stats["to"]))
        status = keeper.status()
        return {
            "stats": stats,
            "by": {name: keeper.stats(**asked, basis=basis, by=name)["by"]["rows"] for name in keeper.dimensions},
            "before": _without_series(keeper.stats(first=first_before, last=last_before, basis=basis, **narrowed)),
            "original": _without_series(keeper.stats(**asked, basis="original")) if stats["adjustments"] else None,
            "hours": None if filters else _hours(keeper, stats),
            "days": calendar_days(keeper, first_day_of(status, source), source),
            "status": status,
        }


def with_today(asked: Mapping[str, Any], today: date) -> dict[str, Any]:
    """The same arguments of `stats`, asking for today too where the range has it in it."""
    name, first, last = (asked.get(given) for given in ("period", "first", "last"))
    if name is not None:
        chosen = parse_period(name, today, None)
    elif first is not None and last is not None:
        chosen = between(parse_day(first), parse_day(last))
    else:
        return dict(asked)
    return {**asked, "live": True} if chosen.first <= today <= chosen.last else dict(asked)


def _hours(keeper: Teller, stats: Answer) -> list[Answer] | None:
    """The hours of a single day, from our own logs alone, since somebody else's should not be read at each look.

    Of a closed day only as long as the logs say what the book says.
    """
    sources = [each for each in keeper.sources() if each.name in stats["sources"]]
    if len(stats["series"]) > 1 or [each.name for each in sources] != [LOCAL]:
        return None
    (day,) = stats["series"]
    requests = None if day["state"] == "open" else int(day["requests"])
    return hours_of(sources[0], date.fromisoformat(day["date"]), requests)


def first_day_of(status: Answer, source: str | None = None) -> date | None:
    """The first day of a source, or of all."""
    chosen = [each for each in status["sources"] if source in (None, each["source"])]
    return min((date.fromisoformat(each["first_day"]) for each in chosen if each["first_day"]), default=None)


def calendar_days(keeper: Teller, first_day: date | None, source: str | None = None) -> list[Answer]:
    """The series of the last `CALENDAR_WEEKS` weeks up to today, from a Monday on.

    Of a book that begins later it begins with the week of the first day, but has `LEAST_WEEKS`.
    """
    today = day_of(keeper.now())
    this_week = _monday(today)
    earliest, latest = (this_week - timedelta(weeks=weeks - 1) for weeks in (CALENDAR_WEEKS, LEAST_WEEKS))
    wanted = latest if first_day is None else _monday(first_day)
    return _days(keeper, min(max(wanted, earliest), latest), today, source)


def calendars(keeper: Teller, first_day: date | None) -> list[list[Answer]]:
    """The same of all sources, and what lies before it in pieces of as many weeks back to the first day, latest first;
    at most `MAX_CALENDARS`."""
    found = [calendar_days(keeper, first_day)]
    while len(found) < MAX_CALENDARS and first_day and (begun := date.fromisoformat(found[-1][0]["date"])) > first_day:
        first = max(_monday(first_day), begun - timedelta(weeks=CALENDAR_WEEKS))
        found.append(_days(keeper, first, begun - ONE_DAY))
    return found


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _days(keeper: Teller, first: date, last: date, source: str | None = None) -> list[Answer]:
    days: list[Answer] = keeper.stats(first=str(first), last=str(last), source=source)["series"]
    return days


def _before(first: date, last: date) -> tuple[str, str]:
    """The first and last of the days just before a range, as many as it has."""
    return str(first - (last - first) - ONE_DAY), str(first - ONE_DAY)


def _without_series(stats: Answer) -> Answer:
    return {name: value for name, value in stats.items() if name != "series"}


OPERATIONS: dict[str, Callable[..., Answer]] = {
    "attach": Bookkeeper.attach,
    "sources": Bookkeeper.attached_sources,
    "detach": Bookkeeper.detach,
    "close": Bookkeeper.close,
    "backfill": Bookkeeper.backfill,
    "stats": Bookkeeper.stats,
    "status": Bookkeeper.status,
    "reconcile": Bookkeeper.reconcile,
    "import": Bookkeeper.import_files,
    "prune": Bookkeeper.prune,
    "demo": Bookkeeper.fill_demo,
    "survey": survey,
}
