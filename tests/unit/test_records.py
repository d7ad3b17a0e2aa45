from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import NOW, posted, rows_of
from tallybook.days import epoch_us
from tallybook.logs.columns import Batch
from tallybook.measures import DIMENSION_NAMES
from tallybook.records import (
    RECORD_FIELDS,
    STORED_FIELDS,
    Unacceptable,
    UnreadableBody,
    conceal_secret,
    keep_name,
    read_cost,
    read_instant,
)

GOOD = {"created_at": "2026-11-22T10:00:00Z", "model_name": "gpt-5", "status_code": 200}


def read(*records: Any) -> Batch:
    return posted(json.dumps(list(records)).encode(), NOW)


def row(**fields: Any) -> dict[str, object]:
    """The one stored row of a good record with these fields."""
    batch = read({**GOOD, **fields})
    assert batch.rejected == []
    assert list(batch.indices) == [0]
    (values,) = rows_of(batch)
    assert tuple(values) == STORED_FIELDS
    return {**values, "created_at": epoch_us(values["created_at"].replace(tzinfo=UTC))}


def reason(**fields: Any) -> str:
    """Why a record with these fields is rejected."""
    batch = read({**GOOD, **fields})
    assert rows_of(batch) == []
    (rejected,) = batch.rejected
    assert rejected.index == 0
    return rejected.reason


def test_a_record_with_every_field_is_stored_as_it_came_with_money_in_nano_usd() -> None:
    full = {
        "created_at": "2026-11-22T10:00:00.123456Z",
        "model_name": "gpt-5",
        "status_code": 200,
        "request_id": "r-1",
        "tokens_in": 1000,
        "tokens_out": 50,
        "tokens_cached": 1000,
        "tokens_reasoning": 0,
        "latency_ms": 1234,
        "ttft_ms": 0,
        "cost_usd": "0.001234567",
        "provider": "openai",
        "api_key": "team-a-key",
        "user": "ann",
        "team": "search",
        "operation": "chat",
        "error_type": "timeout",
        "stream": True,
    }
    assert set(full) == set(RECORD_FIELDS)
    assert row(**full) == {
        "created_at": 1_795_341_600_123_456,
        "model_name": "gpt-5",
        "status_code": 200,
        "request_id": "r-1",
        "tokens_in": 1000,
        "tokens_out": 50,
        "tokens_cached": 1000,
        "tokens_reasoning": 0,
        "latency_ms": 1234,
        "ttft_ms": 0,
        "cost_nanousd": 1_234_567,
        "provider": "openai",
        "api_key": "team-a-key",
        "user": "ann",
        "team": "search",
        "operation": "chat",
        "error_type": "timeout",
        "stream": True,
    }


def test_what_is_missing_or_null_is_unknown() -> None:
    missing = row()
    assert {name for name, value in missing.items() if value is not None} == {"created_at", "model_name", "status_code"}
    nulls = dict.fromkeys(set(RECORD_FIELDS) - set(GOOD))
    assert row(**nulls) == missing


def test_fields_of_no_concern_are_left_unread() -> None:
    assert row(messages=[{"role": "user", "content": "x" * 100}], price_map={"a": 1.5}) == row()


@pytest.mark.parametrize("name", ["created_at", "model_name", "status_code"])
def test_a_required_field_must_be_there(name: str) -> None:
    batch = read({key: value for key, value in GOOD.items() if key != name})
    assert [(entry.index, entry.reason) for entry in batch.rejected] == [(0, f"object missing required field {name}")]
    assert reason(**{name: None}).startswith(f"{name}: expected")


