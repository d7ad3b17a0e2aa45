"""What a span says of an LLM request, in the names of every generation and vendor, as a log record.

The names were measured at the instrumentations themselves, and read in the conventions of OpenTelemetry for generative
AI, of OpenInference, and of the SDKs that name things their own way. What an attribute says in a type or a size that
cannot be is unknown: an odd attribute must not cost the record of a request that was made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from tallybook.histogram import MAX_LATENCY_MS
from tallybook.records import MAX_COST_USD, MAX_COUNT, MAX_TEXT, LogRecord, Unacceptable, keep_name

Value = str | bool | int | float
"""What an attribute can say; arrays, maps and bytes say nothing that a log record holds."""

Reader = Callable[[Value], Any]

UNKNOWN_MODEL = "unknown-model"
"""The model of a request whose span names none, as of a failure before the model was chosen. The request was made."""

NO_REQUEST = ""
"""The operation of a span that is no request to a model: an agent, a tool, a chain, a fetch of an earlier response."""


class Span(msgspec.Struct, gc=False):
    """A span, whatever wire it came by. Ids are lower-case hex, empty where there is none; instants are epoch ns."""

    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    failed: bool
    message: str
    exception: str | None
    first_chunk_ns: int | None
    attributes: dict[str, Value]

    @property
    def key(self) -> str:
        return f"{self.trace_id}:{self.span_id}"

    @property
    def parent_key(self) -> str:
        return f"{self.trace_id}:{self.parent_id}"


def read_text(value: Value) -> str | None:
    """A text that is not empty, cut if it is too long; a whole number as its digits, as ids of users are."""
    if isinstance(value, str):
        return keep_name("", value) if len(value) > MAX_TEXT or "\0" in value else value or None
    return None if isinstance(value, bool | float) else str(value)


def read_flag(value: Value) -> bool | None:
    """True or false, also as a text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _read_number(value: Value) -> Decimal | None:
    """A finite number that is not negative, digit for digit as it was sent."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    text = value.strip() if isinstance(value, str) else repr(value)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def read_count(value: Value) -> int | None:
    """A whole number from 0 to `MAX_COUNT`, also as a text or with a decimal point."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNT else None
    number = _read_number(value)
    return int(number) if number is not None and number <= MAX_COUNT and number == int(number) else None


def read_cost(value: Value) -> Decimal | None:
    """US dollars, from 0 to `MAX_COST_USD`."""
    number = _read_number(value)
    return number if number is not None and number <= MAX_COST_USD else None


def read_computed_cost(value: Value) -> Decimal | None:
    """US dollars as OpenLIT computes them: to it the cost of a model without a price is the integer 0."""
    return None if type(value) is int and value == 0 else read_cost(value)


def read_seconds(value: Value) -> int | None:
    """Seconds as whole ms, rounded down."""
    number = _read_number(value)
    return int(number * 1000) if number is not None and number <= MAX_LATENCY_MS // 1000 else None


def read_ms(value: Value) -> int | None:
    """Milliseconds as whole ones, rounded down."""
    number = _read_number(value)
    return int(number) if number is not None and number <= MAX_LATENCY_MS else None


def read_first_token(value: Value) -> int | None:
    """The time to the first token in whole ms: Strands sends whole ms, OpenLIT seconds, and 0 when it has none."""
    return (read_ms(value) if isinstance(value, int) else read_seconds(value)) or None


def read_status(value: Value) -> int | None:
    """An HTTP status that ends a request, also as a text."""
    number = read_count(value)
    return number if number is not None and 200 <= number <= 599 else None


def read_vercel_provider(value: Value) -> str | None:
    """The provider without the kind of API that the SDK puts after it: "openai" of `openai.responses`."""
    return value.partition(".")[0] or None if isinstance(value, str) else None


