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
from tallybook.errors import UsageError
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


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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


def test_by_what_no_day_was_sliced_nothing_can_be_narrowed_and_no_row_is_said_to_be_unknown(keepers: Any) -> None:
    """A dimension that is not kept is not one of which all records know nothing."""
    keeper = keepers()
    put(keeper.logs, record("11-20 10:00", user="ann"), record("11-22 10:00", user="ann"))
    keeper.run_once()
    days = {"first": "2026-11-20", "last": "2026-11-22"}
    assert keeper.stats(**days, by="user")["not_sliced"] == {"user": 2}
    assert "not_sliced" not in keeper.stats(**days, by="team")
    with pytest.raises(UsageError, match="Nothing is kept by user of the days of this period") as refused:
        keeper.stats(**days, filters=["user=ann"])
    assert refused.value.remedy.startswith("Put it into `dimensions` of tallybook.toml")


def test_days_that_are_sliced_by_it_are_told_and_the_others_counted(tmp_path: Path) -> None:
    for dimensions, day in ((("model",), 20), (("model", "user"), 22)):
        settings_of = load_settings({"home": str(tmp_path / "home"), "dimensions": ",".join(dimensions)}, {})
        keeper = Bookkeeper(settings_of, lambda: LATER)
        put(keeper.logs, record(f"11-{day} 10:00", user="ann"))  # type: ignore[arg-type]
        keeper.close(day=f"2026-11-{day}")
        keeper.close_all()
    keeper = Bookkeeper(load_settings({"home": str(tmp_path / "home")}, {}), lambda: LATER)
    told = keeper.stats(first="2026-11-20", last="2026-11-22", filters=["user=ann"])
    assert (told["totals"]["requests"], told["not_sliced"]) == (1, {"user": 1})
    keeper.close_all()
