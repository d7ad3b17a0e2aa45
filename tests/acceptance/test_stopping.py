"""SIGTERM and Ctrl-C: what was accepted is finished, what was closed stays closed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable

import duckdb
import httpx
import pytest

from acceptance.running import COMMAND, Home, ago, end, environment, serving, wait_for

MANY_DAYS = 500


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_finishes_what_it_accepted_and_exits_with_0(
    home: Home, number: signal.Signals
) -> None:
    acknowledged: list[str] = []
    with serving(home) as server:
        senders = [
            threading.Thread(target=_post_until_refused, args=(server.url, name, acknowledged)) for name in "abcd"
        ]
        for sender in senders:
            sender.start()
        wait_for(lambda: len(acknowledged) > 20)
        assert server.stop(number) == 0
        for sender in senders:
            sender.join()
        assert [line["event"] for line in server.log_lines() if line["event"] in ("serving", "stopped")] == [
            "serving",
            "stopped",
        ]
        assert [line for line in server.log_lines() if line["level"] == "error"] == []
        assert [line for line in server.log.read_text().splitlines() if not line.startswith("{")] == []
    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        stored = [request_id for (request_id,) in logs.execute("SELECT request_id FROM log_records").fetchall()]
    assert len(set(stored)) == len(stored)
    assert set(acknowledged) <= set(stored)


def _post_until_refused(url: str, name: str, acknowledged: list[str]) -> None:
    with httpx.Client(base_url=url, trust_env=False) as http:
        for place in range(100_000):
            request_id = f"{name}-{place}"
            record = {"created_at": f"{ago(0)}T00:00:01Z", "model_name": "gpt-5", "status_code": 200}
            try:
                answer = http.post("/v1/log-records", json={**record, "request_id": request_id})
            except httpx.HTTPError:
                return
            if answer.status_code != 200:
                assert answer.status_code == 503
                return
            acknowledged.append(request_id)


@pytest.fixture
def long_history(home: Home) -> Home:
    """One request on each of many days, up to yesterday."""
    lines = [f"{ago(days)}T10:00:00Z,gpt-5,200" for days in range(MANY_DAYS, 0, -1)]
    home.do("import", home.file("history.csv", "created_at,model_name,status_code", *lines))
    return home


def closings(home: Home) -> int:
    """How many closings the book holds now, read from its file by a stranger."""
    if not (home.path / "book.sqlite").exists():
        return 0
    book = sqlite3.connect(f"file:{home.path}/book.sqlite?mode=ro", uri=True)
    try:
        return int(book.execute("SELECT COUNT(*) FROM closings").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        book.close()


def _heeds_ctrl_c() -> None:
    """As in a terminal: a job that a shell has put into the background ignores it, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupted_backfill(home: Home, closed_before: int) -> tuple[int, str]:
    process = subprocess.Popen(
        [COMMAND, "--home", str(home.path), "backfill", ago(MANY_DAYS), ago(1)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=_heeds_ctrl_c,  # noqa: PLW1509 - no thread runs yet
    )
    try:
        wait_for(lambda: closings(home) > closed_before)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        end(process)
    return process.returncode, err.decode()


STOPPED = "\ntallybook: Stopped. What was done is kept; run the command again to go on.\n"


def test_ctrl_c_in_a_long_backfill_keeps_the_closed_days_and_the_next_run_finishes(long_history: Home) -> None:
    assert _interrupted_backfill(long_history, 20) == (1, STOPPED)
    kept = closings(long_history)
    assert 20 < kept < MANY_DAYS
    assert long_history.is_intact(kept)

    results = long_history.ask("backfill", ago(MANY_DAYS), ago(1))["results"]
    outcomes = [result["outcome"] for result in results]
    assert outcomes == ["exists"] * kept + ["closed"] * (MANY_DAYS - kept)
    assert long_history.is_intact(MANY_DAYS)


def test_ctrl_c_in_a_backfill_that_a_server_does_stops_it_there(long_history: Home) -> None:
    long_history.do("close", ago(1))
    with serving(long_history) as server:
        assert _interrupted_backfill(long_history, 21) == (1, STOPPED)
        kept = _settled(lambda: closings(long_history))
        assert 20 < kept < MANY_DAYS
        assert server.get("/readyz")["closings"] == kept
    assert long_history.is_intact(kept)


def _settled(count: Callable[[], int]) -> int:
    """The count once it has stopped to grow."""
    seen: list[int] = []

    def still() -> bool:
        seen.append(count())
        return len(seen) >= 25 and len(set(seen[-25:])) == 1

    wait_for(still)
    return seen[-1]
