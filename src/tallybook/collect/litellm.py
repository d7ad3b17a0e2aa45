"""LiteLLM's generic API logger: its standard logging payloads, in an array, one a line, or a single one.

What the same requests are in LiteLLM's own table is told by the preset `litellm`: where both can know it, they give
the same statistics.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache, partial
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Raw, Struct, field
from msgspec.structs import FieldInfo, fields

from tallybook.collect.decoded import Decoded, check_number, check_pieces
from tallybook.histogram import MAX_LATENCY_MS
from tallybook.records import (
    MAX_COST_USD,
    MAX_STATUS,
    MAX_TEXT,
    Count,
    LogRecord,
    Rejected,
    Text,
    Unacceptable,
    UnreadableBody,
    keep_name,
)

Seconds = Annotated[float, Meta(ge=0, lt=253_402_300_800)]
"""UNIX seconds, before the year 10000."""


class _InDetails(Struct, gc=False):
    cached_tokens: Count | None = None


class _OutDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None


class _Usage(Struct, gc=False):
    prompt_tokens_details: _InDetails | None = None
    completion_tokens_details: _OutDetails | None = None
    cache_read_input_tokens: Count | None = None


class _Metadata(Struct, gc=False):
    user_api_key_hash: Text | None = None
    user_api_key_user_id: Text | None = None
    user_api_key_team_id: Text | None = None
    usage_object: _Usage | None = None


class _Error(Struct, gc=False):
    error_code: int | Text | None = None
    error_class: Text | None = None


class _Anything(Struct, gc=False):
    """An object of which only its being there matters."""


class _Event(Struct, gc=False, kw_only=True):
    """The small part of an event that is needed; msgspec passes over the rest, the price map above all."""

    start_s: Seconds = field(name="startTime")
    status: Literal["success", "failure"]
    id: str | None = None
    litellm_call_id: str | None = None
    call_type: Text | None = None
    stream: bool | None = None
    end_s: Seconds | None = field(name="endTime", default=None)
    first_token_s: Seconds | None = field(name="completionStartTime", default=None)
    model: Text | None = None
    model_group: Text | None = None
    custom_llm_provider: Text | None = None
    response_cost: Decimal | None = None
    response_cost_failure_debug_info: _Anything | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    end_user: Text | None = None
    metadata: _Metadata | None = None
    error_information: _Error | None = None


_WITHOUT: Mapping[str, str] = {
    "start_s": "startTime is missing or is no time in UNIX seconds",
    "status": "status is neither success nor failure",
}
_NO_METADATA, _NO_USAGE, _NO_ERROR = _Metadata(), _Usage(), _Error()
_NO_IN_DETAILS, _NO_OUT_DETAILS = _InDetails(), _OutDetails()

UNKNOWN_MODEL = "unknown-model"
"""As LiteLLM's own table calls the model of a request that named none."""

_UNLIKE = {
    "completion": "chat",
    "anthropic_messages": "chat",
    "embedding": "embeddings",
    "generate_content_stream": "generate_content",
}
_ALIKE = (
    *("text_completion", "responses", "generate_content", "image_generation", "image_edit", "moderation"),
    *("transcription", "speech", "rerank", "search", "ocr", "video_generation", "video_edit", "vector_store_search"),
    *("create_batch", "retrieve_batch", "cancel_batch", "create_file", "file_retrieve", "file_content"),
    "llm_passthrough_route",
)
_SYNCHRONOUS = _UNLIKE | {name: name for name in _ALIKE}
OPERATIONS: Mapping[str, str] = {
    **_SYNCHRONOUS,
    **{f"a{call_type}": operation for call_type, operation in _SYNCHRONOUS.items()},
    "_arealtime": "realtime",
    "_aresponses_websocket": "responses",
}
"""`operation` by `call_type`, as OpenTelemetry names it where it does; others stay as they are."""

STATUS_CODES: Mapping[str, int] = {
    "APITimeoutError": 408,
    "AuthenticationError": 401,
    "BadGatewayError": 502,
    "BadRequestError": 400,
    "BlockedPiiEntityError": 400,
    "BudgetExceededError": 422,
    "ClientDisconnected": 499,
    "ContentPolicyViolationError": 400,
    "ContextWindowExceededError": 400,
    "GuardrailRaisedException": 400,
    "ImageFetchError": 400,
    "InvalidRequestError": 400,
    "LiteLLMUnknownProvider": 400,
    "MidStreamFallbackError": 503,
    "NotFoundError": 404,
    "PaymentRequiredError": 402,
    "PermissionDeniedError": 403,
    "ProxyModelNotFoundError": 400,
    "RateLimitError": 429,
    "RejectedRequestError": 400,
    "RouterRateLimitError": 429,
    "RouterRateLimitErrorBasic": 429,
    "ServiceUnavailableError": 503,
    "Timeout": 408,
    "UnprocessableEntityError": 422,
    "UnsupportedParamsError": 400,
}
"""What LiteLLM answers its own client, by `error_class`: for failures whose `error_code` is no HTTP status."""
OTHER_FAILURE = 500


