"""The log record: its fields, their units and limits, and what is refused.

`LogRecord` is the wire's shape and the OpenAPI schema at once. What msgspec can check in C stands in its annotations;
`RULES` say the same of records that were made of something else, and what needs two fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.days import EPOCH, epoch_us
from tallybook.errors import shorten
from tallybook.histogram import MAX_LATENCY_MS

MAX_COUNT = 1_000_000_000
"""Tokens in one request. Nine billion such records add up within 64 bits, so what is stored can always be closed."""
MAX_TEXT = 512
MAX_STATUS = 999
MAX_COST_USD = 1_000_000
NANOUSD_PER_USD = 1_000_000_000
FUTURE_TOLERANCE = timedelta(minutes=10)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
DurationMs = Annotated[int, Meta(ge=0, le=MAX_LATENCY_MS)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Cost = Annotated[Decimal, Meta(description="US dollars, as a decimal string or a number")]
Instant = Annotated[int | str, Meta(description="RFC 3339 with offset, or whole epoch milliseconds")]
Status = Annotated[int, Meta(ge=0, le=MAX_STATUS, description="HTTP status code; 0 means that no response came")]


class LogRecord(msgspec.Struct, kw_only=True, gc=False):
    """One logged LLM request, as it is posted. What is missing or null is unknown; other fields are left unread."""

    created_at: Instant
    model_name: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    status_code: Status
    request_id: Text | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    tokens_cached: Annotated[Count | None, Meta(description="the part of tokens_in that came from a cache")] = None
    tokens_reasoning: Annotated[Count | None, Meta(description="the part of tokens_out spent on reasoning")] = None
    latency_ms: DurationMs | None = None
    ttft_ms: Annotated[DurationMs | None, Meta(description="time to first token")] = None
    cost_usd: Cost | None = None
    provider: Text | None = None
    api_key: Text | None = None
    user: Text | None = None
    team: Text | None = None
    operation: Text | None = None
    error_type: Text | None = None
    stream: bool | None = None


TEXT_FIELDS = ("model_name", "request_id", "provider", "api_key", "user", "team", "operation", "error_type")
COUNT_FIELDS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")
DURATION_FIELDS = ("latency_ms", "ttft_ms")
SUBSETS = (("tokens_cached", "tokens_in"), ("tokens_reasoning", "tokens_out"))
"""Parts, and the whole that they cannot exceed."""
RECORD_FIELDS = LogRecord.__struct_fields__
RANGES = {
    "status_code": (0, MAX_STATUS),
    **dict.fromkeys(COUNT_FIELDS, (0, MAX_COUNT)),
    **dict.fromkeys(DURATION_FIELDS, (0, MAX_LATENCY_MS)),
}
REQUIRED_FIELDS = ("created_at", "model_name", "status_code")

StoredRow = tuple[object, ...]
STORED_FIELDS = tuple("cost_nanousd" if name == "cost_usd" else name for name in RECORD_FIELDS)
"""The columns of `log_records`: those of the wire, but for money, which is kept in whole nano-USD."""


@dataclass(frozen=True)
class Rejected:
    """A record that was not taken: its place in what was sent, from 0, and why."""

    index: int
    reason: str


class Unacceptable(ValueError):
    """A single record breaks a rule; the message is the reason given to its sender."""


def read_instant(value: int | str) -> datetime:
    """The instant of a `created_at`; digits beyond the microsecond are cut off, never rounded into another day."""
    if isinstance(value, int):
        return _from_epoch_ms(value)
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise Unacceptable(f"created_at {shorten(value, 40)!r} is not an RFC 3339 instant") from None
    if instant.tzinfo is None:
        raise Unacceptable(f"created_at {shorten(value, 40)!r} has no offset; add Z for UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise Unacceptable(f"created_at {shorten(value, 40)!r} is out of range") from None


def _from_epoch_ms(value: int) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise Unacceptable(f"created_at {shorten(str(value), 40)} is out of range; send epoch milliseconds") from None


def read_cost(value: Decimal) -> int:
    """The cost in whole nano-USD, rounded half to even."""
    if not value.is_finite() or not 0 <= value <= MAX_COST_USD:
        raise Unacceptable(f"cost_usd must be between 0 and {MAX_COST_USD:,}")
    return round(value * NANOUSD_PER_USD)


_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:Bearer\s+|Basic\s+|[spr]k[-_]|xai-|gsk_|hf_|AIza|AKIA|ya29\.|eyJ|gh[a-z]_|github_pat_|glpat-"
    r"|xox[a-z]-|SG\.|r8_|pplx-|nvapi-)[^\s\"']{8,}",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[A-Za-z0-9_\-+/=.:]{32,}")
_HASH = re.compile(r"[0-9a-f]{64}")


def conceal_secret(api_key: str) -> str:
    """The key as it may be stored: a fingerprint if it looks like a secret, else unchanged.

    A key looks like a secret when a word of it begins as the providers' keys do, or when it is a long run of letters
    and digits. A SHA-256 in hex is kept as it is: a gateway has already made the fingerprint.
    """
    if _HASH.fullmatch(api_key) or not (_SECRET.search(api_key) or _RANDOM.fullmatch(api_key.strip())):
        return api_key
    return f"fp_{hashlib.sha256(api_key.encode()).hexdigest()[:16]}"


def keep_name(dimension: str, value: str | None) -> str | None:
    """A dimension's value as it may be kept: empty is unknown, what is too long is cut, a secret is concealed."""
    if not value:
        return None
    kept = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return (conceal_secret(kept) if dimension == "api_key" else kept)[:MAX_TEXT]


