"""Bodies as `/openapi.json` describes them, of calls that read theirs raw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from tallybook.measures import DIMENSION_NAMES
from tallybook.periods import EVERYTHING, NAMED_PERIODS
from tallybook.records import COUNT_FIELDS, DURATION_FIELDS, RECORD_FIELDS, LogRecord
from tallybook.vintage import BASES

FLAGS = {"true": True, "1": True, "false": False, "0": False}
"""What `live` may say."""
INTEGER_FIELDS = ("status_code", *COUNT_FIELDS, *DURATION_FIELDS)


def _field_schema(name: str) -> Schema:
    if name in INTEGER_FIELDS:
        return Schema(type=OpenAPIType.INTEGER, minimum=0)
    if name == "created_at":
        return Schema(type=[OpenAPIType.STRING, OpenAPIType.INTEGER], description="RFC 3339, or epoch milliseconds")
    if name == "cost_usd":
        return Schema(type=[OpenAPIType.STRING, OpenAPIType.NUMBER], description="US dollars")
    return Schema(type=OpenAPIType.BOOLEAN if name == "stream" else OpenAPIType.STRING)


Record = Schema(
    type=OpenAPIType.OBJECT,
    required=["created_at", "model_name", "status_code"],
    description=LogRecord.__doc__,
    properties={name: _field_schema(name) for name in RECORD_FIELDS},
)
_OBJECT = Schema(type=OpenAPIType.OBJECT)
_ANYTHING_ELSE = Schema(description="What is no record is answered with the reason, and keeps none of the others away")
RECORDS_BODY = RequestBody(
    description="An array of log records, one record, or NDJSON; gzip, deflate or zstd.",
    required=True,
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(any_of=[Record, Schema(type=OpenAPIType.ARRAY, items=Record), _ANYTHING_ELSE])
        ),
        "application/x-ndjson": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
    },
)
LITELLM_BODY = RequestBody(
    description="Events of LiteLLM's generic API logger: an array, one event, or one a line; gzip, deflate or zstd.",
    required=True,
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(any_of=[_OBJECT, Schema(type=OpenAPIType.ARRAY, items=_OBJECT), _ANYTHING_ELSE])
        )
    },
)
TRACES_BODY = RequestBody(
    description="An OTLP ExportTraceServiceRequest; gzip, deflate or zstd.",
    required=True,
    content={
        "application/x-protobuf": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)),
        "application/json": OpenAPIMediaType(schema=_OBJECT),
    },
)


def json_body(kind: type[msgspec.Struct]) -> RequestBody:
    """The description of a JSON body that is one of our structs, every field a day or a text."""
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    properties: dict[str, Schema | Reference] = {
        field.encode_name: _text_or_day(field.encode_name, field.required) for field in msgspec.structs.fields(kind)
    }
    schema = Schema(
        type=OpenAPIType.OBJECT,
        properties=properties,
        required=required,
        additional_properties=False,
        description=kind.__doc__,
    )
    return RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=bool(required))


def _text_or_day(name: str, required: bool) -> Schema:
    return Schema(
        type=OpenAPIType.STRING if required else [OpenAPIType.STRING, OpenAPIType.NULL],
        format=OpenAPIFormat.DATE if name in ("day", "from", "to") else None,
    )


def documented_body(body: RequestBody) -> Any:
    """An operation class that shows the body in `/openapi.json`, though the handler reads it raw."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return WithBody


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}
_STATUS = {"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}}}
_BINARY = {"type": "string", "format": "binary"}
_ANSWERS_OF_TRACES = {
    "200": {
        "description": "An ExportTraceServiceResponse, once what it does not reject is durable",
        "content": {"application/x-protobuf": {"schema": _BINARY}, "application/json": {"schema": {"type": "object"}}},
    },
    "default": {
        "description": "A google.rpc.Status; 429 and 503 carry Retry-After",
        "content": {
            "application/x-protobuf": {"schema": _BINARY},
            "application/json": {"schema": {"anyOf": [_STATUS, {"$ref": "#/components/schemas/Error"}]}},
        },
    },
}
_REFUSAL = {
    "description": "What went wrong, in one sentence, and a remedy; 429 and 503 carry Retry-After",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """The description of all calls, with the one shape of their errors and the way to show a token."""
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = _ERROR
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    paths = {
        path: {method: _described(call) for method, call in calls.items()} for path, calls in document["paths"].items()
    }
    paths["/v1/traces"]["post"]["responses"] = _ANSWERS_OF_TRACES
    return {**document, "paths": paths, "security": [{}, {"token": []}]}


_DAY = {"type": "string", "format": "date"}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "period": {
        "anyOf": [
            {"enum": [*NAMED_PERIODS, EVERYTHING]},
            _DAY,
            {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}\.\.\d{4}-\d{2}-\d{2}$"},
        ]
    },
    "from": _DAY,
    "to": _DAY,
    "by": {"enum": list(DIMENSION_NAMES)},
    "source": {"type": "string"},
    "basis": {"enum": list(BASES)},
    "as_of": {"anyOf": [{"type": "string", "format": "date-time"}, _DAY]},
    "live": {"enum": list(FLAGS)},
    "filter": {"type": "array", "items": {"type": "string", "pattern": f"^({'|'.join(DIMENSION_NAMES)})(=.*)?$"}},
}
"""More exactly than the handlers' types say."""


def _described(call: dict[str, Any]) -> dict[str, Any]:
    parameters = [{**each, "schema": _PARAMETERS[each["name"]]} for each in call.get("parameters", ())]
    return {**call, "parameters": parameters, "responses": {"200": call["responses"]["200"], "default": _REFUSAL}}
