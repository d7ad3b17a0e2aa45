"""kill -9 fifty times while all kinds of senders post and try again: every acknowledged record is there, exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import httpx
import pytest

from acceptance.running import Home, ago, serving, wait_for
from tallybook.days import epoch_us, midnight, parse_day

KILLS = 50
BATCH = 20
RETRIED = (429, 502, 503, 504)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Sender:
    """Posts batch after batch, each until it is acknowledged, to whatever server there is."""

    name: str
    path: str
    make: Callable[[list[str]], Any]
    url: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20, trust_env=False))
    acknowledged: set[str] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            ids = [f"{self.name}-{number}-{place}" for place in range(BATCH)]
            if self._post(self.make(ids)):
                self.acknowledged.update(ids)
                number += 1
            else:
                time.sleep(0.02)

    def _post(self, body: Any) -> bool:
        try:
            answer = self.http.post(self.url + self.path, json=body)
        except httpx.HTTPError:
            return False
        assert answer.status_code in (200, *RETRIED), (answer.status_code, answer.text)
        assert "rejected" not in answer.text or '"rejected":[]' in answer.text, answer.text
        return answer.status_code == 200


def today_s() -> int:
    return epoch_us(midnight(parse_day(ago(0)))) // 1_000_000


def log_records(ids: list[str]) -> Any:
    return [
        {"created_at": today_s() * 1000, "model_name": "gpt-5", "status_code": 200, "request_id": name} for name in ids
    ]


def litellm_events(ids: list[str]) -> Any:
    return [
        {"id": name, "status": "success", "startTime": today_s(), "endTime": today_s() + 1.5, "model": "gpt-5"}
        for name in ids
    ]


def spans(ids: list[str]) -> Any:
    """The names stand in the trace ids; the store knows them as trace and span."""
    made = [
        {
            "traceId": trace_id(name),
            "spanId": "00000000000000aa",
            "name": "chat gpt-5",
            "startTimeUnixNano": str(today_s() * 1_000_000_000),
            "endTimeUnixNano": str(today_s() * 1_000_000_000 + 5),
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-5"}},
            ],
        }
        for name in ids
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}


def trace_id(name: str) -> str:
    _, number, place = name.split("-")
    return f"{int(number):016x}{int(place) + 1:016x}"


@contextmanager
def posting(senders: list[Sender]) -> Iterator[None]:
    """While this lasts, all senders post; at its end each has had the answer to its last batch."""
    threads = [threading.Thread(target=sender.run) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender, thread in zip(senders, threads, strict=True):
            thread.join()
            sender.http.close()


def kill_again_and_again(home: Home, senders: list[Sender]) -> None:
    """Each server dies at some moment after one of the senders was acknowledged once more, or at any moment at all."""
    chance = random.Random(20261124)  # the same pauses every time
    for _ in range(KILLS):
        with serving(home) as server:
            for sender in senders:
                sender.url = server.url
            if awaited := chance.choice((*senders, None)):
                before = len(awaited.acknowledged)
                wait_for(lambda: len(awaited.acknowledged) > before)  # noqa: B023 - asked within the loop
            time.sleep(chance.uniform(0, 0.4))
            server.process.kill()
            server.process.wait()


def test_fifty_kills_lose_nothing_that_was_acknowledged_and_count_nothing_twice(home: Home) -> None:
    senders = [
        Sender("json", "/v1/log-records", log_records),
        Sender("litellm", "/v1/litellm", litellm_events),
        Sender("spans", "/v1/traces", spans),
    ]
    with posting(senders):
        kill_again_and_again(home, senders)
    with serving(home) as server:
        assert server.stop() == 0

    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        stored = dict(logs.execute("SELECT request_id, COUNT(*) FROM log_records GROUP BY request_id").fetchall())
    assert [request_id for request_id, count in stored.items() if count != 1] == []
    json_sender, litellm_sender, spans_sender = senders
    names = json_sender.acknowledged | litellm_sender.acknowledged
    traces = {f"{trace_id(name)}:00000000000000aa" for name in spans_sender.acknowledged}
    assert all(len(sender.acknowledged) > KILLS * BATCH / 10 for sender in senders)
    assert [request_id for request_id in names | traces if request_id not in stored] == []
    assert len(stored) - len(names | traces) <= len(senders) * BATCH, (
        "at most the batches that were under way at the end"
    )
