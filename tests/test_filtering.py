"""Statistics of some records only, against a count of just those records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oracle
from stories import NOW, TODAY, YESTERDAY, put, record
from tallybook.adjusting import adjust_day
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.source import DEFAULT_SLICING

LATER = NOW + timedelta(hours=5)
DIMENSIONS = ("model", "provider", "team", "api_key")
VALUES = st.sampled_from([None, "a", "b=c"])
RECORD = st.builds(
    lambda day, hour, model, provider, team, latency_ms: record(
        f"11-{day} {hour:02}:00", model, provider=provider, team=team, latency_ms=latency_ms, tokens_in=hour
    ),
    st.sampled_from([20, 22]),
    st.integers(0, 23),
    st.sampled_from(["a", "b=c"]),
    VALUES,
    VALUES,
    st.none() | st.integers(0, 1000),
)
FILTER = st.dictionaries(st.sampled_from(["model", "provider", "team"]), VALUES, min_size=1, max_size=3)


@pytest.fixture
def keepers(tmp_path: Path, book_url: str) -> Iterator[Any]:
    """Opens a keeper on a home of its own, again and again; the book of the last is closed."""
    opened: list[Bookkeeper] = []

    def open_one() -> Bookkeeper:
        home = tmp_path / f"home{len(opened)}"
        url = book_url if "postgres" in book_url and not opened else f"sqlite:///{home}/book.sqlite"
        opened.append(Bookkeeper(load_settings({"home": str(home), "book": url}, {}), lambda: LATER))
        return opened[-1]

    yield open_one
    for keeper in opened:
        keeper.close_all()


def close_and_adjust(keeper: Bookkeeper, closed: list[Any], late: list[Any]) -> None:
    put(keeper.logs, record("11-20 09:00", "a", team="first"), *closed)  # type: ignore[arg-type]
    keeper.backfill(first="2026-11-20", last="2026-11-22")
    if late:
        put(keeper.logs, *late, now=LATER)  # type: ignore[arg-type]
    for day in (20, 21, 22):
        adjust_day(keeper.book, keeper.logs, date(2026, 11, day), LATER, DEFAULT_SLICING)


def wanted(records: list[Any], chosen: dict[str, Any]) -> list[Any]:
    fields = {"model": "model_name"}
    return [each for each in records if all(each[fields.get(name, name)] == value for name, value in chosen.items())]


def texts(chosen: dict[str, Any]) -> list[str]:
    return [name if value is None else f"{name}={value}" for name, value in chosen.items()]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(RECORD, max_size=8), st.lists(RECORD, max_size=4), st.lists(RECORD, max_size=3), FILTER)
def test_figures_are_those_of_the_records_that_are_wanted(
    keepers: Any, closed: list[Any], late: list[Any], today: list[Any], chosen: dict[str, Any]
) -> None:
    keeper = keepers()
    close_and_adjust(keeper, closed, late)
    live = [
        each | {"created_at": each["created_at"].replace(day=23, hour=each["created_at"].hour % 6)} for each in today
    ]
    if live:
        put(keeper.logs, *live, now=LATER)
    records = wanted([record("11-20 09:00", "a", team="first"), *closed, *late, *live], chosen)
    for by in DIMENSIONS:
        answer = keeper.stats(first="2026-11-20", last=str(TODAY), by=by, live=True, filters=texts(chosen))
        assert answer["filters"] == sorted(texts(chosen))
        totals = oracle.totals(records)
        assert {name: answer["totals"][name] for name in ("requests", "success", "tokens_in", "latency_sum_ms")} == {
            name: totals[name] for name in ("requests", "success", "tokens_in", "latency_sum_ms")
        }
        knows = set(chosen) <= {"model", "provider"}
        assert answer["totals"]["latency_p95_ms"] == (oracle.percentile(records, 95) if knows else None)
        groups = {key[0]: part for key, part in oracle.groups(records, [by]).items()}
        assert {row["value"]: row["requests"] for row in answer["by"]["rows"]} == {
            value: len(part) for value, part in groups.items()
        }
        for row in answer["by"]["rows"]:
            told = oracle.percentile(groups[row["value"]], 50) if knows and by in ("model", "provider") else None
            assert row["latency_p50_ms"] == told
        days = [sum(each["created_at"].date() == date(2026, 11, day) for each in records) for day in range(20, 24)]
        assert [row["requests"] for row in answer["series"]] == days


def test_days_keep_their_states_whatever_is_wanted(keepers: Any) -> None:
    keeper = keepers()
    close_and_adjust(keeper, [record("11-22 10:00", "a")], [record("11-21 10:00", "late")])
    asked = {"first": "2026-11-19", "last": str(TODAY)}
    everything, nothing = keeper.stats(**asked), keeper.stats(**asked, filters=["model=nobody"])
    assert [row["state"] for row in nothing["series"]] == [row["state"] for row in everything["series"]]
    assert (nothing["days"], nothing["adjustments"]) == (everything["days"], everything["adjustments"])
    assert (nothing["totals"]["requests"], nothing["top_models"]) == (0, [])


def test_every_vintage_is_narrowed(keepers: Any) -> None:
    keeper = keepers()
    close_and_adjust(keeper, [record("11-22 10:00", "a")], [record("11-22 11:00", "a"), record("11-22 12:00", "b")])
    day = {"first": str(YESTERDAY), "last": str(YESTERDAY), "filters": ["model=a"]}
    assert keeper.stats(**day)["totals"]["requests"] == 2
    assert keeper.stats(**day, basis="original")["totals"]["requests"] == 1
    assert keeper.stats(**day, as_of="2026-11-23T06:00:00Z")["totals"]["requests"] == 2
    assert keeper.stats(**day, as_of="2026-11-23T05:59:59Z")["totals"]["requests"] == 0