def _subset(part: str, whole: str) -> Callable[[LogRecord], str | None]:
    def rule(record: LogRecord) -> str | None:
        low, high = getattr(record, part), getattr(record, whole)
        return (
            f"{part} {low} is more than {whole} {high}" if low is not None and high is not None and low > high else None
        )

    return rule


def _no_nul(record: LogRecord) -> str | None:
    return next(
        (f"{name} holds a NUL character" for name in TEXT_FIELDS if "\0" in (getattr(record, name) or "")), None
    )


def _in_range(record: LogRecord) -> str | None:
    for name, (low, high) in RANGES.items():
        value = getattr(record, name)
        if value is not None and not low <= value <= high:
            return f"{name}: expected int {f'>= {low}' if value < low else f'<= {high}'}"
    return None


def _of_length(record: LogRecord) -> str | None:
    if not record.model_name:
        return "model_name: expected str of length >= 1"
    long = next((name for name in TEXT_FIELDS if len(getattr(record, name) or "") > MAX_TEXT), None)
    return f"{long}: expected str of length <= {MAX_TEXT}" if long else None


RULES = (_in_range, _of_length, *(_subset(part, whole) for part, whole in SUBSETS), _no_nul)


def stored_row(record: LogRecord, now: datetime) -> StoredRow:
    """The record as it is stored, in the order of `STORED_FIELDS`, `created_at` as whole epoch microseconds.

    Raises `Unacceptable` with the reason, for a record that must be rejected.
    """
    created_at = read_instant(record.created_at)
    if created_at > now + FUTURE_TOLERANCE:
        raise Unacceptable("created_at is more than 10 minutes ahead of this server's clock")
    if created_at < EARLIEST:
        raise Unacceptable(
            f"created_at {created_at.isoformat()} is before {EARLIEST.year}; numbers are epoch milliseconds"
        )
    if reason := next(filter(None, (rule(record) for rule in RULES)), None):
        raise Unacceptable(reason)
    concealed = conceal_secret(record.api_key) if record.api_key else None
    cost = None if record.cost_usd is None else read_cost(record.cost_usd)
    replaced = {"created_at": epoch_us(created_at), "api_key": concealed, "cost_usd": cost}
    return tuple(replaced[name] if name in replaced else _known(getattr(record, name)) for name in RECORD_FIELDS)


def _known(value: object) -> object:
    """An empty text tells nothing, so it is unknown."""
    return None if value == "" else value


class UnreadableBody(ValueError):
    """Nothing in the body could be read as JSON records."""