def decode_litellm(body: bytes | bytearray) -> Decoded:
    """The log records of a posted batch: a JSON array, NDJSON or one event, whatever its content type says.

    An event that is posted again gives the same `request_id`, its `id`, and the same `status_code`: 200, or that of
    the failure. Failures of one `id` in one body all have the code of the first, so that they are one record.
    Rejected is an event without `startTime`, `status` or any id; any other field that cannot be read is unknown.
    Raises `UnreadableBody` when there is nothing in it that could be called an event.
    """
    check_pieces(body)
    if not body.strip():
        raise UnreadableBody("The body is empty.")
    try:
        events = _decode_all(body)
        check_number(len(events))
        return _records(enumerate(events))
    except _MISFIT:
        return _records(_read_each(_split(body)))


_MISFIT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ONE = msgspec.json.Decoder(_Event | None)
_MANY = msgspec.json.Decoder(list[_Event | None])
_RAW = msgspec.json.Decoder(Raw)
_RAWS = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])

Read = _Event | Unacceptable | None
"""An event, or why there is none; LiteLLM sends null for a request of which it could make no event."""


def _decode_all(body: bytes | bytearray) -> list[_Event | None]:
    return _MANY.decode(body) if _is_array(body) else _ONE.decode_lines(body)


def _is_array(body: bytes | bytearray) -> bool:
    return body.lstrip()[:1] == b"["


def _records(events: Iterable[tuple[int, Read]]) -> Decoded:
    records, indices, rejected = [], [], []
    failures: dict[str, int] = {}
    for index, event in events:
        try:
            records.append(_record(event, failures))
            indices.append(index)
        except Unacceptable as error:
            rejected.append(Rejected(index, str(error)))
    return Decoded(records, indices, rejected)


def _record(event: Read, failures: dict[str, int]) -> LogRecord:
    if not isinstance(event, _Event):
        raise event or Unacceptable("null is no event")
    request_id = _request_id(event)
    error = event.error_information or _NO_ERROR
    start_us = _epoch_us(event.start_s)
    metadata = event.metadata or _NO_METADATA
    usage = metadata.usage_object or _NO_USAGE
    cached = (usage.prompt_tokens_details or _NO_IN_DETAILS).cached_tokens
    reasoning = (usage.completion_tokens_details or _NO_OUT_DETAILS).reasoning_tokens
    return LogRecord(
        created_at=start_us // 1000,
        model_name=event.model or event.model_group or UNKNOWN_MODEL,
        status_code=200 if event.status == "success" else failures.setdefault(request_id, _failure_code(error)),
        request_id=request_id,
        tokens_in=event.prompt_tokens,
        tokens_out=event.completion_tokens,
        tokens_cached=_part(usage.cache_read_input_tokens if cached is None else cached, event.prompt_tokens),
        tokens_reasoning=_part(reasoning, event.completion_tokens),
        latency_ms=_elapsed_ms(start_us, event.end_s),
        ttft_ms=_first_token_ms(start_us, event),
        cost_usd=_cost(event),
        provider=event.custom_llm_provider or None,
        api_key=metadata.user_api_key_hash or None,
        user=metadata.user_api_key_user_id or event.end_user or None,
        team=metadata.user_api_key_team_id or None,
        operation=OPERATIONS.get(event.call_type or "", event.call_type) or None,
        error_type=error.error_class or None,
        stream=event.stream,
    )


def _request_id(event: _Event) -> str:
    """The `id`, unless there is none: of a response whose id is null LiteLLM makes the text "None".

    An id that is too long to be stored, as that of a response may be, is stored as its SHA-256.
    """
    given = event.litellm_call_id if event.id in {None, "", "None"} else event.id
    if not given:
        raise Unacceptable("there is neither an id nor a litellm_call_id")
    return given if len(given) <= MAX_TEXT else hashlib.sha256(given.encode()).hexdigest()


def _failure_code(error: _Error) -> int:
    code = str(error.error_code)
    if code.isdecimal() and 400 <= int(code) <= MAX_STATUS:
        return int(code)
    return STATUS_CODES.get(error.error_class or "", OTHER_FAILURE)


def _epoch_us(seconds: float) -> int:
    """LiteLLM's seconds are whole microseconds, divided: a double is near enough to give back the very same."""
    return round(seconds * 1_000_000)


def _elapsed_ms(start_us: int, until_s: float | None) -> int | None:
    if until_s is None:
        return None
    elapsed_ms = (_epoch_us(until_s) - start_us) // 1000
    return elapsed_ms if 0 <= elapsed_ms <= MAX_LATENCY_MS else None


