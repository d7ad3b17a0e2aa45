"""The user's own prices: the tables `[prices."MODEL"]` of `tallybook.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tallybook.errors import UsageError, shorten

MAX_USD_PER_MILLION = 1_000_000
MAX_DECIMALS = 12
INPUT, CACHED, OUTPUT, PROVIDER = (
    "input_usd_per_million",
    "cached_usd_per_million",
    "output_usd_per_million",
    "provider",
)
KEYS = (INPUT, CACHED, OUTPUT, PROVIDER)


@dataclass(frozen=True)
class OwnPrice:
    """What a million tokens of a model cost in US dollars; `provider` is None where that holds for any."""

    model_name: str
    provider: str | None
    input_usd: Decimal
    cached_usd: Decimal
    output_usd: Decimal


OwnPrices = tuple[OwnPrice, ...]


def read_own_prices(given: object, place: str) -> OwnPrices:
    """The prices as `tallybook.toml` has them; a `UsageError` names the table and the key that cannot be taken."""
    remedy = f'Write [prices."MODEL"] with {INPUT} and {OUTPUT}.'
    if not isinstance(given, dict):
        raise UsageError(f"prices in {place} is no table.", remedy)
    prices: dict[tuple[str, str | None], OwnPrice] = {}
    for model_name, tables in given.items():
        here = f'[prices."{shorten(model_name)}"] of {place}'
        if not model_name:
            raise UsageError(f"{here} names no model.", remedy)
        for table in _tables(tables, here):
            price = _read_price(model_name, table, here)
            if prices.setdefault(own_key(model_name, price.provider), price) is not price:
                told = f"the provider {price.provider!r}" if price.provider else "any provider"
                raise UsageError(f"{here} has two prices for {told}.", "Remove one of them.")
    return tuple(prices.values())


def own_key(model_name: str, provider: str | None) -> tuple[str, str | None]:
    """By what own prices are found: the names as they are in the records, whatever their case."""
    return model_name.casefold(), provider.casefold() if provider else None


def _tables(given: object, here: str) -> Iterator[Mapping[str, object]]:
    for table in given if isinstance(given, list) else [given]:
        if not isinstance(table, dict):
            raise UsageError(f"{here} is no table.", f"Give it {INPUT} and {OUTPUT}.")
        yield table


def _read_price(model_name: str, table: Mapping[str, object], here: str) -> OwnPrice:
    for key in table:
        if key not in KEYS:
            raise UsageError(f"There is no setting {shorten(key)!r} in {here}.", f"Use one of: {', '.join(KEYS)}.")
    for key in (INPUT, OUTPUT):
        if key not in table:
            raise UsageError(f"There is no {key} in {here}.", "Write 0 where it costs nothing.")
    provider = table.get(PROVIDER)
    if provider is not None and not (isinstance(provider, str) and provider):
        raise UsageError(f"{PROVIDER} in {here} must be a text.", "Write it as the records have it, or leave it out.")
    usd = {key: _read_usd(table[key], key, here) for key in (INPUT, CACHED, OUTPUT) if key in table}
    return OwnPrice(model_name, provider, usd[INPUT], usd.get(CACHED, usd[INPUT]), usd[OUTPUT])


def _read_usd(given: object, key: str, here: str) -> Decimal:
    try:
        usd = None if isinstance(given, bool) or not isinstance(given, (int, float, str)) else Decimal(str(given))
    except InvalidOperation:
        usd = None
    if usd is None or not usd.is_finite() or not 0 <= usd <= MAX_USD_PER_MILLION:
        raise UsageError(
            f"{key} in {here} is {shorten(str(given))!r}, but must be a number from 0 to {MAX_USD_PER_MILLION:,}.",
            'Write US dollars for a million tokens, as in "0.25".',
        )
    if usd != round(usd, MAX_DECIMALS):
        raise UsageError(f"{key} in {here} has more than {MAX_DECIMALS} decimals.", "Round it.")
    return usd


def fingerprint_prices(prices: Iterable[OwnPrice]) -> str:
    """Six hex digits that tell own prices from others, whatever their order and however their numbers are written."""
    lines = sorted(
        f"{own_key(price.model_name, price.provider)} {[str(usd.normalize()) for usd in _amounts(price)]}"
        for price in prices
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:6]


def _amounts(price: OwnPrice) -> tuple[Decimal, Decimal, Decimal]:
    return price.input_usd, price.cached_usd, price.output_usd
