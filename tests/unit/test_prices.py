"""What a request costs whose record brings no cost: by hand, against the list's own arithmetic, and at the edges."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from genai_prices.data import providers as listed_providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
    Usage,
)
from hypothesis import given
from hypothesis import strategies as st

import tallybook.prices
from stories import NOW, fetch, tamper, totals
from tallybook.book.entries import Closing
from tallybook.book.ledger import Book
from tallybook.config import load_settings
from tallybook.content import DayContent, Slice, empty_content
from tallybook.days import epoch_us
from tallybook.errors import UsageError
from tallybook.listed_prices import _to_tariff
from tallybook.own_prices import MAX_USD_PER_MILLION, OwnPrice, OwnPrices, read_own_prices
from tallybook.prices import PriceList
from tallybook.records import MAX_COUNT
from tallybook.tariff import MAX_COST_NANOUSD, MAX_RATE, to_rate
from tallybook.verification import verify_book

LISTED = PriceList.load()
NOON = datetime(2025, 11, 20, 12, tzinfo=UTC)


def cost(
    provider: str | None,
    model: str,
    tokens: tuple[int | None, int | None, int | None],
    at: datetime = NOON,
    prices: PriceList = LISTED,
) -> int | None:
    """The cost in nano-USD of a request of (in, cached, out) tokens: alone, and as a row of a table."""
    alone = prices.cost_nanousd(provider, model, epoch_us(at), *tokens)
    row = {"provider": provider, "model_name": model, "created_at": at, "tokens": tokens}
    assert priced([row], prices) == [alone]
    return alone


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "provider": pa.array([row["provider"] for row in rows], pa.string()),
        "model_name": pa.array([row["model_name"] for row in rows], pa.string()),
        "created_at": pa.array([row["created_at"].replace(tzinfo=None) for row in rows], pa.timestamp("us")),
        "cost_nanousd": pa.array([row.get("cost_nanousd") for row in rows], pa.int64()),
    }
    for place, name in enumerate(("tokens_in", "tokens_cached", "tokens_out")):
        columns[name] = pa.array([row["tokens"][place] for row in rows], pa.int64())
    return pa.table(columns)


def priced(rows: Sequence[Mapping[str, Any]], prices: PriceList = LISTED) -> list[int | None]:
    costs: list[int | None] = prices.price(table_of(rows))["cost_nanousd"].to_pylist()
    return costs


class TestByHand:
    def test_input_cached_input_and_output_have_their_prices(self) -> None:
        # per million: 0.15 in, 0.075 from the cache, 0.60 out
        assert cost("openai", "gpt-4o-mini", (1_000, 200, 500)) == 800 * 150 + 200 * 75 + 500 * 600

    def test_without_a_price_for_the_cache_cached_input_costs_as_input(self) -> None:
        assert cost("openai", "gpt-4", (1_000, 200, 0)) == 1_000 * 30_000

    def test_cached_tokens_that_nobody_told_are_none(self) -> None:
        assert cost("openai", "gpt-4o-mini", (1_000, None, 500)) == 1_000 * 150 + 500 * 600

    def test_unknown_tokens_leave_the_cost_unknown(self) -> None:
        assert cost("openai", "gpt-4o-mini", (None, None, None)) is None
        assert cost("openai", "gpt-4o-mini", (None, None, 500)) is None
        assert cost("openai", "gpt-4o-mini", (1_000, None, None)) is None

    def test_a_model_without_a_price_for_output_needs_none(self) -> None:
        assert cost("openai", "text-embedding-3-small", (1_000, None, None)) == 1_000 * 20
        assert cost("openai", "text-embedding-3-small", (1_000, None, 7)) == 1_000 * 20

    def test_a_request_of_no_tokens_costs_nothing(self) -> None:
        assert cost("openai", "gpt-4o-mini", (0, 0, 0)) == 0

    def test_a_price_for_the_request_itself_is_added(self) -> None:
        assert cost("perplexity", "sonar", (1_000, 0, 0)) == 12_000_000 + 1_000 * 1_000

    def test_all_tokens_of_a_large_request_have_the_price_of_its_tier(self) -> None:
        assert cost("google", "gemini-2.5-pro", (200_000, 0, 10)) == 200_000 * 1_250 + 10 * 10_000
        assert cost("google", "gemini-2.5-pro", (200_001, 0, 10)) == 200_001 * 2_500 + 10 * 15_000
        assert cost("google", "gemini-2.5-pro", (200_001, 1, 0)) == 200_000 * 2_500 + 250

    def test_a_new_price_holds_from_the_first_instant_of_its_day(self) -> None:
        change = datetime(2025, 6, 10, tzinfo=UTC)
        assert cost("openai", "o3", (1_000, 0, 0), change - timedelta(microseconds=1)) == 1_000 * 10_000
        assert cost("openai", "o3", (1_000, 0, 0), change) == 1_000 * 2_000

    def test_a_price_of_some_hours_holds_in_them(self) -> None:
        for hours, rate in (("00:29:59.999999", 135), ("00:30", 270), ("16:29:59.999999", 270), ("16:30", 135)):
            at = datetime.fromisoformat(f"2025-11-20T{hours}+00:00")
            assert cost("deepseek", "deepseek-chat", (1_000, 0, 0), at) == 1_000 * rate

    @pytest.mark.parametrize("model", ["whisper-1", "tts-1", "gpt-4o-realtime-preview", "no-such-model"])
    def test_what_is_not_priced_by_tokens_of_text_is_unpriced(self, model: str) -> None:
        assert cost("openai", model, (1_000, 0, 1_000)) is None

    def test_free_is_a_price_but_no_price_is_not_free(self) -> None:
        assert cost("openrouter", "google/gemma-3-27b-it:free", (1_000, 0, 1_000)) == 0
        assert cost("google", "gemma-3-27b-it", (1_000, 0, 1_000)) is None


class TestNames:
    @pytest.mark.parametrize(
        ("provider", "model", "same_provider", "same_model"),
        [
            (None, "gpt-4o-mini", "openai", "gpt-4o-mini"),
            (None, "openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("openai", "openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("litellm", "openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("litellm_proxy", "gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("OpenAI", "GPT-4o-mini", "openai", "gpt-4o-mini"),
            (None, "gpt-4o-mini-2024-07-18", "openai", "gpt-4o-mini"),
            (None, "text-embedding-3-small", "openai", "text-embedding-3-small"),
            (None, "ft:gpt-4o-mini-2024-07-18:acme::abc", "openai", "ft:gpt-4o-mini-2024-07-18:acme::abc"),
            (None, "azure/gpt-4o", "azure", "gpt-4o"),
            ("azure.ai.openai", "gpt-4o", "azure", "gpt-4o"),
            ("azure", "azure/o4-mini", "azure", "o4-mini"),
            (None, "bedrock/anthropic.claude-3-haiku-20240307-v1:0", "aws", "anthropic.claude-3-haiku-20240307-v1:0"),
            (None, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("aws.bedrock", "amazon.nova-pro-v1:0", "aws", "amazon.nova-pro-v1:0"),
            (None, "vertex_ai/claude-haiku-4-5@20251001", "google", "claude-haiku-4-5@20251001"),
            ("gcp.vertex_ai", "gemini-2.5-pro", "google", "gemini-2.5-pro"),
            ("gcp.gen_ai", "models/gemini-2.5-pro", "google", "gemini-2.5-pro"),
            (None, "gemini/gemini-2.5-pro", "google", "gemini-2.5-pro"),
            (None, "openrouter/deepseek/deepseek-r1", "openrouter", "deepseek/deepseek-r1"),
            (None, "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            (None, "groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
            ("x_ai", "grok-4", "x-ai", "grok-4"),
            (None, "@cf/meta/llama-3.1-8b-instruct", "cloudflare", "@cf/meta/llama-3.1-8b-instruct"),
        ],
    )  # fmt: skip
    def test_a_model_is_found_by_the_names_that_gateways_give_it(
        self, provider: str | None, model: str, same_provider: str, same_model: str
    ) -> None:
        owner = next(owner for owner in listed_providers if owner.id == same_provider)
        assert owner.find_model(same_model, all_providers=listed_providers) is not None
        expected = cost(same_provider, same_model, (1_000_000, 0, 1_000_000))
        assert expected is not None
        assert cost(provider, model, (1_000_000, 0, 1_000_000)) == expected

    def test_the_provider_decides_between_two_prices_of_a_model(self) -> None:
        assert cost("anthropic", "claude-sonnet-4-5", (1_000, 0, 0)) == 1_000 * 3_000
        assert cost("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", (1_000, 0, 0)) == 1_000 * 3_300

    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            (None, "my-gpt-4o"),
            (None, "gpt-4o-my-finetune"),
            (None, "our-claude-sonnet-4-5-tuned"),
            (None, "replicate/anthropic/claude-4-sonnet"),
            (None, "my-team/claude-v2"),
            (None, "my-team/gemini-1.5-pro"),
            (None, "mistralai/Mistral-7B-Instruct-v0.3"),
            (None, "meta-llama/llama-3.1-8b-instruct"),
            (None, "openai/gpt-oss-120b"),
            (None, "gpt-oss-120b"),
            (None, "deepseek-r1-distill-qwen-7b"),
            ("azure", "gpt-oss-120b"),
            ("azure", "my-deployment"),
            ("azure", "eu/gpt-4o"),
            ("vllm", "gpt-4o"),
            ("vllm", "openai/gpt-4o"),
            ("custom_openai", "gpt-4o"),
            ("openai", "claude-sonnet-4-5"),
            ("openai", "azure/gpt-4o"),
            (None, "/"),
            (None, "openai/"),
            ("", ""),
        ],
    )
    def test_a_name_that_only_resembles_one_is_left_unpriced(self, provider: str | None, model: str) -> None:
        assert cost(provider, model, (1_000, 0, 1_000)) is None

    def test_names_that_a_sender_makes_up_do_not_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tallybook.prices, "MAX_REMEMBERED", 10)
        prices = PriceList.load()
        rows = [
            {"provider": None, "model_name": name, "created_at": NOON, "tokens": (1_000, 0, 0)}
            for name in [*(f"made-up-{number}" for number in range(25)), "gpt-4o-mini"]
        ]
        assert priced(rows, prices) == [None] * 25 + [150_000]
        assert 0 < len(prices._tariffs) <= 10


SNAPSHOT = DataSnapshot(providers=listed_providers, from_auto_update=False)
BEYOND_TOKENS = re.compile(r"output_\w+_mtok|hours|mchars|kpages|gpixels|messages_kcount|rerank")
MODELS = [(owner.id, model.id) for owner in listed_providers for model in owner.models]


def conditions(model: ModelInfo) -> list[ConditionalPrice]:
    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def tiers(model: ModelInfo) -> set[int]:
    """The sizes of input above which the model has another price."""
    told = [price for condition in conditions(model) for price in vars(condition.prices).values()]
    return {tier.start for price in told if isinstance(price, TieredPrices) for tier in price.tiers}


CONSTRAINTS = [
    condition.constraint for owner in listed_providers for model in owner.models for condition in conditions(model)
]
CHANGES = sorted({found.start_date for found in CONSTRAINTS if isinstance(found, StartDateConstraint)})
HOURS = sorted(
    {
        hour
        for found in CONSTRAINTS
        if isinstance(found, TimeOfDateConstraint)
        for hour in (found.start_time, found.end_time)
    }
)
STEPS = sorted({size for owner in listed_providers for model in owner.models for size in tiers(model)})


def listed(owner: str, name: str) -> ModelInfo | None:
    try:
        return SNAPSHOT.find_provider_model(name, None, owner, None)[1]
    except LookupError:
        return None


def expected_cost(owner: str, name: str, tokens: tuple[int, int, int], at: datetime) -> int | None:
    """The cost as the list's own code has it, for a model that is priced by tokens of text."""
    model = listed(owner, name)
    if model is None or (owner in ("openai", "azure") and "gpt-oss" in name.lower()):
        return None
    keys = {key for key, value in vars(model.get_prices(at)).items() if value is not None}
    if keys and ("input_mtok" not in keys or any(BEYOND_TOKENS.search(key) for key in keys)):
        return None
    if not keys and not model.id.endswith(":free"):
        return None
    usage = Usage(input_tokens=tokens[0], cache_read_tokens=tokens[1], output_tokens=tokens[2])
    with localcontext(prec=60):
        usd = SNAPSHOT.calc(usage, name, owner, None, at).total_price
        return int((usd * 10**9).quantize(Decimal(1), ROUND_HALF_EVEN))


