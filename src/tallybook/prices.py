"""The prices that are in force: what a request costs whose record brings no cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tallybook.listed_prices import list_version, listed_tariff
from tallybook.own_prices import OwnPrice, OwnPrices, fingerprint_prices, own_key
from tallybook.tariff import (
    MAX_COST_NANOUSD,
    Integers,
    Period,
    Rate,
    Requests,
    Tariff,
    Truths,
    cost_requests,
    to_rate,
)

COST = "cost_nanousd"
MAX_REMEMBERED = 50_000
"""Pairs of provider and model; a sender that makes up names must not fill the memory."""


class PriceList:
    """The user's own prices before those of the list. Thread-safe; the list is loaded when it is first needed."""

    def __init__(self, version: str, own: Mapping[tuple[str, str | None], Tariff]) -> None:
        self.version = version
        self._own = own
        self._tariffs: dict[tuple[str | None, str], Tariff] = {}

    @classmethod
    def load(cls, own: OwnPrices = ()) -> PriceList:
        """The list that is installed, with own prices: as `version` says, `genai-prices 0.2.3 + own prices 3f2a9c`."""
        version = f"{list_version()} + own prices {fingerprint_prices(own)}" if own else list_version()
        return cls(version, {own_key(price.model_name, price.provider): _own_tariff(price) for price in own})

    def cost_nanousd(
        self,
        provider: str | None,
        model_name: str,
        created_at_us: int,
        tokens_in: int | None,
        tokens_cached: int | None,
        tokens_out: int | None,
    ) -> int | None:
        """What one request costs in nano-USD, rounded half to even; None where it is unknown.

        It is unknown if the model's price is, or tokens that are charged for. The cached tokens are part of the input;
        if they are unknown, all input costs as input that came from no cache.
        """
        if tokens_in is None:
            return None
        rate = self.tariff(provider, model_name).rate_at(created_at_us, tokens_in)
        if rate is None or (tokens_out is None and rate.output):
            return None
        cost = rate.cost_nanousd(tokens_in, tokens_cached or 0, tokens_out or 0)
        return cost if cost <= MAX_COST_NANOUSD else None

    def price(self, table: pa.Table) -> pa.Table:
        """The table of records with every null in `cost_nanousd` filled whose cost is known, else as it was.

        Reads `provider`, `model_name`, `created_at` (timestamp in us, UTC), `tokens_in`, `tokens_cached`, `tokens_out`.
        Each cost is what `cost_nanousd` answers.
        """
        given = table[COST]
        if not given.null_count:
            return table
        open_places = np.flatnonzero(given.is_null().to_numpy())
        found, known = self._costs(table if len(open_places) == len(table) else table.take(open_places))
        costs, unknown = given.fill_null(0).to_numpy().copy(), np.zeros(len(table), dtype=bool)
        costs[open_places], unknown[open_places] = found, ~known
        place = table.schema.get_field_index(COST)
        return table.set_column(place, table.schema.field(place), pa.array(costs, pa.int64(), mask=unknown))

    def tariff(self, provider: str | None, model_name: str) -> Tariff:
        """The tariff of a model, remembered."""
        pair = (provider, model_name)
        if (found := self._tariffs.get(pair)) is None:
            own = self._own.get(own_key(model_name, provider)) or self._own.get(own_key(model_name, None))
            found = own or listed_tariff(provider, model_name)
            if len(self._tariffs) >= MAX_REMEMBERED:
                self._tariffs.clear()
            self._tariffs[pair] = found
        return found

    def _costs(self, table: pa.Table) -> tuple[Integers, Truths]:
        pairs, tariff = _pairs(table)
        tokens = {name: _counts(table[name]) for name in ("tokens_in", "tokens_cached", "tokens_out")}
        requests = Requests(
            tariff=tariff,
            created_at_us=table["created_at"].cast(pa.int64()).to_numpy(),
            **{name: counts for name, (counts, _) in tokens.items()},
            tokens_in_known=tokens["tokens_in"][1],
            tokens_out_known=tokens["tokens_out"][1],
        )
        return cost_requests(requests, [self.tariff(provider, name) for provider, name in pairs])


def _own_tariff(price: OwnPrice) -> Tariff:
    rates = [to_rate(usd, 1_000_000) for usd in (price.input_usd, price.cached_usd, price.output_usd)]
    return Tariff((Period((Rate(*rates),)),))


def _pairs(table: pa.Table) -> tuple[list[tuple[str | None, str]], npt.NDArray[np.int64]]:
    """The pairs of provider and model that occur, and for each record the place of its own among them."""
    providers, provider = _encode(table["provider"])
    models, model = _encode(table["model_name"])
    pairs, place = np.unique(provider * len(models) + model, return_inverse=True)
    return [(providers[pair // len(models)], models[pair % len(models)] or "") for pair in pairs.tolist()], place


def _encode(column: pa.ChunkedArray) -> tuple[list[str | None], Integers]:
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    values = [*encoded.dictionary.to_pylist(), None]
    return values, encoded.indices.cast(pa.int64()).fill_null(len(values) - 1).to_numpy()


def _counts(column: pa.ChunkedArray) -> tuple[Integers, Truths]:
    return column.cast(pa.int64()).fill_null(0).to_numpy(), column.is_valid().to_numpy()
