"""What a webhook is told of an entry of the chain: its figures as JSON, or a line as Slack takes it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from tallybook import wording
from tallybook.book.entries import Closing
from tallybook.book.ledger import Book, DailyStat
from tallybook.days import ONE_DAY
from tallybook.digest import safe_integers
from tallybook.histogram import percentile
from tallybook.measures import MEASURE_NAMES, MEASURES, NOTHING, Totals
from tallybook.stats import format_usd

Message = dict[str, Any]
TOLD = ("requests", "success", "failed", "tokens_in", "tokens_out", "cost_nanousd")
LONGEST_NAME = 64


@dataclass(frozen=True)
class Reporter:
    """Tells of the entries of one book."""

    book: Book

    def message(self, seq: int) -> Message | None:
        """What there is to tell of the entry with that number; None where the book has none."""
        book_id = self.book.identity().book_id
        for closing in self.book.closings(after_seq=seq - 1)[:1]:
            if closing.seq == seq:
                return {"id": f"{book_id}-{seq}", **self._closed(closing)}
        for mark in self.book.adjustment_marks(after_seq=seq - 1)[:1]:
            if mark.seq == seq:
                entries = self.book.adjustments(mark.source, mark.day, mark.day)
                entry = next(each for each in entries if each.seq == seq)
                return {"id": f"{book_id}-{seq}", "event": "adjusted", **entry.as_json()}
        return None

    def _closed(self, closing: Closing) -> Message:
        figures = self._figures(closing)
        before = self._stat(closing.source, closing.day - ONE_DAY)
        return {
            "event": closing.state,
            **{name: getattr(closing, name) for name in ("source", "seq", "closed_at", "digest", "chain")},
            "day": closing.day.isoformat(),
            **figures,
            "requests_before": before.totals[0] if before else None,
            "unknown": list(closing.unknown_measures),
        }

    def _figures(self, closing: Closing) -> Message:
        """As first closed, whatever was added since."""
        stat = self._stat(closing.source, closing.day)
        told = _told(stat.totals if stat else NOTHING, closing.unknown_measures)
        latencies = {
            f"latency_p{percent}_ms": percentile(stat.histogram, percent) if stat else None for percent in (50, 95)
        }
        return {**told, **latencies, "top_models": list(stat.top_models) if stat else []}

    def _stat(self, source: str, day: date) -> DailyStat | None:
        return next(iter(self.book.daily_stats(source, day, day)), None)


def _told(totals: Totals, unknown: Container[str]) -> Message:
    """The sums; null for one that the source cannot know, or that none of the requests told."""
    sums = dict(zip(MEASURE_NAMES, totals, strict=True))
    silent = {each.name for each in MEASURES if each.known_by and sums["requests"] and not sums[each.known_by]}
    told = {name: None if name in silent or name in unknown else sums[name] for name in TOLD}
    cost = told.pop("cost_nanousd")
    return {**safe_integers(told), "cost_usd": None if cost is None else format_usd(cost)}


def as_json(message: Message) -> bytes:
    """The message as it is."""
    return msgspec.json.encode(message)


def as_slack(message: Message) -> bytes:
    """A line of text, in which names that somebody else chose are text and nothing more."""
    return msgspec.json.encode({"text": _adjusted(message) if message["event"] == "adjusted" else _closed(message)})


FORMATS: dict[str, Callable[[Message], bytes]] = {"json": as_json, "slack": as_slack}


def _closed(message: Message) -> str:
    if message["event"] == "zero":
        return f"*{_name(message['source'])}* {message['day']} closed: no requests."
    parts = [wording.count_of(int(message["requests"]), "request"), *_more(message)]
    return f"*{_name(message['source'])}* {message['day']} closed: {', '.join(parts)}."


def _more(message: Message) -> list[str]:
    told, failed = message["success"], message["failed"]
    known = int(told or 0) + int(failed or 0)
    before, requests = message["requests_before"], int(message["requests"])
    return [
        text
        for text in (
            f"{wording.percent(int(told), known)} successful" if failed is not None and known else "",
            wording.dollars(message["cost_usd"]) if message["cost_usd"] is not None else "",
            f"p95 {wording.milliseconds(message['latency_p95_ms'])}" if message["latency_p95_ms"] is not None else "",
            f"{100 * (requests - before) / before:+.1f} % against the day before" if before else "",
        )
        if text
    ]


def _adjusted(message: Message) -> str:
    requests = int(message["change"].get("requests", 0))
    return f"*{_name(message['source'])}* {message['day']} restated: {message['reason']} ({requests:+,} requests)."


def _name(name: str) -> str:
    shown = wording.printable(name, LONGEST_NAME)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "\N{ASTERISK OPERATOR}")
