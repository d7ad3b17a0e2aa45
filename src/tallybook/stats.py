"""The read model that the HTTP handlers, the command and the page share: every statistic is answered here."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np

from tallybook.book.ledger import Book, DailyStat
from tallybook.content import DayContent, rank_models
from tallybook.days import days_between, format_instant
from tallybook.digest import safe_integers
from tallybook.errors import UnknownName, UsageError
from tallybook.figures import Figures, Integers, SourceFigures, dense_percentiles
from tallybook.filters import NO_FILTERS, Filters
from tallybook.histogram import BUCKETS, midpoint_of
from tallybook.measures import (
    DIMENSION_NAMES,
    HISTOGRAM_DIMENSIONS,
    MAX_TOTAL,
    MEASURE_NAMES,
    MEASURES,
    NOTHING,
    REQUESTS,
    TOKENS_IN,
    TOKENS_OUT,
    Totals,
    add_totals,
)
from tallybook.periods import Period
from tallybook.reconcile import SOURCE_GONE
from tallybook.records import NANOUSD_PER_USD
from tallybook.vintage import CURRENT, Vintage

PERCENTS = (50, 95, 99)
NO_PERCENTILES = (-1, -1, -1)
STATES = ("closed", "zero", "missing", "open")
ZERO_WHEN_UNKNOWN = ("success", "failed", "tokens_in", "tokens_out", "latency_sum_ms")
"""The original's measures, which count what is unknown as nothing; their `…_count` tells how much is known."""


@dataclass(frozen=True)
class StatsQuery:
    """What is asked: a period, perhaps by a dimension, of one source or all, in which vintage, of which values."""

    period: Period
    by: str | None = None
    source: str | None = None
    vintage: Vintage = CURRENT
    filters: Filters = NO_FILTERS

    def __post_init__(self) -> None:
        if self.by is not None and self.by not in DIMENSION_NAMES:
            raise UnknownName("dimension", self.by, DIMENSION_NAMES)


@dataclass(frozen=True)
class Sources:
    """What is known of the sources besides their closed days: each one's first day, today's content where asked for,
    and the closed days of which it has lost records."""

    first_days: Mapping[str, date | None]
    live: Mapping[str, DayContent]
    gone: Mapping[str, AbstractSet[date]] = field(default_factory=dict)


