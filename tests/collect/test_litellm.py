"""LiteLLM's generic API logger: two events as they really came, and what misleads in others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallybook.collect.decoded import Decoded
from tallybook.collect.litellm import decode_litellm
from tallybook.records import LogRecord, UnreadableBody

SUCCESS = r"""{
  "id": "chatcmpl-49497937-895d-4795-b082-0978f719a5c6", "litellm_call_id": "3566461d-37b6-4331-b341-a432ca8c9c3a",
  "trace_id": "4479f749-0b84-43e1-b9f1-625e9a573ee4", "session_id": "", "call_type": "acompletion",
  "cache_hit": null, "stream": null, "status": "success",
  "status_fields": {"llm_api_status": "success", "guardrail_status": "not_run"}, "custom_llm_provider": "openai",
  "saved_cache_cost": 0.0, "startTime": 1795457784.653953, "endTime": 1795457784.667209,
  "completionStartTime": 1795457784.667209, "response_time": 0.013255834579467773, "model": "openai/gpt-4o-mini",
  "metadata": {"user_api_key_hash": "litellm_proxy_master_key", "user_api_key_alias": null, "user_api_key_spend": 0.0, "user_api_key_team_id": null, "user_api_key_user_id": "default_user_id", "user_api_key_end_user_id": "alice", "user_api_key_request_route": "/v1/chat/completions", "requester_ip_address": "127.0.0.1", "user_agent": "curl/7.88.1", "requester_metadata": {"tags": ["t1"], "headers": {"host": "127.0.0.1:4010", "user-agent": "curl/7.88.1", "accept": "*/*", "content-type": "application/json", "content-length": "112"}, "used_client_oauth_token": false}, "applied_guardrails": [], "usage_object": {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30, "completion_tokens_details": null, "prompt_tokens_details": null}, "requester_custom_headers": {}, "user_api_key_auth_metadata": {}, "used_client_oauth_token": false},
  "cache_key": null, "response_cost": 1.35e-05,
  "cost_breakdown": {"input_cost": 1.5e-06, "output_cost": 1.2e-05, "total_cost": 1.35e-05, "original_cost": 1.35e-05},
  "autorouter_savings": null, "autorouter_savings_estimate": null, "autorouter_baseline_observation": null,
  "total_tokens": 30, "prompt_tokens": 10, "completion_tokens": 20,
  "request_tags": ["t1", "User-Agent: curl", "User-Agent: curl/7.88.1"], "request_model_access_groups": [],
  "end_user": "alice", "api_base": "", "model_group": "mock-gpt",
  "model_id": "c2d82f7181886abfa3486a15f1d882892638686abc5870246c7c389cb2d3e9a3",
  "requester_ip_address": "127.0.0.1", "user_agent": "curl/7.88.1",
  "messages": [{"role": "user", "content": "hi there"}],
  "response": {"id": "chatcmpl-49497937-895d-4795-b082-0978f719a5c6", "created": 1795457784, "model": "mock-gpt", "object": "chat.completion", "system_fingerprint": null, "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": "Hello from a mocked model, offline.", "role": "assistant", "tool_calls": null, "function_call": null}}], "usage": {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30, "completion_tokens_details": null, "prompt_tokens_details": null}},
  "model_parameters": {"stream": false, "user": "alice"},
  "hidden_params": {"model_id": "c2d82f7181886abfa3486a15f1d882892638686abc5870246c7c389cb2d3e9a3", "api_base": "https://api.openai.com", "response_cost": 1.35e-05, "additional_headers": {"x-litellm-model-group": "mock-gpt", "x-litellm-attempted-retries": 0, "x-litellm-attempted-fallbacks": 0}, "litellm_model_name": "openai/gpt-4o-mini"},
  "model_map_information": {"model_map_key": "openai/gpt-4o-mini", "model_map_value": {"key": "gpt-4o-mini", "max_tokens": 16384, "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, "litellm_provider": "openai", "mode": "chat"}},
  "error_str": null,
  "error_information": {"error_code": "", "error_class": "", "llm_provider": "", "error_message": ""},
  "response_cost_failure_debug_info": null, "zero_cost_diagnostic": null, "guardrail_information": null,
  "standard_built_in_tools_params": {"web_search_options": null, "file_search": null}
}"""

FAILURE = r"""{
  "id": "3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8", "litellm_call_id": "3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8",
  "trace_id": "5915eab5-1556-40cb-bb80-333a22583606", "session_id": "", "call_type": "acompletion",
  "cache_hit": false, "stream": null, "status": "failure",
  "status_fields": {"llm_api_status": "failure", "guardrail_status": "not_run"}, "custom_llm_provider": "openai",
  "saved_cache_cost": 0.0, "startTime": 1795457784.718858, "endTime": 1795457784.720492,
  "completionStartTime": 1795457784.720492, "response_time": 0.0016338825225830078, "model": "openai/gpt-4o",
  "metadata": {"user_api_key_hash": "litellm_proxy_master_key", "user_api_key_alias": null, "user_api_key_spend": 0.0, "user_api_key_team_id": null, "user_api_key_user_id": "default_user_id", "user_api_key_end_user_id": "alice", "user_api_key_request_route": "/v1/chat/completions", "requester_ip_address": "127.0.0.1", "user_agent": "curl/7.88.1", "requester_metadata": {"tags": ["t1"], "headers": {"host": "127.0.0.1:4010", "user-agent": "curl/7.88.1", "accept": "*/*", "content-type": "application/json", "content-length": "113"}, "used_client_oauth_token": false}, "applied_guardrails": [], "usage_object": {}, "requester_custom_headers": {}, "user_api_key_auth_metadata": {}, "used_client_oauth_token": false},
  "cache_key": null, "response_cost": 0.0, "cost_breakdown": null, "autorouter_savings": null,
  "autorouter_savings_estimate": null, "autorouter_baseline_observation": null, "total_tokens": 0,
  "prompt_tokens": 0, "completion_tokens": 0, "request_tags": ["t1", "User-Agent: curl", "User-Agent: curl/7.88.1"],
  "request_model_access_groups": [], "end_user": "alice", "api_base": "", "model_group": "mock-fail",
  "model_id": "901f5890a03f0824e62d2e11243f15e35e5d9dd30f862dc8202cf5b5a7268eb5",
  "requester_ip_address": "127.0.0.1", "user_agent": "curl/7.88.1",
  "messages": [{"role": "user", "content": "hi there"}], "response": {},
  "model_parameters": {"stream": false, "user": "alice"}, "hidden_params": {"response_cost": 0.0},
  "model_map_information": {"model_map_key": "openai/gpt-4o", "model_map_value": {"key": "gpt-4o", "max_tokens": 16384, "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "litellm_provider": "openai", "mode": "chat"}},
  "error_str": "litellm.RateLimitError: this is a mock rate limit error",
  "error_information": {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai", "error_message": "litellm.RateLimitError: this is a mock rate limit error", "error_rate_limit_category": "vendor_rate_limit", "normalized_error": "429_RATE_LIMIT_EXCEEDED"},
  "response_cost_failure_debug_info": null, "zero_cost_diagnostic": null, "guardrail_information": null,
  "standard_built_in_tools_params": {"web_search_options": null, "file_search": null}
}"""

Event = dict[str, Any]
HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"

LONG_ID = "e7584f5bfa58deecf9164cfdf7b5af393c71a2725051e2b78e44ca9c5dd2e3b7"
"""The SHA-256 of 514 times r."""


def event(like: str = SUCCESS, **fields: Any) -> Event:
    """An event like that one, but for these fields."""
    return {**json.loads(like), **fields}


def array(*events: object) -> bytes:
    return json.dumps(events).encode()


def lines(*events: object) -> bytes:
    return "\n".join(map(json.dumps, events)).encode()


def one(like: str = SUCCESS, **fields: Any) -> LogRecord:
    """The record of an event like that one, but for these fields; alone or among others, it is the same."""
    changed = event(like, **fields)
    (record,) = decode_litellm(array(changed)).records
    beside = decode_litellm(array(event(id="before"), changed, event(id="after")))
    assert beside.records[1] == record
    assert list(beside.indices) == [0, 1, 2]
    return record


def with_metadata(**fields: Any) -> Event:
    return {"metadata": {**event()["metadata"], **fields}}


def usage(**fields: Any) -> Event:
    return with_metadata(usage_object={"prompt_tokens": 1500, "completion_tokens": 300, **fields}) | {
        "prompt_tokens": 1500,
        "completion_tokens": 300,
    }


def failed(**error: Any) -> LogRecord:
    return one(FAILURE, error_information=error)


def reasons(decoded: Decoded) -> list[tuple[int, str]]:
    return [(rejected.index, rejected.reason) for rejected in decoded.rejected]


def test_a_request_that_succeeded() -> None:
    assert decode_litellm(f"[{SUCCESS}]".encode()).records == [
        LogRecord(
            created_at=1_795_457_784_653,
            model_name="openai/gpt-4o-mini",
            status_code=200,
            request_id="chatcmpl-49497937-895d-4795-b082-0978f719a5c6",
            tokens_in=10,
            tokens_out=20,
            tokens_cached=None,
            tokens_reasoning=None,
            latency_ms=13,
            ttft_ms=None,
            cost_usd=Decimal("0.0000135"),
            provider="openai",
            api_key="litellm_proxy_master_key",
            user="default_user_id",
            team=None,
            operation="chat",
            error_type=None,
            stream=None,
        )
    ]


def test_a_request_that_failed() -> None:
    assert decode_litellm(f"[{FAILURE}]".encode()).records == [
        LogRecord(
            created_at=1_795_457_784_718,
            model_name="openai/gpt-4o",
            status_code=429,
            request_id="3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8",
            tokens_in=0,
            tokens_out=0,
            latency_ms=1,
            cost_usd=Decimal(0),
            provider="openai",
            api_key="litellm_proxy_master_key",
            user="default_user_id",
            operation="chat",
            error_type="RateLimitError",
        )
    ]


@pytest.mark.parametrize("pack", [array, lines])
def test_an_array_and_one_a_line_are_the_same_batch(pack: Callable[..., bytes]) -> None:
    decoded = decode_litellm(pack(event(), event(FAILURE), event(id="third")))
    assert [(record.request_id, record.status_code) for record in decoded.records] == [
        ("chatcmpl-49497937-895d-4795-b082-0978f719a5c6", 200),
        ("3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8", 429),
        ("third", 200),
    ]
    assert list(decoded.indices) == [0, 1, 2]
    assert decoded.rejected == []


@pytest.mark.parametrize(
    "body", [SUCCESS, json.dumps(json.loads(SUCCESS)), f"\n {SUCCESS}\n\n", f"\r\n[\n{SUCCESS}]\n"]
)
def test_a_single_event_may_stand_alone_on_one_line_or_many(body: str) -> None:
    assert decode_litellm(body.encode()) == Decoded([one()], [0])


def test_a_batch_of_nothing_holds_nothing() -> None:
    assert decode_litellm(b"[]") == Decoded([], [])


@pytest.mark.parametrize(
    ("start", "end", "created_at_ms", "latency_ms"),
    [
        (1795457784.0, 1795457785.0, 1_795_457_784_000, 1_000),
        (1795457784, 1795457785, 1_795_457_784_000, 1_000),
        (1795457784.001, 1795457784.002, 1_795_457_784_001, 1),
        (1795457784.000999, 1795457784.002, 1_795_457_784_000, 1),
        (1795457784.000001, 1795457784.001, 1_795_457_784_000, 0),
        (1795478399.999999, 1795478400.0, 1_795_478_399_999, 0),
    ],
)
def test_times_are_cut_to_the_millisecond_after_the_microseconds_are_restored(
    start: float, end: float, created_at_ms: int, latency_ms: int
) -> None:
    record = one(startTime=start, endTime=end)
    assert (record.created_at, record.latency_ms) == (created_at_ms, latency_ms)


@given(start_us=st.integers(946_684_800_000_000, 4_102_444_800_000_000), took_us=st.integers(0, 86_400_000_000))
@example(start_us=2200000000002000, took_us=0)
def test_no_microsecond_is_lost_in_floating_point(start_us: int, took_us: int) -> None:
    body = array(event(startTime=start_us / 1_000_000, endTime=(start_us + took_us) / 1_000_000))
    (record,) = decode_litellm(body).records
    assert (record.created_at, record.latency_ms) == (start_us // 1000, took_us // 1000)


def test_latency_is_to_the_end_of_a_stream_and_response_time_is_not_believed() -> None:
    streamed = one(
        stream=True,
        startTime=1795457784.25,
        completionStartTime=1795457784.65,
        endTime=1795457787.0,
        response_time=0.4,
    )
    assert (streamed.stream, streamed.ttft_ms, streamed.latency_ms) == (True, 400, 2_750)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None, "completionStartTime": 1795457784.667209},
        {"stream": True, "completionStartTime": 1795457784.667209},
        {"stream": False, "completionStartTime": 1795457784.66},
        {"stream": True, "completionStartTime": 1795457784.6},
        {"stream": True, "completionStartTime": None},
    ],
    ids=["no stream", "all at once", "surely no stream", "before the start", "unknown"],
)
def test_a_first_token_that_is_the_end_or_before_the_start_is_unknown(fields: Event) -> None:
    assert one(**fields).ttft_ms is None


@pytest.mark.parametrize("end", [1795457784.0, 1795457784.653953 + 2_147_484, None])
def test_an_end_before_the_start_or_weeks_later_makes_no_latency(end: float | None) -> None:
    assert one(endTime=end).latency_ms is None


@pytest.mark.parametrize(
    ("model", "model_group", "name"),
    [
        ("openai/gpt-4o-mini", "mock-gpt", "openai/gpt-4o-mini"),
        ("gpt-4o-mini", "", "gpt-4o-mini"),
        ("", "mock-gpt", "mock-gpt"),
        (None, "mock-gpt", "mock-gpt"),
        ("", "", "unknown-model"),
        (None, None, "unknown-model"),
    ],
)
def test_the_model_is_named_as_in_litellms_own_table(model: str | None, model_group: str | None, name: str) -> None:
    assert one(model=model, model_group=model_group).model_name == name


def test_an_event_that_is_posted_again_is_the_same_record_again() -> None:
    again = decode_litellm(array(event(), event(FAILURE), event(), event(FAILURE)))
    assert again.records[:2] == again.records[2:]
    assert decode_litellm(lines(event(FAILURE), event())).records == [again.records[1], again.records[0]]


def test_a_failure_and_the_success_of_its_fallback_share_a_call_and_are_two_records() -> None:
    call = "3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8"
    decoded = decode_litellm(array(event(FAILURE), event(litellm_call_id=call), event(id=call, litellm_call_id=call)))
    assert [(record.request_id, record.status_code) for record in decoded.records] == [
        (call, 429),
        ("chatcmpl-49497937-895d-4795-b082-0978f719a5c6", 200),
        (call, 200),
    ]


def test_failures_of_one_id_are_one_record_whatever_their_codes() -> None:
    codes = [{"error_code": code, "error_class": "Timeout"} for code in ("503", "408", "")]
    attempts = [event(FAILURE, error_information=error) for error in codes]
    decoded = decode_litellm(array(*attempts, event(FAILURE, id="another")))
    assert [(record.request_id, record.status_code) for record in decoded.records] == [
        ("3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8", 503),
        ("3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8", 503),
        ("3bb2326d-cfdf-4b83-ab37-eecf6f3a64d8", 503),
        ("another", 429),
    ]


def test_an_answer_from_the_cache_is_a_request_that_cost_nothing() -> None:
    name = "chatcmpl-49497937-895d-4795-b082-0978f719a5c6_cache_hit1795457790.5"
    record = one(id=name, cache_hit=True, response_cost=0.0, saved_cache_cost=1.35e-05)
    assert (record.request_id, record.status_code, record.cost_usd) == (name, 200, Decimal(0))
    assert (record.tokens_in, record.tokens_out) == (10, 20)


@pytest.mark.parametrize("nothing", ["", None, "None"])
def test_where_the_response_had_no_id_the_call_has_one(nothing: str | None) -> None:
    assert one(id=nothing).request_id == "3566461d-37b6-4331-b341-a432ca8c9c3a"


def test_an_id_that_is_too_long_to_be_stored_is_told_by_its_hash_and_another_by_another() -> None:
    assert one(id="r" * 512).request_id == "r" * 512
    assert one(id="r" * 513).request_id == "532a0d10b5ecf5d0a2b5751f6d2316a76505d08c636c54ba6419ba2594ca2091"
    assert one(id="r" * 514).request_id == LONG_ID


@pytest.mark.parametrize(
    ("code", "name", "status_code"),
    [
        ("429", "RateLimitError", 429),
        (429, "RateLimitError", 429),
        ("503", "RateLimitError", 503),
        ("529", "InternalServerError", 529),
        ("", "RateLimitError", 429),
        ("model_not_found", "NotFoundError", 404),
        (None, "Timeout", 408),
        ("", "AuthenticationError", 401),
        ("invalid_request", "BadRequestError", 400),
        ("", "ContextWindowExceededError", 400),
        ("", "ServiceUnavailableError", 503),
        ("", "ValueError", 500),
        ("", "", 500),
        ("200", "APIConnectionError", 500),
        ("0", None, 500),
        ("-429", "", 500),
        ("4290", "", 500),
        ("9" * 500, "", 500),
    ],
)
def test_a_failure_is_one_whatever_its_code(code: object, name: str | None, status_code: int) -> None:
    record = failed(error_code=code, error_class=name)
    assert (record.status_code, record.error_type) == (status_code, name or None)


def test_a_failure_that_says_nothing_of_itself() -> None:
    record = one(FAILURE, error_information=None)
    assert (record.status_code, record.error_type) == (500, None)


def test_a_success_is_one_whatever_its_error_information() -> None:
    left = one(error_information={"error_code": "499", "error_class": "ClientDisconnected"})
    assert (left.status_code, left.error_type) == (200, "ClientDisconnected")
    assert (one(error_information=None).status_code, one(error_information=None).error_type) == (200, None)


@pytest.mark.parametrize(
    ("details", "cached", "reasoning"),
    [
        ({}, None, None),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, None, None),
        ({"prompt_tokens_details": {"cached_tokens": 1024}}, 1024, None),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, 0, None),
        ({"prompt_tokens_details": {"cached_tokens": None}, "cache_read_input_tokens": 1400}, 1400, None),
        ({"prompt_tokens_details": {"cached_tokens": 1000}, "cache_read_input_tokens": 1400}, 1000, None),
        ({"cache_read_input_tokens": 1400}, 1400, None),
        ({"cache_read_input_tokens": 1501}, None, None),
        ({"completion_tokens_details": {"reasoning_tokens": 128}}, None, 128),
        ({"completion_tokens_details": {"reasoning_tokens": 300}}, None, 300),
        ({"completion_tokens_details": {"reasoning_tokens": 301}}, None, None),
    ],
)
def test_parts_of_the_tokens(details: Event, cached: int | None, reasoning: int | None) -> None:
    record = one(**usage(**details))
    assert (record.tokens_cached, record.tokens_reasoning) == (cached, reasoning)
    assert (record.tokens_in, record.tokens_out) == (1500, 300)


@pytest.mark.parametrize("metadata", [None, {}, {"usage_object": None}, {"usage_object": {}}])
def test_without_metadata_who_asked_is_the_end_user(metadata: Event | None) -> None:
    record = one(metadata=metadata, end_user="alice")
    assert (record.api_key, record.user, record.team) == (None, "alice", None)
    assert one(metadata=metadata, end_user=None).user is None


def test_who_asked_is_who_owns_the_key_before_the_end_user() -> None:
    owned = with_metadata(user_api_key_hash=HASH, user_api_key_alias="ci", user_api_key_user_id="ada")
    owned["metadata"]["user_api_key_team_id"] = "team-a"
    record = one(**owned, end_user="alice")
    assert (record.api_key, record.user, record.team) == (HASH, "ada", "team-a")


def test_an_empty_text_tells_nothing() -> None:
    empty = with_metadata(user_api_key_hash="", user_api_key_user_id="", user_api_key_team_id="")
    record = one(**empty, custom_llm_provider="", end_user="")
    assert (record.api_key, record.user, record.team, record.provider) == (None, None, None, None)


@pytest.mark.parametrize(
    ("call_type", "operation"),
    [
        ("completion", "chat"),
        ("acompletion", "chat"),
        ("anthropic_messages", "chat"),
        ("atext_completion", "text_completion"),
        ("embedding", "embeddings"),
        ("aembedding", "embeddings"),
        ("responses", "responses"),
        ("aresponses", "responses"),
        ("agenerate_content_stream", "generate_content"),
        ("aimage_generation", "image_generation"),
        ("_arealtime", "realtime"),
        ("add_message", "add_message"),
        ("pass_through_endpoint", "pass_through_endpoint"),
        ("", None),
        (None, None),
    ],
)
def test_an_operation_is_the_same_called_at_once_or_awaited(call_type: str | None, operation: str | None) -> None:
    assert one(call_type=call_type).operation == operation


@pytest.mark.parametrize(
    ("written", "cost_usd"),
    [
        ("1.35e-05", "0.0000135"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("5.4999999999999995e-05", "0.000054999999999999995"),
        ("0", "0"),
        ("2", "2"),
        ('"0.25"', "0.25"),
        ("null", None),
        ("-0.01", None),
        ("1e300", None),
        ('"NaN"', None),
        ('"free"', None),
    ],
)
def test_a_cost_keeps_its_digits(written: str, cost_usd: str | None) -> None:
    body = SUCCESS.replace('"response_cost": 1.35e-05,', f'"response_cost": {written},')
    assert body.count(written) >= 2
    (record,) = decode_litellm(body.encode()).records
    assert record.cost_usd == (None if cost_usd is None else Decimal(cost_usd))


def test_a_cost_of_nothing_is_unknown_when_litellm_found_no_price() -> None:
    note = {"error_str": "This model isn't mapped yet.", "model": "never-heard-of-it"}
    assert one(response_cost=0.0, response_cost_failure_debug_info=None).cost_usd == 0
    assert one(response_cost=0.0, response_cost_failure_debug_info=note).cost_usd is None
    assert one(response_cost=0.5, response_cost_failure_debug_info=note).cost_usd == Decimal("0.5")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"startTime": "1795457784.653953"}, {"created_at": 1_795_457_784_653}),
        ({"endTime": "soon"}, {"latency_ms": None}),
        ({"endTime": 1e300}, {"latency_ms": None}),
        ({"completionStartTime": [1]}, {"ttft_ms": None}),
        ({"prompt_tokens": "10", "completion_tokens": 20.0}, {"tokens_in": 10, "tokens_out": 20}),
        ({"prompt_tokens": -1, "completion_tokens": 2.5}, {"tokens_in": None, "tokens_out": None}),
        ({"prompt_tokens": 10**12, "completion_tokens": {}}, {"tokens_in": None, "tokens_out": None}),
        ({"model": ["gpt-4o"]}, {"model_name": "mock-gpt"}),
        ({"model": 4}, {"model_name": "4"}),
        ({"model": "m" * 600}, {"model_name": "m" * 512}),
        ({"stream": "true"}, {"stream": True}),
        ({"stream": {}}, {"stream": None}),
        ({"id": 12}, {"request_id": "12"}),
        ({"id": "r" * 512, "model": 4}, {"request_id": "r" * 512, "model_name": "4"}),
        ({"id": "r" * 514, "model": 4}, {"request_id": LONG_ID, "model_name": "4"}),
        ({"id": True}, {"request_id": "3566461d-37b6-4331-b341-a432ca8c9c3a"}),
        ({"response_cost": {}}, {"cost_usd": None}),
        ({"metadata": "MaxDepthExceeded"}, {"api_key": None, "user": "alice", "team": None}),
        ({"error_information": "none"}, {"status_code": 200, "error_type": None}),
        ({"call_type": 7}, {"operation": "7"}),
        ({"custom_llm_provider": False}, {"provider": None}),
    ],
)
def test_what_cannot_be_read_is_unknown_and_the_rest_is_kept(fields: Event, known: Event) -> None:
    whole = msgspec.structs.asdict(one())
    assert msgspec.structs.asdict(one(**fields)) == whole | known


def test_within_an_object_too_only_what_cannot_be_read_is_unknown() -> None:
    record = one(
        **with_metadata(
            user_api_key_hash="sk-" + "a1b2" * 200,
            user_api_key_team_id=42,
            user_api_key_user_id="ada\0" + "x" * 600,
            usage_object={
                "prompt_tokens_details": "?",
                "cache_read_input_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": "7", "text_tokens": None},
            },
        )
    )
    assert (record.tokens_cached, record.tokens_reasoning) == (9, 7)
    assert (record.team, record.user) == ("42", "ada\ufffd" + "x" * 508)
    assert record.api_key == "fp_dddd3d627e6f580b"


def test_a_broken_event_among_good_ones_is_rejected_alone() -> None:
    without_start = {name: value for name, value in event().items() if name != "startTime"}
    decoded = decode_litellm(
        array(
            event(),
            without_start,
            event(startTime=None),
            event(status="pending"),
            event(id=None, litellm_call_id=""),
            None,
            17,
            event(FAILURE, prompt_tokens="none"),
        )
    )
    assert reasons(decoded) == [
        (1, "startTime is missing or is no time in UNIX seconds"),
        (2, "startTime is missing or is no time in UNIX seconds"),
        (3, "status is neither success nor failure"),
        (4, "there is neither an id nor a litellm_call_id"),
        (5, "null is no event"),
        (6, "not an object"),
    ]
    assert list(decoded.indices) == [0, 7]
    assert decoded.records == [one(), one(FAILURE, prompt_tokens=None)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[{}]", "startTime is missing or is no time in UNIX seconds"),
        (b'{"startTime": 1}', "status is neither success nor failure"),
        (b'"hello"', "not an object"),
        (b"null", "null is no event"),
    ],
)
def test_a_batch_of_one_that_is_no_event_says_what_it_lacks(body: bytes, reason: str) -> None:
    decoded = decode_litellm(body)
    assert (decoded.records, reasons(decoded)) == ([], [(0, reason)])


def test_an_event_without_an_id_does_not_make_the_others_be_read_again() -> None:
    decoded = decode_litellm(array(event(id="", litellm_call_id=None), None, event()))
    assert reasons(decoded) == [(0, "there is neither an id nor a litellm_call_id"), (1, "null is no event")]
    assert (decoded.records, list(decoded.indices)) == ([one()], [2])


def test_a_line_that_is_no_json_is_rejected_alone() -> None:
    decoded = decode_litellm(b"\n".join([lines(event()), b'{"id": "half', lines(event(FAILURE))]))
    ((index, reason),) = reasons(decoded)
    assert index == 1
    assert reason.startswith("not JSON: ")
    assert decoded.records == [one(), one(FAILURE)]
    assert list(decoded.indices) == [0, 2]


@pytest.mark.parametrize("pack", [array, lines])
def test_what_python_writes_and_is_no_json_costs_no_event(pack: Callable[..., bytes]) -> None:
    odd = event(
        id="odd", response={"logprob": math.nan, "top": [-math.inf], "content": "cut \ud83d"}, response_cost=math.inf
    )
    decoded = decode_litellm(pack(event(), odd).replace(b"-Infinity", b"1e400"))
    assert decoded.rejected == []
    assert decoded.records == [one(), one(id="odd", response_cost=None)]


def test_bytes_that_are_no_text_cost_no_event() -> None:
    body = array(event(), event(id="odd", model="gpt\ufffd")).replace(b"gpt\\ufffd", b"gpt\xff")
    assert decode_litellm(body).records == [one(), one(id="odd", model="gpt\ufffd")]


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"hello", b"[", b"[{]", b'{"id": ', b"\xff\xfe", b"[" * 5000, b"x=1&y=2", b"1e5\nno"[4:]]
)
def test_a_body_without_any_event_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        decode_litellm(body)


def fits(decoded: Decoded) -> bool:
    """Each record has the types and keeps the limits of its fields, and everything sent is accounted for once."""
    for record in decoded.records:
        assert msgspec.convert(msgspec.structs.asdict(record), LogRecord) == record
        assert isinstance(record.created_at, int)
    indices = [*decoded.indices, *(rejected.index for rejected in decoded.rejected)]
    assert sorted(indices) == list(range(len(indices)))
    return len(decoded.records) == len(decoded.indices)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["12", "1e9", "NaN", "success"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*json.loads(SUCCESS), "x"]), inner),
    max_leaves=10,
)
METADATA = st.dictionaries(st.sampled_from([*json.loads(SUCCESS)["metadata"]]), TREES)
USAGE = st.fixed_dictionaries({"usage_object": st.dictionaries(st.sampled_from(["prompt_tokens_details"]), TREES)})


@given(
    fields=st.dictionaries(st.sampled_from([*json.loads(SUCCESS)]), TREES),
    inner=METADATA | USAGE,
    pack=st.sampled_from([array, lines]),
)
def test_an_event_whose_fields_are_anything_is_a_record_or_rejected(
    fields: Event, inner: Event, pack: Callable[..., bytes]
) -> None:
    decoded = decode_litellm(pack(event(), {**event(id="odd"), **with_metadata(**inner), **fields}))
    assert fits(decoded)
    assert decoded.records[0] == one()
    assert len(decoded.records) + len(decoded.rejected) == 2


@given(body=st.binary() | TREES.map(lambda tree: json.dumps(tree).encode()))
@example(b'{"startTime": 1, "status": "success", "id": "a"}')
@example(b'{"startTime": 1e22, "status": "success", "id": "a"}')
@example(b"[" + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"]")
@example(b'{"prompt_tokens": ' + b"9" * 5000 + b', "startTime": 1, "status": "failure", "id": "a"}')
def test_any_bytes_are_read_or_said_to_be_unreadable(body: bytes) -> None:
    try:
        decoded = decode_litellm(body)
    except UnreadableBody:
        return
    assert fits(decoded)


@given(at=st.integers(0, len(SUCCESS)), noise=st.binary(min_size=1, max_size=4))
def test_a_damaged_event_leaves_its_neighbour_alone(at: int, noise: bytes) -> None:
    sound = json.dumps(json.loads(SUCCESS)).encode()
    damaged = sound[:at] + noise.replace(b"\n", b"").replace(b"\r", b"") + sound[at:]
    decoded = decode_litellm(b"\n".join([sound, damaged]))
    assert fits(decoded)
    assert decoded.records[0] == one()
