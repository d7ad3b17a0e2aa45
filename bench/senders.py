"""Bodies such as senders post: log records a line, OTLP spans, LiteLLM events; every record of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

SECOND_US = 1_000_000
START_US = 1_795_305_600 * SECOND_US
"""2026-11-22T00:00:00Z"""

LITELLM_EVENT_BYTES = 12_000


def log_records(bodies: int, records: int, run: str) -> list[bytes]:
    """NDJSON of records with 13 fields each, about 300 bytes."""
    encoder = msgspec.json.Encoder()
    return [
        encoder.encode_lines(list(map(_record, _numbers(body, records), _ids(run, body, records))))
        for body in range(bodies)
    ]


def _numbers(body: int, records: int) -> Iterator[int]:
    return iter(range(body * records, (body + 1) * records))


def _ids(run: str, body: int, records: int) -> Iterator[str]:
    return (f"{run}-{body:08d}-{place:08d}" for place in range(records))


def _record(number: int, request_id: str) -> dict[str, Any]:
    hour, minute, second = number // 3600 % 24, number // 60 % 60, number % 60
    return {
        "created_at": f"2026-11-22T{hour:02d}:{minute:02d}:{second:02d}.{number % 1000:03d}Z",
        "model_name": f"model-{number % 40}",
        "status_code": 429 if number % 20 == 0 else 200,
        "request_id": request_id,
        "tokens_in": number % 5000,
        "tokens_out": number % 700,
        "latency_ms": number % 9000,
        "ttft_ms": number % 400,
        "cost_usd": "0.000123",
        "provider": "openai",
        "api_key": f"key-{number % 100}",
        "team": f"team-{number % 10}",
        "stream": True,
    }


def traces(bodies: int, spans: int, run: str) -> list[bytes]:
    """Spans as an instrumentation of the openai SDK makes them, with 15 attributes each."""
    return [_trace(body, spans, run) for body in range(bodies)]


def _trace(body: int, spans: int, run: str) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in _numbers(body, spans):
        start_ns = (START_US + number * 1000) * 1000
        span = scope.spans.add(
            trace_id=f"{run}{number:016d}"[-16:].encode(),
            span_id=(number + 1).to_bytes(8, "big"),
            name="chat gpt-5",
            kind=3,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + 1_234_567_890,
        )
        span.attributes.extend(_attributes(number))
    return request.SerializeToString()


def _attributes(number: int) -> Iterator[KeyValue]:
    texts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": f"gpt-{number % 40}",
        "gen_ai.response.model": f"gpt-{number % 40}-2026-01-01",
        "gen_ai.response.id": f"chatcmpl-{number}",
        "gen_ai.openai.request.service_tier": "auto",
        "gen_ai.openai.response.service_tier": "default",
        "server.address": "api.openai.com",
        "gen_ai.output.type": "text",
        "enduser.id": f"user-{number % 100}",
    }
    counts = {
        "gen_ai.usage.input_tokens": number % 5000,
        "gen_ai.usage.output_tokens": number % 700,
        "gen_ai.request.max_tokens": 1000,
        "gen_ai.request.seed": 7,
        "server.port": 443,
    }
    for name, text in texts.items():
        yield KeyValue(key=name, value=AnyValue(string_value=text))
    for name, count in counts.items():
        yield KeyValue(key=name, value=AnyValue(int_value=count))


def litellm_events(bodies: int, events: int, run: str) -> list[bytes]:
    """Arrays of events of 12 kB each, most of it prices and messages that nobody needs here."""
    start, _, end = msgspec.json.encode(_event()).partition(b"ID-OF-THE-EVENT")
    return [
        b"[" + b",".join(start + request_id.encode() + end for request_id in _ids(run, body, events)) + b"]"
        for body in range(bodies)
    ]


def _event() -> dict[str, Any]:
    event: dict[str, Any] = {
        "id": "ID-OF-THE-EVENT",
        "litellm_call_id": "3566461d-37b6-4331-b341-a432ca8c9c3a",
        "call_type": "acompletion",
        "status": "success",
        "stream": False,
        "custom_llm_provider": "openai",
        "startTime": START_US / SECOND_US + 0.653953,
        "endTime": START_US / SECOND_US + 1.907209,
        "completionStartTime": START_US / SECOND_US + 1.907209,
        "model": "gpt-4o-mini",
        "model_group": "small",
        "response_cost": 1.35e-05,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "metadata": {"user_api_key_hash": "a" * 64, "user_api_key_team_id": "search", "user_api_key_user_id": "ann"},
        "messages": [{"role": "user", "content": "hi there " * 150}],
        "error_information": {"error_code": "", "error_class": ""},
    }
    filler = LITELLM_EVENT_BYTES - len(msgspec.json.encode(event))
    prices = {f"cost_per_token_above_{number}k_tokens_priority": None for number in range(max(filler // 50, 1))}
    return {**event, "model_map_information": {"model_map_value": prices}}
