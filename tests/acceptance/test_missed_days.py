"""A server that was down when days ended closes them when it starts, and logs what it did in lines for machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from acceptance.running import Home, Server, ago, serving, wait_for
from stories import posted
from tallybook.logs.store import LogStore


def fill(home: Home, days: list[int], minutes_ago: int) -> None:
    """A request at noon of each of the days, that arrived so many minutes ago."""
    arrived = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    record = (
        '{"created_at": "%sT12:00:00Z", "model_name": "gpt-5", "status_code": 200, "tokens_in": 3, "tokens_out": 1}'
    )
    batch = posted("\n".join(record % ago(day) for day in days).encode(), arrived)
    logs = LogStore.open(home.path / "logs.duckdb")
    logs.append(batch.table, arrived)
    logs.close()


def closings(server: Server, count: int) -> list[tuple[str, str]]:
    def listed() -> list[Any] | None:
        found = server.get("/v1/closings")["closings"]
        return found if len(found) >= count else None

    return [(closing["day"], closing["state"]) for closing in wait_for(listed)]


def test_days_that_were_missed_are_closed_when_the_server_starts(home: Home) -> None:
    fill(home, [5, 4, 2, 1, 0], minutes_ago=60)
    with serving(home) as server:
        assert closings(server, 5) == [
            (ago(5), "closed"),
            (ago(4), "closed"),
            (ago(3), "zero"),
            (ago(2), "closed"),
            (ago(1), "closed"),
        ]
        (source,) = server.get("/v1/status")["sources"]
        assert (source["closed_through"], source["missing"]) == (ago(1), [])

        lines = [line for line in server.log_lines() if line["event"].startswith("day ")]
        assert [(line["event"], line["date"]) for line in lines] == [
            ("day closed", ago(5)),
            ("day closed", ago(4)),
            ("day zero", ago(3)),
            ("day closed", ago(2)),
            ("day closed", ago(1)),
        ]
        assert [(line["requests"], line["tokens_in"], line["tokens_out"]) for line in lines] == [
            (1, 3, 1),
            (1, 3, 1),
            (0, 0, 0),
            (1, 3, 1),
            (1, 3, 1),
        ]
    assert home.is_intact(5)


def test_an_older_day_whose_records_still_arrive_waits_while_yesterday_is_closed(home: Home) -> None:
    fill(home, [3, 1], minutes_ago=2)
    with serving(home) as server:
        assert closings(server, 1) == [(ago(1), "closed")]
        assert server.get("/v1/status")["sources"][0]["missing"] == [ago(3), ago(2)]


def test_why_a_day_is_skipped_or_refused_stands_in_the_log(home: Home) -> None:
    fill(home, [1], minutes_ago=60)
    with serving(home) as server:
        closings(server, 1)
        server.post("/v1/close", {"day": ago(2)})
        server.post("/v1/close", {"day": ago(0)})
        lines = {line["event"]: line for line in server.log_lines()}
    assert (lines["day skipped"]["date"], lines["day skipped"]["reason"]) == (
        ago(2),
        "before the source's first record",
    )
    assert (lines["day refused"]["date"], lines["day refused"]["reason"]) == (
        ago(0),
        f"{ago(0)} is not over: it can be closed from 00:05 UTC of the next day on",
    )
