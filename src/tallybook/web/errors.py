"""Errors as HTTP answers: one shape, one table from our codes to statuses, one sentence for the unforeseen."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from tallybook.errors import TallybookError

log = logging.getLogger(__name__)

STATUSES = {
    "usage": 400,
    "unknown_name": 400,
    "not_over": 400,
    "unreadable_body": 400,
    "unreadable_file": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "slow": 408,
    "too_large": 413,
    "unknown_encoding": 415,
    "overloaded": 429,
    "logs_busy": 503,
    "logs": 503,
    "book": 503,
    "book_too_new": 503,
    "home": 503,
}
RETRY_AFTER_S = {"overloaded": 1, "logs_busy": 1, "logs": 5, "book": 5}


def error_answer(status: int, code: str, message: str, hint: str = "") -> Response[dict[str, Any]]:
    """The one shape in which an error is answered."""
    headers = {"Retry-After": str(RETRY_AFTER_S[code])} if code in RETRY_AFTER_S else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response({"error": {"code": code, "message": message, "hint": hint}}, status_code=status, headers=headers)


def _ours(_: Request[Any, Any, Any], error: TallybookError) -> Response[dict[str, Any]]:
    status = STATUSES.get(error.code, 500)
    if status >= 500:
        log.warning("request failed", extra={"error": error.message})
    return error_answer(status, error.code, error.message, error.remedy)


def _framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status_code, "usage")
    hint = "The calls are listed in /openapi.json." if error.status_code in (404, 405) else ""
    answer = error_answer(error.status_code, code, error.detail or "The request cannot be answered.", hint)
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request[Any, Any, Any]) -> Iterable[str]:
    """The methods that the path knows."""
    return (method for route in request.app.routes if route.path == request.url.path for method in route.methods)


def _unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.error("request failed unexpectedly", extra={"path": request.url.path}, exc_info=error)
    return error_answer(500, "internal", "Internal error.", "The server's log has the details.")


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    TallybookError: _ours,
    HTTPException: _framework,
    Exception: _unforeseen,
}
