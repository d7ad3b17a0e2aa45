"""What the attributes of a span say: each name of the table, and what misleads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.collect.spans import READINGS, Span, Value, failure_status, read_span
from tallybook.records import LogRecord, Unacceptable

TRACE, SPAN = "5ae38e73ab623f76888035179cc4eb87", "b0d8dde5fc507fe0"
START_NS = 1_795_458_437_314_999_999
CHAT: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}


def span(attributes: dict[str, Value], **fields: Any) -> Span:
    """A span of 15.5 ms with these attributes."""
    usual = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_id": "",
        "start_ns": START_NS,
        "end_ns": START_NS + 15_500_000,
        "failed": False,
        "message": "",
        "exception": None,
        "first_chunk_ns": None,
    }
    return Span(**{**usual, **fields}, attributes=attributes)


def record(attributes: dict[str, Value], **fields: Any) -> LogRecord:
    read = read_span(span(attributes, **fields))
    assert read is not None
    return read


def chat(**said: Value) -> LogRecord:
    """The record of a chat with these attributes; two underscores stand for a dot."""
    return record({**CHAT, **{name.replace("__", "."): value for name, value in said.items()}})


def test_a_chat_is_a_record_from_its_start_in_whole_ms_rounded_down() -> None:
    assert record(CHAT) == LogRecord(
        created_at=1_795_458_437_314,
        model_name="gpt-4o-mini",
        status_code=200,
        request_id="5ae38e73ab623f76888035179cc4eb87:b0d8dde5fc507fe0",
        latency_ms=15,
        operation="chat",
    )


TOLD: list[tuple[str, Value, str, object]] = [
    ("ai.operationId", "ai.embed.doEmbed", "operation", "embeddings"),
    ("gen_ai.operation.name", "text_completion", "operation", "text_completion"),
    ("openinference.span.kind", "EMBEDDING", "operation", "embeddings"),
    ("traceloop.span.kind", "llm", "operation", "chat"),
    ("llm.request.type", "completion", "operation", "completion"),
    ("gen_ai.request.model", "gpt-5", "model_name", "gpt-5"),
    ("ai.model.id", "gpt-5", "model_name", "gpt-5"),
    ("llm.request.model", "gpt-5", "model_name", "gpt-5"),
    ("llm.invocation_parameters", '{"model": "gpt-5", "n": [1]}', "model_name", "gpt-5"),
    ("embedding.invocation_parameters", '{"model": "ada-3"}', "model_name", "ada-3"),
    ("gen_ai.response.model", "gpt-5-0807", "model_name", "gpt-5-0807"),
    ("llm.model_name", "gpt-5-0807", "model_name", "gpt-5-0807"),
    ("embedding.model_name", "ada-3", "model_name", "ada-3"),
    ("ai.response.model", "gpt-5-0807", "model_name", "gpt-5-0807"),
    ("llm.response.model", "gpt-5-0807", "model_name", "gpt-5-0807"),
    ("ai.model.provider", "openai.responses", "provider", "openai"),
    ("gen_ai.provider.name", "aws.bedrock", "provider", "aws.bedrock"),
    ("gen_ai.system", "openai", "provider", "openai"),
    ("llm.provider", "azure", "provider", "azure"),
    ("llm.system", "openai", "provider", "openai"),
    ("llm.vendor", "Anthropic", "provider", "Anthropic"),
    ("gen_ai.usage.input_tokens", 21, "tokens_in", 21),
    ("gen_ai.usage.prompt_tokens", 21, "tokens_in", 21),
    ("llm.token_count.prompt", 21, "tokens_in", 21),
    ("llm.usage.prompt_tokens", 21, "tokens_in", 21),
    ("ai.usage.inputTokens", 21, "tokens_in", 21),
    ("ai.usage.promptTokens", 21, "tokens_in", 21),
    ("ai.usage.tokens", 21, "tokens_in", 21),
    ("gen_ai.usage.output_tokens", 17, "tokens_out", 17),
    ("gen_ai.usage.completion_tokens", 17, "tokens_out", 17),
    ("llm.token_count.completion", 17, "tokens_out", 17),
    ("llm.usage.completion_tokens", 17, "tokens_out", 17),
    ("ai.usage.outputTokens", 17, "tokens_out", 17),
    ("ai.usage.completionTokens", 17, "tokens_out", 17),
    ("gen_ai.usage.cache_read.input_tokens", 5, "tokens_cached", 5),
    ("gen_ai.usage.cache_read_input_tokens", 5, "tokens_cached", 5),
    ("llm.token_count.prompt_details.cache_read", 5, "tokens_cached", 5),
    ("llm.usage.cache_read_input_tokens", 5, "tokens_cached", 5),
    ("gen_ai.usage.input_tokens.cached", 5, "tokens_cached", 5),
    ("gen_ai.usage.details.cache_read_tokens", 5, "tokens_cached", 5),
    ("ai.usage.inputTokenDetails.cacheReadTokens", 5, "tokens_cached", 5),
    ("ai.usage.cachedInputTokens", 5, "tokens_cached", 5),
    ("gen_ai.usage.reasoning.output_tokens", 4, "tokens_reasoning", 4),
    ("gen_ai.usage.reasoning_tokens", 4, "tokens_reasoning", 4),
    ("llm.token_count.completion_details.reasoning", 4, "tokens_reasoning", 4),
    ("llm.usage.reasoning_tokens", 4, "tokens_reasoning", 4),
    ("gen_ai.usage.output_tokens.reasoning", 4, "tokens_reasoning", 4),
    ("gen_ai.usage.details.reasoning_tokens", 4, "tokens_reasoning", 4),
    ("ai.usage.outputTokenDetails.reasoningTokens", 4, "tokens_reasoning", 4),
    ("ai.usage.reasoningTokens", 4, "tokens_reasoning", 4),
    ("gen_ai.response.time_to_first_chunk", 0.57, "ttft_ms", 570),
    ("gen_ai.client.operation.time_to_first_chunk", 0.57, "ttft_ms", 570),
    ("ai.response.msToFirstChunk", 570.9, "ttft_ms", 570),
    ("ai.stream.msToFirstChunk", 570, "ttft_ms", 570),
    ("gen_ai.server.time_to_first_token", 0.57, "ttft_ms", 570),
    ("litellm.cost.total", 0.0000135, "cost_usd", Decimal("0.0000135")),
    ("gen_ai.cost.total_cost", 0.1, "cost_usd", Decimal("0.1")),
    ("llm.cost.total", 2, "cost_usd", Decimal(2)),
    ("llm.response.cost", 0.1, "cost_usd", Decimal("0.1")),
    ("gen_ai.usage.cost", 0.1, "cost_usd", Decimal("0.1")),
    ("gen_ai.usage.total_cost", 0.1, "cost_usd", Decimal("0.1")),
    ("gen_ai.usage.cost_usd", 0.1, "cost_usd", Decimal("0.1")),
    ("operation.cost", 0.1, "cost_usd", Decimal("0.1")),
    ("litellm.api_key.hash", "88dc28d0", "api_key", "88dc28d0"),
    ("metadata.user_api_key_hash", "88dc28d0", "api_key", "88dc28d0"),
    ("litellm.metadata.user_api_key_hash", "88dc28d0", "api_key", "88dc28d0"),
    ("litellm.team.id", "red", "team", "red"),
    ("metadata.user_api_key_team_id", "red", "team", "red"),
    ("litellm.metadata.user_api_key_team_id", "red", "team", "red"),
    ("metadata.user_api_key_user_id", "u-1", "user", "u-1"),
    ("litellm.metadata.user_api_key_user_id", "u-1", "user", "u-1"),
    ("enduser.id", "u-1", "user", "u-1"),
    ("user.id", 42, "user", "42"),
    ("gen_ai.user", "u-1", "user", "u-1"),
    ("gen_ai.request.user", "u-1", "user", "u-1"),
    ("llm.user", "u-1", "user", "u-1"),
    ("litellm.end_user.id", "u-1", "user", "u-1"),
    ("ai.telemetry.metadata.userId", "u-1", "user", "u-1"),
    ("gen_ai.request.stream", True, "stream", True),
    ("gen_ai.is_streaming", False, "stream", False),
    ("llm.is_streaming", "True", "stream", True),
    ("gen_ai.request.is_stream", "false", "stream", False),
    ("gen_ai.request.streaming", True, "stream", True),
    ("litellm.request.streaming", True, "stream", True),
    ("http.response.status_code", 503, "status_code", 503),
    ("http.status_code", 404, "status_code", 404),
    ("error.code", "429", "status_code", 429),
    ("error.type", "openai.RateLimitError", "error_type", "RateLimitError"),
]
"""For each attribute, what it says in a span that says nothing else of that kind."""

KIND = "traceloop.span.kind"


@pytest.mark.parametrize(("name", "value", "field", "expected"), TOLD, ids=[entry[0] for entry in TOLD])
def test_every_name_tells_its_field(name: str, value: Value, field: str, expected: object) -> None:
    attributes: dict[str, Value] = {name: value} if field == "operation" else {KIND: "llm", name: value}
    told = getattr(record(attributes), field)
    assert told == expected
    assert type(told) is type(expected)


def test_every_name_of_the_table_is_told_above_once() -> None:
    assert sorted(entry[0] for entry in TOLD) == sorted(READINGS)


@pytest.mark.parametrize("name", ["chat", "text_completion", "embeddings", "generate_content", "responses"])
def test_a_request_to_a_model_is_known_by_its_operation_alone(name: str) -> None:
    assert record({"gen_ai.operation.name": name}).operation == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(
            ("gen_ai.operation.name", kind)
            for kind in ("invoke_agent", "create_agent", "execute_tool", "fetch_response")
        ),
        *(("gen_ai.operation.name", kind) for kind in ("invoke_workflow", "retrieval", "plan", "framework", "rerank")),
        *(
            ("openinference.span.kind", kind)
            for kind in ("CHAIN", "AGENT", "TOOL", "RETRIEVER", "RERANKER", "GUARDRAIL")
        ),
        *(("traceloop.span.kind", kind) for kind in ("workflow", "task", "agent", "tool")),
        *(("ai.operationId", kind) for kind in ("ai.generateText", "ai.streamText", "ai.embed", "ai.toolCall")),
    ],
)
def test_what_only_wraps_requests_is_none_even_with_a_model_and_usage(name: str, kind: str) -> None:
    usage: dict[str, Value] = {"gen_ai.request.model": "gpt-5", "gen_ai.usage.input_tokens": 9}
    assert read_span(span({name: kind, **usage})) is None


def test_a_kind_of_the_framework_outweighs_the_type_of_its_request() -> None:
    assert read_span(span({"traceloop.span.kind": "workflow", "llm.request.type": "chat"})) is None


def test_without_an_operation_a_model_and_tokens_make_a_request() -> None:
    assert record({"gen_ai.response.model": "gpt-5", "gen_ai.usage.output_tokens": 0}).operation is None
    assert (
        record({"gen_ai.operation.name": "summarise", "llm.model_name": "m", "llm.token_count.prompt": 3}).tokens_in
        == 3
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.response.status_code": 200},
        {"gen_ai.request.model": "gpt-5", "litellm.team.id": "red", "litellm.api_key.hash": "88dc28d0"},
        {"gen_ai.usage.input_tokens": 5},
        {"gen_ai.operation.name": "summarise", "gen_ai.request.model": "gpt-5"},
        {"gen_ai.operation.name": 7, "gen_ai.request.model": "gpt-5"},
    ],
)
def test_less_is_no_request(attributes: dict[str, Value]) -> None:
    """LiteLLM writes the model, the team and the key on every span of a trace."""
    assert read_span(span(attributes, failed=True)) is None


def test_of_several_names_the_first_of_the_table_counts_whatever_their_order() -> None:
    both: dict[str, Value] = {"llm.token_count.prompt": 30, "gen_ai.usage.input_tokens": 10}
    assert record({**CHAT, **both}).tokens_in == 10
    assert record({**CHAT, **dict(reversed(both.items()))}).tokens_in == 10


def test_a_name_that_cannot_be_read_leaves_its_field_to_the_next() -> None:
    assert chat(gen_ai__usage__cost="n/a", operation__cost=0.5).cost_usd == Decimal("0.5")


def test_the_model_is_the_one_asked_for_so_that_failures_stand_beside_successes() -> None:
    assert chat(gen_ai__response__model="gpt-4o-mini-2024-07-18").model_name == "gpt-4o-mini"
    openinference: dict[str, Value] = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini-2024-07-18"}
    asked: dict[str, Value] = {"llm.invocation_parameters": '{"model": "gpt-4o-mini", "stream": true, "user": "u-1"}'}
    read = record({**openinference, **asked})
    assert (read.model_name, read.stream, read.user) == ("gpt-4o-mini", True, "u-1")


@pytest.mark.parametrize(
    ("parameters", "model"),
    [
        ('{"model_name": "claude"}', "claude"),
        ('{"temperature": 0}', "unknown-model"),
        ('{"model": ["gpt-5"]}', "unknown-model"),
        ("{not JSON", "unknown-model"),
        ("[" * 100_000, "unknown-model"),
        ('{"user": ' + "1" * 5000 + "}", "unknown-model"),
        ("\ud800", "unknown-model"),
        (7, "unknown-model"),
    ],
)
def test_a_request_of_an_unnamed_model_is_still_a_request(parameters: Value, model: str) -> None:
    failed = record({"openinference.span.kind": "LLM", "llm.invocation_parameters": parameters}, failed=True)
    assert (failed.model_name, failed.status_code) == (model, 500)


def test_unknown_tokens_are_unknown_and_none_is_none() -> None:
    assert (chat().tokens_in, chat().tokens_out, chat().cost_usd) == (None, None, None)
    assert chat(gen_ai__usage__output_tokens=0).tokens_out == 0


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("12", 12),
        (" 12 ", 12),
        (12.0, 12),
        ("1.2e1", 12),
        (1_000_000_000, 1_000_000_000),
        (1_000_000_001, None),
        (12.5, None),
        (-1, None),
        (-0.0, None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        ("", None),
        ("many", None),
        ("1e999", None),
        ("9" * 40, None),
        ("\u0663", None),
    ],
)
def test_a_count_is_a_whole_number_however_it_is_written(value: Value, count: int | None) -> None:
    assert chat(gen_ai__usage__input_tokens=value).tokens_in == count


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        ("0.002", Decimal("0.002")),
        (1e-07, Decimal("1E-7")),
        (0.0, Decimal("0.0")),
        (1_000_000, Decimal(1_000_000)),
        (1_000_000.01, None),
        (-0.1, None),
        (float("nan"), None),
        (True, None),
    ],
)
def test_a_cost_keeps_its_digits(value: Value, cost: Decimal | None) -> None:
    assert chat(llm__cost__total=value).cost_usd == cost


def test_a_computed_cost_of_integer_0_is_a_model_without_a_price() -> None:
    assert chat(gen_ai__usage__cost=0).cost_usd is None
    assert chat(gen_ai__usage__cost=0.0).cost_usd == 0
    assert chat(llm__cost__total=0).cost_usd == 0


def test_the_time_to_the_first_token_is_ms_or_seconds_as_each_sends_it() -> None:
    assert chat(gen_ai__server__time_to_first_token=150).ttft_ms == 150
    assert chat(gen_ai__server__time_to_first_token=0.1509).ttft_ms == 150
    assert chat(gen_ai__server__time_to_first_token=0.0).ttft_ms is None
    assert chat(gen_ai__response__time_to_first_chunk=-1).ttft_ms is None
    assert chat(gen_ai__response__time_to_first_chunk=1e12).ttft_ms is None


def test_the_first_chunk_tells_it_too_unless_it_came_before_the_start() -> None:
    assert record(CHAT, first_chunk_ns=START_NS + 9_900_000).ttft_ms == 9
    assert record({**CHAT, "ai.response.msToFirstChunk": 3}, first_chunk_ns=START_NS + 9_900_000).ttft_ms == 3
    assert record(CHAT, first_chunk_ns=START_NS - 1).ttft_ms is None


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.input_tokens"),
        ("gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens"),
    ],
)
def test_a_part_larger_than_its_whole_is_unknown_and_costs_no_record(part: str, whole: str) -> None:
    field = {"gen_ai.usage.cache_read.input_tokens": "tokens_cached"}.get(part, "tokens_reasoning")
    assert getattr(record({**CHAT, part: 10, whole: 10}), field) == 10
    assert getattr(record({**CHAT, part: 11, whole: 10}), field) is None
    assert getattr(record({**CHAT, part: 11}), field) == 11


def test_texts_are_kept_as_those_of_attached_sources_are() -> None:
    assert chat(user__id="x" * 600).user == "x" * 512
    assert chat(user__id="a\0b").user == "a\ufffdb"
    assert chat(user__id="").user is None
    assert chat(user__id=True).user is None
    assert chat(user__id=1.5).user is None


@pytest.mark.parametrize(
    ("end_ns", "latency_ms"),
    [(0, None), (START_NS - 1, None), (START_NS, 0), (START_NS + 999_999, 0), (START_NS + 2_000_000, 2), (2**63, None)],
)
def test_latency_is_unknown_without_an_end_after_the_start(end_ns: int, latency_ms: int | None) -> None:
    assert record(CHAT, end_ns=end_ns).latency_ms == latency_ms


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": ""}, "trace_id is not 32 hex digits that are not all zero"),
        ({"trace_id": "0" * 32}, "trace_id is not 32 hex digits that are not all zero"),
        ({"trace_id": TRACE[:30]}, "trace_id is not 32 hex digits that are not all zero"),
        ({"span_id": "0" * 16}, "span_id is not 16 hex digits that are not all zero"),
        ({"span_id": SPAN * 2}, "span_id is not 16 hex digits that are not all zero"),
        ({"start_ns": 0}, "start_time_unix_nano is missing"),
    ],
)
def test_a_request_that_cannot_be_told_apart_or_dated_is_rejected(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unacceptable, match=f"^{reason}$"):
        read_span(span(CHAT, **fields))
    assert read_span(span({"http.status_code": 200}, **fields)) is None


@pytest.mark.parametrize(
    ("error_type", "message", "status"),
    [
        ("RateLimitError", "", 429),
        ("openai.RateLimitError", "", 429),
        ("AuthenticationError", "", 401),
        ("anthropic.BadRequestError", "", 400),
        ("litellm.ContextWindowExceededError", "", 400),
        ("PermissionDeniedError", "", 403),
        ("NotFoundError", "", 404),
        ("UnprocessableEntityError", "", 422),
        ("InternalServerError", "", 500),
        ("ServiceUnavailableError", "", 503),
        ("ThrottlingException", "", 429),
        ("google.api_core.exceptions.ResourceExhausted", "", 429),
        ("rate_limit_error", "", 429),
        ("overloaded_error", "", 529),
        ("openai.APITimeoutError", "Request timed out.", 0),
        ("timeout", "", 0),
        ("httpx.ReadTimeout", "", 0),
        ("APIConnectionError", "", 0),
        ("java.net.UnknownHostException", "", 0),
        ("asyncio.CancelledError", "", 0),
        ("418", "", 418),
        ("200", "", 500),
        ("APIStatusError", "Error code: 418 - {'error': …}", 418),
        ("APIStatusError", "RateLimitError: Error code: 429 - Rate limit reached", 429),
        ("RateLimitError", "HTTP 529", 529),
        ("", "the answer was 42, status unknown; 500 tokens", 500),
        ("", "x" * 300 + " Error code: 429", 500),
        ("_OTHER", "", 500),
        ("ValueError", "", 500),
        ("", "", 500),
    ],
)
def test_a_failure_has_the_status_that_its_message_or_its_class_tells(
    error_type: str, message: str, status: int
) -> None:
    assert failure_status(error_type, message) == status


def test_a_failure_is_an_error_status_or_an_error_type() -> None:
    failed = record(CHAT, failed=True, message="Error code: 429 - slow down", exception="openai.RateLimitError")
    assert (failed.status_code, failed.error_type) == (429, "RateLimitError")
    typed = record({**CHAT, "error.type": "RateLimitError"}, exception="other.Error")
    assert (typed.status_code, typed.error_type) == (429, "RateLimitError")


def test_an_exception_that_did_not_fail_the_span_is_no_failure() -> None:
    recovered = record(CHAT, exception="openai.RateLimitError")
    assert (recovered.status_code, recovered.error_type) == (200, None)


def test_an_http_status_outweighs_the_class_of_the_error_but_not_that_there_was_one() -> None:
    assert chat(error__type="RateLimitError", http__response__status_code=529).status_code == 529
    assert chat(http__response__status_code=429).status_code == 429
    assert chat(http__response__status_code=201).status_code == 201
    assert chat(error__type="ReadTimeout", http__response__status_code=200).status_code == 0
    assert chat(error__type="X", error__code="invalid_api_key").status_code == 500
    assert chat(http__response__status_code=1200).status_code == 200


def test_vercel_s_inner_span_is_the_request() -> None:
    inner: dict[str, Value] = {
        "ai.operationId": "ai.streamText.doStream",
        "ai.model.id": "gpt-4o-mini",
        "ai.model.provider": "openai.chat",
        "gen_ai.system": "openai.chat",
        "ai.usage.promptTokens": 12,
        "ai.usage.completionTokens": float("nan"),
        "ai.response.msToFirstChunk": 212.7,
    }
    assert record(inner) == LogRecord(
        created_at=1_795_458_437_314,
        model_name="gpt-4o-mini",
        status_code=200,
        request_id=f"{TRACE}:{SPAN}",
        tokens_in=12,
        latency_ms=15,
        ttft_ms=212,
        provider="openai",
        operation="chat",
    )


values = st.one_of(
    st.text(max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(["chat", "LLM", "doStream", '{"model": 3}', '{"model": "m", "stream": 1}', "x" * 513]),
)
TYPES = {
    **dict.fromkeys(("created_at", "status_code"), (int,)),
    **dict.fromkeys(("model_name", "request_id"), (str,)),
    **dict.fromkeys(("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning"), (int, type(None))),
    **dict.fromkeys(("latency_ms", "ttft_ms"), (int, type(None))),
    **dict.fromkeys(("provider", "api_key", "user", "team", "operation", "error_type"), (str, type(None))),
    "cost_usd": (Decimal, type(None)),
    "stream": (bool, type(None)),
}


@given(said=st.dictionaries(st.sampled_from(sorted(READINGS)), values, max_size=25), failed=st.booleans())
def test_whatever_attributes_say_a_chat_is_a_record_of_the_right_types(said: dict[str, Value], failed: bool) -> None:
    read = record({**said, "ai.operationId": "ai.generateText.doGenerate"}, failed=failed)
    wrong = {name: getattr(read, name) for name, kinds in TYPES.items() if type(getattr(read, name)) not in kinds}
    assert wrong == {}
    assert set(TYPES) == set(LogRecord.__struct_fields__)
