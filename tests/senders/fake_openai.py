"""A small OpenAI on loopback, which fails on a schedule and counts what it has told its clients.

    python -m senders.fake_openai [STATUS …]

The n-th request is answered with the n-th status, and after the last with the first again; without any, all succeed.
The first line on standard output is its URL. `GET /truth` answers the counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, get, post
from litestar.response import Stream

CREATED = 1_767_225_600
WORDS = ("Eight", " pages", " of", " figures", ",", " signed", ".")
Body = dict[str, Any]
Answer = Response[Body] | Stream


@dataclass
class Truth:
    """What was answered. Tokens are those that a client was told; `untold` counts answers that named none."""

    requests: int = 0
    success: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    untold: int = 0


@dataclass
class Counter:
    """Takes each request's status from the schedule, and its tokens from its number, so that sums tell them apart."""

    statuses: Iterable[int]
    truth: Truth = field(default_factory=Truth)

    def __post_init__(self) -> None:
        self._upcoming = cycle(self.statuses)

    def refusal(self) -> Answer | None:
        """The error to answer, or None where the request is to succeed."""
        self.truth.requests += 1
        status = next(self._upcoming)
        if status == 200:
            self.truth.success += 1
            return None
        self.truth.failed += 1
        error = {"message": f"The schedule says {status}.", "type": "scheduled", "param": None, "code": str(status)}
        return Response({"error": error}, status_code=status, headers={"retry-after-ms": "10"})

    def tokens(self) -> tuple[int, int]:
        """Tokens in and out of this request, told to the client."""
        tokens_in, tokens_out = 20 + self.truth.requests, 1 + self.truth.requests % len(WORDS)
        self.truth.tokens_in += tokens_in
        self.truth.tokens_out += tokens_out
        return tokens_in, tokens_out

    def tokens_of_an_embedding(self) -> int:
        """Tokens in of this request, told to the client; an embedding has none out."""
        tokens_in = 5 + self.truth.requests
        self.truth.tokens_in += tokens_in
        return tokens_in


def chat_usage(counter: Counter) -> dict[str, int]:
    tokens_in, tokens_out = counter.tokens()
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def chat_chunks(body: Body, request_id: str, usage: dict[str, int] | None) -> list[Body]:
    """The chunks of a streamed completion; the usage comes last, in a chunk without choices."""
    head = {"id": request_id, "object": "chat.completion.chunk", "created": CREATED, "model": body["model"]}
    said = [{**head, "choices": [choice({"content": word}, None)]} for word in WORDS]
    ended = {**head, "choices": [choice({}, "stop")]}
    return [*said, ended, *([{**head, "choices": [], "usage": usage}] if usage else [])]


def choice(delta: Body, finish_reason: str | None) -> Body:
    return {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish_reason}


async def events(chunks: list[Body]) -> AsyncIterator[str]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def answer_chat(body: Body, counter: Counter) -> Answer:
    request_id = f"chatcmpl-{counter.truth.requests}"
    if not body.get("stream"):
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "".join(WORDS)}}
        head = {"id": request_id, "object": "chat.completion", "created": CREATED, "model": body["model"]}
        return Response({**head, "choices": [message], "usage": chat_usage(counter)})
    told = (body.get("stream_options") or {}).get("include_usage")
    counter.truth.untold += not told
    chunks = chat_chunks(body, request_id, chat_usage(counter) if told else None)
    return Stream(events(chunks), media_type="text/event-stream")


def answer_embeddings(body: Body, counter: Counter) -> Answer:
    tokens_in = counter.tokens_of_an_embedding()
    vector = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
    usage = {"prompt_tokens": tokens_in, "total_tokens": tokens_in}
    return Response({"object": "list", "model": body["model"], "data": [vector], "usage": usage})


def answer_responses(body: Body, counter: Counter) -> Answer:
    """An answer of the responses API; what was cached or thought is a part of the tokens, not more of them."""
    tokens_in, tokens_out = counter.tokens()
    content = [{"type": "output_text", "text": "".join(WORDS), "annotations": []}]
    said = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content}
    usage = {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": tokens_in // 2},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": tokens_in + tokens_out,
    }
    head = {"id": f"resp_{counter.truth.requests}", "object": "response", "created_at": CREATED, "status": "completed"}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "metadata": {}}
    return Response({**head, **settings, "model": body["model"], "output": [said], "usage": usage})


ANSWERS: dict[str, Callable[[Body, Counter], Answer]] = {
    "chat/completions": answer_chat,
    "embeddings": answer_embeddings,
    "responses": answer_responses,
}


def build(counter: Counter) -> Litestar:
    """The application, counting with `counter`."""

    @post([f"/v1/{path}" for path in ANSWERS], status_code=200, sync_to_thread=False)
    def answer(data: Body, request: Request[Any, Any, Any]) -> Answer:
        return counter.refusal() or ANSWERS[request.url.path.removeprefix("/v1/")](data, counter)

    @get("/truth", sync_to_thread=False)
    def truth() -> dict[str, int]:
        return asdict(counter.truth)

    return Litestar([answer, truth], openapi_config=None)


async def serve(statuses: list[int]) -> None:
    """Serves on a free port until it is told to stop."""
    server = uvicorn.Server(uvicorn.Config(build(Counter(statuses)), port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await task


if __name__ == "__main__":
    asyncio.run(serve([int(status) for status in sys.argv[1:]] or [200]))