INSTANTS = st.one_of(
    st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.builds(
        lambda day, hour, shift: datetime.combine(day, hour, UTC) + timedelta(microseconds=shift),
        st.sampled_from([*CHANGES, date(2026, 11, 20)]),
        st.sampled_from([time(), *HOURS]),
        st.integers(-1, 1),
    ),
).map(lambda instant: instant.replace(tzinfo=UTC))
SIZES = st.one_of(
    st.integers(0, 2_000_000),
    st.integers(0, MAX_COUNT),
    st.builds(lambda step, shift: step + shift, st.sampled_from(STEPS), st.integers(-1, 1)),
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request to some model of the list, as often as not one whose price has dates, hours or tiers."""
    owner, name = draw(st.one_of(st.sampled_from(MODELS), st.sampled_from(VARYING)))
    tokens_in, tokens_out = draw(SIZES), draw(SIZES)
    tokens = (tokens_in, draw(st.integers(0, tokens_in)), tokens_out)
    return {"provider": owner, "model_name": name, "created_at": draw(INSTANTS), "tokens": tokens}


VARYING = [
    (owner.id, model.id)
    for owner in listed_providers
    for model in owner.models
    if tiers(model) or len(conditions(model)) > 1
]


OFFSETS = [
    time(hour, 30, tzinfo=timezone(timedelta(hours=offset)) if offset else None)
    for hour in (0, 8, 16, 23)
    for offset in (0, 8, -5)
]


class TestAgainstTheList:
    @given(st.lists(requests(), min_size=1, max_size=30))
    def test_a_cost_is_what_the_list_s_own_code_answers_to_the_nano_dollar(self, rows: list[dict[str, Any]]) -> None:
        expected = [expected_cost(row["provider"], row["model_name"], row["tokens"], row["created_at"]) for row in rows]
        assert priced(rows) == expected
        alone = [
            LISTED.cost_nanousd(row["provider"], row["model_name"], epoch_us(row["created_at"]), *row["tokens"])
            for row in rows
        ]
        assert alone == expected

    @given(INSTANTS, st.sampled_from(OFFSETS), st.sampled_from(OFFSETS))
    def test_hours_of_another_time_zone_and_across_midnight_are_hours_of_utc(
        self, at: datetime, start: time, end: time
    ) -> None:
        constraint = TimeOfDateConstraint(start, end)
        night = ConditionalPrice(constraint, prices=ModelPrice(input_mtok=Decimal(1)))
        model = ModelInfo(
            "m", ClauseEquals("m"), prices=[ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(2))), night]
        )
        rate = _to_tariff(model).rate_at(epoch_us(at), 0)
        assert rate is not None
        assert rate.cost_nanousd(1, 0, 0) == (1_000 if constraint.active(at) else 2_000)

    def test_every_model_of_the_list_has_its_price_at_every_size_of_input(self) -> None:
        rows: list[dict[str, Any]] = [
            {"provider": owner, "model_name": name, "created_at": NOON, "tokens": (size, size // 3, 1_001)}
            for owner, name in MODELS
            for size in (7, 200_000, 300_001)
        ]
        expected = [expected_cost(row["provider"], row["model_name"], row["tokens"], NOON) for row in rows]
        assert priced(rows) == expected
        assert sum(value is not None for value in expected) > 0.9 * len(rows)


def own(input_usd: str, output_usd: str = "0", cached_usd: str | None = None) -> PriceList:
    prices = OwnPrice("m", None, Decimal(input_usd), Decimal(cached_usd or input_usd), Decimal(output_usd))
    return PriceList.load((prices,))


USD = st.decimals(0, 1_000, places=12) | st.decimals(0, 1, places=3) | st.decimals(0, 1, places=21)
TOKENS = st.integers(0, 1_000) | st.integers(0, MAX_COUNT) | st.sampled_from([MAX_COUNT, MAX_COUNT - 1])


class TestArithmetic:
    @given(USD, USD, USD, TOKENS, TOKENS, st.integers(0, 100))
    def test_any_price_and_any_tokens_are_exact_and_rounded_once(
        self, fresh: Decimal, cached: Decimal, output: Decimal, tokens_in: int, tokens_out: int, percent: int
    ) -> None:
        from_cache = tokens_in * percent // 100
        exact = (
            Fraction(fresh) * (tokens_in - from_cache) + Fraction(cached) * from_cache + Fraction(output) * tokens_out
        ) * 1_000
        expected = round(exact) if round(exact) <= MAX_COST_NANOUSD else None
        prices = own(str(fresh), str(output), str(cached))
        assert cost(None, "m", (tokens_in, from_cache, tokens_out), prices=prices) == expected

    @pytest.mark.parametrize(
        ("usd_per_million", "tokens", "nanousd"),
        [
            ("0.0005", 1, 0),
            ("0.0005", 3, 2),
            ("0.0005", 5, 2),
            ("0.000500000001", 1, 1),
            ("0.000499999999", 3, 1),
            ("0.000500000001", 5, 3),
            ("0.000000000001", 500_000_000, 0),
            ("0.000000000001", 500_000_001, 1),
            ("0.30000000000000004", 1_000_000_000, 300_000_000_000),
            ("0.000166666666666666667", 3, 1),
            ("0.000166666666666666666", 3, 0),
        ],
    )
    def test_halves_are_rounded_to_even(self, usd_per_million: str, tokens: int, nanousd: int) -> None:
        assert cost(None, "m", (tokens, 0, 0), prices=own(usd_per_million)) == nanousd

    def test_fractions_of_input_and_output_make_a_whole_together(self) -> None:
        assert cost(None, "m", (1, 0, 1), prices=own("0.0005", "0.0005")) == 1
        assert cost(None, "m", (1, 0, 1), prices=own("0.000999999999", "0.000000000001")) == 1

    def test_the_largest_request_costs_a_million_dollars_and_not_one_nano_dollar_more(self) -> None:
        assert cost(None, "m", (MAX_COUNT, 0, MAX_COUNT), prices=own("500", "500")) == 10**15
        assert cost(None, "m", (MAX_COUNT, 0, MAX_COUNT), prices=own("500", "500.000000001")) is None

    def test_the_highest_price_overflows_nothing(self) -> None:
        assert to_rate(Decimal(MAX_USD_PER_MILLION), 1_000_000) == MAX_RATE
        highest = own("999999.999999999999", "999999.999999999999", "999999.999999999999")
        assert cost(None, "m", (MAX_COUNT, MAX_COUNT // 3, MAX_COUNT), prices=highest) is None
        assert cost(None, "m", (500_000, 250_000, 500_000), prices=highest) == 10**15

    @pytest.mark.parametrize("usd", ["1000000.1", "-1", "1e-22"])
    def test_what_cannot_be_a_rate_is_none(self, usd: str) -> None:
        with pytest.raises(ValueError, match="cannot be a rate"):
            to_rate(Decimal(usd), 1_000_000)


class TestTables:
    def test_only_unknown_costs_are_filled_and_nothing_else_is_touched(self) -> None:
        rows: list[dict[str, Any]] = [
            {"provider": "openai", "model_name": "gpt-4o-mini", "tokens": (1_000, 0, 0), "cost_nanousd": 7},
            {"provider": "openai", "model_name": "gpt-4o-mini", "tokens": (1_000, 0, 0)},
            {"provider": None, "model_name": "ours", "tokens": (1_000, None, None)},
            {"provider": "openai", "model_name": "gpt-4o-mini", "tokens": (1_000, 0, 0), "cost_nanousd": 0},
            {"provider": None, "model_name": "gpt-4", "tokens": (2, None, 1)},
        ]
        table = table_of([{**row, "created_at": NOON} for row in rows])
        table = table.append_column("status_code", pa.array([200, 200, 500, 429, 0], pa.int16()))
        result = LISTED.price(table)
        assert result["cost_nanousd"].to_pylist() == [7, 150_000, None, 0, 120_000]
        assert result.schema == table.schema
        assert result.drop_columns("cost_nanousd") == table.drop_columns("cost_nanousd")

    def test_a_table_whose_costs_are_known_comes_back_as_it_is(self) -> None:
        row = {"provider": None, "model_name": "gpt-4", "created_at": NOON, "tokens": (1, 0, 0), "cost_nanousd": 1}
        table = table_of([row])
        assert LISTED.price(table) is table
        assert LISTED.price(table.slice(0, 0)).num_rows == 0

    def test_a_table_in_pieces_and_of_other_integers_is_priced_alike(self) -> None:
        row = {"provider": None, "model_name": "gpt-4", "created_at": NOON, "tokens": (1, 0, 0)}
        other = {**row, "model_name": "gpt-4o-mini", "provider": "openai"}
        small = table_of([row, other])
        for name in ("tokens_in", "tokens_out"):
            place = small.schema.get_field_index(name)
            small = small.set_column(place, name, small[name].cast(pa.int32()))
        pieces = pa.concat_tables([small, small.slice(1), small.slice(0, 1)])
        assert LISTED.price(pieces)["cost_nanousd"].to_pylist() == [30_000, 150, 150, 30_000]


def read(given: Any) -> OwnPrices:
    return read_own_prices(given, "tallybook.toml")


PLAIN = {"input_usd_per_million": "0.25", "output_usd_per_million": 2}


class TestOwnPrices:
    def test_they_are_read_from_the_file_and_count_before_the_list(self, tmp_path: Path) -> None:
        (tmp_path / "tallybook.toml").write_text(
            """
            [prices."my-model"]
            input_usd_per_million = "0.25"
            cached_usd_per_million = 0.025
            output_usd_per_million = 2

            [[prices."gpt-4o-mini"]]
            provider = "azure"
            input_usd_per_million = 1
            output_usd_per_million = 1

            [[prices."gpt-4o-mini"]]
            provider = "openai"
            input_usd_per_million = 3
            output_usd_per_million = 3
            """
        )
        prices = PriceList.load(load_settings({"home": str(tmp_path)}, {}).prices)
        assert cost(None, "my-model", (1_000, 200, 500), prices=prices) == 800 * 250 + 200 * 25 + 500 * 2_000
        assert cost("anyone", "My-Model", (1_000, 0, 0), prices=prices) == 1_000 * 250
        assert cost("azure", "gpt-4o-mini", (1_000, 0, 0), prices=prices) == 1_000 * 1_000
        assert cost("OpenAI", "gpt-4o-mini", (1_000, 0, 0), prices=prices) == 1_000 * 3_000
        assert cost(None, "gpt-4o-mini", (1_000, 0, 0), prices=prices) == 1_000 * 150
        assert cost(None, "my-model-2", (1_000, 0, 0), prices=prices) is None

    def test_one_for_a_provider_counts_before_one_for_any(self) -> None:
        prices = PriceList.load(read({"m": [PLAIN, {**PLAIN, "provider": "eu", "input_usd_per_million": 9}]}))
        assert cost("eu", "m", (1, 0, 0), prices=prices) == 9_000
        assert cost("us", "m", (1, 0, 0), prices=prices) == 250

    def test_without_its_own_price_cached_input_costs_as_input(self) -> None:
        assert read({"m": PLAIN}) == (OwnPrice("m", None, Decimal("0.25"), Decimal("0.25"), Decimal(2)),)

    def test_0_is_a_price_and_what_it_is_for_need_not_be_known(self) -> None:
        free = PriceList.load(read({"m": {"input_usd_per_million": 0, "output_usd_per_million": 0}}))
        assert cost(None, "m", (1_000, 0, 1_000), prices=free) == 0
        assert cost(None, "m", (1_000, None, None), prices=free) == 0
        assert cost(None, "m", (None, None, None), prices=free) is None

    def test_the_version_tells_them_from_others_however_they_are_written(self) -> None:
        def version(*tables: tuple[str, dict[str, Any]]) -> str:
            return PriceList.load(read(dict(tables))).version

        one, other = ("a", PLAIN), ("b", {**PLAIN, "input_usd_per_million": 1})
        same = {"input_usd_per_million": 0.250, "cached_usd_per_million": "25e-2", "output_usd_per_million": "2.00"}
        assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+", version())
        assert re.fullmatch(re.escape(version()) + r" \+ own prices [0-9a-f]{6}", version(one))
        assert version(one, other) == version(other, one)
        assert version(one) == version(("a", same))
        assert (
            len({version(one), version(other), version(("b", PLAIN)), version(("a", {**PLAIN, "provider": "p"}))}) == 4
        )

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ("cheap", "prices in tallybook.toml is no table."),
            ({"m": 1}, '[prices."m"] of tallybook.toml is no table.'),
            ({"m": [PLAIN, 1]}, '[prices."m"] of tallybook.toml is no table.'),
            ({"": PLAIN}, '[prices.""] of tallybook.toml names no model.'),
            ({"m": {}}, 'There is no input_usd_per_million in [prices."m"] of tallybook.toml.'),
            (
                {"m": {"input_usd_per_million": 1}},
                'There is no output_usd_per_million in [prices."m"] of tallybook.toml.',
            ),
            ({"m": {**PLAIN, "input": 1}}, "There is no setting 'input' in [prices.\"m\"] of tallybook.toml."),
            ({"m": {**PLAIN, "provider": 5}}, 'provider in [prices."m"] of tallybook.toml must be a text.'),
            ({"m": {**PLAIN, "provider": ""}}, 'provider in [prices."m"] of tallybook.toml must be a text.'),
            ({"m": [PLAIN, PLAIN]}, '[prices."m"] of tallybook.toml has two prices for any provider.'),
            (
                {"m": [{**PLAIN, "provider": "Azure"}, {**PLAIN, "provider": "azure"}]},
                "[prices.\"m\"] of tallybook.toml has two prices for the provider 'azure'.",
            ),
            (
                {"m": {**PLAIN, "cached_usd_per_million": "0.0000000000001"}},
                'cached_usd_per_million in [prices."m"] of tallybook.toml has more than 12 decimals.',
            ),
        ],
    )
    def test_what_cannot_be_taken_is_named(self, given: Any, sentence: str) -> None:
        with pytest.raises(UsageError) as refused:
            read(given)
        assert refused.value.message == sentence
        assert refused.value.remedy

    @pytest.mark.parametrize(
        "value", [-1, -0.5, "-1", "x", "", True, float("nan"), float("inf"), "nan", 1_000_001, [], {}, "0,25"]
    )
    def test_a_price_is_a_number_that_is_not_negative(self, value: Any) -> None:
        with pytest.raises(UsageError, match=r"^output_usd_per_million in .* must be a number from 0 to 1,000,000\.$"):
            read({"m": {**PLAIN, "output_usd_per_million": value}})


class TestLoading:
    def test_the_list_is_loaded_when_a_price_is_first_needed_and_touches_no_network(self) -> None:
        program = """
import socket, sys
def refuse(*_, **__): raise AssertionError("the network was touched")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import tallybook.cli, tallybook.config
from tallybook.prices import PriceList
prices = PriceList.load()
print("genai_prices" in sys.modules, prices.version[:13])
print(prices.cost_nanousd("openai", "gpt-4o-mini", 1763640000000000, 1000, 0, 0), "genai_prices" in sys.modules)
"""
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        assert told.stdout == "False genai-prices \n150000 True\n"


class TestThePricesOfADay:
    """A closing says which price data the costs of its day were computed with; the chain does not hang on it."""

    def append(self, book: Book, day: int, *prices: str, source: str = "local") -> Closing:
        sums = totals(requests=1, success=1, status_count=1, cost_nanousd=150_000, priced_requests=1)
        content = DayContent(date(2026, 11, day), ("model",), sums, (), (Slice(("m",), sums),), ())
        return book.append(source, content, NOW, prices)

    def test_they_are_kept_in_order_and_shown_where_there_are_any(self, book: Book) -> None:
        self.append(book, 20)
        self.append(book, 21, "genai-prices 0.2.4", "genai-prices 0.2.3", "genai-prices 0.2.4")
        book.append("local", empty_content(date(2026, 11, 22)), NOW)
        assert fetch(book, "SELECT prices FROM closings ORDER BY seq") == [
            ("[]",),
            ('["genai-prices 0.2.3","genai-prices 0.2.4"]',),
            ("[]",),
        ]
        shown = [closing.as_json() for closing in book.closings()]
        assert [closing.get("prices") for closing in shown] == [
            None,
            ["genai-prices 0.2.3", "genai-prices 0.2.4"],
            None,
        ]
        assert ["prices" in closing for closing in shown] == [False, True, False]

    def test_they_are_no_part_of_the_digest_but_of_the_chain(self, book: Book) -> None:
        computed, told = self.append(book, 20, "genai-prices 0.2.3"), self.append(book, 20, source="proxy")
        assert (computed.prices, computed.digest) == ('["genai-prices 0.2.3"]', told.digest)
        assert replace(computed, prices="[]").link() != computed.chain
        assert verify_book(book).verdict == "intact"
        tamper(book, "UPDATE closings SET prices = '[]' WHERE seq = 1")
        assert verify_book(book).verdict == "altered"
