"""Calls mocked models through LiteLLM's SDK, watched by its generic API logger.

    python -m senders.programs.litellm_calls FORMAT WAVES CALLS [--flat-out] [--retries N]

The logger posts to GENERIC_LOGGER_ENDPOINT. Each wave is that many calls, every fifth a failure. A wave is flushed
before the next begins, since LiteLLM loses what it logs while it posts; flat out, none waits for anything. Prints a
JSON document: what was called, the events that were posted, and those of each post that was acknowledged, repeated ones
as often as they came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from senders.programs import loopback

loopback.stay_on_loopback()

import litellm  # noqa: E402 - nothing is imported before it is held to loopback
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger  # noqa: E402

FOR_OURSELVES_S = 600
"""Longer than any run: the program flushes when it wants."""
ASKED = [{"role": "user", "content": "How long is the ledger?"}]
READERS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "json_array": json.loads,
    "ndjson": lambda data: [json.loads(line) for line in data.split("\n")],
    "single": lambda data: [json.loads(data)],
}


class NotingLogger(GenericAPILogger):  # type: ignore[misc]
    """The logger as it is; notes the events that it posts, and of each post that was acknowledged."""

    def __init__(self, log_format: str, flush_interval_s: float, max_retries: int) -> None:
        super().__init__(
            log_format=log_format, flush_interval=flush_interval_s, max_retries=max_retries, retry_delay=0.2
        )
        self.offered: set[tuple[str, str]] = set()
        self.acknowledged: list[tuple[str, str]] = []

    async def _post_with_retries(self, data: str) -> Any:
        events = [(event["id"], event["status"]) for event in READERS[self.log_format](data)]
        self.offered.update(events)
        answer = await super()._post_with_retries(data)
        self.acknowledged += events
        return answer


async def complete() -> Any:
    return await litellm.acompletion(model="gpt-4o-mini", messages=ASKED, mock_response="Eight pages.")


async def stream() -> Any:
    chunks = await litellm.acompletion(
        model="gpt-4o-mini",
        messages=ASKED,
        mock_response="Eight pages.",
        stream=True,
        stream_options={"include_usage": True},
    )
    return [chunk async for chunk in chunks][-1]


async def embed() -> Any:
    return await litellm.aembedding(model="text-embedding-3-small", input=["The ledger"], mock_response=[0.5])


async def fail() -> Any:
    return await litellm.acompletion(model="gpt-4o-mini", messages=ASKED, mock_response="litellm.RateLimitError")


KINDS: tuple[Callable[[], Awaitable[Any]], ...] = (complete, stream, embed, complete, fail)


@dataclass
class Made:
    """The calls made: how many, how many failed, and the tokens in and out of each model."""

    sent: int = 0
    failed: int = 0
    tokens: dict[str, list[int]] = field(default_factory=dict)

    async def call(self, place: int) -> None:
        """Makes a call of the next kind."""
        self.sent += 1
        try:
            answer = await KINDS[place % len(KINDS)]()
        except litellm.RateLimitError:
            self.failed += 1
            return
        told = self.tokens.setdefault(answer.model, [0, 0])
        told[0] += answer.usage.prompt_tokens
        told[1] += answer.usage.completion_tokens


async def wait_until(reached: Callable[[], bool]) -> None:
    while not reached():
        await asyncio.sleep(0.01)


async def main() -> None:
    """Reads the command line, calls, waits until all is posted, and prints the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_format", choices=READERS)
    parser.add_argument("waves", type=int)
    parser.add_argument("calls", type=int)
    parser.add_argument("--flat-out", action="store_true")
    parser.add_argument("--retries", type=int, default=0)
    words = parser.parse_args()
    logger = NotingLogger(words.log_format, 1 if words.flat_out else FOR_OURSELVES_S, words.retries)
    litellm.callbacks = [logger]
    made = Made()
    for _ in range(words.waves):
        await asyncio.gather(*map(made.call, range(words.calls)))
        if not words.flat_out:
            await wait_until(lambda: len(logger.log_queue) == words.calls)
            await logger.flush_queue()
    if words.flat_out:
        await asyncio.sleep(2)
        await logger.flush_queue()
    noted = {"offered": list(logger.offered), "acknowledged": logger.acknowledged}
    json.dump({**asdict(made), **noted, "beyond_loopback": loopback.tried}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