class StatsReader:
    """Answers from closed days, and from today's where it is given. Thread-safe."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._figures = Figures(book)
        self._lock = threading.Lock()

    def answer(self, query: StatsQuery, sources: Sources, closable: date) -> dict[str, Any]:
        """The answer of `GET /v1/stats`; `closable` is the last day that could be closed by now."""
        with self._lock:
            known = self._figures.of(query.vintage, query.filters)
            names = self._choose(query.source, {*known, *sources.first_days})
            chosen = {
                name: known.get(name) or SourceFigures(self._book, name, query.vintage, query.filters) for name in names
            }
            live = {
                name: query.filters.narrow(content) if query.filters else content
                for name, content in sources.live.items()
                if name in chosen and content.day <= query.period.last
            }
            return _Answer(query, chosen, replace(sources, live=live), closable).as_json()

    def _choose(self, source: str | None, names: set[str]) -> list[str]:
        if source is not None and source not in names:
            raise UnknownName("source", source, sorted(names) or ["(none yet: no records have arrived)"])
        return [source] if source else sorted(names)


class _Answer:
    """One answer in the making."""

    def __init__(
        self,
        query: StatsQuery,
        chosen: Mapping[str, SourceFigures],
        sources: Sources,
        closable: date,
    ) -> None:
        self._query = query
        self._chosen = chosen
        self._first_days = sources.first_days
        self._live = sources.live
        self._gone = sources.gone
        self._closable = closable
        self._range = (query.period.first, query.period.last)
        self._blind = {name: self._blind_on(name, *self._range) for name in chosen}

    def as_json(self) -> dict[str, Any]:
        period, days = self._query.period, list(days_between(*self._range))
        states = [self._state(day) for day in days]
        totals, histograms = self._by_day()
        answer = {
            "period": period.name,
            "from": period.first.isoformat(),
            "to": period.last.isoformat(),
            "timezone": "UTC",
            "basis": self._query.vintage.basis,
            **({"as_of": format_instant(as_of)} if (as_of := self._query.vintage.as_of) else {}),
            **({"filters": self._query.filters.as_texts()} if self._query.filters else {}),
            "days": {state: states.count(state) for state in (*STATES, SOURCE_GONE) if state in (*STATES, *states)},
            "totals": _hide(
                _rows([self._total(totals)], histograms.sum(axis=0, keepdims=True))[0],
                {measure for names in self._blind.values() for measure in names},
            ),
            "top_models": self._top_models(),
            "series": self._series(days, states, totals, histograms),
            "adjustments": sum(figures.adjustments(*self._range) for figures in self._chosen.values()),
            "sources": list(self._chosen),
            "unknown": self._unknown(),
            **({"not_sliced": unsliced} if (unsliced := self._unsliced()) else {}),
        }
        return answer | (
            {"by": {"dimension": self._query.by, "rows": self._by_rows(self._query.by)}} if self._query.by else {}
        )

    def _state(self, day: date) -> str:
        """The day's state over the chosen sources: the least finished of theirs; `before` where none had begun."""
        states = {self._state_in(name, figures, day) for name, figures in self._chosen.items()}
        return next(
            (state for state in ("open", "missing", SOURCE_GONE, "closed", "zero") if state in states),
            "before" if day <= self._closable else "open",
        )

    def _state_in(self, name: str, figures: SourceFigures, day: date) -> str:
        if day in figures.closings:
            return self._closed_state(name, figures, day)
        if day > self._closable:
            return "open"
        begun = min(filter(None, (self._first_days.get(name), min(figures.closings, default=None))), default=None)
        return "missing" if begun is not None and day >= begun else "before"

    def _closed_state(self, name: str, figures: SourceFigures, day: date) -> str:
        """A day that was closed without records, and has some by adjustment, is no `zero` day any more."""
        if day in self._gone.get(name, ()):
            return SOURCE_GONE
        state = figures.closings[day].state
        restated = state == "zero" and figures.adjusted[day] and figures.has_records(day)
        return "closed" if restated else state

    def _by_day(self) -> tuple[list[Totals], Integers]:
        """The measures and the histogram of each day, all chosen sources added up."""
        days = list(days_between(*self._range))
        totals: list[Totals] = [NOTHING] * len(days)
        histograms = np.zeros((len(days), BUCKETS), dtype=np.int64)
        for figures in self._chosen.values():
            totals = [
                add_totals(pair) for pair in zip(totals, map(tuple, figures.totals(*self._range).tolist()), strict=True)
            ]
            histograms += figures.histograms(*self._range)
        for content in self._live.values():
            ordinal = days.index(content.day)
            totals[ordinal] = add_totals([totals[ordinal], content.totals])
            histograms[ordinal] += _dense(content)
        return totals, histograms

    def _total(self, totals: Iterable[Totals]) -> Totals:
        total = add_totals(totals)
        if max(total) > MAX_TOTAL:
            raise UsageError("The totals of the range are beyond 64 bits.", "Ask for a shorter range.")
        return total

    def _series(
        self, days: list[date], states: list[str], totals: list[Totals], histograms: Integers
    ) -> list[dict[str, Any]]:
        rows = _rows(totals, histograms)
        hidden = [set().union(*(self._blind_on(name, day, day) for name in self._chosen)) for day in days]
        return [
            {"date": day.isoformat(), "state": state, **_hide(row, blind), **self._adjusted(day)}
            for day, state, row, blind in zip(days, states, rows, hidden, strict=True)
        ]

    def _adjusted(self, day: date) -> dict[str, int]:
        """How many adjustments are in the day's figures, where there are any."""
        adjustments = sum(figures.adjusted[day] for figures in self._chosen.values())
        return {"adjustments": adjustments} if adjustments else {}

    def _blind_on(self, name: str, first: date, last: date) -> set[str]:
        """The measures that the source could not know on some day of the range."""
        figures, live = self._chosen[name], self._live.get(name)
        told = [closing for day in days_between(first, last) if (closing := figures.closings.get(day))]
        blind = {measure for closing in told if closing.unknown != "[]" for measure in closing.unknown_measures}
        return blind | (set(live.unknown) if live and first <= live.day <= last else set())

    def _unknown(self) -> dict[str, list[str]]:
        """The sources, by measure, that tell nothing of it in the range: they cannot, or none of their records does."""
        found: dict[str, list[str]] = {}
        for name, figures in self._chosen.items():
            live = [self._live[name].totals] if name in self._live else []
            totals = dict(zip(MEASURE_NAMES, add_totals([*figures.totals(*self._range).tolist(), *live]), strict=True))
            silent = {
                measure.name
                for measure in MEASURES
                if measure.known_by and totals["requests"] and not totals[measure.known_by]
            }
            for measure in sorted(silent | self._blind[name]):
                found.setdefault("cost_usd" if measure == "cost_nanousd" else measure, []).append(name)
        return found

    def _unsliced(self) -> dict[str, int]:
        """Of how many closed days nothing is kept by a dimension that was asked for; refuses to call nothing 0."""
        narrowed = [dimension for dimension, _ in self._query.filters.wanted]
        asked = dict.fromkeys([*narrowed, *([self._query.by] if self._query.by else [])])
        counts = {name: sum(each.unsliced(name, *self._range) for each in self._chosen.values()) for name in asked}
        everything = self._days_with_records()
        if blind := next((name for name in narrowed if counts[name] == everything > 0), None):
            raise UsageError(
                f"Nothing is kept by {blind} of the days of this period.",
                "Put it into `dimensions` of tallybook.toml: that holds for days that are closed from then on.",
            )
        return {name: count for name, count in counts.items() if count}

    def _days_with_records(self) -> int:
        first, last = self._range
        closings = (closing for figures in self._chosen.values() for closing in figures.closings.values())
        return sum(first <= closing.day <= last and closing.state == "closed" for closing in closings) + len(self._live)

    def _breakdown(self, dimension: str) -> dict[str | None, Totals]:
        rows: dict[str | None, Totals] = {}
        for name in self._chosen:
            for value, totals in self._breakdown_of(name, dimension).items():
                rows[value] = add_totals([rows.get(value, NOTHING), totals])
        return rows

    def _breakdown_of(self, name: str, dimension: str) -> dict[str | None, Totals]:
        closed = self._chosen[name].breakdown(dimension, *self._range)
        rows: dict[str | None, Totals] = {value: tuple(totals.tolist()) for value, totals in closed.items()}
        if content := self._live.get(name):
            for part in content.slices:
                value = part.key[content.dimensions.index(dimension)] if dimension in content.dimensions else None
                rows[value] = add_totals([rows.get(value, NOTHING), part.totals])
        return rows

    def _hidden_by_value(self, dimension: str) -> dict[str | None, set[str]]:
        """The measures of each value to which a source adds that could not know them."""
        hidden: dict[str | None, set[str]] = {}
        for name, blind in self._blind.items():
            for value in self._breakdown_of(name, dimension) if blind else ():
                hidden.setdefault(value, set()).update(blind)
        return hidden

    def _top_models(self) -> list[dict[str, Any]]:
        by_model = {
            model: (totals[REQUESTS], totals[TOKENS_IN] + totals[TOKENS_OUT])
            for model, totals in self._breakdown("model").items()
        }
        return [safe_integers(top.as_json()) for top in rank_models(by_model)]

    def _by_rows(self, dimension: str) -> list[dict[str, Any]]:
        breakdown = self._breakdown(dimension)
        ranked = sorted(
            breakdown.items(), key=lambda entry: (-entry[1][REQUESTS], entry[0] is not None, entry[0] or "")
        )
        hidden = self._hidden_by_value(dimension)
        if dimension not in HISTOGRAM_DIMENSIONS:
            rows = [_row(totals, NO_PERCENTILES) for _, totals in ranked]
        else:
            rows = self._rows_with_percentiles(dimension, ranked)
        return [
            {"value": value, **_hide(row, hidden.get(value, set()))}
            for (value, _), row in zip(ranked, rows, strict=True)
        ]

    def _rows_with_percentiles(
        self, dimension: str, ranked: Sequence[tuple[str | None, Totals]]
    ) -> list[dict[str, Any]]:
        dense = self._dense_by_value(dimension)
        empty = np.zeros(BUCKETS, dtype=np.int64)
        histograms = np.array([dense.get(value, empty) for value, _ in ranked], dtype=np.int64).reshape(-1, BUCKETS)
        return _rows([totals for _, totals in ranked], histograms)

    def _dense_by_value(self, dimension: str) -> dict[str | None, Integers]:
        dense: dict[str | None, Integers] = {}
        for figures in self._chosen.values():
            for value, histogram in figures.buckets(dimension, *self._range).items():
                dense[value] = dense[value] + histogram if value in dense else histogram
        place = HISTOGRAM_DIMENSIONS.index(dimension)
        for content in self._live.values():
            for part in content.histograms:
                value = part.key[place]
                dense[value] = dense.get(value, np.zeros(BUCKETS, dtype=np.int64)) + _dense_counts(part.counts)
        return dense