class TestShapes:
    line = json.dumps(GOOD).encode()

    @pytest.mark.parametrize(
        "body",
        [
            b"[%(r)s,%(r)s]",
            b"\n [ %(r)s , %(r)s ] \n",
            b"%(r)s\n%(r)s",
            b"%(r)s\n%(r)s\n",
            b"%(r)s\r\n%(r)s\r\n",
            b"\n%(r)s\n\n%(r)s\n\n",
        ],
    )
    def test_two_records_as_an_array_or_as_lines(self, body: bytes) -> None:
        batch = posted(body.replace(b"%(r)s", self.line), NOW)
        assert list(batch.indices) == [0, 1]
        assert batch.rejected == []

    def test_one_object_alone_even_over_several_lines(self) -> None:
        assert len(posted(self.line, NOW).table) == 1
        assert len(posted(json.dumps(GOOD, indent=2).encode(), NOW).table) == 1

    def test_one_object_over_several_lines_that_is_rejected_is_one_rejection(self) -> None:
        batch = posted(json.dumps({**GOOD, "tokens_in": -1}, indent=2).encode(), NOW)
        assert [(entry.index, entry.reason) for entry in batch.rejected] == [(0, "tokens_in: expected int >= 0")]

    def test_an_empty_array_holds_nothing_and_is_readable(self) -> None:
        batch = posted(b"[]", NOW)
        assert (len(batch.table), batch.rejected) == (0, [])

    @pytest.mark.parametrize(
        "body", [b"", b" \n", b"hello", b"[", b'[{"a":1}', b"{", b"\xff\xfe", b"\x00", b"a,b\nc,d", b"[1,]"]
    )
    def test_a_body_without_any_record_is_unreadable(self, body: bytes) -> None:
        with pytest.raises(UnreadableBody):
            posted(body, NOW)

    def test_bad_records_are_rejected_one_by_one_and_the_good_ones_kept(self) -> None:
        batch = read(
            GOOD,
            {**GOOD, "tokens_in": "12"},
            5,
            {**GOOD, "created_at": "2026-11-22T10:00:00"},
            GOOD,
            {**GOOD, "tokens_in": 1, "tokens_cached": 2},
            None,
        )
        assert list(batch.indices) == [0, 4]
        assert [(entry.index, entry.reason) for entry in batch.rejected] == [
            (1, "tokens_in: expected int | null, got str"),
            (2, "expected object, got int"),
            (3, "created_at '2026-11-22T10:00:00' has no offset; add Z for UTC"),
            (5, "tokens_cached 2 is more than tokens_in 1"),
            (6, "expected object, got null"),
        ]

    def test_a_line_that_is_no_json_takes_no_other_with_it(self) -> None:
        batch = posted(self.line + b"\n{broken\n\n" + self.line, NOW)
        assert list(batch.indices) == [0, 2]
        (rejected,) = batch.rejected
        assert rejected.index == 1
        assert rejected.reason.startswith("not JSON: ")

    @pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800"', b'"\\udc00 x"'])
    def test_text_that_is_no_unicode_is_one_rejection(self, text: bytes) -> None:
        bad = self.line[:-1] + b', "team": ' + text + b"}"
        batch = posted(b"[" + self.line + b"," + bad + b"," + self.line + b"]", NOW)
        assert list(batch.indices) == [0, 2]
        assert [entry.index for entry in batch.rejected] == [1]

    def test_ten_thousand_records_with_one_fault_give_9999_and_one_reason(self) -> None:
        records: list[dict[str, Any]] = [dict(GOOD) for _ in range(10_000)]
        records[7_777]["latency_ms"] = 1.5
        batch = read(*records)
        assert len(batch.table) == 9_999
        assert [(entry.index, entry.reason) for entry in batch.rejected] == [
            (7_777, "latency_ms: expected int | null, got float")
        ]


WALL_CLOCK = st.datetimes(datetime(2000, 1, 2), datetime(2026, 11, 22))  # noqa: DTZ001 - the offset is drawn apart