def _first_token_ms(start_us: int, event: _Event) -> int | None:
    """Where nothing was streamed, LiteLLM gives the end as the time of the first token."""
    first_s, end_s = event.first_token_s, event.end_s
    if first_s is None or end_s is None or first_s >= end_s or event.stream is False:
        return None
    return _elapsed_ms(start_us, first_s)


def _part(part: int | None, whole: int | None) -> int | None:
    """Some providers count such tokens beside the others, not among them: that tells no part of them."""
    return None if part is not None and whole is not None and part > whole else part


def _cost(event: _Event) -> Decimal | None:
    """A cost of 0 with a note on a failed look-up is none: LiteLLM knew no price."""
    cost = event.response_cost
    if cost is None or not cost.is_finite() or not 0 <= cost <= MAX_COST_USD:
        return None
    return cost if cost or event.response_cost_failure_debug_info is None else None


Answer = TypeVar("Answer")
Shape = TypeVar("Shape", bound=Struct)


class _NotJson(Unacceptable):
    pass


def _split(body: bytes | bytearray) -> list[bytes]:
    if _is_array(body):
        return [bytes(raw) for raw in _split_array(body)]
    try:
        return [bytes(_RAW.decode(body))]
    except _MISFIT:
        return [bytes(line) for line in body.splitlines() if line.strip()]


def _split_array(body: bytes | bytearray) -> list[Raw]:
    try:
        return _RAWS.decode(body)
    except _MISFIT:
        pass
    try:
        return _decode_mended(_RAWS.decode, body)
    except _NotJson as error:
        raise UnreadableBody(f"The body is {error}.") from None


def _decode_mended(decode: Callable[[bytes], Answer], body: bytes | bytearray) -> Answer:
    """What is decoded when all is replaced that Python writes and that is no JSON: NaN, infinities, half characters."""
    try:
        read = json.loads(body.decode(errors="replace"), parse_constant=lambda _: None, parse_float=_finite)
        return decode(json.dumps(read, ensure_ascii=False).encode(errors="replace"))
    except Unacceptable:
        raise
    except (*_MISFIT, ValueError) as error:
        raise _NotJson(f"not JSON: {error}") from None


def _finite(number: str) -> float | None:
    read = float(number)
    return read if math.isfinite(read) else None


def _read_each(parts: list[bytes]) -> Iterable[tuple[int, Read]]:
    check_number(len(parts))
    events = [_read_anyhow(part) for part in parts]
    if all(isinstance(event, _NotJson) for event in events):
        raise UnreadableBody("The body holds no JSON event.")
    return enumerate(events)


def _read_anyhow(part: bytes) -> Read:
    try:
        try:
            return _read(part)
        except _MISFIT:
            return _decode_mended(_read, part)
    except Unacceptable as error:
        return type(error)(*error.args)  # a new one: that which was raised holds on to its frames


def _read(part: bytes) -> _Event | None:
    try:
        event: _Event | None = _ONE.decode(part)
    except msgspec.ValidationError:
        return _read_by_field(_Event, part)
    return event


def _read_by_field(shape: type[Shape], part: bytes | Raw) -> Shape:
    """An object some of whose fields are not as they should be: what cannot be read of them is left out."""
    try:
        given = _OBJECT.decode(part)
    except msgspec.ValidationError:
        raise Unacceptable("not an object") from None
    known: dict[str, object] = {}
    for told, read in _readers(shape):
        with suppress(KeyError, msgspec.ValidationError, Unacceptable):
            known[told.name] = read(given[told.encode_name])
        if told.required and told.name not in known:
            raise Unacceptable(_WITHOUT[told.name])
    return shape(**known)


@cache
def _readers(shape: type[Struct]) -> list[tuple[FieldInfo, Callable[[Raw], object]]]:
    return [(told, _reader(told.name, told.type)) for told in fields(shape)]


def _reader(name: str, wanted: Any) -> Callable[[Raw], object]:
    kinds = get_args(wanted)
    if Text in kinds or str in kinds:
        return partial(_read_text, name)
    if nested := next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Struct)), None):
        return partial(_read_by_field, nested)
    return msgspec.json.Decoder(wanted, strict=False).decode


def _read_text(name: str, raw: Raw) -> str | None:
    """A name as it may be kept, be it a number or too long; of ids nothing is cut off, lest two become one."""
    value = _TEXT.decode(raw)
    text = None if value is None else str(value)
    return text if name in _IDS else keep_name("api_key" if name == _API_KEY else name, text)


_TEXT = msgspec.json.Decoder(str | int | None)
_IDS = ("id", "litellm_call_id")
_API_KEY = "user_api_key_hash"
