"""The ASGI application: one wiring point for handlers, errors and scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response
from litestar.concurrency import sync_to_thread
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from tallybook import __version__
from tallybook.bookkeeper import Bookkeeper
from tallybook.home import RunningServer
from tallybook.page.remembering import Memory
from tallybook.web.backfills import Backfills
from tallybook.web.collecting import COLLECTING_HANDLERS
from tallybook.web.guard import Guard
from tallybook.web.handlers import HANDLERS, check_request
from tallybook.web.metrics import get_metrics
from tallybook.web.operations import post_operation
from tallybook.web.page_errors import PAGE_ERRORS
from tallybook.web.pages import PAGES, without_slash
from tallybook.web.scheduler import Scheduler
from tallybook.web.signing_in import SIGNING_IN

OPERATION_THREADS = 4


def build_app(keeper: Bookkeeper, server: RunningServer, home: Path) -> Litestar:
    """The application on an open book and logs. When it stops it finishes what was accepted and closes them."""
    operations = ThreadPoolExecutor(OPERATION_THREADS, thread_name_prefix="operation")
    scheduler = Scheduler(keeper.run_once, keeper.now)
    guard = Guard(keeper.book.credentials, server.url, keeper.now)

    async def arrive(request: Request[Any, Any, Any]) -> Response[bytes] | None:
        await check_request(request, keeper.book.credentials.were_ever_made)
        return without_slash(request)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        scheduler.start()
        try:
            yield
        finally:
            await sync_to_thread(scheduler.stop)
            await sync_to_thread(operations.shutdown)
            await sync_to_thread(guard.close)
            await sync_to_thread(keeper.close_all)

    return Litestar(
        route_handlers=[*PAGES, *SIGNING_IN, *HANDLERS, *COLLECTING_HANDLERS, get_metrics, post_operation],
        lifespan=[lifespan],
        dependencies={
            "keeper": _always(keeper),
            "home": _always(home),
            "backfills": _always(Backfills(keeper, operations)),
            "guard": _always(guard),
            "memory": _always(Memory(keeper)),
            "instance": _always(server.instance),
            "secret": _always(server.secret),
            "operations": _always(operations),
        },
        exception_handlers=PAGE_ERRORS,
        openapi_config=OpenAPIConfig(
            title="tallybook", version=__version__, render_plugins=[], path="/v1/schema", use_handler_docstrings=True
        ),
        guards=[guard.check],
        before_request=arrive,
        request_max_body_size=None,
        logging_config=None,
    )


def _always(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)
