"""OTLP traces: twenty calls as three instrumentations really sent them, what only wraps them, and what is no trace."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1 import trace_pb2

from tallybook.collect.decoded import Decoded
from tallybook.collect.otlp import decode_traces, status_answer, traces_answer
from tallybook.collect.spans import READINGS
from tallybook.records import RULES, LogRecord, Rejected, UnreadableBody

PAYLOADS = Path(__file__).parent / "payloads"
INSTRUMENTATIONS = ("otlp-openai-v2", "otlp-openllmetry", "otlp-openinference")
"""opentelemetry-instrumentation-openai-v2 2.4b0, OpenLLMetry 0.62 and OpenInference 0.1.66, of the same twenty calls."""

TRUTH = [
    ("gpt-4o-mini", 200, 21, 17),
    ("gpt-4o", 200, 23, 31),
    ("gpt-4.1-nano", 200, None, None),
    ("gpt-4o-mini", 200, 26, 52),
    ("gpt-4o", 200, 28, 66),
    ("text-embedding-3-small", 200, 30, None),
    ("gpt-4o-mini", 200, 32, 94),
    ("gpt-4o", 200, 34, 108),
    ("gpt-4.1-nano-flaky", 200, 38, 136),
    ("gpt-4o-mini", 200, 40, 150),
    ("gpt-4o", 200, 42, 164),
    ("gpt-4.1-nano-err429", 429, None, None),
    ("gpt-4o-mini", 200, 46, 192),
    ("gpt-4o", 200, 48, 206),
    ("gpt-4.1-nano-err500", 500, None, None),
    ("gpt-4o-mini", 200, 52, 34),
    ("gpt-4o", 200, 54, 48),
    ("gpt-4.1-nano-slow", 0, None, None),
    ("gpt-4o-mini", 200, 56, 62),
    ("gpt-4o", 200, 58, 76),
]
"""Model, status, tokens in and out of each call, as the server that answered them counted."""


def payload(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """The request in OTLP's JSON, which has ids in hex where protobuf's own has base64."""
    document = json_format.MessageToDict(request)
    for resource in document.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
                    span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(document).encode()


def decode(*spans: trace_pb2.Span) -> Decoded:
    """What the spans are in protobuf, having made sure that they are the same in JSON."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    decoded = decode_traces(request.SerializeToString(), as_json=False)
    assert decode_traces(as_json(request), as_json=True) == decoded
    return decoded


Attributes = dict[str, str | bool | int | float]
KINDS: dict[type, str] = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}


def pairs(attributes: Attributes) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(**{KINDS[type(value)]: value}))  # type: ignore[arg-type]
        for key, value in attributes.items()
    ]


def span(number: int, attributes: Attributes, parent: int = 0, **fields: Any) -> trace_pb2.Span:
    """The numbered span of the one trace."""
    return trace_pb2.Span(
        trace_id=b"\x5a" * 16,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        start_time_unix_nano=fields.pop("start_time_unix_nano", 1_795_458_437_314_080_128),
        end_time_unix_nano=1_795_458_437_329_032_129,
        attributes=pairs(attributes),
        **fields,
    )


def chat(number: int, parent: int = 0, tokens: int = 10, **fields: Any) -> trace_pb2.Span:
    said: Attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
    return span(number, said | {"gen_ai.usage.input_tokens": tokens}, parent, **fields)


def tokens(decoded: Decoded) -> list[int | None]:
    return [record.tokens_in for record in decoded.records]


@pytest.mark.parametrize("name", INSTRUMENTATIONS)
def test_twenty_real_calls_are_what_the_server_counted(name: str) -> None:
    decoded = decode_traces(payload(f"{name}.bin"), as_json=False)
    told = [(record.model_name, record.status_code, record.tokens_in, record.tokens_out) for record in decoded.records]
    assert told == TRUTH
    assert (decoded.indices, decoded.rejected, decoded.ignored) == (list(range(20)), [], 0)
    assert {record.provider for record in decoded.records} == {"openai"}
    assert [record.operation for record in decoded.records] == ["chat"] * 5 + ["embeddings"] + ["chat"] * 14


