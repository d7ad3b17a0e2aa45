"""Late records become adjustments: signed, dated, beside a closed day that stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oracle
from stories import NOW, TODAY, YESTERDAY, delete_days, fetch, put, record
from tallybook.adjusting import adjust_day
from tallybook.book.entries import Adjustment
from tallybook.book.ledger import Book
from tallybook.errors import BookError
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.measures import MEASURE_NAMES
from tallybook.periods import parse_period
from tallybook.reconcile import find_changes, find_drift
from tallybook.source import DEFAULT_SLICING, Slicing
from tallybook.stats import Sources, StatsQuery, StatsReader
from tallybook.verification import verify_book
from tallybook.vintage import Vintage

LATER = NOW + timedelta(hours=5)


def close(book: Book, logs: LogStore, slicing: Slicing = DEFAULT_SLICING) -> None:
    DailyStatsJob(book, [logs], slicing).run_once(NOW)


def adjust(
    book: Book, logs: LogStore, day: date = YESTERDAY, now: datetime = LATER, slicing: Slicing = DEFAULT_SLICING
) -> Adjustment | None:
    return adjust_day(book, logs, day, now, slicing)


def ask(book: Book, basis: str = "adjusted", as_of: datetime | None = None, by: str | None = None) -> dict[str, Any]:
    query = StatsQuery(parse_period("last7d", TODAY, None), by, None, Vintage(basis, as_of))
    return StatsReader(book).answer(query, Sources({"local": date(2026, 11, 18)}, {}), YESTERDAY)


def requests(book: Book, basis: str = "adjusted", as_of: datetime | None = None) -> int:
    return int(ask(book, basis, as_of)["totals"]["requests"])


def rows(book: Book) -> list[list[tuple[Any, ...]]]:
    """Every row of every closed day, as it lies there."""
    tables = ("closings", "daily_stats", "daily_slices", "daily_histograms")
    return [fetch(book, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]


@pytest.fixture
def closed(book: Book, logs: LogStore) -> Book:
    """Yesterday closed with one request of 100 ms, the day before with none, the one before that with another."""
    put(
        logs,
        record("11-20 10:00", "a", tokens_in=1, provider="p"),
        record("11-22 10:00", "a", tokens_in=5, latency_ms=100, provider="p", cost_nanousd=7),
    )
    close(book, logs)
    return book


def test_a_late_record_is_drift_then_an_adjustment_and_the_closed_day_stays_byte_for_byte(
    closed: Book, logs: LogStore
) -> None:
    before = rows(closed)
    put(logs, record("11-22 23:59", "b", 500, tokens_in=3, latency_ms=900), now=LATER)
    assert [(drift.day, drift.state, drift.change[0]) for drift in find_changes(closed, logs, [YESTERDAY])] == [
        (YESTERDAY, "drift", 1)
    ]

    adjustment = adjust(closed, logs)

    assert adjustment is not None
    assert adjustment.as_json() | {"digest": "", "chain": "", "prev_chain": ""} == {
        "seq": 4,
        "source": "local",
        "day": "2026-11-22",
        "recorded_at": "2026-11-23T06:00:00Z",
        "reason": "1 record came after the day was closed",
        "fingerprint_before": {
            "requests": 1,
            "tokens_in": 5,
            "tokens_out": 0,
            "latency_sum_ms": 100,
            "cost_nanousd": 7,
        },
        "fingerprint_after": {
            "requests": 2,
            "tokens_in": 8,
            "tokens_out": 0,
            "latency_sum_ms": 1000,
            "cost_nanousd": 7,
        },
        "prices": [],
        "payload_version": 2,
        "schema_version": "0005",
        "change": {
            "requests": 1,
            "failed": 1,
            "status_count": 1,
            "tokens_in": 3,
            "tokens_in_count": 1,
            "latency_sum_ms": 900,
            "latency_count": 1,
        },
        "digest": "",
        "chain": "",
        "prev_chain": "",
    }
    assert rows(closed) == before
    assert list(find_drift(closed, logs, [YESTERDAY], DEFAULT_SLICING)) == []
    verification = verify_book(closed)
    assert (verification.verdict, verification.closings, verification.adjustments) == ("intact", 3, 1)


def test_every_figure_has_its_vintage(closed: Book, logs: LogStore) -> None:
    put(logs, record("11-22 23:59", "b", 500, tokens_in=3, latency_ms=900), now=LATER)
    adjust(closed, logs)
    assert [(requests(closed), requests(closed, "original"))] == [(3, 2)]
    assert requests(closed, as_of=LATER - timedelta(seconds=1)) == 2
    assert requests(closed, as_of=LATER) == 3
    assert requests(closed, "original", LATER) == 2
    assert requests(closed, as_of=NOW - timedelta(seconds=1)) == 0
    assert [ask(closed, basis)["adjustments"] for basis in ("adjusted", "original")] == [1, 0]
    last = ask(closed)["series"][-1]
    assert (last["requests"], last["latency_p50_ms"], last["latency_p99_ms"], last["adjustments"]) == (2, 100, 899, 1)
    assert "adjustments" not in ask(closed, "original")["series"][-1]
    assert {row["value"]: row["requests"] for row in ask(closed, by="model")["by"]["rows"]} == {"a": 2, "b": 1}
    assert {row["value"]: row["requests"] for row in ask(closed, "original", by="model")["by"]["rows"]} == {"a": 2}
    provider = {row["value"]: row["latency_p50_ms"] for row in ask(closed, by="provider")["by"]["rows"]}
    assert provider == {"p": 100, None: 899}


def test_what_was_not_closed_by_then_was_missing_by_then(closed: Book) -> None:
    answer = ask(closed, as_of=NOW - timedelta(minutes=30))
    assert answer["as_of"] == "2026-11-23T00:30:00Z"
    assert answer["days"] == {"closed": 0, "zero": 0, "missing": 5, "open": 0}


def test_posting_twice_posts_once(closed: Book, logs: LogStore) -> None:
    put(logs, record("11-22 23:59", "b"), now=LATER)
    assert adjust(closed, logs) is not None
    assert adjust(closed, logs) is None
    assert len(closed.adjustments()) == 1


def test_two_servers_that_post_at_once_post_once(closed: Book, book_url: str, logs: LogStore) -> None:
    put(logs, record("11-22 23:59", "b"), now=LATER)
    other = Book.open(book_url, NOW)
    barrier = threading.Barrier(4)
    posted: list[Adjustment | None] = []

    def serve(own: Book) -> None:
        barrier.wait()
        posted.append(adjust(own, logs))

    threads = [threading.Thread(target=serve, args=(own,)) for own in (closed, other, closed, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sum(adjustment is not None for adjustment in posted) == 1
    assert [entry.seq for entry in closed.adjustments()] == [4]
    assert verify_book(closed).verdict == "intact"


def test_a_source_that_shrank_is_gone_and_never_adjusted_to(closed: Book, logs: LogStore) -> None:
    assert delete_days(logs, YESTERDAY) == 1
    assert [drift.state for drift in find_changes(closed, logs, [YESTERDAY])] == ["source-gone"]
    assert [drift.state for drift in find_drift(closed, logs, [YESTERDAY], DEFAULT_SLICING)] == ["source-gone"]
    assert adjust(closed, logs) is None


def test_a_day_that_we_have_pruned_is_never_adjusted_however_much_comes_for_it(closed: Book, logs: LogStore) -> None:
    assert delete_days(logs, YESTERDAY) == 1
    closed.prunings.note("local", YESTERDAY, 1, NOW, None)
    put(logs, *(record(f"11-22 {hour}:00", "late") for hour in (11, 12, 13)), now=LATER)
    (drift,) = find_drift(closed, logs, [YESTERDAY], DEFAULT_SLICING)
    assert (drift.state, drift.as_json()["pruned"], drift.change[0]) == ("source-gone", True, 2)
    assert [found.state for found in find_changes(closed, logs, [YESTERDAY])] == ["source-gone"]
    assert adjust(closed, logs) is None
    assert requests(closed) == 2


def test_a_day_without_records_that_gets_some_is_closed_now_and_was_zero_then(closed: Book, logs: LogStore) -> None:
    put(logs, record("11-21 12:00", "late", team="t"), now=LATER)
    adjustment = adjust(closed, logs, date(2026, 11, 21))
    assert adjustment is not None
    assert adjustment.change.dimensions == ("model", "provider", "team", "api_key")
    assert ask(closed)["series"][-2]["state"] == "closed"
    assert ask(closed, "original")["series"][-2]["state"] == "zero"
    assert {row["value"]: row["requests"] for row in ask(closed, by="team")["by"]["rows"]} == {None: 2, "t": 1}
    assert verify_book(closed).verdict == "intact"


def test_a_record_that_was_changed_is_adjusted_with_signs(closed: Book, logs: LogStore) -> None:
    with logs.writing() as connection:
        connection.execute(
            "UPDATE log_records SET status_code = 500, model_name = 'b', latency_ms = 50 WHERE model_name = 'a' "
            "AND tokens_in = 5"
        )
    adjustment = adjust(closed, logs)
    assert adjustment is not None
    assert adjustment.reason == "records were changed after the day was closed"
    change = dict(zip(MEASURE_NAMES, adjustment.change.totals, strict=True))
    assert {name: value for name, value in change.items() if value} == {
        "success": -1,
        "failed": 1,
        "latency_sum_ms": -50,
    }
    assert [(part.key[0], part.totals[0]) for part in adjustment.change.slices] == [("a", -1), ("b", 1)]
    assert [part.counts for part in adjustment.change.histograms] == [((100, -1),), ((50, 1),)]
    assert {row["value"]: row["requests"] for row in ask(closed, by="model")["by"]["rows"]} == {"a": 1, "b": 1}


def test_a_day_is_read_as_it_was_sliced_whatever_the_settings_are_now(book: Book, logs: LogStore) -> None:
    put(logs, record("11-22 10:00", "a", team="x"))
    close(book, logs, Slicing(("team",)))
    put(logs, record("11-22 11:00", "b", team="y"), now=LATER)
    adjustment = adjust(book, logs)
    assert adjustment is not None
    assert adjustment.change.dimensions == ("team",)
    assert [part.key for part in adjustment.change.slices] == [("y",)]


def test_numbers_beyond_53_bits_and_folded_slices_add_up(book: Book, logs: LogStore) -> None:
    few = Slicing(max_slices_per_day=2)
    put(logs, *(record("11-22 10:00", f"m{number}", tokens_in=10**9) for number in range(4)))
    close(book, logs, few)
    put(logs, *(record("11-22 11:00", f"n{number}", cost_nanousd=10**15) for number in range(9)), now=LATER)
    put(logs, *(record("11-22 11:00", "n0", cost_nanousd=10**15) for _ in range(3)), now=LATER)
    adjustment = adjust(book, logs, slicing=few)
    assert adjustment is not None
    assert [(part.key[0], part.totals[0]) for part in adjustment.change.slices] == [
        ("(other)", 9),
        ("m0", -1),
        ("n0", 4),
    ]
    assert (adjustment.change.totals[0], requests(book)) == (12, 16)
    assert adjustment.as_json()["change"]["cost_nanousd"] == "12000000000000000"
    assert ask(book)["totals"]["cost_usd"] == "12000000"
    assert book.adjustments()[0].change == adjustment.change
    assert verify_book(book).verdict == "intact"


@pytest.mark.parametrize(("then", "now"), [(2, 100), (100, 2), (2, 3)])
def test_a_limit_of_slices_that_has_changed_since_is_no_drift(book: Book, logs: LogStore, then: int, now: int) -> None:
    put(logs, *(record(f"11-2{day} 10:00", f"m{number}") for day in (0, 2) for number in range(4)))
    close(book, logs, Slicing(max_slices_per_day=then))
    changed = Slicing(max_slices_per_day=now)
    assert list(find_drift(book, logs, [date(2026, 11, 20), YESTERDAY], changed)) == []
    assert adjust(book, logs, slicing=changed) is None
    put(logs, record("11-22 11:00", "m0"), now=LATER)
    adjustment = adjust(book, logs, slicing=changed)
    assert adjustment is not None
    assert [(part.key[0], part.totals[0]) for part in adjustment.change.slices] == [("m0", 1)]


def test_an_adjustment_is_never_recorded_before_what_it_adjusts_though_the_clock_went_back(
    closed: Book, logs: LogStore
) -> None:
    put(logs, record("11-22 11:00", "b"))
    first = adjust(closed, logs, now=NOW - timedelta(hours=1))
    assert first is not None
    assert first.recorded_at == closed.closings()[-1].closed_at == "2026-11-23T01:00:00Z"
    put(logs, record("11-22 12:00", "b"))
    second = adjust(closed, logs, now=LATER)
    put(logs, record("11-22 13:00", "b"))
    third = adjust(closed, logs, now=NOW)
    assert second is not None
    assert third is not None
    assert third.recorded_at == second.recorded_at == "2026-11-23T06:00:00Z"
    assert [requests(closed, as_of=NOW + timedelta(minutes=minutes)) for minutes in (-30, 0, 299, 300)] == [0, 3, 3, 5]


def test_a_day_that_is_not_closed_is_not_adjusted(closed: Book, logs: LogStore) -> None:
    assert adjust(closed, logs, TODAY) is None


def test_an_adjustment_that_fails_leaves_nothing_and_is_made_later(closed: Book, logs: LogStore) -> None:
    put(logs, record("11-22 23:59", "b"), now=LATER)

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO adjustments"):
            raise sa.exc.OperationalError(statement, {}, OSError("I/O error"))

    sa.event.listen(closed._engine, "before_cursor_execute", fail)
    with pytest.raises(BookError, match="I/O error"):
        adjust(closed, logs)
    sa.event.remove(closed._engine, "before_cursor_execute", fail)
    assert closed.adjustments() == []
    assert adjust(closed, logs) is not None


def test_changes_that_cancel_out_within_a_day_are_seen_only_by_reading_it_whole(closed: Book, logs: LogStore) -> None:
    with logs.writing() as connection:
        connection.execute("UPDATE log_records SET model_name = 'another'")
    assert list(find_changes(closed, logs, [YESTERDAY])) == []
    assert [drift.day for drift in find_drift(closed, logs, [YESTERDAY], DEFAULT_SLICING)] == [YESTERDAY]


RECORDS = st.lists(
    st.builds(
        record,
        st.sampled_from([f"11-{day} 10:00" for day in (20, 21, 22)]),
        st.sampled_from("ab"),
        st.sampled_from([200, 500, 0, None]),
        tokens_in=st.none() | st.integers(0, 9),
        latency_ms=st.none() | st.sampled_from([1, 130, 5000]),
        team=st.sampled_from([None, "x"]),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Opens an empty book and empty logs, anew for each history."""
    numbers = iter(range(1_000_000))
    opened: list[Any] = []

    def open_both() -> tuple[Book, LogStore]:
        for each in opened:
            each.close()
        folder = tmp_path_factory.mktemp(f"home{next(numbers)}")
        opened[:] = [Book.open(f"sqlite:///{folder}/book.sqlite", NOW), LogStore.open(folder / "logs.duckdb")]
        return opened[0], opened[1]

    yield open_both
    for each in opened:
        each.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_what_was_closed_and_the_adjustments_until_t_are_the_figures_as_of_t(homes: Any, batches: list[Any]) -> None:
    book, logs = homes()
    put(logs, record("11-20 09:00", "a"))
    known: list[oracle.Record] = [record("11-20 09:00", "a")]
    vintages: list[tuple[datetime, list[oracle.Record]]] = []
    close(book, logs)
    vintages.append((NOW, list(known)))
    for hour, batch in enumerate(batches, start=1):
        now = NOW + timedelta(hours=hour)
        put(logs, *batch, now=now)
        known += batch
        for day in (20, 21, 22):
            adjust(book, logs, date(2026, 11, day), now)
        vintages.append((now, list(known)))
    original = ask(book, "original")
    for as_of, records in vintages:
        answer = ask(book, as_of=as_of, by="team")
        expected = oracle.totals(records)
        changes = [each.change.totals for each in book.adjustments() if at_instant(each.recorded_at) <= as_of]
        for place, name in enumerate(MEASURE_NAMES):
            if name != "cost_nanousd" and answer["totals"][name] is not None:
                assert answer["totals"][name] == expected[name]
                assert (original["totals"][name] or 0) + sum(change[place] for change in changes) == expected[name]
        assert {row["value"]: row["requests"] for row in answer["by"]["rows"]} == {
            key[0]: len(group) for key, group in oracle.groups(records, ["team"]).items()
        }
    assert ask(book)["totals"] == ask(book, as_of=vintages[-1][0])["totals"]
    assert verify_book(book).verdict == "intact"


def at_instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