_OPERATIONS = {
    **dict.fromkeys(("chat", "acompletion", "anthropic_messages", "llm"), "chat"),
    **dict.fromkeys(("responses", "aresponses"), "responses"),
    **dict.fromkeys(("text_completion", "atext_completion"), "text_completion"),
    **dict.fromkeys(("embeddings", "embedding", "aembedding"), "embeddings"),
    **dict.fromkeys(("generate_content", "agenerate_content"), "generate_content"),
    **dict.fromkeys(("image_generation", "aimage_generation", "image"), "image_generation"),
    **dict.fromkeys(("speech", "aspeech"), "speech"),
    **dict.fromkeys(("transcription", "atranscription"), "transcription"),
    **{name: name for name in ("completion", "audio")},
    **dict.fromkeys(("ai.generatetext.dogenerate", "ai.generateobject.dogenerate"), "chat"),
    **dict.fromkeys(("ai.streamtext.dostream", "ai.streamobject.dostream"), "chat"),
    **dict.fromkeys(("ai.embed.doembed", "ai.embedmany.doembed"), "embeddings"),
    **dict.fromkeys(("create_agent", "invoke_agent", "invoke_workflow", "execute_tool", "plan"), NO_REQUEST),
    **dict.fromkeys(("fetch_response", "retrieval", "retrieve", "rerank", "arerank", "vectordb"), NO_REQUEST),
    **dict.fromkeys(("framework", "execute_task", "fine_tuning", "graph"), NO_REQUEST),
    **dict.fromkeys(("agent", "chain", "tool", "retriever", "reranker", "guardrail", "evaluator"), NO_REQUEST),
    **dict.fromkeys(("prompt", "decision", "workflow", "task"), NO_REQUEST),
}
"""What the values of the attributes that tell an operation mean, in lower case.

"completion" stays as it came: it is text completion to OpenLLMetry and chat to LiteLLM. OpenInference's LLM is nearly
always a chat, and does not tell. Rerankers and retrievers use models that write nothing.
"""


def read_operation(value: Value) -> str | None:
    """The operation as it is kept; `NO_REQUEST` for what is no request to a model; unknown if the word is."""
    if not isinstance(value, str):
        return None
    lowered = value.lower()
    return _OPERATIONS.get(lowered, NO_REQUEST if lowered.startswith("ai.") else None)


class Parameters(msgspec.Struct, gc=False):
    """What OpenInference tells only in the JSON of the call's parameters; all that it tells when the call failed."""

    model: Value | None = None
    model_name: Value | None = None
    stream: Value | None = None
    user: Value | None = None


_PARAMETERS = msgspec.json.Decoder(Parameters)


def read_parameters(value: Value) -> Parameters | None:
    """The parameters of the call, of a JSON object."""
    try:
        return _PARAMETERS.decode(value) if isinstance(value, str) else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