def test_the_truth_is_17_ok_3_failed_628_tokens_in_and_1436_out() -> None:
    assert [sum(200 <= status < 400 for _, status, _, _ in TRUTH), len(TRUTH)] == [17, 20]
    assert [sum(call[2] or 0 for call in TRUTH), sum(call[3] or 0 for call in TRUTH)] == [628, 1436]


@pytest.mark.parametrize("name", INSTRUMENTATIONS)
def test_the_real_calls_are_the_same_in_json(name: str) -> None:
    body = payload(f"{name}.bin")
    of_json = decode_traces(as_json(ExportTraceServiceRequest.FromString(body)), as_json=True)
    assert of_json == decode_traces(body, as_json=False)


def test_json_with_its_enumerations_by_name_is_the_same_too() -> None:
    body = payload("otlp-openai-v2.json")
    assert b"STATUS_CODE_ERROR" in body
    assert decode_traces(body, as_json=True) == decode_traces(payload("otlp-openai-v2.bin"), as_json=False)


def test_a_call_as_openllmetry_told_it() -> None:
    decoded = decode_traces(bytearray(payload("otlp-openllmetry.bin")), as_json=False)
    assert decoded.records[16] == LogRecord(
        created_at=1_795_458_472_704,
        model_name="gpt-4o",
        status_code=200,
        request_id="41e1336430bd64771477922da1eb5d5b:3fc154b60a5c0a7a",
        tokens_in=54,
        tokens_out=48,
        tokens_cached=5,
        latency_ms=28,
        ttft_ms=26,
        provider="openai",
        operation="chat",
        stream=True,
    )


def test_a_failure_as_openinference_told_it_without_model_and_error_type() -> None:
    decoded = decode_traces(payload("otlp-openinference.bin"), as_json=False)
    assert decoded.records[11] == LogRecord(
        created_at=1_795_458_475_593,
        model_name="gpt-4.1-nano-err429",
        status_code=429,
        request_id="29416061167a1eaa6511fd47776f3947:aa6620022c792869",
        latency_ms=44,
        provider="openai",
        operation="chat",
        error_type="RateLimitError",
    )


def test_what_is_no_request_is_counted_and_indices_are_those_of_all_spans() -> None:
    post = span(2, {"http.response.status_code": 200}, parent=1)
    agent = span(3, {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 20})
    decoded = decode(span(9, {}), chat(1), post, agent, chat(4, parent=3))
    assert (tokens(decoded), decoded.indices, decoded.ignored, decoded.rejected) == ([10, 10], [1, 4], 3, [])


def test_spans_of_several_resources_and_scopes_are_counted_through() -> None:
    request = ExportTraceServiceRequest()
    for number in (1, 2, 3):
        request.resource_spans.add().scope_spans.add().spans.extend([span(number * 10, {}), chat(number)])
    assert decode_traces(request.SerializeToString(), as_json=False).indices == [1, 3, 5]
    assert decode_traces(as_json(request), as_json=True).indices == [1, 3, 5]


def test_a_parent_that_repeats_its_child_counts_once_whichever_comes_first() -> None:
    for spans in ((chat(1), chat(2, parent=1, tokens=7)), (chat(2, parent=1, tokens=7), chat(1))):
        decoded = decode(*spans)
        assert (tokens(decoded), decoded.ignored) == ([7], 1)


def test_so_does_a_parent_further_up_with_other_spans_between() -> None:
    between = span(2, {"traceloop.span.kind": "task"}, parent=1)
    unnamed = span(3, {}, parent=2)
    decoded = decode(chat(1, tokens=30), between, unnamed, chat(4, parent=3, tokens=10), chat(5, parent=3, tokens=20))
    assert (tokens(decoded), decoded.indices, decoded.ignored) == ([10, 20], [3, 4], 3)


def test_a_parent_of_what_is_no_request_counts() -> None:
    assert tokens(decode(chat(1), span(2, {"openinference.span.kind": "TOOL"}, parent=1))) == [10]


def test_the_same_number_in_another_trace_is_another_span() -> None:
    other = chat(1)
    other.trace_id = b"\xa5" * 16
    assert tokens(decode(other, chat(2, parent=1))) == [10, 10]


def test_a_child_that_is_rejected_leaves_its_parent_to_count() -> None:
    decoded = decode(chat(1), chat(2, parent=1, start_time_unix_nano=0))
    assert (tokens(decoded), decoded.indices) == ([10], [0])
    assert decoded.rejected == [Rejected(1, "start_time_unix_nano is missing")]


