from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import totals
from tallybook.book.entries import Closing
from tallybook.content import DayContent, LatencyHistogram, Slice, TopModel, empty_content
from tallybook.digest import canonical_bytes, chain_link, day_payload, digest_day, genesis, safe_integers

DAY = date(2026, 11, 22)
SUMS = totals(
    requests=2,
    success=1,
    failed=1,
    status_count=2,
    tokens_in=7,
    tokens_in_count=1,
    latency_sum_ms=1300,
    latency_count=1,
)
SMALL = DayContent(
    day=DAY,
    dimensions=("model", "provider"),
    totals=SUMS,
    top_models=(TopModel('gpt-5 😀\u2028"\\é', 2, 7),),
    slices=(Slice(('gpt-5 😀\u2028"\\é', None), SUMS),),
    histograms=(LatencyHistogram((None, 'gpt-5 😀\u2028"\\é'), ((338, 1),)),),
)
HUGE = DayContent(
    day=DAY,
    dimensions=("model",),
    totals=totals(requests=1, tokens_in=2**53, tokens_out=2**53 - 1),
    top_models=(TopModel(None, 1, 2**54 - 1),),
    slices=(Slice((None,), totals(requests=1, tokens_in=2**53, tokens_out=2**53 - 1)),),
    histograms=(),
)

VECTORS = {
    "empty": (empty_content(DAY), "fc644f8fa515140aff6476ade731690c64e16091f39a20c54fc1b4718d0c1abd"),
    "small": (SMALL, "52216b35261f8034c774b19775d78e84a9a98a33074afcf4027dd1b68632aa18"),
    "huge": (HUGE, "779e2578d9003401fce1e5058162ea58f6b07da25d05f8b9647bcf49fc4969ec"),
}


def plain_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name: str) -> None:
    content, digest = VECTORS[name]
    assert digest_day(content) == digest
    assert hashlib.sha256(plain_json(day_payload(content))).hexdigest() == digest


def test_the_canonical_bytes_of_an_empty_day_written_out() -> None:
    measures = (
        '"requests","success","failed","status_count","tokens_in","tokens_in_count","tokens_out","tokens_out_count",'
        '"tokens_cached","tokens_cached_count","tokens_reasoning","tokens_reasoning_count","latency_sum_ms","latency_count",'
        '"ttft_sum_ms","ttft_count","cost_nanousd","priced_requests"'
    )
    assert canonical_bytes(day_payload(empty_content(DAY))).decode() == (
        '{"day":"2026-11-22","dimensions":[],"format":"tallybook-day/1","histogram_dimensions":["provider","model"],"histograms":[],'
        f'"measures":[{measures}],"slices":[],"top_models":[],"totals":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}}'
    )


def test_numbers_beyond_53_bits_are_written_as_strings_and_only_those() -> None:
    payload = day_payload(HUGE)
    assert payload["totals"][:7] == [1, 0, 0, 0, "9007199254740992", 0, 9007199254740991]
    assert payload["top_models"] == [{"model": None, "requests": 1, "tokens": "18014398509481983"}]
    assert safe_integers([True, -(2**53) + 1, -(2**53), None, "x", {"a": (2**60,)}]) == [
        True,
        -9007199254740991,
        "-9007199254740992",
        None,
        "x",
        {"a": ["1152921504606846976"]},
    ]


def test_tokens_in_and_out_beyond_53_bits_only_together_are_a_string_in_top_models() -> None:
    sums = totals(requests=1, tokens_in=2**53 - 1, tokens_out=2**53 - 1)
    content = DayContent(DAY, ("model",), sums, (TopModel("m", 1, 2**54 - 2),), (Slice(("m",), sums),), ())
    assert day_payload(content)["top_models"] == [{"model": "m", "requests": 1, "tokens": "18014398509481982"}]


@given(
    st.recursive(
        st.none() | st.text() | st.integers(-(2**53) + 1, 2**53 - 1),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    )
)
def test_canonical_bytes_are_what_any_json_library_writes(value: Any) -> None:
    assert canonical_bytes(value) == plain_json(value)


def test_a_link_covers_every_field_of_a_closing() -> None:
    closing = Closing(1, "local", DAY, "closed", 2, '{"requests":2}', 1, "d" * 64, "p" * 64, "2026-11-23T01:00:00Z")
    link = closing.link()
    assert link == "4335861894f4a507b3b7418df35a33c5b04723f405d0797f2df14cea897e94e0"
    written_out = {
        "format": "tallybook-chain/1",
        "seq": 1,
        "source": "local",
        "day": "2026-11-22",
        "state": "closed",
        "records": 2,
        "fingerprint": '{"requests":2}',
        "payload_version": 1,
        "digest": "d" * 64,
        "prev_chain": "p" * 64,
        "closed_at": "2026-11-23T01:00:00Z",
    }
    assert hashlib.sha256(plain_json(written_out)).hexdigest() == link
    for field, other in {
        "seq": 2,
        "source": "x",
        "state": "zero",
        "records": 3,
        "fingerprint": "{}",
        "payload_version": 2,
        "digest": "e" * 64,
        "prev_chain": "q" * 64,
        "closed_at": "2026-11-23T01:00:01Z",
        "day": "2026-11-21",
    }.items():
        linked = {key: value for key, value in written_out.items() if key != "format"}
        assert chain_link({**linked, field: other}, 1) != link


def test_a_link_of_version_2_covers_every_field_without_exception() -> None:
    closing = Closing(
        *(1, "local", DAY, "closed", 2, '{"requests":2}', 2, "d" * 64, "p" * 64, "2026-11-23T01:00:00Z"),
        unknown='["failed"]',
        prices='["own"]',
        schema_version="0005",
    )
    written_out = {**asdict(closing), "day": "2026-11-22", "format": "tallybook-chain/2", "kind": "closing"}
    del written_out["chain"]
    assert closing.link() == hashlib.sha256(plain_json(written_out)).hexdigest()
    changed = {"seq": 2, "records": 3, "payload_version": 3, "day": date(2026, 11, 21)}
    for field in asdict(closing):
        if field != "chain":
            other: dict[str, Any] = {field: changed.get(field, "other")}
            assert replace(closing, **other).link() != closing.link(), field


def test_the_first_link_binds_the_book() -> None:
    created_at = "2026-11-23T01:00:00Z"
    assert genesis("b0b0", created_at, 1) == "ab22875614b089af92c406db2fc8a1b3a09d4f41dc0674bdee1cb0bde17a5d8b"
    assert (
        genesis("b0b0", created_at, 1) == hashlib.sha256(b'{"book_id":"b0b0","format":"tallybook-book/1"}').hexdigest()
    )
    identity = b'{"book_id":"b0b0","created_at":"2026-11-23T01:00:00Z","format":"tallybook-book/2"}'
    assert genesis("b0b0", created_at) == hashlib.sha256(identity).hexdigest()
