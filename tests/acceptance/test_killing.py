"""kill -9, again and again: what was acknowledged is there, exactly once, and the book is whole."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import duckdb
import httpx

from acceptance.running import Home, ago, serving

KILLS = 10
BATCH = 20
DAYS = 40


@dataclass
class Sender:
    """Posts batch after batch, each until it is acknowledged, to whatever server there is; then asks for a backfill."""

    url: str = ""
    acknowledged: set[str] = field(default_factory=set)
    days_closed: dict[str, str] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def post_records(self) -> None:
        number = 0
        while not self.stopping.is_set():
            ids = [f"r-{number}-{place}" for place in range(BATCH)]
            body = [{**_record(ago(0)), "request_id": request_id} for request_id in ids]
            answer = self._post("/v1/log-records", body)
            if answer is not None:
                assert (answer["accepted"] + answer["duplicates"], answer["rejected"]) == (BATCH, [])
                self.acknowledged.update(ids)
                number += 1

    def close_days(self) -> None:
        while not self.stopping.is_set():
            for days in range(DAYS, 0, -1):
                answer = self._post("/v1/close", {"day": ago(days)})
                for result in answer["results"] if answer else ():
                    assert result["outcome"] in ("closed", "exists"), result
                    assert self.days_closed.setdefault(result["day"], result["digest"]) == result["digest"]

    def _post(self, path: str, body: Any) -> Any:
        try:
            answer = httpx.post(self.url + path, json=body, timeout=20, trust_env=False)
        except httpx.HTTPError:
            time.sleep(0.02)
            return None
        return answer.json() if answer.status_code == 200 else None


def _record(day: str) -> dict[str, Any]:
    return {"created_at": f"{day}T00:00:01Z", "model_name": "gpt-5", "status_code": 200, "tokens_in": 1}


def test_ten_kills_lose_nothing_that_was_acknowledged_and_count_nothing_twice(home: Home) -> None:
    lines = [f"{ago(days)}T10:00:00Z,gpt-5,200,5" for days in range(DAYS, 0, -1)]
    home.do("import", home.file("old.csv", "created_at,model_name,status_code,tokens_in", *lines))
    sender = Sender()
    threads = [threading.Thread(target=work) for work in (sender.post_records, sender.close_days)]
    patience = random.Random(20261123)  # the same pauses every time
    try:
        for kill in range(KILLS):
            with serving(home) as server:
                sender.url = server.url
                if kill == 0:
                    for thread in threads:
                        thread.start()
                time.sleep(patience.uniform(0.1, 0.6))
                server.process.kill()
                server.process.wait()
        with serving(home) as server:
            sender.url = server.url
            time.sleep(0.3)
            sender.stopping.set()
            for thread in threads:
                thread.join()
            assert server.stop() == 0
    finally:
        sender.stopping.set()

    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        query = "SELECT request_id, COUNT(*) FROM log_records WHERE request_id IS NOT NULL GROUP BY request_id"
        stored = dict(logs.execute(query).fetchall())
    assert sender.acknowledged
    assert [request_id for request_id in sender.acknowledged if stored.get(request_id) != 1] == []
    assert [request_id for request_id, count in stored.items() if count != 1] == []

    results = home.ask("backfill", ago(DAYS), ago(1))["results"]
    assert {result["outcome"] for result in results} <= {"closed", "exists"}
    assert {result["requests"] for result in results} == {1}
    digests = {result["day"]: result["digest"] for result in results}
    assert {day: digests[day] for day in sender.days_closed} == sender.days_closed
    assert home.is_intact(DAYS)