def test_a_parent_in_a_later_batch_cannot_be_told_to_repeat_and_counts_again() -> None:
    """The limit that the module's description names."""
    assert tokens(decode(chat(2, parent=1))) + tokens(decode(chat(1))) == [10, 10]


def test_ids_that_lead_nowhere_or_in_a_circle_end() -> None:
    assert tokens(decode(chat(1, parent=1), chat(2, parent=99))) == [10, 10]
    assert len(decode(chat(1, parent=2), chat(2, parent=3), chat(3, parent=2)).records) < 3


def test_a_long_chain_leaves_its_last() -> None:
    chain = [chat(number, parent=number - 1, tokens=number) for number in range(1, 2001)]
    assert tokens(decode(*chain)) == [2000]
    assert tokens(decode(*reversed(chain))) == [2000]


def test_a_span_that_is_sent_again_is_the_same_request() -> None:
    first, again = decode(chat(1)).records, decode(chat(1)).records
    assert [record.request_id for record in first + again] == ["5a" * 16 + ":" + "0" * 15 + "1"] * 2


def test_requests_without_valid_ids_are_rejected_each_with_its_index() -> None:
    short, zero = chat(1), chat(2)
    short.trace_id, zero.span_id = b"\x01" * 15, b"\0" * 8
    decoded = decode(short, chat(3), zero)
    assert (tokens(decoded), decoded.ignored) == ([10], 0)
    assert decoded.rejected == [
        Rejected(0, "trace_id is not 32 hex digits that are not all zero"),
        Rejected(2, "span_id is not 16 hex digits that are not all zero"),
    ]


def test_only_the_first_chunk_and_the_last_exception_of_a_failure_are_told() -> None:
    def event(name: str, after_ms: int, **attributes: str) -> trace_pb2.Span.Event:
        at_ns = 1_795_458_437_314_080_128 + after_ms * 1_000_000
        said: Attributes = {key.replace("_", "."): value for key, value in attributes.items()}
        return trace_pb2.Span.Event(name=name, time_unix_nano=at_ns, attributes=pairs(said))

    events = [
        event("gen_ai.content.completion.chunk", 4),
        event("gen_ai.content.completion.chunk", 9),
        event("exception", 10, exception_type="openai.APIConnectionError"),
        event("exception", 11, exception_type="openai.RateLimitError"),
        event("exception", 12),
    ]
    failed = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR)
    (record,) = decode(chat(1, events=events, status=failed)).records
    assert (record.ttft_ms, record.status_code, record.error_type) == (4, 429, "RateLimitError")


def in_json(**fields: Any) -> Decoded:
    """What one chat with these fields in JSON is."""
    names = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in names.items()]
    one = {"traceId": "5A" * 16, "spanId": "00000000000000Af", "startTimeUnixNano": "1795458437314080128"}
    one |= {"attributes": attributes + fields.pop("said", []), **fields}
    return decode_traces(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}).encode(), as_json=True)


def test_json_has_ids_in_hex_of_either_case_and_integers_as_numbers_or_strings() -> None:
    said = [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}}]
    said += [{"key": "gen_ai.usage.output_tokens", "value": {"intValue": 13}}]
    (record,) = in_json(said=said, endTimeUnixNano=1795458437316080128).records
    assert record.request_id == "5a" * 16 + ":" + "00000000000000af"
    assert (record.created_at, record.latency_ms, record.tokens_in, record.tokens_out) == (1795458437314, 2, 12, 13)


@pytest.mark.parametrize("code", [2, "2", "STATUS_CODE_ERROR"])
def test_json_has_the_status_as_a_number_or_a_name(code: object) -> None:
    assert in_json(status={"code": code}).records[0].status_code == 500
    assert in_json(status={"code": 1}).records[0].status_code == 200
    assert in_json(status={"code": "STATUS_CODE_UNSET"}).records[0].status_code == 200


@pytest.mark.parametrize(
    "value", [{}, None, {"arrayValue": {"values": [{"intValue": 1}]}}, {"kvlistValue": {}}, {"future": 1}]
)
def test_json_leaves_what_it_does_not_know_unread(value: object) -> None:
    (record,) = in_json(
        said=[{"key": "gen_ai.usage.input_tokens", "value": value}], parentSpanId=None, later=[1]
    ).records
    assert record.tokens_in is None


