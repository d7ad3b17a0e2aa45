"""The public HTTP calls. Each reads its input, asks the bookkeeper, and answers what the command would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import QueryParameter

from tallybook import __version__
from tallybook.bookkeeper import Answer, Bookkeeper
from tallybook.errors import UsageError
from tallybook.records import UnreadableBody, read_batch
from tallybook.web.bodies import CorruptBody, read_body

Asked = TypeVar("Asked")

INSTANCE_HEADER = "X-Tallybook-Instance"


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
Record = Schema(
    type=OpenAPIType.OBJECT,
    required=["created_at", "model_name", "status_code"],
    description="A log record; ARCHITECTURE.md lists its fields.",
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


def documented_body(body: RequestBody) -> Any:
    """An operation class that shows the body in `/openapi.json`, though the handler reads it raw."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return WithBody


@post("/v1/log-records", status_code=200, operation_class=documented_body(RECORDS_BODY))
async def post_log_records(request: Request[Any, Any, Any], keeper: Bookkeeper) -> Acknowledgement:
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
    keeper: Bookkeeper,
    period: str | None = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    by: str | None = None,
    source: str | None = None,
    basis: str = "adjusted",
    live: bool = False,
) -> Answer:
    """Statistics of a period, or of the days from `from` to `to`, from closed days; `live` adds today."""
    return keeper.stats(period=period, first=from_day, last=to_day, by=by, source=source, basis=basis, live=live)


@get("/v1/daily-stats", sync_to_thread=True)
def get_daily_stats(keeper: Bookkeeper, from_day: FromDay = None, to_day: ToDay = None) -> Answer:
    """The daily statistic of each closed day that had records; of the last 30 days where no range is given."""
    return keeper.daily_stats(from_day, to_day)


@get("/v1/closings", sync_to_thread=True)
def get_closings(keeper: Bookkeeper, source: str | None = None) -> Answer:
    """Every closing, in order of sequence."""
    return keeper.closings(source)


@get("/v1/status", sync_to_thread=True)
def get_status(keeper: Bookkeeper) -> Answer:
    """How each source stands."""
    return keeper.status()


@post("/v1/close", status_code=200)
async def post_close(request: Request[Any, Any, Any], keeper: Bookkeeper) -> Answer:
    """Closes yesterday, or the day in the body."""
    asked = await _read_request(request, CloseRequest)
    return await sync_to_thread(keeper.close, day=asked.day, source=asked.source)


@post("/v1/backfill", status_code=200)
async def post_backfill(request: Request[Any, Any, Any], keeper: Bookkeeper) -> Answer:
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
async def get_healthz(instance: str) -> Response[dict[str, str]]:
    """Whether the process answers at all."""
    return Response({"status": "ok", "version": __version__}, headers={INSTANCE_HEADER: instance})


@get("/readyz", sync_to_thread=True)
def get_readyz(keeper: Bookkeeper) -> Response[dict[str, Any]]:
    """Whether book and logs answer; 503 where one does not."""
    first_day, closings = keeper.logs.first_day(), keeper.book.last_seq()
    return Response({"status": "ready", "closings": closings, "has_records": first_day is not None})


@get("/openapi.json", include_in_schema=False)
async def get_openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The description of these calls."""
    return request.app.openapi_schema.to_schema()


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
