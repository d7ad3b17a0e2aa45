"""The public HTTP calls. Each reads its input, asks the bookkeeper, and answers what the command would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Reference, RequestBody, Schema
from litestar.params import FromQuery, QueryParameter

from tallybook import __version__
from tallybook.bookkeeper import Answer, Bookkeeper
from tallybook.errors import TallybookError, UnknownName, UsageError, shorten
from tallybook.home import INSTANCE_HEADER
from tallybook.records import (
    COUNT_FIELDS,
    DURATION_FIELDS,
    RECORD_FIELDS,
    LogRecord,
    UnreadableBody,
    read_batch,
)
from tallybook.web.bodies import CorruptBody, read_body

Asked = TypeVar("Asked")


class RejectedRecord(msgspec.Struct):
    """A record that was not taken: its place in what was sent, from 0, and why."""

    index: int
    reason: str


class Acknowledgement(msgspec.Struct):
    """What became of a batch; given once the accepted records are on disk."""

    accepted: int
    duplicates: int
    rejected: list[RejectedRecord]


class CloseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which day to close; yesterday, of every source, where nothing is said."""

    day: str | None = None
    source: str | None = None


class BackfillRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """The inclusive range of days to close, of every source or one."""

    first: str
    last: str
    source: str | None = None


FromDay = Annotated[str | None, QueryParameter(name="from", description="First day, YYYY-MM-DD")]
ToDay = Annotated[str | None, QueryParameter(name="to", description="Last day, included")]
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
RECORDS_BODY = RequestBody(
    description="An array of log records, one record, or NDJSON; gzip, deflate or zstd.",
    required=True,
    content={
        "application/json": OpenAPIMediaType(
            schema=Schema(one_of=[Record, Schema(type=OpenAPIType.ARRAY, items=Record)])
        ),
        "application/x-ndjson": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
    },
)


def json_body(kind: type[msgspec.Struct]) -> RequestBody:
    """The description of a JSON body that is one of our structs, every field a text."""
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    properties: dict[str, Schema | Reference] = {
        field.encode_name: Schema(type=OpenAPIType.STRING) for field in msgspec.structs.fields(kind)
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=properties, required=required, description=kind.__doc__)
    return RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=bool(required))


def documented_body(body: RequestBody) -> Any:
    """An operation class that shows the body in `/openapi.json`, though the handler reads it raw."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return WithBody


@post("/v1/log-records", status_code=200, operation_class=documented_body(RECORDS_BODY))
async def post_log_records(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Acknowledgement:
    """Stores log records; answers once the accepted ones are durable."""
    body = await read_body(request)
    try:
        batch = await sync_to_thread(read_batch, body, keeper.now())
    except UnreadableBody as error:
        raise CorruptBody(str(error), "Send a JSON array, one object, or one object a line.") from None
    rejected = [RejectedRecord(entry.index, entry.reason) for entry in batch.rejected]
    if not batch.rows:
        return Acknowledgement(0, 0, rejected)
    receipt = await asyncio.wrap_future(keeper.collect(batch))
    return Acknowledgement(receipt.accepted, receipt.duplicates, rejected)


@get("/v1/stats", sync_to_thread=True)
def get_stats(
    keeper: NamedDependency[Bookkeeper],
    period: FromQuery[str | None] = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    by: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    basis: FromQuery[str] = "adjusted",
    live: FromQuery[str] = "false",
) -> Answer:
    """Statistics of a period, or of the days from `from` to `to`, from closed days; `live` adds today."""
    return keeper.stats(
        period=period, first=from_day, last=to_day, by=by, source=source, basis=basis, live=_flag("live", live)
    )


FLAGS = {"true": True, "1": True, "false": False, "0": False}


def _flag(name: str, value: str) -> bool:
    if value.lower() not in FLAGS:
        raise UsageError(f"{shorten(value)!r} is neither true nor false for {name}.", "Use one of: true, false.")
    return FLAGS[value.lower()]


@get("/v1/daily-stats", sync_to_thread=True)
def get_daily_stats(keeper: NamedDependency[Bookkeeper], from_day: FromDay = None, to_day: ToDay = None) -> Answer:
    """The daily statistic of each closed day that had records; of the last 30 days where no range is given."""
    return keeper.daily_stats(from_day, to_day)


@get("/v1/closings", sync_to_thread=True)
def get_closings(keeper: NamedDependency[Bookkeeper], source: FromQuery[str | None] = None) -> Answer:
    """Every closing, in order of sequence."""
    return keeper.closings(source)


@get("/v1/status", sync_to_thread=True)
def get_status(keeper: NamedDependency[Bookkeeper]) -> Answer:
    """How each source stands."""
    return keeper.status()


@post("/v1/close", status_code=200, operation_class=documented_body(json_body(CloseRequest)))
async def post_close(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Answer:
    """Closes yesterday, or the day in the body."""
    asked = await _read_request(request, CloseRequest)
    return await sync_to_thread(keeper.close, day=asked.day, source=asked.source)


@post("/v1/backfill", status_code=200, operation_class=documented_body(json_body(BackfillRequest)))
async def post_backfill(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Answer:
    """Closes every closable day of the inclusive range in the body."""
    asked = await _read_request(request, BackfillRequest)
    return await sync_to_thread(keeper.backfill, first=asked.first, last=asked.last, source=asked.source)


async def _read_request(request: Request[Any, Any, Any], kind: type[Asked]) -> Asked:
    """The request's JSON body, or where it has none its query parameters, as the struct."""
    body = await read_body(request)
    try:
        return (
            msgspec.json.decode(body, type=kind) if body.strip() else msgspec.convert(dict(request.query_params), kind)
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The request cannot be read: {error}.", "Send a JSON object; /openapi.json has its fields."
        ) from None


@get("/healthz")
async def get_healthz(instance: NamedDependency[str]) -> Response[dict[str, str]]:
    """Whether the process answers at all."""
    return Response({"status": "ok", "version": __version__}, headers={INSTANCE_HEADER: instance})


@get("/readyz", sync_to_thread=True)
def get_readyz(keeper: NamedDependency[Bookkeeper]) -> Response[dict[str, Any]]:
    """Whether book and logs answer; 503 where one does not."""
    has_records, closings = keeper.logs.has_records(), keeper.book.last_seq()
    return Response({"status": "ready", "closings": closings, "has_records": has_records})


@get("/openapi.json", include_in_schema=False)
async def get_openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The description of these calls."""
    return request.app.openapi_schema.to_schema()


QUERY_PARAMETERS = {
    "/v1/stats": ("period", "from", "to", "by", "source", "basis", "live"),
    "/v1/daily-stats": ("from", "to"),
    "/v1/closings": ("source",),
    "/v1/status": (),
}


class ForeignPage(TallybookError):
    """A browser asks on behalf of another site."""

    code = "forbidden"


def check_request(request: Request[Any, Any, Any]) -> None:
    """Refuses pages of other sites, and parameters that a call does not have, which would else be ignored."""
    if (origin := request.headers.get("origin")) and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignPage(
            "A page of another site asked.", "Ask from the server's own page, or with a client that is no page."
        )
    allowed = QUERY_PARAMETERS.get(request.url.path)
    if allowed is not None and (unknown := next((name for name in request.query_params if name not in allowed), None)):
        raise UnknownName("parameter", unknown, allowed or ("(none)",))


HANDLERS = (
    post_log_records,
    get_stats,
    get_daily_stats,
    get_closings,
    get_status,
    post_close,
    post_backfill,
    get_healthz,
    get_readyz,
    get_openapi,
)
