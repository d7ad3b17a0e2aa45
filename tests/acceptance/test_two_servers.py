"""Two servers, each with logs of its own, on one book in PostgreSQL: each day is closed once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from acceptance.running import Home, Server, ago, serving

DAYS = 30


def test_two_servers_that_close_the_same_days_at_once_close_each_once(
    new_home: Callable[[], Home], postgres_url: str
) -> None:
    lines = [f"{ago(days)}T10:00:00Z,gpt-5,200,{days}" for days in range(DAYS, 0, -1)]
    one, other = new_home(), new_home()
    for home in (one, other):
        home.do("import", home.file("days.csv", "created_at,model_name,status_code,tokens_in", *lines))
    one.do("close", ago(1), "--book", postgres_url)

    with serving(one, "--book", postgres_url) as first, serving(other, "--book", postgres_url) as second:
        answers: dict[int, Any] = {}
        start = threading.Barrier(2)

        def backfill(number: int, server: Server) -> None:
            start.wait()
            answers[number] = server.post("/v1/backfill", {"from": ago(DAYS), "to": ago(2)})["results"]

        threads = [threading.Thread(target=backfill, args=entry) for entry in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        pairs = list(zip(answers[0], answers[1], strict=True))
        assert [sorted((mine["outcome"], theirs["outcome"])) for mine, theirs in pairs] == [["closed", "exists"]] * (
            DAYS - 1
        )
        assert [mine["digest"] for mine, _ in pairs] == [theirs["digest"] for _, theirs in pairs]
        closings = first.get("/v1/closings")["closings"]
        assert closings == second.get("/v1/closings")["closings"]
        assert [closing["seq"] for closing in closings] == list(range(1, DAYS + 1))
        for server in (first, second):
            assert server.get("/v1/stats", period="last30d")["totals"]["requests"] == 30
            assert [line for line in server.log_lines() if line["level"] in ("warning", "error")] == []

    verdict = one.ask("verify", "--book", postgres_url)
    assert (verdict["verdict"], verdict["closings"], verdict["faults"]) == ("intact", DAYS, [])


def test_two_servers_that_start_on_an_empty_postgresql_make_one_book(
    new_home: Callable[[], Home], postgres_url: str
) -> None:
    def start(home: Home, ready: threading.Barrier, done: list[bool]) -> None:
        with serving(home, "--book", postgres_url) as server:
            done.append(server.get("/readyz")["status"] == "ready")
            ready.wait(60)

    done: list[bool] = []
    ready = threading.Barrier(2)
    threads = [threading.Thread(target=start, args=(new_home(), ready, done)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True, True]
    assert new_home().ask("verify", "--book", postgres_url)["verdict"] == "intact"
