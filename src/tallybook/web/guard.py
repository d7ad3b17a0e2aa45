"""Who may call what: every call needs a token once one was made; until then only this machine may call, and may all."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope

from tallybook.book.credentials import Credentials
from tallybook.config import is_loopback
from tallybook.days import day_of
from tallybook.errors import BookError, TallybookError, shorten
from tallybook.tokens import Role, Token, read_bearer

log = logging.getLogger(__name__)

Found = TypeVar("Found")

ROLES: dict[tuple[str, str], Role | None] = {
    ("POST", "/v1/log-records"): Role.INGEST,
    ("POST", "/v1/litellm"): Role.INGEST,
    ("POST", "/v1/traces"): Role.INGEST,
    ("POST", "/v1/logs"): Role.INGEST,
    ("POST", "/v1/metrics"): Role.INGEST,
    ("GET", "/"): Role.READ,
    ("GET", "/day"): Role.READ,
    ("GET", "/book"): Role.READ,
    ("GET", "/download"): Role.READ,
    ("GET", "/chart.svg"): Role.READ,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("POST", "/sign-out"): None,
    ("POST", "/backfill"): Role.ADMIN,
    ("POST", "/backfill-cancel"): Role.ADMIN,
    ("GET", "/assets/{name}"): None,
    ("GET", "/v1/stats"): Role.READ,
    ("GET", "/v1/daily-stats"): Role.READ,
    ("GET", "/v1/closings"): Role.READ,
    ("GET", "/v1/adjustments"): Role.READ,
    ("GET", "/v1/status"): Role.READ,
    ("GET", "/metrics"): Role.READ,
    ("GET", "/openapi.json"): Role.READ,
    ("POST", "/v1/close"): Role.ADMIN,
    ("POST", "/v1/backfill"): Role.ADMIN,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("POST", "/v1/operations/{name}"): None,
}
"""The role that a call needs, None for no token: probes have none, and operations ask for the secret of the home.

A call that has no row here is for `admin` alone.
"""

HEAD_TOO = ("/", "/day", "/book", "/download", "/chart.svg", "/sign-in", "/assets/{name}", "/healthz")
"""What can be asked for without its content, by who may see it: pages, and whether the process answers at all."""

ROLES |= {("HEAD", path): ROLES["GET", path] for path in HEAD_TOO}

COOKIE = "tallybook"
"""The cookie that holds the token of whoever has signed in on the page."""

SAFE_METHODS = ("GET", "HEAD")
PATIENCE_S = 5
"""How long the book may take to tell about a token; an exporter gives up at ten seconds, and a 503 it sends again."""

_ASKING_THREADS = 4
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d{1,5})?", re.IGNORECASE)


class Unauthorized(TallybookError):
    """The caller has shown no token that is in force."""

    code = "unauthorized"


class WrongRole(TallybookError):
    """The caller's token is for something else."""

    code = "forbidden"


class ForeignHost(TallybookError):
    """The call was meant for another host: a page has had its name led to this machine, to get past the browser."""

    code = "forbidden"


class Guard:
    """Lets a call in or raises. The book is asked at each call, so what is revoked is refused at the very next one.

    It is asked in threads of its own: however many answers are at work elsewhere, nobody waits for them to be let in.
    """

    def __init__(self, credentials: Credentials, url: str, now: Callable[[], datetime]) -> None:
        self._credentials = credentials
        self._now = now
        self._token_needed = not is_loopback(urlsplit(url).hostname or "") or credentials.were_ever_made()
        self._asking = ThreadPoolExecutor(_ASKING_THREADS, thread_name_prefix="guard")
        self._noting = ThreadPoolExecutor(1, thread_name_prefix="last-used")
        self._noted: dict[str, date] = {}

    def close(self) -> None:
        """Ends when the uses so far are noted."""
        self._asking.shutdown()
        self._noting.shutdown()

    async def check(self, call: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Raises `Unauthorized`, `WrongRole` or `ForeignHost`; `BookError` where the book cannot tell."""
        scope = cast(HTTPScope, call.scope)
        needed = ROLES.get((scope["method"], scope["path_template"]), Role.ADMIN)
        if needed is None:
            return
        if await self._needs_token(needed):
            token = await self.identify(_shown_by(call, scope["method"]), needed)
            scope["auth"] = token.role
            self._note_use(token)
        else:
            check_host(call.headers.get("host", ""))

    async def _needs_token(self, needed: Role) -> bool:
        """Whether a token was ever made. It stays so when all are revoked: to revoke must never open a door.

        Senders on this machine that never needed one go on while the book is away: not all of them send again.
        """
        if not self._token_needed:
            try:
                if await self._ask(self._credentials.were_ever_made):
                    self._token_needed = True
            except BookError as error:
                if needed is not Role.INGEST:
                    raise
                log.warning("not known whether there are tokens; there were none", extra={"error": error.message})
        return self._token_needed

    async def identify(self, shown: str | None, needed: Role) -> Token:
        """The token that was shown, if it is in force and may; raises `Unauthorized` or `WrongRole`."""
        if shown is None:
            raise Unauthorized(f"This call needs a token of the role {needed}.", _remedy(needed))
        token = await self._ask(lambda: self._credentials.find(shown))
        if token is None:
            raise Unauthorized("The token is not known here, or it was revoked.", _remedy(needed))
        if not token.role.may(needed):
            raise WrongRole(
                f"This call needs a token of the role {needed}, and this one has the role {token.role}.",
                _remedy(needed),
            )
        return token

    async def _ask(self, question: Callable[[], Found]) -> Found:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._asking, question), PATIENCE_S)
        except TimeoutError:
            raise BookError("The book does not answer.", "Check that its database is up.") from None

    def _note_use(self, token: Token) -> None:
        """By the day, so that a token costs one write a day; and apart, so that no call waits for a writer."""
        today = day_of(self._now())
        if (token.last_used_on or "") < today.isoformat() and self._noted.get(token.id) != today:
            self._noted[token.id] = today
            self._noting.submit(self._write_use, token.id, today)

    def _write_use(self, public: str, day: date) -> None:
        try:
            self._credentials.note_use(public, day)
        except BookError as error:
            log.warning("use of a token not noted", extra={"token": public, "error": error.message})


def _shown_by(call: ASGIConnection[Any, Any, Any, Any], method: str) -> str | None:
    """The token in the header, or in the cookie that signing in has left.

    A cookie comes along whoever has a browser send the call: what changes something must also say that it is sent by a
    page of this server, and `check_request` sees to it that this is true.
    """
    if header := call.headers.get("authorization", ""):
        return read_bearer(header)
    if method not in SAFE_METHODS and "origin" not in call.headers:
        return None
    return call.cookies.get(COOKIE)


def may(call: ASGIConnection[Any, Any, Any, Any], needed: Role) -> bool:
    """Whether who was let in may also do what needs the role: whoever needed no token may all."""
    role: Role | None = call.scope.get("auth")
    return role is None or role.may(needed)


def check_host(header: str) -> None:
    """Raises `ForeignHost` unless a `Host` header names this machine's loopback, on whatever port."""
    found = _HOST.fullmatch(header.strip())
    if not found or not is_loopback((found[1] or found[2]).lower()):
        raise ForeignHost(
            f"The call is for the host {shorten(header)!r}, and without tokens this server answers as localhost only.",
            "Call http://127.0.0.1, or make tokens: `tallybook token create --role admin`.",
        )


def _remedy(needed: Role) -> str:
    return f"Send it as `Authorization: Bearer TOKEN`; `tallybook token create --role {needed}` makes one."
