"""Two servers on one book and one log database, both in PostgreSQL: what either gets is in the statistics of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from acceptance.running import Home, Server, ago, serving

BATCHES, BATCH = 20, 50


def entry(days: int, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "created_at": f"{ago(days)}T10:00:00Z",
        "model_name": "gpt-5",
        "status_code": 200,
        "request_id": name,
        **fields,
    }


def test_what_two_servers_collect_is_counted_once_and_closed_once(
    new_home: Callable[[], Home], postgres_url: str
) -> None:
    """Each gets 1,000 requests; half of them are the same at both."""
    shared = ("--book", postgres_url, "--logs", postgres_url)
    one, other = new_home(), new_home()
    with serving(one, *shared) as first, serving(other, *shared) as second:
        receipts: list[dict[str, int]] = []

        def send(server: Server, name: str) -> None:
            for batch in range(BATCHES):
                names = [f"{name if n % 2 else 'both'}-{batch}-{n}" for n in range(BATCH)]
                receipts.append(server.post("/v1/log-records", [entry(1, each, tokens_in=3) for each in names]))

        threads = [threading.Thread(target=send, args=pair) for pair in ((first, "first"), (second, "second"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(receipt["accepted"] for receipt in receipts) == 1_500
        assert sum(receipt["duplicates"] for receipt in receipts) == 500

        closed = [
            server.post("/v1/backfill", {"from": ago(1), "to": ago(1)})["results"][0] for server in (first, second)
        ]
        assert [(each["outcome"], each["requests"]) for each in closed] == [("closed", 1_500), ("exists", 1_500)]
        for server in (first, second):
            totals = server.get("/v1/stats", period="yesterday")["totals"]
            assert (totals["requests"], totals["tokens_in"]) == (1_500, 4_500)
            (standing,) = server.get("/v1/status")["sources"]
            assert (standing["source"], standing["records_in_logs"], standing["drift"]) == ("local", 1_500, [])

        late = second.post("/v1/log-records", [entry(1, "late"), entry(1, "both-0-0")])
        assert (late["accepted"], late["duplicates"]) == (1, 1)
        for server in (first, second):
            (standing,) = server.get("/v1/status")["sources"]
            assert standing["drift"] == [{"day": ago(1), "requests": 1}]
            assert [line for line in server.log_lines() if line["level"] in ("warning", "error")] == []


def test_a_command_needs_no_server_and_does_not_disturb_one(new_home: Callable[[], Home], postgres_url: str) -> None:
    shared = ("--book", postgres_url, "--logs", postgres_url)
    home = new_home()
    lines = [f"{ago(2)}T10:00:00Z,gpt-5,200,{number}" for number in range(7)]
    file = home.file("days.csv", "created_at,model_name,status_code,tokens_in", *lines)
    with serving(home, *shared) as server:
        server.post("/v1/log-records", [entry(2, "posted")])
        (imported,) = home.ask("import", file, *shared)["files"]
        assert (imported["accepted"], imported["already"]) == (7, False)
        assert server.get("/v1/status")["sources"][0]["records_in_logs"] == 8
        home.do("backfill", ago(2), ago(1), *shared)
        assert server.get("/v1/stats", period="last7d")["totals"]["requests"] == 8
        pruned = home.ask("prune", "--before", ago(1), *shared)
        assert (pruned["deleted_records"], pruned["deleted_days"], pruned["kept"]) == (8, [ago(2)], [])
        assert server.get("/v1/stats", period="last7d")["totals"]["requests"] == 8
    (again,) = home.ask("import", file, *shared)["files"]
    assert (again["accepted"], again["already"]) == (0, True)


def test_logs_that_are_not_there_are_told_without_their_password(new_home: Callable[[], Home]) -> None:
    ran = new_home().run("status", "--logs", "postgresql://someone:s3cr3t-word@127.0.0.1:1/logs")
    assert "s3cr3t" not in ran.err + ran.out
    assert ran.failed_plainly(1).startswith("The logs' PostgreSQL cannot be reached: ")
