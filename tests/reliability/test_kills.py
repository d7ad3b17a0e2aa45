"""kill -9, again and again, while records come, days are closed and late ones adjusted: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import httpx
import psycopg
import pytest

from acceptance.running import Home, ago, serving, wait_for
from reliability.figures import report

KILLS = int(os.environ.get("TALLYBOOK_KILLS", "100"))
DAYS = 40
BATCH = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass
class Worker:
    """Asks whatever server there is for one kind of work, again and again; a server that dies is no answer."""

    home: Home
    url: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))
    stopping: threading.Event = field(default_factory=threading.Event)
    days: random.Random = field(default_factory=lambda: random.Random(20261124))
    acknowledged: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)
    adjustments: set[int] = field(default_factory=set)

    def send(self) -> None:
        """Batch after batch, each until it is acknowledged: half of the records for days that may be closed by now."""
        number = 0
        while not self.stopping.is_set():
            days = [ago(self.days.randrange(DAYS) if place % 2 else 0) for place in range(BATCH)]
            body = [_record(day, f"r-{number}-{place}") for place, day in enumerate(days)]
            answer = self._post("/v1/log-records", body)
            if answer is not None:
                assert (answer["accepted"] + answer["duplicates"], answer["rejected"]) == (BATCH, [])
                self.acknowledged.update(entry["request_id"] for entry in body)
                self.answered["send"] += 1
                number += 1

    def close(self) -> None:
        """One day after the other; a day that is closed has one digest for good."""
        while not self.stopping.is_set():
            for days in range(DAYS, 0, -1):
                answer = self._post("/v1/close", {"day": ago(days)})
                for result in answer["results"] if answer else ():
                    assert result["outcome"] in ("closed", "zero", "exists"), result
                    assert self.digests.setdefault(result["day"], result["digest"]) == result["digest"]
                    self.answered["close"] += 1

    def adjust(self) -> None:
        """What `tallybook reconcile --post` has the server do."""
        while not self.stopping.is_set():
            for line in self._operation("reconcile", {"post": True}):
                for result in line.get("answer", {}).get("results", ()):
                    if "adjustment" in result:
                        assert result["adjustment"] not in self.adjustments
                        self.adjustments.add(result["adjustment"])
                    self.answered["adjust"] += 1

    def _post(self, path: str, body: Any) -> Any:
        try:
            answer = self.http.post(self.url + path, json=body)
        except httpx.HTTPError:
            time.sleep(0.02)
            return None
        assert answer.status_code in (200, 503), answer.text
        return answer.json() if answer.status_code == 200 else None

    def _operation(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        try:
            secret = json.loads((self.home.path / "server.json").read_bytes())["secret"]
            headers = {"Authorization": f"Bearer {secret}"}
            url = f"{self.url}/v1/operations/{name}"
            answer = self.http.post(url, json=arguments, headers=headers)
        except (httpx.HTTPError, OSError, ValueError):
            time.sleep(0.02)
            return []
        return [json.loads(line) for line in answer.text.splitlines()] if answer.status_code == 200 else []


def _record(day: str, request_id: str) -> dict[str, Any]:
    fields = {"tokens_in": 3, "tokens_out": 2, "latency_ms": 250, "team": "search"}
    return {
        "created_at": f"{day}T00:00:01Z",
        "model_name": "gpt-5",
        "status_code": 200,
        "request_id": request_id,
        **fields,
    }


@contextmanager
def working(*kinds: Callable[[], None], until: threading.Event) -> Iterator[None]:
    """While this lasts, all of them work; at its end each has had its last answer."""
    failed: list[BaseException] = []

    def work(kind: Callable[[], None]) -> None:
        try:
            kind()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()
    assert failed == []


def kill_again_and_again(home: Home, worker: Worker, *words: str) -> None:
    """Each server dies at some moment after one kind of work was answered once more, or at any moment at all."""
    chance = random.Random(20261125)
    for _ in range(KILLS):
        with serving(home, *words) as server:
            worker.url = server.url
            awaited = chance.choice(("send", "close", "adjust", None))
            if awaited:
                before = worker.answered[awaited]
                wait_for(lambda: worker.answered[awaited] > before)  # noqa: B023 - asked within the loop
            time.sleep(chance.uniform(0, 0.5))
            server.process.kill()
            server.process.wait()


def in_duckdb(home: Home) -> list[tuple[str, str]]:
    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        query = "SELECT request_id, CAST(CAST(created_at AS DATE) AS VARCHAR) FROM log_records"
        return logs.execute(query).fetchall()


def in_postgresql(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        query = "SELECT request_id, CAST(CAST(created_at AT TIME ZONE 'UTC' AS date) AS text) FROM tallybook_logs.log_records"
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("databases", ["SQLite and DuckDB", "PostgreSQL"])
def test_kills_lose_nothing_that_was_acknowledged_and_close_no_day_twice(
    home: Home, databases: str, request: pytest.FixtureRequest
) -> None:
    words: tuple[str, ...] = ()
    if databases == "PostgreSQL":
        url = request.getfixturevalue("postgres_url")
        words = ("--book", url, "--logs", url)
    first = [f"{ago(days)}T10:00:00Z,gpt-5,200,5,first-{days}" for days in range(DAYS, 0, -1)]
    header = "created_at,model_name,status_code,tokens_in,request_id"
    home.do("import", home.file("first.csv", header, *first), *words)

    worker = Worker(home)
    with worker.http, working(worker.send, worker.close, worker.adjust, until=worker.stopping):
        kill_again_and_again(home, worker, *words)
    home.ask("backfill", ago(DAYS), ago(1), *words)
    home.ask("reconcile", "--post", *words)

    rows = in_duckdb(home) if databases != "PostgreSQL" else in_postgresql(words[1])
    stored = Counter(request_id for request_id, _ in rows)
    by_day = Counter(day for _, day in rows)
    lost = [name for name in worker.acknowledged if name not in stored]
    twice = [name for name, count in stored.items() if count != 1]
    series = home.ask("stats", f"{ago(DAYS)}..{ago(1)}", *words)["series"]
    original = home.ask("stats", f"{ago(DAYS)}..{ago(1)}", "--basis", "original", *words)
    adjustments = home.ask("adjustments", *words)["adjustments"]
    report(
        f"kill -9, {databases}: {KILLS} kills, {len(worker.acknowledged):,} records acknowledged, {len(lost)} lost, "
        f"{len(twice)} twice; {len(worker.digests)} days closed, {len(adjustments)} adjustments"
    )
    assert worker.digests
    assert worker.adjustments
    assert len(worker.acknowledged) > KILLS * BATCH / 4
    assert (lost, twice) == ([], [])
    assert {entry["date"]: entry["requests"] for entry in series} == {
        ago(days): by_day[ago(days)] for days in range(DAYS, 0, -1)
    }
    added = sum(adjustment["change"]["requests"] for adjustment in adjustments)
    assert original["totals"]["requests"] + added == sum(entry["requests"] for entry in series)
    assert worker.adjustments <= {adjustment["seq"] for adjustment in adjustments}
    closings = {closing["day"]: closing["digest"] for closing in _closings(home, *words)}
    assert len(closings) == DAYS
    assert {day: closings[day] for day in worker.digests} == worker.digests
    assert home.is_intact(DAYS, *words)


def _closings(home: Home, *words: str) -> list[dict[str, Any]]:
    with serving(home, *words) as server:
        closings: list[dict[str, Any]] = server.get("/v1/closings")["closings"]
    assert len({(closing["source"], closing["day"]) for closing in closings}) == len(closings)
    return closings
