"""Operations for the commands of this home: streamed, cancellable, and only for who can read the home's secret."""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Stream

from tallybook.bookkeeper import Answer, Bookkeeper, Watch
from tallybook.errors import TallybookError, UsageError
from tallybook.operations import OPERATIONS
from tallybook.web.bodies import read_body

NDJSON = "application/x-ndjson"
_encode = msgspec.json.encode


class Forbidden(TallybookError):
    """The caller has not shown the secret of this home."""

    code = "forbidden"


@dataclass
class _Run:
    """One operation at work in a thread, and the lines that it has for its caller."""

    keeper: Bookkeeper
    name: str
    arguments: dict[str, Any]
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def start(self, pool: ThreadPoolExecutor) -> Future[None]:
        self._loop = asyncio.get_running_loop()
        return pool.submit(self._work)

    def _say(self, line: Answer | None) -> None:
        self._loop.call_soon_threadsafe(self.lines.put_nowait, None if line is None else _encode(line) + b"\n")

    def _work(self) -> None:
        watch = Watch(
            on_progress=lambda stage, done: self._say({"progress": [stage, done]}),
            on_result=lambda result: self._say({"result": result}),
            cancelled=self.cancelled.is_set,
        )
        try:
            self._say({"answer": OPERATIONS[self.name](self.keeper, watch, **self.arguments)})
        except TallybookError as error:
            self._say({"error": {"code": error.code, "message": error.message, "hint": error.remedy}})
        except Exception as error:  # noqa: BLE001 - the caller must be told, whatever went wrong
            self._say(
                {"error": {"code": "internal", "message": f"Internal error: {error}", "hint": "See the server's log."}}
            )
        finally:
            self._say(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """The lines as they come; when the caller goes away the operation is cancelled."""
        try:
            while (line := await self.lines.get()) is not None:
                yield line
        finally:
            self.cancelled.set()


@post("/v1/operations/{name:str}", status_code=200, include_in_schema=False)
async def post_operation(
    request: Request[Any, Any, Any],
    keeper: NamedDependency[Bookkeeper],
    secret: NamedDependency[str],
    operations: NamedDependency[ThreadPoolExecutor],
    name: FromPath[str],
) -> Stream:
    """Runs an operation; answers lines of progress, results, and at last the answer or an error."""
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(shown.encode(), secret.encode()):
        raise Forbidden(
            "This call is for the commands of this home.", "Run the tallybook command with the server's --home."
        )
    if name not in OPERATIONS:
        raise NotFoundException(f"There is no operation {name!r}.")
    arguments = await _read_arguments(request)
    run = _Run(keeper, name, arguments)
    run.start(operations)
    return Stream(run.stream, media_type=NDJSON)


async def _read_arguments(request: Request[Any, Any, Any]) -> dict[str, Any]:
    try:
        return msgspec.json.decode(await read_body(request) or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"The arguments cannot be read: {error}.", "Use a command of the same version.") from None
