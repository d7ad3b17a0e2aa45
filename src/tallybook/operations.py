"""The operations that a command may need the logs for, by name: here, or in the server that holds the home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from tallybook.bookkeeper import Answer, Bookkeeper, Watch
from tallybook.days import ONE_DAY, day_of
from tallybook.hours import hours_of
from tallybook.logs.own import LOCAL
from tallybook.source import Source

CALENDAR_WEEKS = 53
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

    `original` has the totals as first closed, where there are adjustments; `days` is the series of the last year;
    `hours` are those of a period of one day, where `_hours` can tell them.
    """
    narrowed: dict[str, Any] = {"source": source, **({"filters": list(filters)} if filters else {})}
    asked: dict[str, Any] = {"period": period, "first": first, "last": last, **narrowed}
    stats = keeper.stats(**asked, basis=basis)
    first_before, last_before = _before(date.fromisoformat(stats["from"]), date.fromisoformat(stats["to"]))
    return {
        "stats": stats,
        "by": {name: keeper.stats(**asked, basis=basis, by=name)["by"]["rows"] for name in keeper.dimensions},
        "before": _without_series(keeper.stats(first=first_before, last=last_before, basis=basis, **narrowed)),
        "original": _without_series(keeper.stats(**asked, basis="original")) if stats["adjustments"] else None,
        "hours": None if filters else _hours(keeper, stats),
        "days": calendar_days(keeper, source),
        "status": keeper.status(),
    }


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


def calendar_days(keeper: Teller, source: str | None = None) -> list[Answer]:
    """The series of the last `CALENDAR_WEEKS` weeks, each from its Monday, up to today."""
    today = day_of(keeper.now())
    monday = today - timedelta(days=today.weekday() + 7 * (CALENDAR_WEEKS - 1))
    days: list[Answer] = keeper.stats(first=str(monday), last=str(today), source=source)["series"]
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
