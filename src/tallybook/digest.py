"""Canonical bytes, digests and the chain. docs/verify.md publishes the format with test vectors.

Canonical bytes are RFC 8785 JSON (JCS) restricted to objects with ASCII keys, arrays, strings, null and whole numbers.
A number outside ±(2^53 - 1), which many JSON readers would round, is written as a decimal string.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from tallybook.change import Change
from tallybook.content import DayContent
from tallybook.measures import HISTOGRAM_DIMENSIONS, MEASURE_NAMES

PAYLOAD_VERSION = 2
"""How an entry of the chain is hashed today; entries of version 1 stay as they are and can still be verified."""

PAYLOAD_VERSIONS = (1, PAYLOAD_VERSION)
MAX_SAFE_INTEGER = (1 << 53) - 1
DAY_FORMAT = "tallybook-day/1"
CHANGE_FORMAT = "tallybook-change/1"
CHAIN_FORMAT = "tallybook-chain/{version}"
BOOK_FORMAT = "tallybook-book/{version}"

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


def _sha256(payload: Any) -> str:
    return hashlib.sha256(canonical_bytes(payload)).hexdigest()


def _figures(figures: DayContent | Change) -> dict[str, Any]:
    return {
        "day": figures.day.isoformat(),
        "dimensions": figures.dimensions,
        "measures": MEASURE_NAMES,
        "totals": figures.totals,
        "slices": [(*part.key, *part.totals) for part in figures.slices],
        "histogram_dimensions": HISTOGRAM_DIMENSIONS,
        "histograms": [(*part.key, part.counts) for part in figures.histograms],
    }


def day_payload(content: DayContent) -> dict[str, Any]:
    """Everything that the day holds, without source name or clock, so that engines can be compared."""
    payload = {
        "format": DAY_FORMAT,
        **_figures(content),
        "top_models": [top.as_json() for top in content.top_models],
    }
    if content.unknown:
        payload["unknown"] = content.unknown
    return payload if max(content.totals) <= MAX_SAFE_INTEGER // 2 else safe_integers(payload)


def digest_day(content: DayContent) -> str:
    """SHA-256, in hex, of the day's canonical bytes."""
    return _sha256(day_payload(content))


def digest_change(change: Change) -> str:
    """SHA-256, in hex, of the canonical bytes of a change to a day."""
    return _sha256(safe_integers({"format": CHANGE_FORMAT, **_figures(change)}))


def chain_link(fields: dict[str, Any], version: int) -> str:
    """SHA-256, in hex, over the canonical bytes of an entry's fields, `prev_chain` among them."""
    return _sha256(safe_integers({"format": CHAIN_FORMAT.format(version=version), **fields}))


def genesis(book_id: str, created_at: str, version: int = PAYLOAD_VERSION) -> str:
    """What the first entry has for `prev_chain`: it binds the chain to this book and no other."""
    identity = {"book_id": book_id} if version == 1 else {"book_id": book_id, "created_at": created_at}
    return _sha256({"format": BOOK_FORMAT.format(version=version), **identity})