class TestTime:
    @pytest.mark.parametrize(
        ("written", "stored"),
        [
            ("2026-11-22T00:00:00Z", 1_795_305_600_000_000),
            ("2026-11-22T23:59:59.999999Z", 1_795_391_999_999_999),
            ("2026-11-22T23:59:59.9999999Z", 1_795_391_999_999_999),
            ("2026-11-22T23:59:59.999999999+00:00", 1_795_391_999_999_999),
            ("2026-11-22T23:59:59.9999999-00:00", 1_795_391_999_999_999),
            ("2026-11-23T05:29:59.9999999+05:30", 1_795_391_999_999_999),
            ("2026-11-22T19:00:00-05:00", 1_795_392_000_000_000),
            ("2026-11-22 10:00:00Z", 1_795_341_600_000_000),
            ("2026-11-22T10:00:00.5Z", 1_795_341_600_500_000),
            ("2000-01-01T00:00:00Z", 946_684_800_000_000),
            ("2026-11-23T01:10:00Z", 1_795_396_200_000_000),
            (1_795_391_999_999, 1_795_391_999_999_000),
            (1_795_392_000_000, 1_795_392_000_000_000),
        ],
    )
    def test_instants_are_kept_to_the_microsecond_and_never_move_to_another_day(
        self, written: str | int, stored: int
    ) -> None:
        assert row(created_at=written)["created_at"] == stored

    @pytest.mark.parametrize(
        ("written", "why"),
        [
            ("2026-11-22T10:00:00", "created_at '2026-11-22T10:00:00' has no offset; add Z for UTC"),
            ("2026-11-22", "created_at '2026-11-22' has no offset; add Z for UTC"),
            ("", "created_at '' is not an RFC 3339 instant"),
            ("yesterday", "created_at 'yesterday' is not an RFC 3339 instant"),
            ("1795341600000", "created_at '1795341600000' is not an RFC 3339 instant"),
            ("2026-11-22T23:59:60Z", "created_at '2026-11-22T23:59:60Z' is not an RFC 3339 instant"),
            ("2026-13-01T00:00:00Z", "created_at '2026-13-01T00:00:00Z' is not an RFC 3339 instant"),
            ("x" * 10_000, f"created_at '{'x' * 39}…' is not an RFC 3339 instant"),
            ("0001-01-01T00:00:00+05:00", "created_at '0001-01-01T00:00:00+05:00' is out of range"),
            ("9999-12-31T23:59:59-05:00", "created_at '9999-12-31T23:59:59-05:00' is out of range"),
            (
                "1999-12-31T23:59:59Z",
                "created_at 1999-12-31T23:59:59+00:00 is before 2000; numbers are epoch milliseconds",
            ),
            (
                1_795_341_600,
                "created_at 1970-01-21T18:42:21.600000+00:00 is before 2000; numbers are epoch milliseconds",
            ),
            (10**20, "created_at 100000000000000000000 is out of range; send epoch milliseconds"),
            ("2026-11-23T01:10:00.000001Z", "created_at is more than 10 minutes ahead of this server's clock"),
            (1_795_396_200_001, "created_at is more than 10 minutes ahead of this server's clock"),
            (True, "created_at: expected int | str, got bool"),
            (1_795_341_600_000.5, "created_at: expected int | str, got float"),
        ],
    )
    def test_what_is_no_instant_or_none_that_can_be_is_rejected(self, written: Any, why: str) -> None:
        assert reason(created_at=written) == why

    def test_a_lower_case_z_and_t_are_rfc_3339_too(self) -> None:
        assert row(created_at="2026-11-22t10:00:00z")["created_at"] == 1_795_341_600_000_000

    @given(
        WALL_CLOCK,
        st.integers(-1439, 1439),
        st.text("0123456789", max_size=9),
    )
    def test_any_offset_and_any_number_of_digits_are_the_same_instant_cut_to_microseconds(
        self, local: datetime, offset: int, digits: str
    ) -> None:
        moment = local.replace(microsecond=0)
        sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
        written = f"{moment.isoformat()}{'.' + digits if digits else ''}{sign}{hours:02d}:{minutes:02d}"
        micros = int(f"{digits:0<6}"[:6])
        expected = int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000 + micros - offset * 60_000_000
        assert (read_instant(written) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == expected / 1_000_000


class TestNumbers:
    @pytest.mark.parametrize("status", [0, 100, 199, 200, 399, 400, 499, 599, 999])
    def test_status_codes_from_0_to_999(self, status: int) -> None:
        assert row(status_code=status)["status_code"] == status

    @pytest.mark.parametrize(
        ("status", "why"),
        [
            (-1, "status_code: expected int >= 0"),
            (1000, "status_code: expected int <= 999"),
            ("200", "status_code: expected int, got str"),
            (True, "status_code: expected int, got bool"),
        ],
    )
    def test_what_is_no_status_code(self, status: Any, why: str) -> None:
        assert reason(status_code=status) == why

    @pytest.mark.parametrize("name", ["tokens_in", "tokens_out"])
    def test_counts_are_whole_numbers_from_0_to_a_billion(self, name: str) -> None:
        assert row(**{name: 0})[name] == 0
        assert row(**{name: 1_000_000_000})[name] == 1_000_000_000
        assert reason(**{name: -1}) == f"{name}: expected int >= 0"
        assert reason(**{name: 1_000_000_001}) == f"{name}: expected int <= 1000000000"
        assert reason(**{name: 2**62}) == f"{name}: expected int <= 1000000000"
        assert reason(**{name: 10**40}) == f"{name}: expected int <= 1000000000"
        assert reason(**{name: 1.5}) == f"{name}: expected int | null, got float"
        assert reason(**{name: "1"}) == f"{name}: expected int | null, got str"
        assert reason(**{name: True}) == f"{name}: expected int | null, got bool"
        assert reason(**{name: [1]}) == f"{name}: expected int | null, got array"

    @pytest.mark.parametrize("name", ["latency_ms", "ttft_ms"])
    def test_durations_are_whole_milliseconds_within_the_histogram(self, name: str) -> None:
        assert row(**{name: 2_147_483_647})[name] == 2_147_483_647
        assert reason(**{name: 2_147_483_648}) == f"{name}: expected int <= 2147483647"
        assert reason(**{name: -1}) == f"{name}: expected int >= 0"

    @pytest.mark.parametrize(("part", "whole"), [("tokens_cached", "tokens_in"), ("tokens_reasoning", "tokens_out")])
    def test_a_part_is_not_more_than_its_whole(self, part: str, whole: str) -> None:
        assert row(**{part: 5, whole: 5})[part] == 5
        assert row(**{part: 5})[part] == 5
        assert reason(**{part: 6, whole: 5}) == f"{part} 6 is more than {whole} 5"

    def test_stream_is_true_or_false(self) -> None:
        assert row(stream=False)["stream"] is False
        assert reason(stream=1) == "stream: expected bool | null, got int"


class TestMoney:
    @pytest.mark.parametrize(
        ("written", "nanousd"),
        [
            ("0", 0),
            ("-0", 0),
            ("0.000000001", 1),
            ("1e-9", 1),
            ("0.0000000004", 0),
            ("0.0000000005", 0),
            ("0.0000000015", 2),
            ("0.0000000025", 2),
            ("0.00000000250000000000000000001", 3),
            ("1000000", 1_000_000_000_000_000),
            ("0.1", 100_000_000),
            (0.1, 100_000_000),
            (0.30000000000000004, 300_000_000),
            (12, 12_000_000_000),
            (1e-05, 10_000),
        ],
    )
    def test_costs_become_whole_nano_usd_rounded_half_to_even(self, written: str | float, nanousd: int) -> None:
        assert row(cost_usd=written)["cost_nanousd"] == nanousd

    @pytest.mark.parametrize(
        "written", ["NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "1000000.01", "1e400000000", -1, 1e300]
    )
    def test_what_is_no_cost(self, written: Any) -> None:
        assert reason(cost_usd=written) == "cost_usd must be between 0 and 1,000,000"

    @pytest.mark.parametrize(
        ("written", "why"),
        [
            ("abc", "cost_usd: invalid decimal string"),
            ("", "cost_usd: invalid decimal string"),
            (True, "cost_usd: expected decimal | null, got bool"),
            ({}, "cost_usd: expected decimal | null, got object"),
        ],
    )
    def test_what_is_no_number(self, written: Any, why: str) -> None:
        assert reason(cost_usd=written) == why

    @given(st.decimals(0, 1_000_000, allow_nan=False, allow_infinity=False))
    def test_rounding_is_never_more_than_half_a_nano_off(self, cost: Decimal) -> None:
        assert abs(read_cost(cost) - cost * 10**9) <= Decimal("0.5")


class TestText:
    def test_names_in_any_script_and_emoji_are_kept(self) -> None:
        assert row(model_name="модель-🦙", team="検索 ✓", user="e\u0301")["model_name"] == "модель-🦙"
        assert row(user="e\u0301")["user"] == "e\u0301"

    def test_512_characters_fit_whatever_their_size_in_bytes(self) -> None:
        assert row(team="😀" * 512)["team"] == "😀" * 512
        assert reason(team="😀" * 513) == "team: expected str of length <= 512"

    @pytest.mark.parametrize(
        "name", ["model_name", "request_id", "provider", "api_key", "user", "team", "operation", "error_type"]
    )
    def test_ten_kilobytes_and_nul_are_refused_in_every_text(self, name: str) -> None:
        assert reason(**{name: "x" * 10_240}).endswith("expected str of length <= 512") or name == "model_name"
        assert reason(**{name: "a\0b"}) == f"{name} holds a NUL character"

    def test_a_model_has_a_name_of_1_to_512_characters(self) -> None:
        assert reason(model_name="") == "model_name: expected str of length >= 1"
        assert reason(model_name="x" * 10_240) == "model_name: expected str of length <= 512"
        assert reason(model_name=5) == "model_name: expected str, got int"

    @pytest.mark.parametrize(
        "key",
        [
            "sk-proj-abcdefgh12345678",
            "sk-abcdefgh",
            "Bearer abcdefgh12345",
            "hf_abcdefghij",
            "AIzaSyA1234567890",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
            "AKIAIOSFODNN7EXAMPLE",
            "0123456789abcdef0123456789ABCDEF",
            "SK-ABCDEFGHIJK",
        ],
    )
    def test_a_secret_is_stored_as_a_fingerprint(self, key: str) -> None:
        fingerprint = f"fp_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        assert row(api_key=key)["api_key"] == fingerprint
        assert key not in str(row(api_key=key))

    def test_a_fingerprint_is_the_same_each_time_and_differs_between_keys(self) -> None:
        assert conceal_secret("sk-one-abcdefgh") != conceal_secret("sk-two-abcdefgh")
        once = conceal_secret("sk-one-abcdefgh")
        assert conceal_secret(once) == once

    def test_an_empty_text_tells_nothing_so_it_is_unknown(self) -> None:
        stored = row(request_id="", provider="", api_key="", team="", user="", operation="", error_type="")
        assert {stored[name] for name in ("request_id", "provider", "api_key", "team", "user", "operation")} == {None}

    @pytest.mark.parametrize(
        "key", ["team-a", "production key", "sk-", "ann@example.com", "a" * 64, "0" * 64, "k" * 40]
    )
    def test_a_name_of_a_key_is_kept_as_it_is(self, key: str) -> None:
        assert row(api_key=key)["api_key"] == key


class TestNamesOfOtherSources:
    """What no gateway of ours has checked: a value is never refused, it is made such that it can be kept."""

    @pytest.mark.parametrize("dimension", DIMENSION_NAMES)
    @pytest.mark.parametrize("value", [None, ""])
    def test_nothing_and_an_empty_text_are_unknown(self, dimension: str, value: str | None) -> None:
        assert keep_name(dimension, value) is None

    @pytest.mark.parametrize("dimension", DIMENSION_NAMES)
    @pytest.mark.parametrize(
        "value", ["a", " ", " a ", "0", "null", "(other)", "модель-🦙", "e\u0301", "\t\n", "'; --"]
    )
    def test_a_name_is_kept_as_it_is(self, dimension: str, value: str) -> None:
        assert keep_name(dimension, value) == value

    @pytest.mark.parametrize("dimension", DIMENSION_NAMES)
    def test_it_is_cut_at_512_characters_whatever_their_size_in_bytes(self, dimension: str) -> None:
        assert keep_name(dimension, "😀" * 512) == "😀" * 512
        assert keep_name(dimension, "😀" * 512 + "a") == "😀" * 512
        assert keep_name(dimension, "two words " * 2_000) == ("two words " * 2_000)[:512]

    @pytest.mark.parametrize("dimension", DIMENSION_NAMES)
    def test_nul_is_replaced_each_time(self, dimension: str) -> None:
        assert keep_name(dimension, "a\0b\0") == "a\ufffdb\ufffd"
        assert keep_name(dimension, "\0") == "\ufffd"

    def test_a_secret_of_a_key_is_concealed_whole_before_it_is_cut(self) -> None:
        assert keep_name("api_key", "sk-proj-abcdefgh12345678") == "fp_6bffd991d6a3925d"
        ends = [keep_name("api_key", "sk-" + "a" * 600 + end) for end in "xy"]
        assert [len(end or "") for end in ends] == [19, 19]
        assert ends[0] != ends[1]

    def test_a_secret_with_a_nul_in_it_is_a_secret_still(self) -> None:
        kept = keep_name("api_key", "sk-proj-abcd\0efgh12345678")
        assert kept is not None
        assert kept.startswith("fp_")
        assert len(kept) == 19

    def test_a_name_of_a_key_and_a_fingerprint_made_elsewhere_are_kept(self) -> None:
        assert keep_name("api_key", "team-a") == "team-a"
        assert keep_name("api_key", "0f" * 32) == "0f" * 32

    @pytest.mark.parametrize("dimension", [name for name in DIMENSION_NAMES if name != "api_key"])
    def test_elsewhere_what_looks_like_a_secret_is_a_name(self, dimension: str) -> None:
        assert keep_name(dimension, "sk-proj-abcdefgh12345678") == "sk-proj-abcdefgh12345678"

    @given(st.sampled_from(DIMENSION_NAMES), st.text(max_size=600))
    def test_whatever_was_there_can_be_kept(self, dimension: str, value: str) -> None:
        kept = keep_name(dimension, value)
        assert (kept is None) == (value == "")
        assert kept is None or (0 < len(kept) <= 512 and "\0" not in kept)


def test_a_single_instant_may_also_be_refused_on_its_own() -> None:
    with pytest.raises(Unacceptable, match="has no offset"):
        read_instant("2026-11-22T10:00:00")
