"""Synthetic traffic for a first look: believable in shape, labelled in every record, the same for the same day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tallybook.days import epoch_us, midnight
from tallybook.records import STORED_FIELDS, StoredRow

LABEL = "demo"
"""Every demo record's `request_id` and `api_key` begin with it, and the home remembers that it holds such records."""

ZERO_DAY_BEFORE_TODAY = 12
REQUESTS_ON_A_WORKDAY = 4000


@dataclass(frozen=True)
class DemoModel:
    """How one model behaves: its share of the traffic, speed, and price in nano-USD a token (None: unpriced)."""

    provider: str
    name: str
    share: float
    base_ms: int
    ms_per_token: float
    price_in: int | None
    price_out: int | None
    failing: float = 0.01


MODELS = (
    DemoModel("openai", "gpt-5-mini", 0.31, 280, 6.0, 250, 2_000),
    DemoModel("openai", "gpt-5", 0.13, 650, 14.0, 1_250, 10_000),
    DemoModel("anthropic", "claude-sonnet-4-5", 0.21, 520, 12.0, 3_000, 15_000),
    DemoModel("anthropic", "claude-haiku-4-5", 0.11, 260, 5.0, 1_000, 5_000),
    DemoModel("google", "gemini-2.5-flash", 0.12, 240, 4.0, 300, 2_500, 0.03),
    DemoModel("mistral", "mistral-large-latest", 0.05, 420, 10.0, 2_000, 6_000),
    DemoModel("openai", "text-embedding-3-small", 0.05, 60, 0.0, 20, 0),
    DemoModel("self-hosted", "qwen3-32b", 0.02, 350, 18.0, None, None, 0.06),
)
TEAMS = (("search", 0.34), ("support", 0.28), ("coding", 0.22), ("research", 0.11), (None, 0.05))
HOURLY = (2, 1, 1, 1, 2, 3, 5, 9, 14, 18, 20, 20, 17, 19, 21, 20, 18, 14, 10, 8, 7, 5, 4, 3)
WEEKLY = (1.0, 1.06, 1.1, 1.04, 0.9, 0.35, 0.3)
FAILURES = ((429, "rate_limit", 5), (500, "server_error", 2), (400, "invalid_request", 2), (0, "timeout", 1))


def traffic(day: date, today: date, now: datetime) -> list[StoredRow]:
    """The day's rows in order of `STORED_FIELDS`, those after `now` left out; none on the one day without traffic."""
    if (today - day).days == ZERO_DAY_BEFORE_TODAY:
        return []
    dice = random.Random(f"tallybook {day}")  # noqa: S311 - a demo wants the same dice every time
    growth = 1 + (day.toordinal() % 365) / 730
    requests = int(REQUESTS_ON_A_WORKDAY * WEEKLY[day.weekday()] * growth * dice.uniform(0.92, 1.08))
    limit = epoch_us(now)
    return [row for row in _rows(day, requests, dice) if int(str(row[0])) <= limit]


def _rows(day: date, requests: int, dice: random.Random) -> Iterator[StoredRow]:
    models = dice.choices(MODELS, [model.share for model in MODELS], k=requests)
    teams = dice.choices([name for name, _ in TEAMS], [share for _, share in TEAMS], k=requests)
    hours = dice.choices(range(24), HOURLY, k=requests)
    for number, (model, team, hour) in enumerate(zip(models, teams, hours, strict=True)):
        instant = midnight(day) + timedelta(hours=hour, microseconds=dice.randrange(3_600_000_000))
        record = {
            "created_at": epoch_us(instant),
            "model_name": model.name,
            "request_id": f"{LABEL}-{day}-{number}",
            "provider": model.provider,
            "team": team,
            "api_key": f"{LABEL}-key-{team or 'shared'}-{dice.randint(1, 3)}",
            "operation": "embeddings" if "embedding" in model.name else "chat",
        }
        record |= _failure(dice) if dice.random() < model.failing else _success(model, dice)
        yield tuple(record.get(name) for name in STORED_FIELDS)


def _failure(dice: random.Random) -> dict[str, object]:
    status, error, _ = dice.choices(FAILURES, [weight for *_, weight in FAILURES])[0]
    return {"status_code": status, "error_type": error, "latency_ms": 60_000 if status == 0 else dice.randint(20, 900)}


def _success(model: DemoModel, dice: random.Random) -> dict[str, object]:
    tokens_in = min(int(dice.lognormvariate(6.6, 1.1)) + 8, 190_000)
    tokens_out = min(int(dice.lognormvariate(5.2, 0.9)) + 1, 16_000) if model.ms_per_token else 0
    first_ms = int(model.base_ms * dice.lognormvariate(0, 0.35))
    cached = int(tokens_in * dice.uniform(0.2, 0.9)) if dice.random() < 0.3 else 0
    stream = bool(tokens_out) and dice.random() < 0.6
    return {
        "status_code": 200,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "tokens_cached": cached,
        "latency_ms": first_ms + int(tokens_out * model.ms_per_token * dice.uniform(0.8, 1.3)),
        "ttft_ms": first_ms if stream else None,
        "cost_nanousd": _cost(model, tokens_in, tokens_out),
        "stream": stream,
    }


def _cost(model: DemoModel, tokens_in: int, tokens_out: int) -> int | None:
    if model.price_in is None or model.price_out is None:
        return None
    return tokens_in * model.price_in + tokens_out * model.price_out