def _dense(content: DayContent) -> Integers:
    return _dense_counts(content.latency_histogram)


def _dense_counts(counts: Iterable[tuple[int, int]]) -> Integers:
    dense = np.zeros(BUCKETS, dtype=np.int64)
    for bucket, count in counts:
        dense[bucket] = count
    return dense


def _rows(totals: Sequence[Totals], histograms: Integers) -> list[dict[str, Any]]:
    """The measures of each row as an answer shows them, with what is derived when read."""
    if not totals:
        return []
    percentiles = dense_percentiles(histograms, PERCENTS).tolist()
    return [_row(row, buckets) for row, buckets in zip(totals, percentiles, strict=True)]


def _hide(row: dict[str, Any], unknown: set[str]) -> dict[str, Any]:
    """The row with what could not be known as null: a sum of what is known would pass for the whole."""
    return {name: None if name in unknown else value for name, value in row.items()} if unknown else row


def _row(totals: Totals, percentile_buckets: Sequence[int]) -> dict[str, Any]:
    values = dict(zip(MEASURE_NAMES, totals, strict=True))
    row: dict[str, Any] = {}
    for measure in MEASURES:
        unknown = measure.known_by is not None and not values[measure.known_by]
        row[measure.name] = None if unknown and measure.name not in ZERO_WHEN_UNKNOWN else values[measure.name]
    cost = row.pop("cost_nanousd")
    row = safe_integers(row)
    row["cost_usd"] = None if cost is None else format_usd(cost)
    row["latency_avg_ms"] = _average(values["latency_sum_ms"], values["latency_count"])
    row["ttft_avg_ms"] = _average(values["ttft_sum_ms"], values["ttft_count"])
    for percent, bucket in zip(PERCENTS, percentile_buckets, strict=True):
        row[f"latency_p{percent}_ms"] = midpoint_of(bucket) if bucket >= 0 else None
    return row


def as_row(totals: Totals) -> dict[str, Any]:
    """Totals as an answer shows them, without percentiles."""
    return _row(totals, NO_PERCENTILES)


def _average(total: int, count: int) -> float | None:
    return round(total / count, 2) if count else None


def format_usd(cost_nanousd: int) -> str:
    """Whole nano-USD as a decimal string of dollars, without trailing zeros."""
    dollars, rest = divmod(cost_nanousd, NANOUSD_PER_USD)
    return f"{dollars}.{rest:09d}".rstrip("0").rstrip(".")


def daily_row(stat: DailyStat, unknown: tuple[str, ...]) -> dict[str, Any]:
    """A closed day as the original keeps it, with the measures that were added; null for those that are `unknown`."""
    measures = _hide(dict(zip(MEASURE_NAMES, stat.totals, strict=True)), set(unknown))
    row = {"source": stat.source, "date": stat.day.isoformat(), **measures}
    return {
        **{name: safe_integers(value) for name, value in row.items()},
        "top_models": safe_integers(stat.top_models),
        "created_at": stat.created_at,
    }
