"""Canonical bytes, digests and the chain. ARCHITECTURE.md publishes the format with test vectors.

Canonical bytes are RFC 8785 JSON (JCS) restricted to objects with ASCII keys, arrays, strings, null and whole numbers.
A number outside ±(2^53 - 1), which many JSON readers would round, is written as a decimal string.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from tallybook.content import DayContent
from tallybook.measures import HISTOGRAM_DIMENSIONS, MEASURE_NAMES

PAYLOAD_VERSION = 1
MAX_SAFE_INTEGER = (1 << 53) - 1
DAY_FORMAT = "tallybook-day/1"
CHAIN_FORMAT = "tallybook-chain/1"
BOOK_FORMAT = "tallybook-book/1"

_encoder = msgspec.json.Encoder(order="sorted")


def canonical_bytes(value: Any) -> bytes:
    """The value as canonical JSON; it must hold no float and no number that `safe_integers` would change."""
    return _encoder.encode(value)


def safe_integers(value: Any) -> Any:
    """The value with every whole number outside ±(2^53 - 1) as a decimal string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER else str(value)
    if isinstance(value, dict):
        return {key: safe_integers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [safe_integers(item) for item in value]
    return value


def day_payload(content: DayContent) -> dict[str, Any]:
    """Everything that the day holds, without source name or clock, so that engines can be compared."""
    payload = {
        "format": DAY_FORMAT,
        "day": content.day.isoformat(),
        "dimensions": content.dimensions,
        "measures": MEASURE_NAMES,
        "totals": content.totals,
        "top_models": [top.as_json() for top in content.top_models],
        "slices": [(*part.key, *part.totals) for part in content.slices],
        "histogram_dimensions": HISTOGRAM_DIMENSIONS,
        "histograms": [(*part.key, part.counts) for part in content.histograms],
    }
    if content.unknown:
        payload["unknown"] = content.unknown
    return payload if max(content.totals) <= MAX_SAFE_INTEGER // 2 else safe_integers(payload)


def digest_day(content: DayContent) -> str:
    """SHA-256, in hex, of the day's canonical bytes."""
    return hashlib.sha256(canonical_bytes(day_payload(content))).hexdigest()


def chain_link(entry: dict[str, Any]) -> str:
    """SHA-256, in hex, over the canonical bytes of a closing with all its fields, `prev_chain` among them."""
    return hashlib.sha256(canonical_bytes(safe_integers({"format": CHAIN_FORMAT, **entry}))).hexdigest()


def genesis(book_id: str) -> str:
    """What the first closing has for `prev_chain`: it binds the chain to this book and no other."""
    return hashlib.sha256(canonical_bytes({"format": BOOK_FORMAT, "book_id": book_id})).hexdigest()
