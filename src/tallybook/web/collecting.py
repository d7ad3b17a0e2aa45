"""The calls that take log records: each answers once what it accepted is durable, in its sender's own terms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException

from tallybook.bookkeeper import Bookkeeper
from tallybook.collect.budget import Overloaded
from tallybook.collect.collector import Receipt
from tallybook.collect.intake import Intake, Sender
from tallybook.collect.litellm import decode_litellm
from tallybook.collect.log_records import decode_log_records
from tallybook.collect.otlp import decode_traces, status_answer, traces_answer
from tallybook.errors import LogsBusy, TallybookError
from tallybook.records import Rejected, UnreadableBody
from tallybook.web.bodies import CorruptBody, UnknownEncoding, read_body
from tallybook.web.errors import RETRY_AFTER_S, STATUSES
from tallybook.web.schemas import LITELLM_BODY, RECORDS_BODY, TRACES_BODY, documented_body

log = logging.getLogger(__name__)

JSON, PROTOBUF = "application/json", "application/x-protobuf"
SHOWN_REASONS = 3


class RejectedRecord(msgspec.Struct):
    """A record that was not taken: its place in what was sent, from 0, and why."""

    index: int
    reason: str


class Acknowledgement(msgspec.Struct):
    """What became of a batch; given once the accepted records are on disk."""

    accepted: int
    duplicates: int
    rejected: list[RejectedRecord]


@dataclass(frozen=True)
class Taken:
    """What became of a body."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejected] = field(default_factory=list)

    def as_answer(self) -> Acknowledgement:
        rejected = [RejectedRecord(entry.index, entry.reason) for entry in self.rejected]
        return Acknowledgement(self.accepted, self.duplicates, rejected)


LOG_RECORDS = Sender("log-records", decode_log_records, "Send a JSON array, one object, or one object a line.")
LITELLM = Sender("litellm", decode_litellm, "Send what LiteLLM's generic_api callback sends: JSON, whole.")


def _traces(kind: str, intake: Intake) -> Sender:
    decode = partial(decode_traces, as_json=kind == JSON, ancestors=intake.ancestors)
    return Sender("traces", decode, "Send an ExportTraceServiceRequest, encoded as its content type says.")


async def _take(request: Request[Any, Any, Any], intake: Intake, sender: Sender) -> Taken:
    """Reads, decodes and stores a body; every refusal is counted."""
    try:
        with intake.budget.allowance() as allowance:
            body = await read_body(request, allowance)
            batch = await asyncio.wrap_future(intake.read(sender, body))
        receipt = await asyncio.wrap_future(intake.store(batch)) if len(batch.table) else Receipt(0, 0)
    except UnreadableBody as error:
        intake.meter.refused(sender.name, CorruptBody.code)
        raise CorruptBody(str(error), sender.remedy) from None
    except asyncio.CancelledError:  # by the server's stop; what is decoded or stored by then is known by its ids
        intake.meter.refused(sender.name, LogsBusy.code)
        raise LogsBusy("The server is stopping.", "Send the batch again to the next one.") from None
    except TallybookError as error:
        intake.meter.refused(sender.name, error.code)
        raise
    except Exception:
        intake.meter.refused(sender.name, "internal")
        raise
    intake.meter.received(sender.name, len(body), batch.ignored, batch.rejected)
    intake.meter.stored(sender.name, receipt.accepted, receipt.duplicates)
    return Taken(receipt.accepted, receipt.duplicates, batch.rejected)


@post("/v1/log-records", status_code=200, operation_class=documented_body(RECORDS_BODY))
async def post_log_records(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Acknowledgement:
    """Stores log records; answers once the accepted ones are durable."""
    return (await _take(request, keeper.intake, LOG_RECORDS)).as_answer()


@post("/v1/litellm", status_code=200, operation_class=documented_body(LITELLM_BODY))
async def post_litellm(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Acknowledgement:
    """Stores what LiteLLM's generic API logger sends; answers once it is durable."""
    try:
        return (await _take(request, keeper.intake, LITELLM)).as_answer()
    except Overloaded as error:  # its logger tries again after 503, but not after 429
        raise LogsBusy(error.message, error.remedy) from None


@post("/v1/traces", status_code=200, operation_class=documented_body(TRACES_BODY))
async def post_traces(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> Response[bytes]:
    """Stores the LLM requests among OpenTelemetry spans; answers as OTLP/HTTP wants it, once they are durable."""

    async def answer(kind: str) -> bytes:
        taken = await _take(request, keeper.intake, _traces(kind, keeper.intake))
        shown = "; ".join(entry.reason for entry in taken.rejected[:SHOWN_REASONS])
        return traces_answer(kind == JSON, len(taken.rejected), shown)

    return await _as_otlp(request, answer)


@post(["/v1/logs", "/v1/metrics"], status_code=200, include_in_schema=False)
async def post_other_signals(request: Request[Any, Any, Any]) -> Response[bytes]:
    """OpenTelemetry's other signals: taken, so that a default exporter does not complain, and left unread."""

    async def answer(kind: str) -> bytes:
        await read_body(request)
        return traces_answer(kind == JSON, 0, "")

    return await _as_otlp(request, answer)


async def _as_otlp(request: Request[Any, Any, Any], answer: Callable[[str], Awaitable[bytes]]) -> Response[bytes]:
    """Answers in the encoding of the question. What is no fault of the sender is 429 or 503, which it tries again."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise UnknownEncoding(f"OTLP as {kind[:40]!r} is not known here.", f"Send {PROTOBUF} or {JSON}.")
    try:
        return Response(await answer(kind), media_type=kind)
    except TallybookError as error:
        status, message, code = STATUSES.get(error.code, 503), f"{error.message} {error.remedy}".strip(), error.code
    except ClientException:
        raise
    except Exception:
        log.exception("request failed unexpectedly", extra={"path": request.url.path})
        status, message, code = 503, "Internal error. The server's log has the details.", "logs"
    headers = {"Retry-After": str(RETRY_AFTER_S.get(code, 1))} if status in (429, 503) else {}
    return Response(status_answer(kind == JSON, status, message), media_type=kind, status_code=status, headers=headers)


COLLECTING_HANDLERS = (post_log_records, post_litellm, post_traces, post_other_signals)
