"""The public HTTP calls. Each reads its input, asks the bookkeeper, and answers what the command would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response, get, head, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from tallybook import __version__
from tallybook.bookkeeper import Answer, Bookkeeper
from tallybook.errors import TallybookError, UnknownName, UsageError, shorten
from tallybook.home import INSTANCE_HEADER
from tallybook.web.bodies import read_body
from tallybook.web.guard import SAFE_METHODS, check_host
from tallybook.web.schemas import FLAGS, describe, documented_body, json_body

Asked = TypeVar("Asked")


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
Narrowing = Annotated[
    list[str] | None,
    QueryParameter(
        name="filter",
        description="DIMENSION=VALUE, or DIMENSION alone for unknown: only such records count; may be repeated. "
        "With others than provider and model, percentiles are null.",
    ),
]
ToDay = Annotated[str | None, QueryParameter(name="to", description="Last day, included")]


@get("/v1/stats", sync_to_thread=True)
def get_stats(
    keeper: NamedDependency[Bookkeeper],
    period: FromQuery[str | None] = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    by: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
    basis: FromQuery[str] = "adjusted",
    as_of: FromQuery[str | None] = None,
    live: FromQuery[str] = "false",
    filters: Narrowing = None,
) -> Answer:
    """Statistics of a period, or of the days from `from` to `to`, from closed days; `live` adds today.

    Adjustments are in them, but on the basis `original`; `as_of` goes back to what the book knew at that instant.
    """
    return keeper.stats(
        period=period,
        first=from_day,
        last=to_day,
        by=by,
        source=source,
        basis=basis,
        as_of=as_of,
        live=_flag("live", live),
        filters=filters or (),
    )


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


@get("/v1/adjustments", sync_to_thread=True)
def get_adjustments(
    keeper: NamedDependency[Bookkeeper],
    from_day: FromDay = None,
    to_day: ToDay = None,
    source: FromQuery[str | None] = None,
) -> Answer:
    """The adjustments to the days of a range, or to any, in order of sequence."""
    return keeper.adjustments(from_day, to_day, source)


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


@head("/healthz", include_in_schema=False)
async def head_healthz(instance: NamedDependency[str]) -> Response[None]:
    """The same without a word."""
    return Response(None, headers={INSTANCE_HEADER: instance})


@get("/readyz", sync_to_thread=True)
def get_readyz(keeper: NamedDependency[Bookkeeper]) -> Response[dict[str, Any]]:
    """Whether book and logs answer; 503 where one does not."""
    has_records, closings = keeper.logs.has_records(), keeper.book.last_seq()
    return Response({"status": "ready", "closings": closings, "has_records": has_records})


@get("/openapi.json", include_in_schema=False)
async def get_openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The description of these calls."""
    return describe(request.app.openapi_schema.to_schema())


QUERY_PARAMETERS = {
    "/v1/stats": ("period", "from", "to", "by", "source", "basis", "as_of", "live", "filter"),
    "/v1/daily-stats": ("from", "to"),
    "/v1/closings": ("source",),
    "/v1/adjustments": ("from", "to", "source"),
    "/v1/status": (),
}


class ForeignPage(TallybookError):
    """A browser asks on behalf of another site."""

    code = "forbidden"


OTHER_SITES = ("cross-site", "same-site")


async def check_request(request: Request[Any, Any, Any], tokens_exist: Callable[[], bool]) -> None:
    """Refuses pages of other sites, and parameters that a call does not have, which would else be ignored."""
    await _check_page(request, tokens_exist)
    allowed = QUERY_PARAMETERS.get(request.url.path)
    if allowed is not None and (unknown := next((name for name in request.query_params if name not in allowed), None)):
        raise UnknownName("parameter", unknown, allowed or ("(none)",))


async def _check_page(request: Request[Any, Any, Any], tokens_exist: Callable[[], bool]) -> None:
    """Raises `ForeignPage` where a page of another site has a browser send this.

    A page is ours if its origin is the host that was asked for. Behind a proxy that writes another name into `Host` it
    is not, so the browser's own word counts as well: no page can set `Sec-Fetch-Site`, and of a page of another site it
    is never `same-origin`. It is of a page that has had its own name led to such a proxy. That one has no cookie
    of ours, so it gets nothing where calls need a token; and while they do not, only localhost is believed.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_foreign = site in OTHER_SITES and (origin is not None or request.method not in SAFE_METHODS)
    host = (origin or "").partition("://")[2]
    is_asked = origin is None or host == request.headers.get("host")
    if is_foreign or not (is_asked or site == "same-origin"):
        raise ForeignPage(
            "A page of another site asked.", "Ask from the server's own page, or with a client that is no page."
        )
    if not is_asked and not await sync_to_thread(tokens_exist):
        check_host(host)


HANDLERS = (
    get_stats,
    get_daily_stats,
    get_closings,
    get_adjustments,
    get_status,
    post_close,
    post_backfill,
    get_healthz,
    head_healthz,
    get_readyz,
    get_openapi,
)
