"""The pages: HTML for a browser, its assets, and what can be taken out of a page."""

from __future__ import annotations

import gzip
import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tallybook.bookkeeper import Bookkeeper
from tallybook.page.asked import Asked
from tallybook.page.chart import WIDE
from tallybook.page.download import DAYS, download
from tallybook.page.reading import has_anything, read_day, read_ledger, read_overview, read_rows
from tallybook.page.remembering import Memory
from tallybook.page.render import assets, render
from tallybook.page.standing import Standing
from tallybook.tokens import Role
from tallybook.web.backfills import Backfills
from tallybook.web.guard import COOKIE, may

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept-Encoding, Cookie",
}
LIVE_S, CLOSED_S, WAITING_S = 5, 30, 1
"""How often a page asks anew: with today in it, with closed days only, and while nothing has arrived."""

SMALLEST_COMPRESSED = 600
SEEN = [HttpMethod.GET, HttpMethod.HEAD]
NO_FOLDERS = ("book", "day", "sign-in")
FOR_EVER = "public, max-age=31536000, immutable"
AnyRequest = Request[Any, Any, Any]


def page(
    request: AnyRequest,
    template: str,
    here: str,
    every_s: int = 0,
    standing: Standing | None = None,
    **shown: Any,
) -> Response[bytes]:
    """A page, or of it only what changes from one to the next where the browser has the rest; 304 where it has all."""
    frame = "part.html" if request.query_params.get("part") == "main" else "base.html"
    html = render(template, frame=frame, **framing(request), here=here, every=every_s, standing=standing, **shown)
    return sent(request, html.encode(), "text/html", {"Cache-Control": "no-cache, private"})


def framing(request: AnyRequest) -> dict[str, Any]:
    """What the frame of every page is made of: the relative URL of the overview's folder, and whether to sign out."""
    return {"root": "../" * (_raw_path(request).count("/") - 1), "signed_in": COOKIE in request.cookies}


def own_url(request: AnyRequest) -> str:
    """The URL that was asked for, relative to the overview's folder and without a slash at its end."""
    query = quote(request.url.query, safe="%=&+,;:@/?!$'()*~")
    return (_raw_path(request).strip("/") or ".") + (f"?{query}" if query else "")


def _raw_path(request: AnyRequest) -> str:
    """The path as the browser has it: in it `%2F` begins no folder."""
    path: bytes = request.scope["raw_path"]
    return path.decode("latin-1")


def without_slash(request: AnyRequest) -> Response[bytes] | None:
    """Leads from `book/` to `book`: in that folder, which is none, each relative link would go wrong."""
    path = _raw_path(request)
    if request.method != "GET" or not path.endswith("/") or path.strip("/") not in NO_FOLDERS:
        return None
    headers = {**HEADERS, "Location": framing(request)["root"] + own_url(request)}
    return Response(b"", status_code=308, media_type="text/html", headers=headers)


def sent(request: AnyRequest, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response[bytes]:
    """The content, compressed where the browser takes that, with the headers that keep a page to itself."""
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
    more = {**HEADERS, **headers, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, media_type=media_type, headers=more)
    if len(content) >= SMALLEST_COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        content, more["Content-Encoding"] = gzip.compress(content, 5, mtime=0), "gzip"
    return Response(content, media_type=media_type, headers=more)


@route("/", http_method=SEEN, sync_to_thread=True, include_in_schema=False)
def get_overview(
    request: AnyRequest,
    keeper: NamedDependency[Bookkeeper],
    memory: NamedDependency[Memory],
    home: NamedDependency[Path],
) -> Response[bytes]:
    """The overview; while nothing has arrived, how to send or attach."""
    if not has_anything(keeper):
        return _first_run(request, keeper, home)
    view = read_overview(memory.look(), _begun(keeper, asked(request)))
    every_s = LIVE_S if view.is_live else CLOSED_S
    return page(request, "overview.html", "overview", every_s, view.standing, view=view)


def _first_run(request: AnyRequest, keeper: Bookkeeper, home: Path) -> Response[bytes]:
    """The instant is of the full hour, so that the page stays the same while somebody copies from it."""
    return page(
        request,
        "first_run.html",
        "overview",
        WAITING_S,
        url=request.base_url,
        now=keeper.now().strftime("%Y-%m-%dT%H:00:00Z"),
        home=shlex.quote(str(home)),
        needs_token=keeper.book.credentials.were_ever_made(),
    )


@route("/day", http_method=SEEN, sync_to_thread=True, include_in_schema=False)
def get_day(request: AnyRequest, keeper: NamedDependency[Bookkeeper]) -> Response[bytes]:
    """A day."""
    view = read_day(keeper, asked(request))
    every_s = LIVE_S if view.is_live else CLOSED_S
    return page(request, "day.html", "day", every_s, Standing.of(keeper.status()), view=view)


@route("/book", http_method=SEEN, sync_to_thread=True, include_in_schema=False)
def get_book(
    request: AnyRequest, keeper: NamedDependency[Bookkeeper], backfills: NamedDependency[Backfills]
) -> Response[bytes]:
    """The book's own page."""
    latest = backfills.latest
    every_s = WAITING_S if latest and latest.is_running else CLOSED_S
    view = read_ledger(keeper)
    shown = {"view": view, "backfill": latest, "may_close": may(request, Role.ADMIN)}
    return page(request, "book.html", "book", every_s, view.standing, **shown)


@route("/download", http_method=SEEN, sync_to_thread=True, include_in_schema=False)
def get_download(request: AnyRequest, keeper: NamedDependency[Bookkeeper]) -> Response[bytes]:
    """A table of a page as a file."""
    table, wanted = (request.query_params.get(name, default) for name, default in (("table", DAYS), ("format", "csv")))
    shown = asked(request)
    file = download(f"tallybook-{table}", read_rows(keeper, shown, table), wanted)
    return sent(request, file.content, file.media_type, {"Content-Disposition": f'attachment; filename="{file.name}"'})


@route("/chart.svg", http_method=SEEN, sync_to_thread=True, include_in_schema=False)
def get_chart(request: AnyRequest, memory: NamedDependency[Memory]) -> Response[bytes]:
    """The chart of the overview as a picture of its own."""
    view = read_overview(memory.look(), asked(request))
    chart = next(chart for chart in view.charts if chart.size is WIDE)
    title = f"{view.asked.measure.capitalize()}, {view.span} UTC"
    svg = render("chart.svg", chart=chart, legend=view.legend, title=title)
    attachment = {"Content-Disposition": f'attachment; filename="tallybook-{view.asked.measure}.svg"'}
    return sent(request, svg.encode(), "image/svg+xml", attachment)


@route("/assets/{name:str}", http_method=SEEN, include_in_schema=False, sync_to_thread=False)
def get_asset(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """A style sheet, script or icon."""
    asset = next((asset for asset in assets().values() if asset.name == name), None)
    if asset is None:
        raise NotFoundException("There is no such asset.")
    return sent(request, asset.content, asset.media_type, {"Cache-Control": FOR_EVER})


def _begun(keeper: Bookkeeper, wanted: Asked) -> Asked:
    """While no day is closed, today is what there is to see."""
    if wanted.period is None and wanted.first is None and not keeper.book.count_closings():
        return replace(wanted, period="today")
    return wanted


def asked(request: AnyRequest) -> Asked:
    """What the page is asked to show."""
    names = {name for name in request.query_params if name not in ("part", "table", "format")}
    return Asked.read({name: request.query_params.getall(name) for name in names})


PAGES = (get_overview, get_day, get_book, get_download, get_chart, get_asset)
