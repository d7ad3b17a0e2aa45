"""The calls that take log records: what senders are answered, in good days and in trouble."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tallybook.bookkeeper import Bookkeeper
from tallybook.collect import budget, intake
from tallybook.errors import LogsError
from tallybook.logs.own import Appended
from web.asking import Client, on

PROTOBUF = {"content-type": "application/x-protobuf"}
NOON_NS = 1_795_348_800_000_000_000
"""2026-11-22T12:00:00Z"""


def span(number: int, **attributes: str | int) -> Span:
    """A chat of 1.5 s at noon of yesterday."""
    made = Span(
        trace_id=b"t" * 16,
        span_id=number.to_bytes(8, "big"),
        name="chat gpt-5",
        start_time_unix_nano=NOON_NS,
        end_time_unix_nano=NOON_NS + 1_500_000_000,
    )
    given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", **attributes}
    for name, value in given.items():
        attribute = made.attributes.add(key=name)
        if isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value
    return made


def request(*spans: Span) -> bytes:
    made = ExportTraceServiceRequest()
    made.resource_spans.add().scope_spans.add().spans.extend(spans)
    return made.SerializeToString()


def tokens(count: int) -> dict[str, str | int]:
    return {"gen_ai.usage.input_tokens": count, "gen_ai.usage.output_tokens": 1}


def post(client: Client, body: bytes) -> Any:
    return client.post("/v1/traces", content=body, headers=PROTOBUF)


def yesterday(client: Client) -> dict[str, Any]:
    client.post("/v1/close", json={"day": "2026-11-22"})
    totals: dict[str, Any] = client.get("/v1/stats", params={"period": "yesterday"}).json()["totals"]
    return totals


class TestTraces:
    def test_spans_are_stored_once_however_often_they_come(self, client: Client) -> None:
        body = request(span(1, **tokens(10)), span(2, **tokens(20)))
        for _ in range(3):
            answer = post(client, body)
            assert (answer.status_code, answer.headers["content-type"], answer.content) == (
                200,
                "application/x-protobuf",
                b"",
            )
        totals = yesterday(client)
        assert (totals["requests"], totals["tokens_in"], totals["latency_sum_ms"]) == (2, 30, 3000)

    def test_what_is_rejected_is_a_partial_success_with_the_reason(self, client: Client) -> None:
        late = span(2, **tokens(2))
        late.start_time_unix_nano = late.end_time_unix_nano = NOON_NS + 86_400_000_000_000
        answer = post(client, request(span(1, **tokens(1)), late))
        assert answer.status_code == 200
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_spans == 1
        assert partial.error_message == "created_at is more than 10 minutes ahead of this server's clock"
        assert yesterday(client)["requests"] == 1

    def test_a_parent_that_repeats_its_child_s_usage_counts_once_though_it_comes_later(self, client: Client) -> None:
        child, parent = span(2, **tokens(7)), span(1, **tokens(7))
        child.parent_span_id = parent.span_id
        for body in (request(child), request(parent), request(parent)):
            assert post(client, body).status_code == 200
        totals = yesterday(client)
        assert (totals["requests"], totals["tokens_in"]) == (1, 7)

    def test_json_is_answered_in_json(self, client: Client) -> None:
        answer = client.post("/v1/traces", json={"resourceSpans": []})
        assert (answer.status_code, answer.json()) == (200, {})

    @pytest.mark.parametrize(("kind", "body"), [("application/x-protobuf", b"junk"), ("application/json", b"{")])
    def test_a_body_that_is_none_is_400_in_its_own_encoding(self, client: Client, kind: str, body: bytes) -> None:
        answer = client.post("/v1/traces", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (400, kind)
        assert b"Send an ExportTraceServiceRequest" in answer.content

    def test_another_content_type_is_415(self, client: Client) -> None:
        answer = client.post("/v1/traces", content=b"x", headers={"content-type": "text/plain"})
        assert answer.status_code == 415
        assert answer.json()["error"]["hint"] == "Send application/x-protobuf or application/json."

    @pytest.mark.parametrize("signal", ["logs", "metrics"])
    def test_other_signals_are_taken_and_left_unread(self, client: Client, signal: str) -> None:
        answer = client.post(f"/v1/{signal}", content=b"anything", headers=PROTOBUF)
        assert (answer.status_code, answer.content) == (200, b"")
        assert client.get("/v1/status").json()["sources"] == []


class TestLiteLLM:
    EVENT: ClassVar = {
        "id": "chatcmpl-1",
        "status": "success",
        "call_type": "acompletion",
        "startTime": 1_795_348_800.25,
        "endTime": 1_795_348_801.75,
        "model": "openai/gpt-4o-mini",
        "model_group": "small",
        "custom_llm_provider": "openai",
        "response_cost": 1.35e-05,
        "prompt_tokens": 10,
        "completion_tokens": 20,
    }

    def test_an_event_is_one_record_however_often_it_comes(self, client: Client) -> None:
        answers = [client.post("/v1/litellm", json=[self.EVENT, self.EVENT]).json() for _ in range(2)]
        assert answers == [
            {"accepted": 1, "duplicates": 1, "rejected": []},
            {"accepted": 0, "duplicates": 2, "rejected": []},
        ]
        totals = yesterday(client)
        facts = {
            name: totals[name]
            for name in ("requests", "success", "tokens_in", "tokens_out", "latency_sum_ms", "cost_usd")
        }
        assert facts == {
            "requests": 1,
            "success": 1,
            "tokens_in": 10,
            "tokens_out": 20,
            "latency_sum_ms": 1500,
            "cost_usd": "0.0000135",
        }


class TestInTrouble:
    ALL: ClassVar[tuple[tuple[str, bytes, dict[str, str]], ...]] = (
        ("/v1/log-records", b'{"created_at":"2026-11-22T10:00:00Z","model_name":"gpt-5","status_code":200}', {}),
        ("/v1/traces", request(span(1)), PROTOBUF),
    )

    @pytest.mark.parametrize(("path", "body", "headers"), ALL)
    def test_a_full_disk_is_503_which_senders_try_again(
        self,
        client: Client,
        keeper: Bookkeeper,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
        body: bytes,
        headers: dict[str, str],
    ) -> None:
        def full(*_: object) -> Appended:
            raise LogsError("The disk that holds the logs is full.", "Free some space; nothing was half-written.")

        with monkeypatch.context() as broken:
            broken.setattr(keeper.logs, "append", full)
            answer = client.post(path, content=body, headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert b"The disk that holds the logs is full." in answer.content
        assert client.post(path, content=body, headers=headers).status_code == 200

    @pytest.mark.parametrize(("path", "body", "headers"), ALL)
    def test_more_than_fits_is_429_and_the_same_body_is_taken_later(
        self, client: Client, keeper: Bookkeeper, path: str, body: bytes, headers: dict[str, str]
    ) -> None:
        keeper.intake.budget.take(budget.MAX_QUEUE_BYTES)
        answer = client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        keeper.intake.budget.give(budget.MAX_QUEUE_BYTES)
        assert client.post(path, content=body, headers=headers).status_code == 200
        assert keeper.intake.budget.taken_bytes == 0

    def test_a_slip_of_our_own_is_no_500_to_an_exporter(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def slip(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as broken:
            broken.setattr(intake, "to_batch", slip)
            answer = post(client, request(span(1)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "request failed unexpectedly" in caplog.messages
        assert post(client, request(span(1))).status_code == 200

    def test_a_record_that_brings_no_cost_gets_one_and_the_closing_says_from_where(self, client: Client) -> None:
        known = {**on("22"), "model_name": "gpt-4o-mini", "provider": "openai", "tokens_in": 1_000_000, "tokens_out": 0}
        client.post(
            "/v1/log-records", json=[known, {**known, "model_name": "no-such-model"}, {**known, "cost_usd": "1"}]
        )
        totals = yesterday(client)
        assert (totals["cost_usd"], totals["priced_requests"], totals["requests"]) == ("1.15", 2, 3)
        (closing,) = client.get("/v1/closings").json()["closings"]
        (version,) = closing["prices"]
        assert version.startswith("genai-prices ")
