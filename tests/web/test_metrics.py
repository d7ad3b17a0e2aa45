"""`GET /metrics`: how far each source is closed, what is missing and why, without asking any source."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from acceptance.running import wait_for
from tallybook.bookkeeper import Bookkeeper
from tallybook.declaration import read_declaration
from tallybook.sources.attached import AttachedSource
from web.asking import Client, on

Sample = tuple[str, dict[str, str], float]

END_OF_YESTERDAY = 1795392000.0
"""2026-11-23T00:00:00Z"""


def scraped(client: Client) -> list[Sample]:
    """Every sample, as Prometheus reads it."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


def of(samples: Iterable[Sample], name: str) -> dict[str, float]:
    """The values of a metric by source."""
    return {labels["source"]: value for sample, labels, value in samples if sample == f"tallybook_{name}"}


def failures(samples: Iterable[Sample]) -> list[dict[str, str]]:
    return [labels for name, labels, value in samples if name == "tallybook_failure" and value == 1]


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """A gateway's file with a request on each of the three days before today."""
    path = tmp_path / "gateway.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE log_records (created_at TEXT, model_name TEXT, status_code INTEGER)")
        rows = [(f"2026-11-{day} 10:00:00",) for day in (20, 21, 22)]
        connection.executemany("INSERT INTO log_records VALUES (?, 'gpt-5', 200)", rows)
    connection.close()
    return path


@pytest.fixture
def attached(keeper: Bookkeeper, gateway: Path) -> Path:
    """The same, attached as `gw`."""
    keeper.attach(name="gw", url=f"sqlite:///{gateway}")
    return gateway


def test_an_empty_home_has_no_closing_and_no_source(client: Client) -> None:
    samples = scraped(client)
    assert [(name, value) for name, _, value in samples if "clos" in name] == [("tallybook_closings_total", 0.0)]
    assert [labels for _, labels, _ in samples if "source" in labels] == []


def test_what_senders_post_is_counted_by_what_became_of_it(client: Client) -> None:
    good = {**on("22"), "request_id": "r1"}
    body = [good, good, {**good, "tokens_in": -1}, {**good, "request_id": "r2"}]
    assert client.post("/v1/log-records", json=body).json()["accepted"] == 2
    assert client.post("/v1/log-records", content=b"hello").status_code == 400
    counted = {(name, *labels.values()): value for name, labels, value in scraped(client)}
    assert counted["tallybook_records_accepted_total", "log-records"] == 2
    assert counted["tallybook_records_duplicate_total", "log-records"] == 1
    assert counted["tallybook_records_rejected_total", "tokens_in", "log-records"] == 1
    assert counted["tallybook_requests_refused_total", "unreadable_body", "log-records"] == 1
    assert counted["tallybook_received_bytes_total", "log-records"] > 100
    assert counted["tallybook_commit_seconds_count",] == 1
    assert counted["tallybook_queue_bytes",] == 0


def test_it_is_prometheus_own_text_format(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP tallybook_missing_days Closable days that are not closed.\n" in answer.text
    assert "# TYPE tallybook_missing_days gauge\n" in answer.text
    assert "# TYPE tallybook_closings_total counter\n" in answer.text


@pytest.mark.usefixtures("attached")
def test_after_a_tick_every_day_of_a_source_is_closed(client: Client) -> None:
    wait_for(lambda: of(scraped(client), "missing_days") == {"gw": 0})
    samples = scraped(client)
    assert ("tallybook_closings_total", {}, 3.0) in samples
    assert (of(samples, "closed_days"), of(samples, "zero_days")) == ({"gw": 3}, {"gw": 0})
    assert of(samples, "failed_days") == {"gw": 0}
    assert of(samples, "closed_through_timestamp_seconds") == {"gw": END_OF_YESTERDAY}
    assert failures(samples) == []


def test_our_own_logs_are_a_source_like_others(client: Client, keeper: Bookkeeper, fill: Callable[..., None]) -> None:
    fill(on("21"), on("22"))
    keeper.run_once()
    samples = scraped(client)
    assert of(samples, "missing_days") == {"local": 0}
    assert of(samples, "closed_through_timestamp_seconds") == {"local": END_OF_YESTERDAY}


@pytest.fixture
def away(attached: Path) -> Path:
    """The same, with its file moved away before the first tick: where it is now."""
    return attached.rename(attached.with_name("away.db"))


def test_a_source_that_is_down_has_failed_until_it_is_back(keeper: Bookkeeper, away: Path, client: Client) -> None:
    gateway = away.with_name("gateway.db")
    samples = wait_for(lambda: [sample for sample in scraped(client) if failures([sample])] and scraped(client))
    assert of(samples, "missing_days") == {"gw": 3}
    assert of(samples, "failed_days") == {"gw": 3}
    assert of(samples, "closed_through_timestamp_seconds") == {}
    assert failures(samples) == [{"source": "gw", "day": "2026-11-22", "reason": f"There is no file {gateway}."}]
    away.rename(gateway)
    keeper.run_once()
    samples = scraped(client)
    assert of(samples, "missing_days") == {"gw": 0}
    assert of(samples, "failed_days") == {"gw": 0}
    assert failures(samples) == []


@pytest.mark.usefixtures("away")
def test_other_sources_are_closed_meanwhile(keeper: Bookkeeper, fill: Callable[..., None], client: Client) -> None:
    fill(on("22"))
    keeper.run_once()
    samples = scraped(client)
    assert of(samples, "missing_days") == {"gw": 3, "local": 0}
    assert [labels["source"] for labels in failures(samples)] == ["gw"]


def test_a_scrape_asks_no_source(keeper: Bookkeeper, attached: Path, client: Client) -> None:
    keeper.run_once()
    attached.unlink()
    samples = scraped(client)
    assert of(samples, "missing_days") == {"gw": 0}
    assert failures(samples) == []


def test_a_long_reason_is_cut_and_strange_signs_are_quoted(keeper: Bookkeeper, client: Client, gateway: Path) -> None:
    folder = gateway.parent / ('a "quoted"\\name\n' + "x" * 200)
    folder.mkdir()
    moved = gateway.rename(folder / "gateway.db")
    moved.unlink()
    declare(keeper, "other", {"url": "sqlite:///" + quote(str(moved))})
    keeper.run_once()
    (failure,) = failures(scraped(client))
    assert failure["reason"] == f"There is no file {moved}."[:200]


def test_a_password_is_in_no_reason(keeper: Bookkeeper, client: Client) -> None:
    declare(keeper, "gw", {"url": "postgresql://reader:hunter2@127.0.0.1:1/litellm"})
    keeper.run_once()
    (failure,) = failures(scraped(client))
    assert failure["reason"] == (
        'PostgreSQL cannot be reached: connection to server at "127.0.0.1", port 1 failed: Connection refused.'
    )
    assert "hunter2" not in client.get("/metrics").text


def declare(keeper: Bookkeeper, name: str, declared: dict[str, str]) -> None:
    """The source as if it stood in `tallybook.toml`."""
    keeper._registry._configured[name] = AttachedSource(read_declaration(name, declared, "tallybook.toml"))