@pytest.mark.parametrize("given", ["", "5a5a", "Wlpa+WlpaWlpaWlpaWlpaWg==", "zz" * 16, "0" * 32])
def test_json_ids_that_are_no_hex_are_rejected(given: str) -> None:
    decoded = in_json(traceId=given)
    assert decoded.rejected == [Rejected(0, "trace_id is not 32 hex digits that are not all zero")]


@pytest.mark.parametrize(("body", "in_as_json"), [(b"", False), (b"{}", True), (b'{"resourceSpans": []}', True)])
def test_a_request_without_spans_is_in_order(body: bytes, in_as_json: bool) -> None:
    assert decode_traces(body, in_as_json) == Decoded([], [])


@pytest.mark.parametrize(
    ("body", "in_as_json"),
    [
        (b"\xff\xff", False),
        (b'{"resourceSpans": []}', False),
        (b"\x0a\x04\x12\x02", False),
        (ExportTraceServiceRequest().SerializeToString(), True),
        (b"[]", True),
        (b"null", True),
        (b'{"resourceSpans": 3}', True),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "soon"}]}]}]}', True),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 1e400}]}]}]}', True),
        (b'{"resourceSpans": "\\ud800"}', True),
        (b'{"resourceSpans": "\xff"}', True),
        (b'{"later": ' + b"[" * 100_000, True),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"value": {"intValue": 9' + b"9" * 5000, True),
    ],
)
def test_what_is_no_trace_request_is_unreadable(body: bytes, in_as_json: bool) -> None:
    with pytest.raises(UnreadableBody, match=r"^The body is no OTLP trace request in (protobuf|JSON)"):
        decode_traces(body, in_as_json)


def test_json_in_the_names_of_protobuf_is_refused_and_not_taken_for_empty() -> None:
    request = ExportTraceServiceRequest.FromString(payload("otlp-openai-v2.bin"))
    body = json_format.MessageToJson(request, preserving_proto_field_name=True)
    with pytest.raises(UnreadableBody, match="OTLP's JSON has resourceSpans"):
        decode_traces(body.encode(), as_json=True)


def test_an_answer_names_a_partial_success_only_if_there_was_one() -> None:
    assert traces_answer(as_json=False) == b""
    assert traces_answer(as_json=True) == b"{}"
    assert traces_answer(as_json=False, rejected=0, message="unused") == b""
    partial = ExportTraceServiceResponse.FromString(traces_answer(False, 3, "no ids")).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "no ids")
    assert traces_answer(True, 3, "no ids") == b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no ids"}}'


def test_a_json_answer_is_what_protobuf_s_own_json_would_be() -> None:
    answer = json_format.Parse(traces_answer(True, 3, "no ids"), ExportTraceServiceResponse())
    assert answer == ExportTraceServiceResponse.FromString(traces_answer(False, 3, "no ids"))


@pytest.mark.parametrize(
    ("http_status", "code"), [(400, 3), (401, 16), (403, 7), (413, 8), (415, 2), (429, 8), (503, 14)]
)
def test_an_error_is_a_status_with_grpc_s_code(http_status: int, code: int) -> None:
    assert status_answer(True, http_status, "too much") == b'{"code":%d,"message":"too much"}' % code
    assert status_answer(False, http_status, "too much") == b"\x08" + bytes([code]) + b"\x12\x08too much"


