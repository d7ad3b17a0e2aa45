"""What a page was asked to show, as it stands in its URL, and the links to the same with something changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from tallybook.errors import UnknownName, UsageError
from tallybook.measures import DIMENSION_NAMES

PERIODS = {
    "today": "Today",
    "yesterday": "Yesterday",
    "last7d": "7 days",
    "last30d": "30 days",
    "last90d": "90 days",
}
"""The periods that the switch offers, with their names there; the URL takes every period that `stats` does."""

MEASURES = {"requests": "Requests", "tokens": "Tokens", "cost": "Cost", "latency": "Latency"}
SORTS = {"requests": "requests", "failed": "failed", "tokens": "tokens", "cost": "cost", "p95": "p95"}
ALL_ROWS = 500
"""So many rows at most are shown of a table, which is long enough to look through; downloads have all."""


@dataclass(frozen=True)
class Asked:
    """The parameters of a page: `filter` as `filters.parse_filters` reads them, `all` the table that is shown whole."""

    period: str | None = None
    first: str | None = None
    last: str | None = None
    source: str | None = None
    filter: tuple[str, ...] = ()
    measure: str = "requests"
    sort: str = "requests"
    basis: str = "adjusted"
    all: str | None = None
    day: str | None = None

    def __post_init__(self) -> None:
        _check("measure", self.measure, MEASURES)
        _check("order", self.sort, SORTS)
        if self.all is not None:
            _check("table", self.all, DIMENSION_NAMES)
        if (self.first is None) != (self.last is None):
            raise UsageError("Only one end of the range is given.", "Give both from and to.")
        if [self.period, self.first, self.day].count(None) < 2:
            raise UsageError("More than one of period, from/to and day is given.", "Give one of them.")

    @classmethod
    def read(cls, parameters: Mapping[str, Sequence[str]]) -> Asked:
        """From the parameters of a URL; of what is empty nothing was asked."""
        given = {name: [value for value in values if value] for name, values in parameters.items()}
        if unknown := next((name for name in given if name not in _IN_URL.values()), None):
            raise UnknownName("parameter", unknown, tuple(_IN_URL.values()))
        single = {name: given[shown][-1] for name, shown in _IN_URL.items() if name != "filter" and given.get(shown)}
        return cls(**single, filter=tuple(dict.fromkeys(given.get("filter", ()))))

    @property
    def named_period(self) -> str | None:
        """The period's name; None where a range or a day is asked for."""
        return self.period or (None if self.first or self.day else "last30d")

    def stats(self) -> dict[str, Any]:
        """The arguments of the statistics that are shown."""
        return {
            "period": self.named_period,
            "first": self.first or self.day,
            "last": self.last or self.day,
            "basis": self.basis,
            **self.narrowing(),
        }

    def narrowing(self) -> dict[str, Any]:
        """The arguments that choose among records."""
        return {"source": self.source, **({"filters": list(self.filter)} if self.filter else {})}

    def url(self, page: str | None = None, **changes: Any) -> str:
        """The relative URL of a page, this one if none is named, that is asked the same but for the changes."""
        changed = replace(self, **changes)
        page = page or ("day" if changed.day else ".")
        given = _given(changed)
        return f"{page}?{urlencode(given)}" if given else page

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What a form must hand on so that only the days change: names as in the URL, and values."""
        return _given(replace(self, period=None, first=None, last=None, day=None))

    def within(self, period: str) -> str:
        """The URL of the same for a period that has a name."""
        return self.url(period=period, first=None, last=None, day=None)

    def on(self, day: object) -> str:
        """The URL of the page of a day."""
        return self.url(period=None, first=None, last=None, day=str(day))

    def narrowed(self, dimension: str, value: str | None) -> str:
        """The URL of the same for one value of a dimension."""
        others = tuple(text for text in self.filter if text.partition("=")[0] != dimension)
        return self.url(filter=(*others, filter_text(dimension, value)), all=None)

    def widened(self, text: str) -> str:
        """The URL of the same without a filter."""
        return self.url(filter=tuple(other for other in self.filter if other != text))


_IN_URL = {field.name: {"first": "from", "last": "to"}.get(field.name, field.name) for field in fields(Asked)}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Asked)}


def _given(asked: Asked) -> list[tuple[str, str]]:
    return [
        (shown, value)
        for name, shown in _IN_URL.items()
        for value in _values(getattr(asked, name))
        if value != _DEFAULTS[name]
    ]


def filter_text(dimension: str, value: str | None) -> str:
    """A filter as it is written; of a value that is unknown only the dimension."""
    return dimension if value is None else f"{dimension}={value}"


def _values(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _check(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UnknownName(what, name, tuple(known))
