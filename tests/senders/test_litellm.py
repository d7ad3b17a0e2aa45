"""LiteLLM's SDK and its generic API logger, which before 1.108 loses, and repeats, what it logs while it posts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from acceptance.running import Home, Server, serving, wait_for
from senders.sending import counted, figures, free_port, send, sending, stored_ids

pytestmark = pytest.mark.senders

FORMATS = ("json_array", "ndjson", "single")
PROGRAM = ("python", "-m", "senders.programs.litellm_calls")


def to(server_url: str, **more: str) -> dict[str, str]:
    return {"GENERIC_LOGGER_ENDPOINT": f"{server_url}/v1/litellm", **more}


def hurried(server_url: str) -> dict[str, str]:
    """With batches so small that many are posted."""
    return to(server_url, DEFAULT_BATCH_SIZE="50")


def cost_usd(tokens: dict[str, list[int]]) -> Decimal:
    """What these tokens cost in dollars, at prices in nano-USD a token."""
    chat_in, chat_out = tokens["gpt-4o-mini"]
    embedded, _ = tokens["text-embedding-3-small"]
    return Decimal(chat_in * 150 + chat_out * 600 + embedded * 20) / 10**9


def expected(sent: dict[str, Any]) -> dict[str, int]:
    return {
        "requests": sent["sent"],
        "success": sent["sent"] - sent["failed"],
        "failed": sent["failed"],
        "tokens_in": sum(tokens_in for tokens_in, _ in sent["tokens"].values()),
        "tokens_out": sum(tokens_out for _, tokens_out in sent["tokens"].values()),
    }


def by_model(server: Server) -> dict[str, list[int]]:
    rows = server.get("/v1/stats", period="today", by="model")["by"]["rows"]
    return {row["value"]: [row["tokens_in"], row["tokens_out"]] for row in rows}


def ids(events: list[list[str]]) -> set[str]:
    return {request_id for request_id, _ in events}


@pytest.mark.parametrize("log_format", FORMATS)
def test_at_a_slow_pace_all_arrives_to_the_digit(home: Home, log_format: str) -> None:
    with serving(home) as server:
        sent = send("all", *PROGRAM, log_format, "4", "25", env=to(server.url))
        assert (sent["sent"], sent["failed"]) == (100, 20)
        assert figures(server) == expected(sent)
        assert by_model(server) == sent["tokens"]
        assert Decimal(server.get("/v1/stats", period="today")["totals"]["cost_usd"]) == cost_usd(sent["tokens"])
        assert counted(server, "litellm") == {"accepted": 100, "duplicate": 0, "rejected": 0, "ignored": 0}
        assert server.stop() == 0
    assert len(sent["offered"]) == 100
    assert sorted(stored_ids(home)) == sorted(ids(sent["offered"]))


@pytest.mark.parametrize(("log_format", "calls"), [("json_array", "300"), ("ndjson", "300"), ("single", "120")])
def test_flat_out_it_repeats_itself_and_nothing_is_counted_twice(home: Home, log_format: str, calls: str) -> None:
    with serving(home) as server:
        sent = send("litellm-before-1.108", *PROGRAM, log_format, "1", calls, "--flat-out", env=hurried(server.url))
        arrived = counted(server, "litellm")
        assert figures(server)["requests"] == arrived["accepted"]
        assert server.stop() == 0
    acknowledged = ids(sent["acknowledged"])
    assert len(sent["acknowledged"]) > len(acknowledged), "it did not repeat itself"
    assert arrived["accepted"] + arrived["duplicate"] >= len(sent["acknowledged"])
    assert arrived["rejected"] == 0

    stored = stored_ids(home)
    assert len(stored) == len(set(stored)) == arrived["accepted"] <= int(calls)
    assert acknowledged <= set(stored) <= ids(sent["offered"])


@pytest.mark.parametrize("log_format", FORMATS)
def test_flat_out_a_newer_one_sends_all_and_all_is_counted_once(home: Home, log_format: str) -> None:
    with serving(home) as server:
        sent = send("all", *PROGRAM, log_format, "1", "300", "--flat-out", env=hurried(server.url))
        assert (sent["sent"], sent["failed"]) == (300, 60)
        assert figures(server) == expected(sent)
        arrived = counted(server, "litellm")
        assert (arrived["accepted"], arrived["rejected"]) == (300, 0)
        assert arrived["accepted"] + arrived["duplicate"] == len(sent["acknowledged"])
        assert server.stop() == 0
    assert sorted(stored_ids(home)) == sorted(ids(sent["offered"]))


def test_with_retries_it_outlives_a_kill_and_nothing_is_counted_twice(home: Home) -> None:
    port = free_port()
    endpoint = to(f"http://127.0.0.1:{port}")
    with sending("all", *PROGRAM, "json_array", "30", "20", "--retries", "6", env=endpoint) as sender:
        for _ in range(2):
            with serving(home, "--port", port) as server:
                before = figures(server)["requests"]
                wait_for(lambda: figures(server)["requests"] > before)  # noqa: B023 - asked within the loop
                server.process.kill()
                server.process.wait()
        with serving(home, "--port", port) as server:
            sent = sender.outcome()
            assert (sent["sent"], sent["failed"]) == (600, 120)
            assert figures(server) == expected(sent)
            assert server.stop() == 0
    assert sorted(stored_ids(home)) == sorted(ids(sent["offered"]))
