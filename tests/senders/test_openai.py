"""OpenAI's SDK, watched by each instrumentation, against an OpenAI of our own that fails sometimes and counts."""

from __future__ import annotations

import pytest

from acceptance.running import Home, Server, serving, wait_for
from senders.relay import relay
from senders.sending import FakeOpenAI, counted, fake_openai, figures, free_port, send, sending, stored_ids

pytestmark = pytest.mark.senders

WATCHED = {
    "openai-v2": ("openai-v2", "5", "--without", "responses"),
    "genai-openai": ("all", "4"),
    "openllmetry": ("all", "4"),
    "openinference": ("all", "4"),
    "openlit": ("all", "4"),
}
"""Where each instrumentation is installed, and how it comes to twenty calls of the kinds that it sees at all."""
MORE_SETTINGS = {
    "genai-openai": {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"},
    "openllmetry": {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
    "openinference": {"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate", "OTEL_BSP_SCHEDULE_DELAY": "10"},
    "openlit": {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"},
}
INVENTED = {"openlit": (15, 16)}
"""Tokens in and out that an instrumentation makes up for each answer that told none; the others leave them unknown."""

SOMETIMES = (200, 200, 200, 200, 200, 200, 429, 200, 500)


def program(instrumentation: str, *words: str) -> list[str]:
    return ["python", "-m", "senders.programs.openai_calls", instrumentation, *words]


def to(server_url: str, openai: FakeOpenAI, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server_url, "OPENAI_BASE_URL": f"{openai.url}/v1", **more}


def expected(instrumentation: str, truth: dict[str, int]) -> dict[str, int]:
    """What the OpenAI of our own counted, with what the instrumentation invents."""
    tokens_in, tokens_out = INVENTED.get(instrumentation, (0, 0))
    untold = truth.pop("untold")
    truth["tokens_in"] += untold * tokens_in
    truth["tokens_out"] += untold * tokens_out
    return truth


@pytest.mark.parametrize("instrumentation", WATCHED)
def test_what_is_stored_is_what_openai_has_counted(home: Home, instrumentation: str) -> None:
    with serving(home) as server, fake_openai(*SOMETIMES) as openai:
        where, *words = WATCHED[instrumentation]
        env = to(server.url, openai, **MORE_SETTINGS.get(instrumentation, {}))
        sent = send(where, *program(instrumentation, *words), env=env)
        assert (sent["calls"], sent["failed"]) == (20, 4)
        truth = openai.truth()
        assert (truth["requests"], truth["success"], truth["failed"], truth["untold"] > 0) == (20, 16, 4, True)
        assert figures(server) == expected(instrumentation, truth)
        arrived = counted(server, "traces")
        assert (arrived["accepted"], arrived["duplicate"], arrived["rejected"]) == (20, 0, 0)
        assert arrived["ignored"] == len(sent["acknowledged"]) - 20
        assert server.stop() == 0
    assert set(stored_ids(home)) <= set(sent["acknowledged"])


def test_retries_of_the_sdk_are_one_request_that_ends_as_the_last_of_them(home: Home) -> None:
    statuses = (200, 429, 200, 500, 500, 500, 200)  # with two retries: good, good at once again, failed, good
    with serving(home) as server, fake_openai(*statuses) as openai:
        sent = send("all", *program("genai-openai", "2", "--retries", "2"), env=to(server.url, openai))
        assert (sent["calls"], sent["failed"]) == (10, 2)
        truth = openai.truth()
        assert (truth["requests"], truth["success"], truth["failed"]) == (17, 8, 9)
        tokens = {"tokens_in": truth["tokens_in"], "tokens_out": truth["tokens_out"]}
        assert figures(server) == {"requests": 10, "success": 8, "failed": 2, **tokens}


def test_a_restart_and_a_kill_amid_sending_lose_nothing_and_count_nothing_twice(home: Home) -> None:
    port = free_port()
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"}
    with fake_openai(*SOMETIMES) as openai:
        env = to(f"http://127.0.0.1:{port}", openai, **settings)
        with sending("all", *program("openinference", "60", "--pause", "0.02"), env=env) as sender:
            with serving(home, "--port", port) as server:
                _wait_for_more(server)
                server.process.kill()
                server.process.wait()
            with serving(home, "--port", port) as server:
                _wait_for_more(server)
                assert server.stop() == 0
            with serving(home, "--port", port) as server:
                sent = sender.outcome()
                assert sent["calls"] == 300
                assert figures(server) == expected("openinference", openai.truth())
                assert server.stop() == 0
    stored = stored_ids(home)
    assert len(stored) == len(set(stored))
    assert set(stored) == set(sent["acknowledged"])


def _wait_for_more(server: Server) -> None:
    before = figures(server)["requests"]
    wait_for(lambda: figures(server)["requests"] > before)


def test_an_exporter_as_it_comes_posts_logs_and_metrics_too_and_has_nothing_to_complain_of(home: Home) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    }
    with serving(home) as server, relay(server.url) as posted, fake_openai(*SOMETIMES) as openai:
        words = ["opentelemetry-instrument", *program("of-itself", "5", "--without", "responses")]
        sent = send("openai-v2", *words, env=to(posted.url, openai, **settings))
        assert sent["calls"] == 20
        assert figures(server) == expected("openai-v2", openai.truth())
        assert counted(server, "traces") == {"accepted": 20, "duplicate": 0, "rejected": 0, "ignored": 20}
    assert {*posted.answered} == {("/v1/traces", 200), ("/v1/metrics", 200), ("/v1/logs", 200)}
