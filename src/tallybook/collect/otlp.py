"""OTLP/HTTP traces: spans as protobuf or JSON to log records, and the answers that an exporter expects.

Only leaves count: a span that repeats the usage of a request below it, as a framework's does, is ignored in favour of
that request, in the same batch or in a later one, for a parent ends after its children. What stands above a request is
remembered for a while only and not over a restart; after that only a span's operation tells (agents, workflows, chains
and tools are never requests).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Annotated, Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from msgspec import Meta
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tallybook.collect.ancestors import Ancestors
from tallybook.collect.decoded import Decoded, check_number, check_pieces
from tallybook.collect.spans import READINGS, Span, Value, read_span
from tallybook.collect.wire import fields_of
from tallybook.records import LogRecord, Rejected, Unacceptable, UnreadableBody

FIRST_CHUNK = frozenset(
    {
        "First Token Stream Event",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
        "ai.stream.firstChunk",
    }
)
"""The events that instrumentations add when a part of a streamed answer arrives."""

STATUS_ERROR = 2
SMALL_BYTES = 1 << 20
RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2
"""The numbers of the repeated fields that lead to a span, as opentelemetry-proto has them."""


def decode_traces(body: bytes | bytearray, as_json: bool, ancestors: Ancestors | None = None) -> Decoded:
    """The log records of an ExportTraceServiceRequest, in protobuf or in OTLP's JSON.

    An index counts the spans in the order sent. Spans that are no request to a model, and those that only repeat one in
    the same batch, or in one whose `ancestors` are given, are counted as ignored. Raises `UnreadableBody` for what is
    no such request.
    """
    spans = _json_spans(body) if as_json else _protobuf_spans(body)
    return _collect(spans, Ancestors() if ancestors is None else ancestors)


def _collect(spans: Iterable[Span], ancestors: Ancestors) -> Decoded:
    records: list[LogRecord] = []
    indices: list[int] = []
    rejected: list[Rejected] = []
    parents: dict[str, str] = {}
    total = 0
    for index, span in enumerate(spans):
        total += 1
        if span.parent_id:
            parents[span.key] = span.parent_key
        try:
            record = read_span(span)
        except Unacceptable as error:
            rejected.append(Rejected(index, str(error)))
            continue
        if record is not None:
            records.append(record)
            indices.append(index)
    if repeated := ancestors.climb((record.request_id or "" for record in records), parents):
        leaves = [place for place, record in enumerate(records) if record.request_id not in repeated]
        records, indices = [records[place] for place in leaves], [indices[place] for place in leaves]
    return Decoded(records, indices, rejected, ignored=total - len(records) - len(rejected))


def _protobuf_spans(body: bytes | bytearray) -> Iterator[Span]:
    _check_spans(body)
    try:
        request = ExportTraceServiceRequest.FromString(bytes(body))
    except DecodeError as error:
        raise UnreadableBody(f"The body is no OTLP trace request in protobuf: {error}") from None
    return _spans(request, _protobuf_value, bytes.hex)


def _check_spans(body: bytes | bytearray) -> None:
    """Raises `TooManyRecords` before a parser would make millions of objects of a few bytes each."""
    if len(body) > SMALL_BYTES:
        visited = count(1)

        def messages(start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
            for number, first, last in fields_of(body, start, end):
                check_number(next(visited))
                if number == wanted:
                    yield first, last

        for resource in messages(0, len(body), RESOURCE_SPANS):
            for scope in messages(*resource, SCOPE_SPANS):
                for _ in messages(*scope, SPANS):
                    pass


def _spans(request: Any, value_of: Callable[[Any], Value | None], hex_of: Callable[[Any], str]) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(span, value_of, hex_of)


def _span(span: Any, value_of: Callable[[Any], Value | None], hex_of: Callable[[Any], str]) -> Span:
    """A span of either wire: the structs of the JSON are named as the messages of the protobuf are."""
    attributes = {
        name: value
        for attribute in span.attributes
        if (name := attribute.key) in READINGS and (value := value_of(attribute.value)) is not None
    }
    first_chunk_ns, exception = _events(span.events, value_of) if attributes and span.events else (None, None)
    status, parent = span.status, span.parent_span_id
    return Span(
        trace_id=hex_of(span.trace_id),
        span_id=hex_of(span.span_id),
        parent_id=hex_of(parent) if parent else "",
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=status.code == STATUS_ERROR,
        message=status.message,
        exception=exception,
        first_chunk_ns=first_chunk_ns,
        attributes=attributes,
    )


def _events(events: Iterable[Any], value_of: Callable[[Any], Value | None]) -> tuple[int | None, str | None]:
    """When the first part of the answer came, in epoch ns, and the type of the last exception."""
    first_chunk_ns, exception = None, None
    for event in events:
        name = event.name
        if name in FIRST_CHUNK:
            first_chunk_ns = first_chunk_ns or event.time_unix_nano
        elif name == "exception":
            types = [value_of(entry.value) for entry in event.attributes if entry.key == "exception.type"]
            exception = next((told for told in types if isinstance(told, str) and told), exception)
    return first_chunk_ns, exception


_SCALARS = frozenset({"string_value", "bool_value", "int_value", "double_value"})


def _protobuf_value(value: Any) -> Value | None:
    # Most are texts or counts: reading both costs less than asking which of the kinds it is.
    known: Value = value.string_value or value.int_value
    if known:
        return known
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in _SCALARS else None


_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Instant = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Int64 | None = None
    double_value: float | None = None


class _Attribute(msgspec.Struct, rename="camel"):
    key: str = ""
    value: _Value | None = None


class _Event(msgspec.Struct, rename="camel"):
    name: str = ""
    time_unix_nano: _Instant = 0
    attributes: list[_Attribute] = []


class _Status(msgspec.Struct, rename="camel", frozen=True):
    told: int | str = msgspec.field(name="code", default=0)
    message: str = ""

    @property
    def code(self) -> int:
        return STATUS_ERROR if self.told in (STATUS_ERROR, str(STATUS_ERROR), "STATUS_CODE_ERROR") else 0


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    start_time_unix_nano: _Instant = 0
    end_time_unix_nano: _Instant = 0
    attributes: list[_Attribute] = []
    events: list[_Event] = []
    status: _Status = _Status()


class _ScopeSpans(msgspec.Struct, rename="camel"):
    spans: list[_Span] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    scope_spans: list[_ScopeSpans] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = []
    misnamed: msgspec.Raw = msgspec.field(name="resource_spans", default=msgspec.Raw())


_REQUEST = msgspec.json.Decoder(_Request, strict=False)
"""Not strict, since JSON has the 64-bit integers of protobuf as strings, and OTLP allows both."""


def _json_spans(body: bytes | bytearray) -> Iterator[Span]:
    check_pieces(body)
    try:
        request = _REQUEST.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableBody(f"The body is no OTLP trace request in JSON: {error}") from None
    if bytes(request.misnamed):
        raise UnreadableBody("The body names its fields as protobuf does; OTLP's JSON has resourceSpans.")
    return _spans(request, _json_value, _json_hex)


def _json_value(value: _Value | None) -> Value | None:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return value.int_value
    return value.double_value if value.bool_value is None else value.bool_value


def _json_hex(text: str) -> str:
    """The id in lower case; one that is no hex is none, as an empty one."""
    try:
        return bytes.fromhex(text).hex()
    except ValueError:
        return ""


def traces_answer(as_json: bool, rejected: int = 0, message: str = "") -> bytes:
    """An ExportTraceServiceResponse, with a partial success only if spans were rejected; `message` says why."""
    if not as_json:
        response = ExportTraceServiceResponse()
        if rejected:
            response.partial_success.rejected_spans = rejected
            response.partial_success.error_message = message
        return response.SerializeToString()
    partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}} if rejected else {}
    return msgspec.json.encode(partial)


_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 8, 429: 8, 500: 13, 503: 14, 504: 4}
_UNKNOWN = 2
"""gRPC's codes, as google/rpc/code.proto numbers them, by HTTP status."""


def _status_message() -> Any:
    """google.rpc.Status, which no package that we need brings; of its fields the two that an error needs."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="google/rpc/status.proto", package="google.rpc", syntax="proto3")
    fields = (("code", 1, field.TYPE_INT32), ("message", 2, field.TYPE_STRING))
    declared = file.message_type.add(name="Status")
    for name, number, kind in fields:
        declared.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("google.rpc.Status"))


_RPC_STATUS = _status_message()


def status_answer(as_json: bool, http_status: int, message: str) -> bytes:
    """A google.rpc.Status, the body that OTLP wants with every error."""
    code = _RPC_CODES.get(http_status, _UNKNOWN)
    if as_json:
        return msgspec.json.encode({"code": code, "message": message})
    return bytes(_RPC_STATUS(code=code, message=message).SerializeToString())
