"""Two servers on one book, racing to close a hundred days: each day is closed once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from acceptance.running import Home, Server, ago, serving
from reliability.figures import report

pytestmark = pytest.mark.acceptance

DAYS = 100
RACED = [ago(days) for days in range(DAYS + 1, 1, -1)]
"""Yesterday has no record, so the servers leave it open for ten minutes after the import."""


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_two_servers_race_to_close_a_hundred_days_and_each_is_closed_once(
    new_home: Callable[[], Home], database: str, request: pytest.FixtureRequest
) -> None:
    one, other = new_home(), new_home()
    book = (
        f"sqlite:///{one.path.parent}/shared.sqlite"
        if database == "SQLite"
        else request.getfixturevalue("postgres_url")
    )
    lines = [f"{day}T10:00:00Z,gpt-5,200,1" for day in RACED]
    for home in (one, other):
        home.do("import", home.file("days.csv", "created_at,model_name,status_code,tokens_in", *lines))

    with serving(one, "--book", book) as first, serving(other, "--book", book) as second:
        answers: dict[int, list[dict[str, Any]]] = {}
        start = threading.Barrier(2)

        def race(number: int, server: Server) -> None:
            start.wait()
            answers[number] = [server.post("/v1/close", {"day": day})["results"][0] for day in RACED]

        threads = [threading.Thread(target=race, args=entry) for entry in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        closings = first.get("/v1/closings")["closings"]
        assert closings == second.get("/v1/closings")["closings"]
        assert first.get("/v1/stats", period=f"{RACED[0]}..{RACED[-1]}")["totals"]["requests"] == DAYS

    won = [Counter(result["outcome"] for result in answers[number]) for number in (0, 1)]
    twice = [day for day, count in Counter(closing["day"] for closing in closings).items() if count > 1]
    report(
        f"two servers on one {database} book: {DAYS} days, {won[0]['closed']} closed by the one, {won[1]['closed']} by the "
        f"other, {len(twice)} twice"
    )
    assert [closing["seq"] for closing in closings] == list(range(1, DAYS + 1))
    assert twice == []
    assert won[0]["closed"] + won[1]["closed"] == DAYS
    assert won[0] + won[1] == Counter({"closed": DAYS, "exists": DAYS})
    verdict = one.ask("verify", "--book", book)
    assert (verdict["verdict"], verdict["closings"], verdict["faults"]) == ("intact", DAYS, [])
