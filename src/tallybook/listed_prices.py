"""What the price list asks for a model: genai-prices, which others keep, and which comes with its package, offline.

A wrong price is worse than none. So a name is taken for a provider's, and a model for one of the list, only where the
list itself or the tables below say so; and a model is priced only if its price can be told from the tokens of text.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from tallybook.days import FIRST_DAY, epoch_us, midnight
from tallybook.tariff import ALWAYS_US, DAY_US, UNPRICED, Period, Rate, Tariff, to_rate

if TYPE_CHECKING:
    from genai_prices.types import (
        ConditionalPrice,
        ModelInfo,
        ModelPrice,
        Provider,
        StartDateConstraint,
        TieredPrices,
        TimeOfDateConstraint,
    )

GATEWAYS = ("litellm", "litellm_proxy")
"""What stands for a provider in records of a gateway that does not say whose model it called."""

PROVIDERS: dict[str, str | None] = {
    **dict.fromkeys(("azure.ai.openai", "az.ai.openai", "azure.ai.inference", "az.ai.inference"), "azure"),
    **dict.fromkeys(("azure_ai", "azure_openai", "azure-openai", "azureopenai"), "azure"),
    **dict.fromkeys(("bedrock", "bedrock_converse", "amazon-bedrock"), "aws"),
    **dict.fromkeys(("gemini", "vertex_ai", "vertex_ai_beta", "gcp.gen_ai"), "google"),
    **dict.fromkeys(("fireworks_ai", "fireworks-ai"), "fireworks"),
    **dict.fromkeys(("together_ai", "together-ai"), "together"),
    **dict.fromkeys(("xai", "x_ai"), "x-ai"),
    "codestral": "mistral",
    "moonshot": "moonshotai",
    "cohere_chat": "cohere",
    "github_copilot": "github-copilot",
    "voyage": "voyageai",
    "models": "google",
    **dict.fromkeys(("custom_openai", "openai_like", "openai-compatible"), None),
}
"""Names that gateways and instrumentations have for the list's providers, as Google's own `models/gemini-2.5-pro`.

None is somebody who speaks like OpenAI.
"""

BEGINNINGS = {
    **dict.fromkeys(("text-embedding-3-", "text-embedding-ada-", "ft:gpt-"), "openai"),
    **dict.fromkeys(
        ("anthropic.claude-", "us.anthropic.", "eu.anthropic.", "apac.anthropic.", "global.anthropic."), "aws"
    ),
    "amazon.nova-": "aws",
}
"""Names that only one provider gives its models, beside those that the list itself tells by their names."""

WHOLE_NAMES = ("@cf/", "accounts/fireworks/")
"""How names begin whose slash belongs to them, and does not follow a provider."""

OPEN_WEIGHTS = {"openai": ("gpt-oss",), "deepseek": ("distill",), "azure": ("gpt-oss", "distill")}
"""What in a name tells of a model that the list takes for one of the vendor's, at whose price nobody sells it."""

INPUT, CACHED, OUTPUT, REQUEST = "input_mtok", "cache_read_mtok", "output_mtok", "requests_kcount"
UNITS = {INPUT: 1_000_000, CACHED: 1_000_000, OUTPUT: 1_000_000, REQUEST: 1_000}
EXTRAS = frozenset(
    {
        *("cache_write_mtok", "cache_write_5m_mtok", "cache_write_1h_mtok"),
        *("input_text_mtok", "input_audio_mtok", "input_image_mtok", "input_video_mtok", "input_tool_mtok"),
        *("cache_text_read_mtok", "cache_audio_read_mtok", "cache_image_read_mtok", "cache_video_read_mtok"),
        *("web_searches_kcount", "social_searches_kcount", "storage_searches_kcount", "code_executions_kcount"),
    }
)
"""Prices that a record does not tell of, beside which the price of its tokens still means something."""

FREE = ":free"


def list_version() -> str:
    """The list and its version, as in `genai-prices 0.2.3`."""
    return f"genai-prices {version('genai-prices')}"


def listed_tariff(provider: str | None, model_name: str) -> Tariff:
    """The tariff of the model; `UNPRICED` where the list has none that can be relied on."""
    for owner, name in _readings(provider, model_name.lower()):
        others = any(sign in name for sign in OPEN_WEIGHTS.get(owner.id, ()))
        if not others and (model := owner.find_model(name, all_providers=list(_list()))):
            return _to_tariff(model)
    return UNPRICED


