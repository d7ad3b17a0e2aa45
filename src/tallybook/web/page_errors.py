"""Errors as a browser is shown them: the form to sign in, or a page with the sentence and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.types import ExceptionHandlersMap

from tallybook.page.render import render
from tallybook.web.errors import EXCEPTION_HANDLERS
from tallybook.web.guard import Unauthorized, WrongRole
from tallybook.web.pages import HEADERS, framing
from tallybook.web.signing_in import sign_in_url

AnyRequest = Request[Any, Any, Any]
SAID = {
    404: ("There is no such page.", "The overview leads to all that there are."),
    405: ("There is nothing to see here.", "The overview leads to all the pages that there are."),
}
"""What a person is told where a program is told of calls."""

Answer = Callable[[AnyRequest, Any], Response[dict[str, Any]]]


def _as_page(answer: Answer) -> Callable[[AnyRequest, Any], Response[Any]]:
    """The answer, but a page where a browser goes somewhere; what scripts and programs call stays JSON."""

    def shown(request: AnyRequest, error: Exception) -> Response[Any]:
        told = answer(request, error)
        if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith("/v1/"):
            return told
        if isinstance(error, Unauthorized):
            return Response(
                b"", status_code=303, media_type="text/html", headers={**HEADERS, "Location": sign_in_url(request)}
            )
        return Response(
            _error_page(request, told, isinstance(error, WrongRole)).encode(),
            status_code=told.status_code,
            media_type="text/html",
            headers={**HEADERS, **told.headers},
        )

    return shown


def _error_page(request: AnyRequest, told: Response[dict[str, Any]], is_wrong_role: bool) -> str:
    sentences = told.content["error"]
    message, hint = SAID.get(told.status_code or 0, (sentences["message"], sentences["hint"]))
    if is_wrong_role:
        hint = "Sign in with a token of the role admin."
    frame = {"frame": "base.html", **framing(request), "here": "error", "every": 0, "standing": None}
    return render("error.html", **frame, message=message, hint=hint, can_sign_in=is_wrong_role)


PAGE_ERRORS: ExceptionHandlersMap = {kind: _as_page(answer) for kind, answer in EXCEPTION_HANDLERS.items()}
