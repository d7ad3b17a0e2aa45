from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from anchoring.receiver import Receiver, receiving
from stories import NOW, YESTERDAY, pick, put, record
from tallybook.announcing.message import Reporter
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.content import empty_content
from tallybook.errors import UsageError

LATER = NOW + timedelta(hours=5)
SLACK = '[webhooks.team]\nurl = "{url}"\nformat = "slack"\n'
JSON = '[webhooks.books]\nurl = "{url}"\nsecret = "${{HOOK_SECRET}}"\n'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as listening:
        yield listening


@pytest.fixture
def open_home(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., Bookkeeper]]:
    """Opens the home anew, with this in its tallybook.toml."""
    opened: list[Bookkeeper] = []

    def open_one(table: str, now: Any = NOW) -> Bookkeeper:
        while opened:
            opened.pop().close_all()
        tmp_path.joinpath("tallybook.toml").write_text(table.format(url=receiver.url))
        opened.append(Bookkeeper(load_settings({"home": str(tmp_path)}, {}), lambda: now))
        return opened[-1]

    yield open_one
    for keeper in opened:
        keeper.close_all()


def fill(keeper: Bookkeeper, *more: Any) -> None:
    put(
        keeper.logs,  # type: ignore[arg-type]
        record("11-21 10:00", "a", cost_nanousd=10**9),
        *(record("11-22 10:00", "a", tokens_in=5, latency_ms=100, cost_nanousd=2 * 10**9) for _ in range(3)),
        record("11-22 11:00", "b", 500, latency_ms=900),
        *more,
    )


def texts(receiver: Receiver) -> list[str]:
    return [json.loads(body)["text"] for body in receiver.taken]


def test_each_closing_and_adjustment_is_a_line_in_order_and_once(
    open_home: Callable[..., Bookkeeper], receiver: Receiver
) -> None:
    keeper = open_home(SLACK)
    fill(keeper)
    keeper.backfill(first="2026-11-21", last="2026-11-22")
    put(keeper.logs, record("11-22 12:00", "late"), now=LATER)  # type: ignore[arg-type]
    keeper.reconcile(first="2026-11-22", last="2026-11-22", post=True)
    keeper.reconcile(first="2026-11-22", last="2026-11-22", post=True)
    assert texts(receiver) == [
        "*local* 2026-11-21 closed: 1 request, 100.00 % successful, $1.00.",
        "*local* 2026-11-22 closed: 4 requests, 75.00 % successful, $6.00, p95 899ms, +300.0 % against the day before.",
        "*local* 2026-11-22 restated: 1 record came after the day was closed (+1 requests).",
    ]