NAMES: tuple[tuple[str, Reader, tuple[str, ...]], ...] = (
    ("operation", read_operation, ("ai.operationId", "gen_ai.operation.name", "openinference.span.kind")),
    ("operation", read_operation, ("traceloop.span.kind", "llm.request.type")),
    ("model_name", read_text, ("gen_ai.request.model", "ai.model.id", "llm.request.model")),
    ("parameters", read_parameters, ("llm.invocation_parameters", "embedding.invocation_parameters")),
    ("answered_by", read_text, ("gen_ai.response.model", "llm.model_name", "embedding.model_name")),
    ("answered_by", read_text, ("ai.response.model", "llm.response.model")),
    ("provider", read_vercel_provider, ("ai.model.provider",)),
    ("provider", read_text, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor")),
    ("tokens_in", read_count, ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")),
    ("tokens_in", read_count, ("llm.usage.prompt_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens")),
    ("tokens_in", read_count, ("ai.usage.tokens",)),
    ("tokens_out", read_count, ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")),
    ("tokens_out", read_count, ("llm.token_count.completion", "llm.usage.completion_tokens")),
    ("tokens_out", read_count, ("ai.usage.outputTokens", "ai.usage.completionTokens")),
    ("tokens_cached", read_count, ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")),
    ("tokens_cached", read_count, ("llm.token_count.prompt_details.cache_read", "llm.usage.cache_read_input_tokens")),
    ("tokens_cached", read_count, ("gen_ai.usage.input_tokens.cached", "gen_ai.usage.details.cache_read_tokens")),
    ("tokens_cached", read_count, ("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens")),
    ("tokens_reasoning", read_count, ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens")),
    ("tokens_reasoning", read_count, ("llm.token_count.completion_details.reasoning", "llm.usage.reasoning_tokens")),
    ("tokens_reasoning", read_count, ("gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.details.reasoning_tokens")),
    ("tokens_reasoning", read_count, ("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens")),
    ("ttft_ms", read_seconds, ("gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk")),
    ("ttft_ms", read_ms, ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")),
    ("ttft_ms", read_first_token, ("gen_ai.server.time_to_first_token",)),
    ("cost_usd", read_cost, ("litellm.cost.total", "gen_ai.cost.total_cost", "llm.cost.total", "llm.response.cost")),
    ("cost_usd", read_computed_cost, ("gen_ai.usage.cost",)),
    ("cost_usd", read_cost, ("gen_ai.usage.total_cost", "gen_ai.usage.cost_usd", "operation.cost")),
    ("api_key", read_text, ("litellm.api_key.hash", "metadata.user_api_key_hash")),
    ("api_key", read_text, ("litellm.metadata.user_api_key_hash",)),
    ("team", read_text, ("litellm.team.id", "metadata.user_api_key_team_id", "litellm.metadata.user_api_key_team_id")),
    ("user", read_text, ("metadata.user_api_key_user_id", "litellm.metadata.user_api_key_user_id")),
    ("user", read_text, ("enduser.id", "user.id", "gen_ai.user", "gen_ai.request.user", "llm.user")),
    ("user", read_text, ("litellm.end_user.id", "ai.telemetry.metadata.userId")),
    ("stream", read_flag, ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")),
    ("stream", read_flag, ("gen_ai.request.is_stream", "gen_ai.request.streaming", "litellm.request.streaming")),
    ("http_status", read_status, ("http.response.status_code", "http.status_code", "error.code")),
    ("error_type", read_text, ("error.type",)),
)
"""What each attribute tells, and how it is read; of several that tell the same, the first here that can be read counts.

The model is the one that was asked for: a failure has no other, and a model's failures and successes belong together.
"""

READINGS: dict[str, tuple[str, int, Reader]] = {
    name: (field, rank, read)
    for rank, (field, read, name) in enumerate((field, read, name) for field, read, names in NAMES for name in names)
}
"""By attribute: the field that it tells, its rank among those that tell it, lower first, and how it is read."""

Facts = dict[str, Any]


def read_facts(attributes: Mapping[str, Value]) -> Facts:
    """What the attributes tell, by field; what is not told is not there. Their names are all of `READINGS`."""
    facts: Facts = {}
    ranks: dict[str, int] = {}
    for name, value in attributes.items():
        field, rank, read = READINGS[name]
        if (field not in ranks or rank < ranks[field]) and (known := read(value)) is not None:
            facts[field] = known
            ranks[field] = rank
    return facts


_STATUS_BY_ERROR = {
    **dict.fromkeys(("badrequest", "invalidrequest", "contextwindowexceeded", "contentpolicyviolation"), 400),
    **dict.fromkeys(("validation", "unsupportedparams", "invalidargument"), 400),
    **dict.fromkeys(("authentication", "unauthorized", "unauthenticated", "invalidapikey"), 401),
    **dict.fromkeys(("budgetexceeded", "insufficientquota"), 402),
    **dict.fromkeys(("permissiondenied", "permission", "forbidden", "accessdenied"), 403),
    **dict.fromkeys(("notfound", "resourcenotfound", "modelnotfound"), 404),
    **dict.fromkeys(("conflict",), 409),
    **dict.fromkeys(("requesttoolarge", "requestentitytoolarge"), 413),
    **dict.fromkeys(("unprocessableentity",), 422),
    **dict.fromkeys(("ratelimit", "toomanyrequests", "throttling", "resourceexhausted", "quotaexceeded"), 429),
    **dict.fromkeys(("internalserver", "server", "internal"), 500),
    **dict.fromkeys(("badgateway",), 502),
    **dict.fromkeys(("serviceunavailable", "unavailable"), 503),
    **dict.fromkeys(("gatewaytimeout", "deadlineexceeded"), 504),
    **dict.fromkeys(("overloaded",), 529),
    **dict.fromkeys(("timeout", "apitimeout", "readtimeout", "connecttimeout", "writetimeout", "pooltimeout"), 0),
    **dict.fromkeys(("apiconnection", "connection", "connect", "read", "remoteprotocol", "unknownhost"), 0),
    **dict.fromkeys(("cancelled", "apiuserabort", "abort"), 0),
}
"""The status of a failure by the name of its class, in lower case and without package, "Error" and "Exception".

A client that gave up waiting got no response, and that is what 0 says; 408 would be the server's answer.
"""

UNKNOWN_FAILURE = 500
"""A failure of which nothing more is known: 0 would say that no response came, a 4xx that the caller was at fault."""

_IN_MESSAGE = re.compile(
    r"\b(?:error|status|status code|error code|HTTP)[ :=]{1,3}([45]\d\d)\b", re.IGNORECASE | re.ASCII
)
_PACKAGE = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*$)")
"""Some instrumentations write `openai.RateLimitError` where others write `RateLimitError`: one error, one name."""
_MESSAGE_LENGTH = 300
"""An SDK begins its message with the status; what follows may be the whole answer."""


def failure_status(error_type: str, message: str) -> int:
    """The HTTP status that a failure's type or message tells, else what its class means, else `UNKNOWN_FAILURE`."""
    told = read_status(error_type)
    if told is None and (found := _IN_MESSAGE.search(message, 0, _MESSAGE_LENGTH)):
        told = int(found[1])
    if told is not None and told >= 400:
        return told
    name = error_type.rpartition(".")[2].lower().replace("_", "")
    return _STATUS_BY_ERROR.get(re.sub("(error|exception)$", "", name), UNKNOWN_FAILURE)


def _status(span: Span, facts: Facts) -> int:
    told: int | None = facts.pop("http_status", None)
    if span.failed and span.exception:
        facts.setdefault("error_type", read_text(span.exception))
    if "error_type" in facts:
        facts["error_type"] = _PACKAGE.sub("", facts["error_type"])
    failed = span.failed or "error_type" in facts
    if told is not None and (told >= 400 or not failed):
        return told
    return failure_status(facts.get("error_type", ""), span.message) if failed else 200


def _is_request(facts: Facts) -> bool:
    """Whether a span is a request to a model. Without a known operation it needs a model and tokens to be one.

    A model alone is not enough: LiteLLM writes it on every span of a trace.
    """
    if "operation" in facts:
        return bool(facts["operation"])
    named = "model_name" in facts or "answered_by" in facts
    return named and ("tokens_in" in facts or "tokens_out" in facts)


def _duration_ms(start_ns: int, end_ns: int) -> int | None:
    """Whole ms, rounded down; unknown if there is no end, or one before the start."""
    duration_ms = (end_ns - start_ns) // 1_000_000
    return duration_ms if 0 <= duration_ms <= MAX_LATENCY_MS else None


def _add_parameters(facts: Facts, parameters: Parameters) -> None:
    told = {
        "model_name": (read_text, parameters.model or parameters.model_name),
        "stream": (read_flag, parameters.stream),
        "user": (read_text, parameters.user),
    }
    for field, (read, value) in told.items():
        if value is not None and field not in facts and (known := read(value)) is not None:
            facts[field] = known


def _drop_excess(facts: Facts, part: str, whole: str) -> None:
    """Anthropic counts cached tokens apart from the input: how many of the input were cached is then unknown."""
    if part in facts and whole in facts and facts[part] > facts[whole]:
        del facts[part]


def _settle(span: Span, facts: Facts) -> None:
    """Puts in what is told in a second place, and takes out what cannot be."""
    if "parameters" in facts:
        _add_parameters(facts, facts.pop("parameters"))
    answered_by = facts.pop("answered_by", UNKNOWN_MODEL)
    facts.setdefault("model_name", answered_by)
    if span.first_chunk_ns is not None:
        facts.setdefault("ttft_ms", _duration_ms(span.start_ns, span.first_chunk_ns))
    _drop_excess(facts, "tokens_cached", "tokens_in")
    _drop_excess(facts, "tokens_reasoning", "tokens_out")


def _check(span: Span) -> None:
    for name, given, digits in (("trace_id", span.trace_id, 32), ("span_id", span.span_id, 16)):
        if len(given) != digits or not given.strip("0"):
            raise Unacceptable(f"{name} is not {digits} hex digits that are not all zero")
    if span.start_ns <= 0:
        raise Unacceptable("start_time_unix_nano is missing")


def read_span(span: Span) -> LogRecord | None:
    """The log record of a span, or None if it is no request to a model.

    `created_at` is its start in epoch ms, and `request_id` "trace:span" in hex. Raises `Unacceptable` for a span that
    is a request, but without valid ids or a start.
    """
    facts = read_facts(span.attributes)
    if not _is_request(facts):
        return None
    _check(span)
    _settle(span, facts)
    return LogRecord(
        created_at=span.start_ns // 1_000_000,
        status_code=_status(span, facts),
        request_id=span.key,
        latency_ms=_duration_ms(span.start_ns, span.end_ns),
        **facts,
    )