names = st.one_of(st.sampled_from(sorted(READINGS)), st.text(max_size=10))
texts = st.one_of(
    st.text(max_size=20), st.sampled_from(["chat", "LLM", "12", "-1", '{"model": "m"}', "x" * 600, "a\0b"])
)
scalars = st.one_of(
    texts.map(lambda value: AnyValue(string_value=value)),
    st.booleans().map(lambda value: AnyValue(bool_value=value)),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value)),
    st.integers(0, 50).map(lambda value: AnyValue(int_value=value)),
    st.floats().map(lambda value: AnyValue(double_value=value)),
    st.binary(max_size=5).map(lambda value: AnyValue(bytes_value=value)),
    st.just(AnyValue()),
)
odd_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: AnyValue(array_value=ArrayValue(values=values))),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda values: AnyValue(
                kvlist_value=KeyValueList(values=[KeyValue(key=key, value=value) for key, value in values.items()])
            )
        ),
    ),
    max_leaves=5,
)
said = st.dictionaries(names, odd_values, max_size=12)
requests = said.map(lambda odd: odd | {"ai.operationId": AnyValue(string_value="ai.generateText.doGenerate")})
key_values = st.one_of(requests, said).map(lambda odd: [KeyValue(key=key, value=value) for key, value in odd.items()])
instants = st.one_of(st.integers(0, 2**63 - 1), st.just(0), st.just(1_795_458_437_314_080_128))
event_names = st.sampled_from(["exception", "First Token Stream Event", "gen_ai.content.completion.chunk", "log"])
odd_spans = st.builds(
    trace_pb2.Span,
    trace_id=st.one_of(st.just(b"\x5a" * 16), st.binary(max_size=20)),
    span_id=st.one_of(st.integers(0, 9).map(lambda number: number.to_bytes(8, "big")), st.binary(max_size=10)),
    parent_span_id=st.one_of(st.integers(0, 9).map(lambda number: number.to_bytes(8, "big")), st.binary(max_size=10)),
    start_time_unix_nano=instants,
    end_time_unix_nano=instants,
    attributes=key_values,
    events=st.lists(
        st.builds(trace_pb2.Span.Event, name=event_names, time_unix_nano=instants, attributes=key_values), max_size=2
    ),
    status=st.builds(trace_pb2.Status, message=texts, code=st.integers(0, 3)),
)


def assert_well_formed(decoded: Decoded, sent: int) -> None:
    """Everything sent is accounted for, and what became a record keeps to the types and the rules of one."""
    assert len(decoded.records) + len(decoded.rejected) + decoded.ignored == sent
    indices = [*decoded.indices, *(entry.index for entry in decoded.rejected)]
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(sent))
    for record in decoded.records:
        values = msgspec.structs.asdict(record)
        assert isinstance(values["cost_usd"], Decimal | None)
        assert msgspec.convert({**values, "cost_usd": str(values["cost_usd"] or 0)}, LogRecord).request_id
        assert [reason for rule in RULES if (reason := rule(record))] == []


@given(spans=st.lists(odd_spans, max_size=6))
def test_spans_with_the_oddest_attributes_are_records_rejected_or_ignored(spans: Iterable[trace_pb2.Span]) -> None:
    sent = list(spans)
    assert_well_formed(decode(*sent), len(sent))


@given(body=st.binary(max_size=200), in_as_json=st.booleans())
def test_random_bytes_are_decoded_or_unreadable(body: bytes, in_as_json: bool) -> None:
    try:
        decoded = decode_traces(body, in_as_json)
    except UnreadableBody:
        return
    assert decoded.records == []


@given(place=st.integers(0, 10_412), byte=st.integers(0, 255))
def test_a_byte_changed_on_the_way_ends_in_records_or_unreadable(place: int, byte: int) -> None:
    body = bytearray(payload("otlp-openai-v2.bin"))
    body[place] = byte
    try:
        decoded = decode_traces(body, as_json=False)
    except UnreadableBody:
        return
    assert_well_formed(decoded, len(decoded.records) + len(decoded.rejected) + decoded.ignored)


NESTED_KEYS = ("resourceSpans", "scopeSpans", "spans", "attributes", "events", "status", "value", "key", "code", "name")
FLAT_KEYS = (
    "traceId",
    "spanId",
    "parentSpanId",
    "startTimeUnixNano",
    "stringValue",
    "intValue",
    "doubleValue",
    "boolValue",
)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(sorted(READINGS))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NESTED_KEYS + FLAT_KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(document=documents, depth=st.integers(0, 3))
def test_any_json_is_decoded_or_unreadable(document: object, depth: int) -> None:
    for name in ("spans", "scopeSpans", "resourceSpans")[3 - depth :]:
        document = {name: [document]}
    try:
        decoded = decode_traces(json.dumps(document).encode(), as_json=True)
    except UnreadableBody:
        return
    assert_well_formed(decoded, len(decoded.records) + len(decoded.rejected) + decoded.ignored)
