"""Signing in on the page: a token, kept in a cookie that scripts cannot read and other sites cannot have sent."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote

from litestar import Request, Response, post, route
from litestar.di import NamedDependency

from tallybook.errors import TallybookError, UsageError
from tallybook.tokens import Role
from tallybook.web.backfills import Backfills
from tallybook.web.bodies import read_body
from tallybook.web.guard import COOKIE, Guard
from tallybook.web.pages import HEADERS, SEEN, framing, own_url, page

FOR_S = 30 * 86_400
"""How long a browser keeps the token: 30 days."""

OWN_PAGE = re.compile(r"(?:\.|book|day)(?:\?[!-~]*)?")
"""The pages to which signing in may lead back, as relative URLs; whatever else is asked for leads to the overview.

A query alone is none of them: it would lead to the form again.
"""

AnyRequest = Request[Any, Any, Any]


@route("/sign-in", http_method=SEEN, sync_to_thread=False, include_in_schema=False)
def get_sign_in(request: AnyRequest) -> Response[bytes]:
    """The form."""
    return _form(request, request.query_params.get("next", "."), "")


@post("/sign-in", status_code=303, include_in_schema=False)
async def post_sign_in(request: AnyRequest, guard: NamedDependency[Guard]) -> Response[bytes]:
    """Checks the token and leaves it with the browser; shows the form again where it may not read."""
    form = await _read_form(request)
    token, target = form.get("token", "").strip(), form.get("next", ".")
    try:
        await guard.identify(token, Role.READ)
    except TallybookError as error:
        return _form(request, target, error.message)
    return _leading_to(target, _cookie(request, token, FOR_S))


@post("/sign-out", status_code=303, include_in_schema=False, sync_to_thread=False)
def post_sign_out(request: AnyRequest) -> Response[bytes]:
    """Has the browser forget the token."""
    return _leading_to("sign-in", _cookie(request, "", 0))


@post("/backfill", status_code=303, include_in_schema=False)
async def post_page_backfill(request: AnyRequest, backfills: NamedDependency[Backfills]) -> Response[bytes]:
    """Begins to close the days of a range."""
    form = await _read_form(request)
    if missing := next((name for name in ("from", "to") if not form.get(name)), None):
        raise UsageError(f"The form has no {missing!r}.", "Use the button of the page.")
    backfills.begin(form["from"], form["to"])
    return _leading_to("book", "")


@post("/backfill-cancel", status_code=303, include_in_schema=False, sync_to_thread=False)
def post_backfill_cancel(backfills: NamedDependency[Backfills]) -> Response[bytes]:
    """Has the backfill stop after the day that it is at."""
    backfills.cancel()
    return _leading_to("book", "")


def sign_in_url(request: AnyRequest) -> str:
    """The form's relative URL, which leads back to the page that was asked for."""
    return f"{framing(request)['root']}sign-in?next={quote(own_url(request))}"


def _form(request: AnyRequest, target: str, refused: str) -> Response[bytes]:
    answer = page(request, "sign_in.html", "sign-in", next=target, refused=refused)
    if refused:
        answer.status_code = 401
    return answer


def _leading_to(target: str, cookie: str) -> Response[bytes]:
    location = target if OWN_PAGE.fullmatch(target) or target == "sign-in" else "."
    headers = {**HEADERS, "Location": location, **({"Set-Cookie": cookie} if cookie else {})}
    return Response(b"", status_code=303, media_type="text/html", headers=headers)


def _cookie(request: AnyRequest, token: str, for_s: int) -> str:
    """Without a path it is for the folder of this URL, as the browser sees it: behind a proxy, that of its prefix."""
    cookie = SimpleCookie({COOKIE: token})[COOKIE]
    cookie["httponly"], cookie["samesite"], cookie["max-age"] = True, "Lax", for_s
    if "https" in (request.url.scheme, request.headers.get("x-forwarded-proto")):
        cookie["secure"] = True
    return cookie.OutputString()


async def _read_form(request: AnyRequest) -> dict[str, str]:
    body = await read_body(request)
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=20).items()}
    except ValueError as error:
        raise UsageError(f"The form cannot be read: {error}.", "Use the page's own.") from None


SIGNING_IN = (get_sign_in, post_sign_in, post_sign_out, post_page_backfill, post_backfill_cancel)