def _readings(provider: str | None, name: str) -> Iterator[tuple[Provider, str]]:
    """Whose model the name may be, and what it is then called: the whole, which the list may know, before a part."""
    prefix, slash, rest = name.partition("/")
    prefixed = _provider_named(prefix) if slash else None
    if provider is not None and provider.lower() not in GATEWAYS:
        owner = _provider_named(provider) or _provider_like(provider)
    elif prefixed or (slash and not name.startswith(WHOLE_NAMES)):
        owner = prefixed
    else:
        owner = _provider_of(name)
    if owner:
        yield owner, name
    if owner and owner is prefixed:
        yield owner, rest


@cache
def _list() -> tuple[Provider, ...]:
    """Loading takes a tenth of a second and more, which only those should pay who need a price."""
    from genai_prices.data import providers  # noqa: PLC0415

    return tuple(providers)


def _provider_named(name: str) -> Provider | None:
    name = name.lower()
    wanted = PROVIDERS.get(name, name)
    return next((known for known in _list() if known.id == wanted), None)


def _provider_like(name: str) -> Provider | None:
    """By the list's own rules, which take `gcp.vertex_ai` for Google and `aws.bedrock` for AWS."""
    name = name.lower()
    if name in PROVIDERS:
        return None
    return next((known for known in _list() if known.provider_match and known.provider_match.is_match(name)), None)


def _provider_of(name: str) -> Provider | None:
    """Who gives a model this name."""
    if told := next((provider for beginning, provider in BEGINNINGS.items() if name.startswith(beginning)), None):
        return _provider_named(told)
    return next((known for known in _list() if known.model_match and known.model_match.is_match(name)), None)


def _to_tariff(model: ModelInfo) -> Tariff:
    free = model.id.endswith(FREE)
    conditional = model.prices if isinstance(model.prices, list) else [_always(model.prices)]
    return Tariff(tuple(_to_period(price, free) for price in conditional)) if conditional else UNPRICED


def _always(prices: ModelPrice) -> ConditionalPrice:
    from genai_prices.types import ConditionalPrice  # noqa: PLC0415 - as in `_list`

    return ConditionalPrice(prices=prices)


def _to_period(price: ConditionalPrice, free: bool) -> Period:
    told = {key: value for key, value in vars(price.prices).items() if value is not None}
    steps = sorted({tier.start for value in told.values() for tier in getattr(value, "tiers", ())})
    rates = tuple(_to_rate(told, tokens_in, free) for tokens_in in (0, *(step + 1 for step in steps)))
    begins_us, from_us, until_us = _hours(price.constraint)
    return Period(rates, tuple(steps), begins_us, from_us, until_us)


def _to_rate(told: dict[str, Decimal | TieredPrices], tokens_in: int, free: bool) -> Rate | None:
    if not told and free:
        return Rate(0, 0, 0)
    if INPUT not in told or told.keys() - UNITS.keys() - EXTRAS:
        return None
    try:
        rates = {key: to_rate(_at_size(told[key], tokens_in), UNITS[key]) for key in UNITS if key in told}
    except ValueError:
        return None
    return Rate(rates[INPUT], rates.get(CACHED, rates[INPUT]), rates.get(OUTPUT, 0), rates.get(REQUEST, 0))


def _at_size(price: Decimal | TieredPrices, tokens_in: int) -> Decimal:
    """A tier is for all tokens of a request whose input is larger than its start."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tokens_in > tier.start]
    return reached[-1] if reached else price.base


def _hours(constraint: StartDateConstraint | TimeOfDateConstraint | None) -> tuple[int, int, int]:
    """When it holds: from an instant on, and from when until when in a UTC day, in microseconds."""
    from genai_prices.types import StartDateConstraint  # noqa: PLC0415 - as in `_list`

    if constraint is None:
        return ALWAYS_US, 0, DAY_US
    if isinstance(constraint, StartDateConstraint):
        return epoch_us(midnight(constraint.start_date)), 0, DAY_US
    return ALWAYS_US, _of_day_us(constraint.start_time), _of_day_us(constraint.end_time)


def _of_day_us(moment: time) -> int:
    """A time without an offset is UTC."""
    return epoch_us(datetime.combine(FIRST_DAY, moment, moment.tzinfo or UTC)) % DAY_US
