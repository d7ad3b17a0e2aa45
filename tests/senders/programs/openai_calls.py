"""Calls OpenAI through its SDK, watched by one instrumentation that exports spans.

    python -m senders.programs.openai_calls INSTRUMENTATION ROUNDS [--without KIND] [--retries N] [--pause SECONDS]
    opentelemetry-instrument python -m senders.programs.openai_calls of-itself ROUNDS

Where to call and where to export stands in the environment, in the variables that the SDK and the exporter read
themselves. A round is a call of each kind. Prints a JSON document: calls made, how many failed, and the keys
of the spans that the receiver has acknowledged.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from senders.programs import loopback

loopback.stay_on_loopback()

from openai import APIError, OpenAI  # noqa: E402 - nothing is imported before it is held to loopback
from opentelemetry import trace  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult  # noqa: E402

ASKED = [{"role": "user", "content": "How long is the ledger?"}]
INSTRUMENTORS = {
    "openai-v2": "opentelemetry.instrumentation.openai_v2",
    "genai-openai": "opentelemetry.instrumentation.genai.openai",
    "openllmetry": "opentelemetry.instrumentation.openai",
    "openinference": "openinference.instrumentation.openai",
}
NO_PRICES = Path(__file__).with_name("no_prices.json")
"""OpenLIT fetches its prices from the network unless it is given a file."""


class NotingExporter(OTLPSpanExporter):  # type: ignore[misc]
    """The exporter as it is; notes the spans of each batch that was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self.acknowledged += [f"{span.context.trace_id:032x}:{span.context.span_id:016x}" for span in spans]
        return result


def instrument(name: str) -> None:
    """Has the SDK's calls watched, as the instrumentation's own page says."""
    if name == "openlit":
        importlib.import_module("openlit").init(pricing_json=str(NO_PRICES))
    else:
        importlib.import_module(INSTRUMENTORS[name]).OpenAIInstrumentor().instrument()


def kinds(client: OpenAI) -> dict[str, Callable[[], Any]]:
    """A call of each kind, reading what comes to its end."""
    chat = client.chat.completions
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}
    embedded: dict[str, Any] = {"model": "text-embedding-3-small", "input": "The ledger", "encoding_format": "float"}
    return {
        "chat": lambda: chat.create(**asked),
        "stream": lambda: list(chat.create(**asked, stream=True, stream_options={"include_usage": True})),
        "stream-untold": lambda: list(chat.create(**asked, stream=True)),
        "embeddings": lambda: client.embeddings.create(**embedded),
        "responses": lambda: client.responses.create(model="gpt-4o-mini", input="How long is the ledger?"),
    }


def call_all(calls: Iterable[Callable[[], Any]], pause_s: float) -> dict[str, int]:
    """Makes the calls one after another."""
    made = {"calls": 0, "failed": 0}
    for call in calls:
        made["calls"] += 1
        try:
            call()
        except APIError:
            made["failed"] += 1
        time.sleep(pause_s)
    return made


def main() -> None:
    """Reads the command line, calls, waits until all is exported, and prints the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instrumentation", choices=[*INSTRUMENTORS, "openlit", "of-itself"])
    parser.add_argument("rounds", type=int)
    parser.add_argument("--without")
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0)
    words = parser.parse_args()
    provider, acknowledged = TracerProvider(), []
    if words.instrumentation != "of-itself":
        exporter = NotingExporter()
        acknowledged = exporter.acknowledged
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        instrument(words.instrumentation)
    calls = [call for kind, call in kinds(OpenAI(max_retries=words.retries)).items() if kind != words.without]
    made = call_all(calls * words.rounds, words.pause)
    provider.shutdown()
    json.dump({**made, "acknowledged": acknowledged, "beyond_loopback": loopback.tried}, sys.stdout)


if __name__ == "__main__":
    main()