def test_the_figures_are_sent_as_json_and_signed(
    open_home: Callable[..., Bookkeeper], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    keeper = open_home(JSON)
    fill(keeper)
    keeper.backfill(first="2026-11-22", last="2026-11-22")
    ((body, headers),) = receiver.posted
    (closing,) = keeper.book.closings()
    assert json.loads(body) == {
        "id": f"{keeper.book.identity().book_id}-1",
        "event": "closed",
        "source": "local",
        "seq": 1,
        "closed_at": "2026-11-23T01:00:00Z",
        "digest": closing.digest,
        "chain": closing.chain,
        "day": "2026-11-22",
        "requests": 4,
        "success": 3,
        "failed": 1,
        "tokens_in": 15,
        "tokens_out": None,
        "cost_usd": "6",
        "latency_p50_ms": 100,
        "latency_p95_ms": 899,
        "top_models": [{"model": "a", "requests": 3, "tokens": 15}, {"model": "b", "requests": 1, "tokens": 0}],
        "requests_before": None,
        "unknown": [],
    }
    at_s, _, signed = headers["X-Tallybook-Signature"].partition(",v1=")
    expected = hmac.new(b"s3cret", f"{at_s[2:]}.".encode() + body, hashlib.sha256).hexdigest()
    assert (signed, headers["X-Tallybook-Id"]) == (expected, json.loads(body)["id"])


def test_while_the_receiver_is_down_news_wait_and_come_in_order_over_a_restart(
    open_home: Callable[..., Bookkeeper], receiver: Receiver
) -> None:
    receiver.statuses = [500, 503]
    keeper = open_home(SLACK)
    fill(keeper)
    keeper.close(day="2026-11-21")
    keeper = open_home(SLACK, NOW + timedelta(minutes=2))
    keeper.close(day="2026-11-22")
    assert texts(receiver) == []
    (state,) = keeper.status()["chain"]["webhooks"]
    assert (state["to"], state["waiting"]) == ("team", 2)
    assert "answered 503" in state["failing"]
    keeper = open_home(SLACK, NOW + timedelta(minutes=10))
    keeper.run_once()
    assert [text.split()[1] for text in texts(receiver)] == ["2026-11-21", "2026-11-22"]


def test_a_webhook_that_is_new_is_told_of_what_comes_and_not_of_all_that_was(
    open_home: Callable[..., Bookkeeper], receiver: Receiver
) -> None:
    keeper = open_home("")
    fill(keeper)
    keeper.close(day="2026-11-21")
    keeper = open_home(SLACK)
    keeper.close(day="2026-11-22")
    assert [text.split()[1] for text in texts(receiver)] == ["2026-11-22"]


def test_a_day_without_requests_and_one_of_which_little_is_known(
    open_home: Callable[..., Bookkeeper], receiver: Receiver
) -> None:
    keeper = open_home(SLACK)
    put(keeper.logs, record("11-20 10:00", "a", None))  # type: ignore[arg-type]
    keeper.backfill(first="2026-11-20", last="2026-11-21")
    assert texts(receiver) == [
        "*local* 2026-11-20 closed: 1 request.",
        "*local* 2026-11-21 closed: no requests.",
    ]


def test_what_no_record_told_is_null_and_a_day_without_requests_has_zeros(
    open_home: Callable[..., Bookkeeper], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    keeper = open_home(JSON)
    put(keeper.logs, record("11-20 10:00", "a", None, tokens_in=0))  # type: ignore[arg-type]
    keeper.backfill(first="2026-11-20", last="2026-11-21")
    names = "event requests success failed tokens_in tokens_out cost_usd latency_p95_ms"
    assert [pick(json.loads(body), names) for body in receiver.taken] == [
        ["closed", 1, None, None, 0, None, None, None],
        ["zero", 0, 0, 0, 0, 0, "0", None],
    ]


def test_what_the_source_cannot_know_is_null_even_of_a_day_without_requests(
    open_home: Callable[..., Bookkeeper],
) -> None:
    keeper = open_home("")
    keeper.book.append("gw", empty_content(YESTERDAY, ("failed", "cost_nanousd")), NOW)
    message = Reporter(keeper.book).message(1)
    assert message is not None
    assert pick(message, "requests success failed tokens_in tokens_out cost_usd") == [0, 0, None, 0, 0, None]


def test_a_closing_does_not_fail_when_news_of_it_do(open_home: Callable[..., Bookkeeper], receiver: Receiver) -> None:
    receiver.statuses = [0, 0, 0]
    keeper = open_home(SLACK)
    fill(keeper)
    (result,) = keeper.close(day=str(YESTERDAY))["results"]
    assert result["outcome"] == "closed"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('webhooks = "x"\n', "webhooks in tallybook.toml is no table of tables"),
        ("[webhooks.a]\n", r"There is no url in \[webhooks.a\]"),
        ('[webhooks.a]\nurl = "ftp://x"\n', r"url in \[webhooks.a\] of tallybook.toml must be a URL"),
        ('[webhooks.a]\nurl = "https://x"\nformat = "xml"\n', "format in .* must be one of: json, slack"),
        ('[webhooks.a]\nurl = "https://x"\nurls = "y"\n', "There is no setting 'urls'"),
        ('[webhooks.a]\nurl = "https://x"\nsecret = 1\n', "secret in .* must be a text"),
    ],
)
def test_a_table_that_cannot_be_taken_is_told(tmp_path: Path, table: str, message: str) -> None:
    tmp_path.joinpath("tallybook.toml").write_text(table)
    with pytest.raises(UsageError, match=message):
        load_settings({"home": str(tmp_path)}, {})
